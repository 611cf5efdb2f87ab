"""The definitions of cross-init serve: those for s6 and runit run on the real ones, the others have to be readable."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.commands.options import parse
from tests.support.command import BRIDGE, FRONT_DOOR, ROOT
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.waiting import until

EXAMPLES = ROOT / "examples/serve"
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file() and path.name not in ("check", "notification-fd"))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_the_command_is_one(path: Path) -> None:
    text = path.read_text().replace("\\\n", " ").replace('"', " ")
    assert len(re.findall(r"\S*cross-init serve|/usr/bin/cross-init\s+serve", text)) == 1
    found = re.search(r"(-t systemd.*?cross-init\s+serve)|(-t\s+systemd[^)]*serve)", text, re.DOTALL)
    if found is None:
        assert "cross-init-bridge -" not in text
        return
    options = parse(found.group(0).split())
    assert options.own_watcher
    assert options.end_after_ready
    assert [word.rpartition("/")[2] for word in options.command] == ["cross-init", "serve"]


@pytest.mark.parametrize("name", ["s6", "runit"])
def test_it_serves_and_goes_on_after_its_end(here: Machine, name: str) -> None:
    need("s6", "runit")
    folder = here.folder / "cross-init-serve"
    shutil.copytree(EXAMPLES / name, folder)
    for script in folder.glob("[rc]*"):
        text = script.read_text().replace("exec cross-init-bridge", f"exec {BRIDGE}")
        script.write_text(
            text.replace("cross-init serve", f"{FRONT_DOOR} serve").replace("exec cross", f"exec {BRIDGE.parent}/cross")
        )
    here.spawn({"s6": "s6-supervise", "runit": "runsv"}[name], str(folder))

    def is_ready() -> bool:
        if name == "s6":
            return here.private.run("s6-svstat", "-o", "ready", str(folder)).out == "true\n"
        return here.private.run("sv", "-w", "1", "check", str(folder)).code == 0

    until(is_ready, "it serves", 20)
    until(lambda: here.ours() == ["cross-init-all", "cross-init-kept"], "its own watcher has gone")
    service, puppet = here.puppet("web", "-t", "systemd", "-N", "--need-resident")
    here.private.run(*({"s6": ("s6-svc", "-k"), "runit": ("sv", "kill")}[name]), str(folder))
    puppet.tell("notify READY=1")
    until(service.is_ready, "it is started anew, and goes on", 20)
    here.private.run(*({"s6": ("s6-svc", "-h"), "runit": ("sv", "hup")}[name]), str(folder))
    until(lambda: " ready " in here.status(), "it is there again", 20)
