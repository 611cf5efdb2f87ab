"""A Containerfile, as it is written: what Podman makes of it, and what it starts, which runs under a real Podman."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE as HERE
from tests.support.containers import BRIDGE, FRONT_DOOR
from tests.support.podman import PUPPET, Podman, podman
from tests.support.waiting import until
from tests.writers.written import translated

PROGRAMS = {"cross-init": FRONT_DOOR, "/usr/bin/cross-init-bridge": BRIDGE}
UNIT = f"""[Unit]
Description=The daemon
After=database.service

[Service]
Type=notify
ExecStart={" ".join(PUPPET)}
Environment="SAID=a 'b' $c"
WorkingDirectory=/tmp
StateDirectory=web
TimeoutStopSec=7
Restart=on-failure
"""
SOCKET = "[Socket]\nListenStream=127.0.0.1:8081\n"
FIRST = "make dist && cp dist/cross-init-bridge . && podman build --format docker --tag web ."


@pytest.fixture(scope="module")
def runtime() -> Iterator[Podman]:
    with podman() as made:
        yield made


def files(folder: Path, expand: bool) -> dict[str, str]:
    """What is written for the unit and its socket."""
    (folder / "web.service").write_text(UNIT)
    (folder / "web.socket").write_text(SOCKET)
    found, said = translated(folder / "web.service", "container", expand)
    assert "After=database: that is for who starts the containers" in said
    return found


def instruction(text: str, name: str) -> list[str]:
    """The words of the instruction of this name."""
    (line,) = [each for each in text.splitlines() if each.startswith(f"{name} [")]
    found: list[str] = json.loads(line.removeprefix(name))
    return found


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_podman_takes_it(runtime: Podman, tmp_path: Path, expand: bool) -> None:
    written = files(tmp_path, expand)
    text = written.pop("Containerfile")
    assert f"# {FIRST}\n# podman run --restart on-failure --stop-timeout 7 web\n" in text
    lines = ["FROM scratch" if each.startswith("FROM ") else each for each in text.splitlines()]
    context = tmp_path / "context"
    context.mkdir()
    (context / "cross-init-bridge").write_bytes(b"")
    for name, each in written.items():
        (context / name).parent.mkdir(exist_ok=True)
        (context / name).write_text(each)
    # Nothing is installed here: there is no network.
    (context / "Containerfile").write_text("\n".join(each for each in lines if not each.startswith("RUN ")))
    runtime.tell("build", "--isolation=chroot", "--format", "docker", "--tag", "web", str(context))
    image = json.loads(runtime.tell("inspect", "web").stdout)[0]
    made = image["Config"]
    assert made["Entrypoint"] == instruction(text, "ENTRYPOINT")
    assert image["Healthcheck"]["Test"] == ["CMD", "cross-init", "check"]
    assert list(made["ExposedPorts"]) == ["8081/tcp"]
    assert list(made["Volumes"]) == ["/var/lib/web"]
    assert sorted(written) == ([] if expand else ["units/web.service", "units/web.socket"])
    if expand:
        assert made["WorkingDir"] == "/tmp"
        assert "SAID=a 'b' $c" in made["Env"]


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_what_it_starts_is_ready_is_asked_and_ends(runtime: Podman, tmp_path: Path, expand: bool) -> None:
    written = files(tmp_path, expand)
    words = [PROGRAMS.get(each, each) for each in instruction(written["Containerfile"], "ENTRYPOINT")]
    words = [each.replace("/usr/bin/cross-init-bridge", BRIDGE) for each in words]
    options = [] if expand else [f"--volume={tmp_path}:/etc/systemd/system:ro"]
    if not expand:  # as an instruction of it has it
        folder = "/etc/systemd/system"
        link = f"ln -sf {folder}/web.socket {folder}/sockets.target.wants/"
        assert f"RUN mkdir -p {folder}/sockets.target.wants && {link}\n" in written["Containerfile"]
        (tmp_path / "sockets.target.wants").mkdir()
        (tmp_path / "sockets.target.wants/web.socket").symlink_to(f"{folder}/web.socket")
    options += ["--env", "SAID=a 'b' $c", "--workdir", "/tmp"] if expand else []
    process = runtime.begin(*words, options=options)
    puppet = runtime.stage.puppet()
    assert puppet.environ["SAID"] == "a 'b' $c"
    assert puppet.environ["LISTEN_FDS"] == "1"
    puppet.do("assert os.getcwd() == '/tmp' and os.path.isdir('/var/lib/web')")
    assert runtime.inside(FRONT_DOOR, "check").returncode == 1
    puppet.send("b'READY=1'")
    until(lambda: runtime.inside(FRONT_DOOR, "check").returncode == 0, "it is ready")
    os.kill(runtime.pid, signal.SIGTERM)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 7")
    assert process.wait(20) == 7


def test_what_a_container_keeps_from_nobody_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "web.service").write_text("[Service]\nFileDescriptorStoreMax=3\nExecStart=/bin/sleep 0.1\n")
    found, said = translated(tmp_path / "web.service", "container", True)
    assert "FileDescriptorStoreMax=: a container ends with its service" in said
    _, *words = instruction(found["Containerfile"], "ENTRYPOINT")
    ran = subprocess.run([str(HERE), "--init", "container", *words], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
