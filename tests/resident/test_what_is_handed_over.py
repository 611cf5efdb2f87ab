"""All that a watcher does, a resident does: each with --need-resident, so that no watcher does it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE
from tests.support.packages import need
from tests.support.processes import children
from tests.support.puppet import Puppet, Stage
from tests.support.resident import PUPPET, Machine, machine
from tests.support.waiting import until

SERVE = ("--init", "none", "--need-resident")
ALONE = ["cross-init-all", "cross-init-kept"]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        made.serve()
        yield made


def begin(here: Machine, *options: str, name: str = "web") -> tuple[subprocess.Popen[bytes], Puppet]:
    """A bridge with a puppet, and how it is seen from the machine."""
    opened = Stage(here.folder / f"stage-{name}")
    here.stages.append(opened)
    process = here.spawn(
        *(str(BRIDGE), *SERVE, *options, "--", "/usr/bin/python3", "-IS", PUPPET, str(here.folder / f"stage-{name}"))
    )
    return process, opened.puppet()


def is_ready(here: Machine) -> bool:
    return " ready " in here.status()


LISTEN = "import socket; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen()"
# What is waited for, and what the daemon does that it holds.
CONDITIONS = {
    "file": ("file:{folder}/mark", "open({folder!r} + '/mark', 'w').close()"),
    "pid-file": ("pid-file:{folder}/pid", "import os; open({folder!r} + '/pid', 'w').write(str(os.getpid()))"),
    "tcp": ("tcp:127.0.0.1:4001", LISTEN.replace("{port}", "4001")),
    "unix": (
        "unix:{folder}/sock",
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind({folder!r} + '/sock'); s.listen()",
    ),
}


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_conditions(here: Machine, kind: str, killed: bool) -> None:
    condition, act = (text.format(folder=str(here.folder)) for text in CONDITIONS[kind])
    need("iproute2")
    assert here.private.run("ip", "link", "set", "lo", "up").code == 0
    _, puppet = begin(here, "-t", "plain", "--ready-when", condition)
    assert f"waits for {condition}" in here.status()
    if killed:
        here.kill_resident()
        puppet.do(act)
        here.serve()
    else:
        puppet.do(act)
    until(lambda: is_ready(here), "it is ready")


def test_started_with_a_passed_socket(here: Machine) -> None:
    begin(here, "-t", "systemd", "--listen", f"unix:{here.folder}/s", "--ready-when", "started")
    until(lambda: is_ready(here), "it is ready")


def test_the_watchdog_ends_a_daemon_that_gives_no_sign_of_life(here: Machine) -> None:
    process, puppet = begin(here, "-t", "systemd", "-N", "--watchdog", "0.5:0.5")
    puppet.do("import signal; signal.signal(signal.SIGABRT, signal.SIG_IGN)")
    puppet.tell("notify READY=1")
    assert process.wait(20) == -signal.SIGKILL
    until(lambda: here.ours() == ALONE, "all is over")


def test_a_start_that_takes_too_long_is_ended(here: Machine) -> None:
    process, puppet = begin(here, "-t", "systemd", "--daemonize", "--ready-timeout", "0.5")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 3")
    assert process.wait(20) == 125


def test_end_after_ready_leaves_nothing_and_the_daemon_may_go_on_to_speak(here: Machine) -> None:
    _, puppet = begin(here, "-t", "systemd", "-N", "--end-after-ready")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(lambda: here.status() == "no service is looked after\n", "it is done with")
    until(lambda: here.ours() == ALONE, "who has heard the rest is done")
    puppet.tell("notify STATUS=nobody hears it")
    puppet.hear("notified")


def test_health_is_answered_and_outlives_the_resident(here: Machine) -> None:
    path = here.folder / "health"
    process, puppet = begin(here, "-t", "systemd", "-N", "--health-listen", f"unix:{path}")

    def answer() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n")[0]

    assert b" 503 " in answer()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(lambda: b" 200 " in answer(), "it is ready")
    here.kill_resident()
    here.serve()
    assert b" 200 " in answer()
    puppet.tell(f"die {signal.SIGKILL}")
    process.wait(20)
    until(lambda: not path.exists(), "its path goes with it")


def test_a_state_file_says_it(here: Machine) -> None:
    path = here.folder / "state"
    _, puppet = begin(here, "-t", "systemd", "-N", "--state-file", str(path))
    assert here.private.ask("check", str(path)).code == 1
    puppet.tell("notify READY=1")
    until(lambda: here.private.ask("check", str(path)).code == 0, "it is noted")


def test_a_front_ends_when_the_daemon_is_ready(here: Machine) -> None:
    pid_file = here.folder / "pid"
    process, puppet = begin(here, "-t", "systemd", "--daemonize", "--pid-file", str(pid_file))
    assert process.poll() is None
    here.kill_resident()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    assert process.poll() is None, "nobody has heard it yet"
    here.serve()
    assert process.wait(20) == 0
    assert pid_file.read_text() == f"{puppet.pid}\n"


@pytest.mark.parametrize("options", [("--init", "none", "--daemonize"), ("--init", "sysv")])
def test_behind_a_front_it_is_said_who_watches(here: Machine, options: tuple[str, ...]) -> None:
    said = here.private.run(str(BRIDGE), *options, "-t", "systemd", "-N", "--explain", "--", "/bin/true").out
    assert "watched by  the resident\n" in said


def test_a_front_that_is_told_to_end_ends_the_start(here: Machine) -> None:
    process, puppet = begin(here, "-t", "systemd", "--daemonize")
    (front,) = children(process.pid)
    os.kill(front, signal.SIGTERM)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    process.wait(20)


def test_descriptors_are_kept_over_a_restart(here: Machine) -> None:
    options = ("-t", "systemd", "-N", "--fd-store", "3")
    process, puppet = begin(here, *options)
    puppet.do(
        "import os, socket; r = os.memfd_create('x'); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "s.connect(os.environ['NOTIFY_SOCKET']); socket.send_fds(s, [b'FDSTORE=1\\nFDNAME=kept\\nREADY=1'], [r]); "
        "a, b = os.pipe(); socket.send_fds(s, [b'BARRIER=1'], [b]); os.close(b); os.read(a, 1)"
    )
    until(lambda: is_ready(here), "it is ready")
    puppet.tell(f"die {signal.SIGKILL}")
    process.wait(20)
    here.stages[-1].listener.close()
    (here.folder / "stage-web").unlink()
    _, second = begin(here, *options)
    assert second.environ["LISTEN_FDNAMES"] == "kept"


def test_what_the_daemon_leaves_is_ended(here: Machine) -> None:
    process, puppet = begin(here, "-t", "systemd", "-N")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    left = here.folder / "left"
    puppet.do(f"import subprocess; p = subprocess.Popen(['sleep', '1000']); open({str(left)!r}, 'w').write(str(p.pid))")
    words = here.private.root / f"proc/{left.read_text()}/cmdline"
    until(lambda: bool(words.read_bytes()), "it has become that program")
    puppet.tell(f"die {signal.SIGKILL}")
    process.wait(20)
    until(lambda: not words.exists() or not words.read_bytes(), "it is ended")


def test_a_machine_that_goes_down_waits_for_nothing_of_ours(here: Machine) -> None:
    process, puppet = begin(here, "-t", "systemd", "-N")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(lambda: is_ready(here), "it is ready")
    for pid in here.in_there():
        os.kill(pid, signal.SIGTERM)
    until(lambda: here.ours() == ["cross-init-kept"], "the resident has ended")
    puppet.tell(f"die {signal.SIGKILL}")
    process.wait(20)
    until(lambda: here.ours() == [], "nobody waits for another one")
