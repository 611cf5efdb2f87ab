"""A stop of a unit's service before it is started, and while it ends anyway: what was begun has its end."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.unit_folder import RUN_S, Folder
from tests.support.waiting import until

STOPS, STOPS_WITHIN_S = 60, 0.09  # so many stops, at moments spread over that time behind a start


def test_a_stop_during_a_command_before_ends_it_and_what_comes_afterwards_is_run(folder: Folder) -> None:
    process = folder.begin(
        "ExecStartPre=/bin/sh -c 'echo $$$$ >> {log}; exec sleep 60'\nExecStart=LOG not\nExecStopPost=LOG after"
    )
    until(lambda: folder.written() != [], "the first command runs")
    pid = int(folder.written()[0])
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert process.returncode == -signal.SIGTERM
    assert folder.written()[1:] == ["after"]
    assert not Path(f"/proc/{pid}").exists()


def test_a_stop_does_not_cut_short_what_comes_at_the_end(folder: Folder) -> None:
    stop = "/bin/sh -c 'kill -TERM $$PPID; sleep 0.1'"
    both = "".join(f"{key}={stop}\n{key}=LOG {key}\n" for key in ("ExecStop", "ExecStopPost"))
    assert folder.run(f"ExecStart=/bin/true\n{both}") == (0, "")
    assert folder.written() == ["ExecStop", "ExecStopPost"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make folders in /run")
@pytest.mark.parametrize("kind", ["simple", "oneshot"])
def test_a_stop_at_any_moment_leaves_nothing(folder: Folder, kind: str) -> None:
    """It ends before anything was done, or what was begun has its end."""
    name = f"cross-init-test-{os.getpid()}"
    seconds = {"simple": "60", "oneshot": "0.02"}[kind]
    for at in range(STOPS):
        folder.log.unlink(missing_ok=True)
        process = folder.begin(
            f"Type={kind}\nRuntimeDirectory={name}\nSetCredential=a:b\nExecStartPre=LOG before\n"
            f"ExecStart=/bin/sleep {seconds}\nExecStopPost=LOG after",
        )
        time.sleep(at * STOPS_WITHIN_S / STOPS)
        process.terminate()
        said, _ = process.communicate(timeout=RUN_S)
        assert folder.written() in ([], ["after"], ["before", "after"]), said
        assert not Path(f"/run/{name}").exists(), said
        assert not Path(f"/run/credentials/{folder.name}.service").exists(), said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make folders in /run")
@pytest.mark.parametrize("lines", ["LoadCredential=a:{path}/socket", "OpenFile={path}/fifo:a:read-only"])
def test_a_stop_while_somebody_else_is_waited_for_is_heard(folder: Folder, lines: str) -> None:
    name = f"cross-init-test-{os.getpid()}"
    os.mkfifo(folder.path / "fifo")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder.path / "socket"))
        silent.listen()
        process = folder.begin(
            f"{lines.format(path=folder.path)}\nRuntimeDirectory={name}\nExecStart=LOG not\nExecStopPost=LOG after"
        )
        waits = Path(f"/proc/{process.pid}/wchan")
        until(lambda: any(word in waits.read_text() for word in ("partner", "unix_stream")), "it waits")
        process.terminate()
        said, _ = process.communicate(timeout=RUN_S)
    assert (process.returncode, said) == (-signal.SIGTERM, "")
    assert not Path(f"/run/{name}").exists()
