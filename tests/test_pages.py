"""What the documents have people write and type is written and typed, on the real inits, and prints what they show."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from cross_init.commands.options import parse
from tests.matrix.controlled import Finit, Shepherd
from tests.matrix.scripts import OpenRC, Sysvinit
from tests.support.alone import want_machines
from tests.support.containers import INSIDE, Container, booted
from tests.support.dinit import prefix as dinit_prefix
from tests.support.packages import need, unpacked
from tests.support.pages import Run, blocks, play, write
from tests.support.programs import USUAL
from tests.support.real_upstart import checked_prefix, upstart_booted
from tests.support.roots import rooted
from tests.support.trees import tree
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
INSTALL = f"ln -sf {INSIDE}/bin/cross-init-bridge {INSIDE}/bin/cross-init /usr/bin/"
DAEMONS = ("redis-server", "redis-tools", "procps")
# As if a person typed it into a shell: one that was given nothing to run, and whose parent is in there as well.
TYPED = ("/bin/sh", "-c", 'printf "%s\\n" "$1" | sh -s')


def shell(container: Container, path: str = USUAL) -> Run:
    """Types a command there, as root, in the checkout."""

    def run(command: str) -> "subprocess.CompletedProcess[str]":
        words = ("/usr/bin/env", "-i", f"--chdir={INSIDE}", f"PATH={path}", "HOME=/root", *TYPED, "sh", command)
        return container.run(*words, check=False)

    assert run(INSTALL).returncode == 0
    return run


@contextmanager
def systemd() -> Iterator[Run]:
    need(*DAEMONS)
    with booted(Path("/")) as container:
        yield shell(container)


@contextmanager
def on_this_machine(
    *pid_1: str,
    packages: tuple[str, ...] = (),
    path: str = USUAL,
    files: Mapping[str, str] | None = None,
    asks: str = "true",
) -> Iterator[Run]:
    """A copy of this machine's root, with this as process 1, and these files beside its own.

    asks: a command that works as soon as the init can be told something.
    """
    want_machines()
    need(*DAEMONS, "iproute2", *packages)
    begin = f"PATH={path}; ip link set lo up; mkdir -p /run/service /etc/service; exec {' '.join(pid_1)}"
    with rooted(Path("/"), ("/bin/sh", "-c", begin), files) as root:
        run = shell(root, path)
        until(lambda: run(asks).returncode == 0, f"{pid_1[0]} can be asked", 30)
        yield run


@contextmanager
def in_tree(name: str, boots: tuple[str, ...], files: Mapping[str, str], up: str, asks: str = "true") -> Iterator[Run]:
    """A copy of a tree. asks: a command that works as soon as the init can be told something."""
    need("iproute2")
    with rooted(tree(name), boots, files) as root:
        loopback = ("nsenter", "--target", str(root.pid), "--net", "ip", "link", "set", "lo", "up")
        subprocess.run(loopback, check=True, timeout=30)
        until(lambda: root.exists(up), f"{boots[0]} is up", 30)
        run = shell(root)
        until(lambda: run(asks).returncode == 0, f"{boots[0]} can be asked", 30)
        yield run


@contextmanager
def upstart() -> Iterator[Run]:
    prefix = checked_prefix()
    need(*DAEMONS)
    with upstart_booted() as booted_one:

        def run(command: str) -> "subprocess.CompletedProcess[str]":
            return booted_one.run("/usr/bin/env", "--chdir=/", f"PATH={prefix}/sbin:{USUAL}", "/bin/sh", "-c", command)

        assert run(INSTALL).returncode == 0
        yield run


@contextmanager
def dinit() -> Iterator[Run]:
    sbin = dinit_prefix() / "sbin"
    boot = f"mkdir -p /etc/dinit.d; echo type=internal >/etc/dinit.d/boot; exec {sbin}/dinit -o"
    with on_this_machine(f"sh -c '{boot}'", path=f"{sbin}:{USUAL}") as machine:
        yield machine


SUPERVISORD = """[supervisord]
nodaemon=true
user=root
logfile=/run/supervisord.log
pidfile=/run/supervisord.pid
[unix_http_server]
file=/run/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisor.sock
[include]
files = /etc/supervisor/conf.d/*.conf
"""


@contextmanager
def from_pypi(program: str, *pid_1: str, files: Mapping[str, str] | None = None, asks: str = "true") -> Iterator[Run]:
    """A copy of this machine's root, with a program that the tests' own interpreter has."""
    programs = Path(sys.executable).parent
    with on_this_machine(*pid_1, path=f"{programs}:{USUAL}", files=files) as run:
        if run(f"test -x {programs}/{program}").returncode:
            pytest.skip(f"needs {programs}/{program} in a copy of this machine's root: it is on another file system")
        until(lambda: run(asks).returncode == 0, f"{program} can be asked", 30)
        yield run


def s6() -> AbstractContextManager[Run]:
    """It has looked at its folder: what it finds there without the right to run it starts in ten seconds only."""
    first = "/run/service/first"
    boot = f"sh -c 'mkdir -p {first}; touch {first}/down; exec s6-svscan /run/service'"
    return on_this_machine(boot, packages=("s6",), asks=f"s6-svok {first}")


@contextmanager
def after(page: str) -> Iterator[Run]:
    """Where a service runs as another page says."""
    with MACHINES[page]() as run:
        play(DOCS / f"{page}.md", run)
        yield run


MACHINES: dict[str, Callable[[], AbstractContextManager[Run]]] = {
    "systems/systemd": systemd,
    "systems/upstart": upstart,
    "systems/s6": s6,
    "systems/runit": lambda: on_this_machine("runsvdir", "-P", "/etc/service", packages=("runit",)),
    "systems/daemontools": lambda: on_this_machine("svscan", "/etc/service", packages=("daemontools",)),
    "systems/dinit": dinit,
    "systems/openrc": lambda: in_tree("sid-inits", OpenRC.boots, OpenRC.files, OpenRC.up),
    "systems/sysvinit": lambda: in_tree("bookworm-sysvinit", Sysvinit.boots, Sysvinit.files, Sysvinit.up),
    "systems/finit": lambda: in_tree("sid-inits", Finit.boots, Finit.files, Finit.up, "initctl reload"),
    "systems/shepherd": lambda: in_tree("sid-inits", Shepherd.boots, Shepherd.files, Shepherd.up),
    "systems/supervisord": lambda: from_pypi(
        "supervisord",
        *("supervisord", "-c", "/etc/supervisor/supervisord.conf"),
        files={"/etc/supervisor/supervisord.conf": SUPERVISORD, "/etc/supervisor/conf.d/none.conf": ""},
        asks="supervisorctl -c /etc/supervisor/supervisord.conf pid",
    ),
    "systems/circus": lambda: from_pypi("circusd", "sleep", "infinity"),
    "systems/inetd": lambda: on_this_machine(
        "sleep", "infinity", path=f"{unpacked('openbsd-inetd')}/usr/sbin:{USUAL}", packages=("procps",)
    ),
    "start/administrator": lambda: after("systems/s6"),
    "start/packager": lambda: on_this_machine("sleep", "infinity"),
    "start/daemon-author": lambda: on_this_machine("sleep", "infinity"),
    "systems/shell": lambda: on_this_machine("sleep", "infinity"),
}


@pytest.mark.parametrize("page", MACHINES)
def test_a_page_is_right_as_it_is_written(page: str) -> None:
    with MACHINES[page]() as run:
        play(DOCS / f"{page}.md", run)


CLASSIC = {
    "/etc/systemd/system/redis.service": (systemd, "systemctl daemon-reload", "systemctl start redis"),
    "/etc/init/redis.conf": (upstart, "true", "initctl start redis"),
}


@pytest.mark.parametrize("path", CLASSIC)
def test_the_classic_cases_of_the_readme(path: str) -> None:
    machine, reread, start = CLASSIC[path]
    (block,) = [block for block in blocks(ROOT / "README.md") if block.path == path]
    with machine() as run:
        write(block, run)
        assert run(reread).returncode == 0
        until(lambda: run(start).returncode == 0, "it is known")
        assert run("redis-cli ping").stdout == "PONG\n"


def test_the_readme_is_right_as_it_is_written() -> None:
    with on_this_machine("sleep", "infinity") as run:
        play(ROOT / "README.md", run)


def test_all_pages_with_commands_are_played() -> None:
    played = {DOCS / f"{page}.md" for page in MACHINES} | {ROOT / "README.md"}
    for page in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")):
        has = [block for block in blocks(page) if block.commands or block.path]
        assert page in played or not has, page


def test_the_containers_page_shows_what_the_examples_have() -> None:
    """These are run by test_podman.py."""
    shown = [block.text for block in blocks(DOCS / "systems/container.md")]
    examples = [(ROOT / "examples" / name).read_text() for name in ("Containerfile", "pod.yaml")]
    for text, example in zip(shown, examples, strict=True):
        assert {line.strip() for line in text.splitlines()} <= {line.strip() for line in example.splitlines()}


def command_lines() -> list[tuple[str, list[str]]]:
    """Every command line of the bridge in the documents, wherever it stands, but where it is cut off."""
    found = []
    for page in (ROOT / "README.md", *DOCS.rglob("*.md"), *filter(Path.is_file, (ROOT / "examples").rglob("*"))):
        text = page.read_text().replace("\\\n", " ")
        for line in re.findall(r"cross-init-bridge(?: cross-init-bridge)?( -[^`|\n]*)", text):
            line = line.removeprefix(" -- ")  # of who starts it with these words
            words = shlex.split(line.replace("$PIDFILE", "/x").replace("$pidfile", "/x").partition(" >")[0])
            if "--" in words and "..." not in line:
                found.append((f"{page.name}:{line[:60]}", words[: words.index("--")]))
    return found


@pytest.mark.parametrize(("where", "words"), command_lines())
def test_every_command_line_is_one(where: str, words: list[str]) -> None:
    """As the parser has it; what they do is seen where they are played."""
    assert parse([*words, "--", "true"]).target, where


def test_the_command_lines_are_found() -> None:
    assert len(command_lines()) > 20
