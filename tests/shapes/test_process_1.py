"""As process 1 of a PID namespace, with and without a reaper before us: signals, orphans, and how it ends.

Without any container's runtime; test_podman.py has one.
"""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.command import FRONT_DOOR, PATH, ROOT, run
from tests.support.observed import PUPPET, PYTHON, Place
from tests.support.packages import need
from tests.support.processes import children
from tests.support.waiting import until

ALONE = ("unshare", "--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child")
# Debian's package: the reaper's words.
REAPERS = {"tini": ("tini", "--"), "dumb-init": ("dumb-init", "--"), "catatonit": ("catatonit", "--")}
SOURCES = str(ROOT / "src")
HERE = ("--init", "container")
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
# Forks away, as a daemon for sysvinit does; then its process is the puppet.
FORKING = """
import os, sys
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# As process 1 serves its child, having said something that nobody reads: exits with the child's wait status.
SAYS_TO_NOBODY = """
import os, signal
from cross_init.shapes.pid1 import serve
from cross_init.shapes.processes import block
given = block()
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # as a daemon has it
read, write = os.pipe()
os.close(read)
try:
    os.write(write, b"it is started anew")
except BrokenPipeError:
    pass
pid = os.fork()
if not pid:
    given.restore()
    os.execv("/bin/sleep", ["sleep", "0.1"])
os._exit(serve(pid).status)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a PID namespace of its own")


def process_1(unshare: int) -> int:
    """The first process of the namespace, as the machine outside numbers it."""
    (pid,) = children(unshare)
    return pid


def inside(pid: int, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run this in the namespaces of this process, with a parent outside, as "podman exec" does."""
    enter = ("nsenter", "--target", str(pid), "--pid", "--mount")
    return subprocess.run([*enter, *words], env={"PATH": PATH}, capture_output=True, text=True, timeout=20)


def listed(pid: int) -> dict[int, list[str]]:
    """What runs in the namespace: by PID, the parent's PID, the state and the name."""
    need("procps")
    lines = inside(pid, "/bin/ps", "-eo", "pid=,ppid=,s=,comm=").stdout.splitlines()
    found = {int(line.split()[0]): line.split()[1:] for line in lines}
    return {number: words for number, words in found.items() if words[2] != "ps"}


@pytest.mark.parametrize("reaper", ["", *REAPERS])
@pytest.mark.parametrize("options", [("-N",), ()])
def test_signals_come_once_and_its_end_is_ours(place: Place, reaper: str, options: tuple[str, ...]) -> None:
    need(*filter(None, [reaper]))
    words = REAPERS[reaper] if reaper else ()
    run = place.begin(*HERE, "-t", "systemd", *options, wrapper=(*ALONE, *words), session=True)
    first = process_1(run.process.pid)
    for number in PASSED_ON * 3:
        os.kill(first, number)
        run.puppet.hear_signal(number)
    run.puppet.do("signal.signal(signal.SIGCHLD, lambda number, frame: None)")
    if not words:  # a reaper keeps that for itself
        os.kill(first, signal.SIGCHLD)
        run.puppet.hear_signal(signal.SIGCHLD)
    run.puppet.tell("exit 7")
    assert run.puppet.last_words() == []
    assert run.ends() == 7


@pytest.mark.parametrize(("order", "status"), [("exit 3", 3), ("die 9", 137), ("die 11", 139), ("die 14", 142)])
@pytest.mark.parametrize("options", [("-t", "systemd", "-N"), ("-t", "upstart", "-N"), ("-t", "plain")])
def test_a_signals_death_is_told_by_the_exit_code(
    place: Place, options: tuple[str, ...], order: str, status: int
) -> None:
    run = place.begin(*HERE, *options, wrapper=ALONE)
    run.puppet.tell(order)
    assert run.ends() == status


@pytest.mark.parametrize(("command", "status"), [("/nonexistent", 127), ("/etc/passwd", 126)])
def test_a_command_that_does_not_run(command: str, status: int) -> None:
    result = run(*HERE, "-t", "systemd", "-N", "--", command, wrapper=ALONE)
    assert result.status == status
    assert result.line.startswith(f"running {command}: ")


def test_nothing_can_be_kept_over_the_end_of_a_container() -> None:
    result = run(*HERE, "-t", "systemd", "-N", "--fd-store", "3", "--", "/bin/true", wrapper=ALONE)
    assert result.status == 125
    assert result.line.startswith("--fd-store: a container ends with its service, ")


def test_a_signal_that_comes_while_we_start_is_not_lost(place: Place) -> None:
    """From when Python runs our code on; before that the kernel drops what process 1 has no handler for."""
    slow = place.folder / "slow"
    slow.write_text("#!/bin/sh\nread line < gate\nexec sleep 60\n")
    slow.chmod(0o755)
    os.mkfifo(place.folder / "gate")
    made = place.spawn(*HERE, "-t", "systemd", "-N", command=(str(slow),), wrapper=ALONE)
    with open(place.folder / "gate", "w"):  # somebody reads there now
        os.kill(process_1(made.process.pid), signal.SIGTERM)
        assert made.ends() == 143


def test_the_signal_of_our_own_write_is_not_passed_on() -> None:
    assert (
        subprocess.run([sys.executable, "-c", SAYS_TO_NOBODY], env={"PYTHONPATH": SOURCES}, timeout=20).returncode == 0
    )


def test_everything_is_reaped_and_a_strangers_orphan_is_not_the_services(place: Place) -> None:
    run = place.begin(*HERE, "-t", "systemd", "-N", "--notify-access", "all", "--supervise", wrapper=ALONE)
    first = process_1(run.process.pid)
    run.puppet.do("if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\nelse: os.wait()")
    inside(first, "/bin/sh", "-c", "(sleep 0.01 &)")
    # As another process of the container, it is no descendant of the daemon; and says what only those may say.
    lie = f"""
import os, select, socket
parent = os.pidfd_open(os.getpid())
if os.fork(): os._exit(0)
select.select([parent], [], [])
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect({run.puppet.environ["NOTIFY_SOCKET"]!r})
    sender.send(b"READY=1")
    read, write = os.pipe()
    socket.send_fds(sender, [b"BARRIER=1"], [write])  # one that has ended when it is heard may have been the service's
    os.close(write)
    os.read(read, 1)
"""
    inside(first, *PYTHON, "-c", lie)
    run.err.hears("ignored a notification from process ")
    until(lambda: all(words[1] != "Z" for words in listed(first).values()), "all is reaped")
    assert inside(first, str(FRONT_DOOR), "check").returncode == 1
    names = [words[2] for words in listed(first).values()]
    assert sorted(names) == ["cross-init-brid", "cross-init-brid", "python3"]
    run.puppet.send("b'READY=1'")
    asked = inside(first, str(FRONT_DOOR), "check")
    assert (asked.returncode, asked.stdout) == (0, f"ready (PID {run.puppet.pid})\n")


@pytest.mark.parametrize("status", [0, 5])
def test_a_daemon_that_forks_away_is_followed_and_no_strangers_orphan(place: Place, status: int) -> None:
    made = place.spawn(
        *(*HERE, "-t", "sysv", "--ready-when", "listening"),
        command=(*PYTHON, "-c", FORKING, *PYTHON, PUPPET, str(place.folder / "stage")),
        wrapper=ALONE,
    )
    puppet = place.stage.puppet()
    first = process_1(made.process.pid)
    inside(first, "/bin/sh", "-c", "(exec sleep 1000 > /dev/null 2>&1 &)")
    until(lambda: ["1", "S", "sleep"] in listed(first).values(), "it has lost its parent")
    puppet.do("here = socket.create_server(('127.0.0.1', 0))")
    until(lambda: inside(first, str(FRONT_DOOR), "check").returncode == 0, "it is ready")
    assert inside(first, str(FRONT_DOOR), "check").stdout == f"ready (PID {puppet.pid})\n"
    puppet.tell(f"exit {status}")
    assert made.ends() == status  # and with it the orphan


def test_nothing_of_ours_survives_the_bridge(place: Place) -> None:
    run = place.begin(*HERE, "-t", "systemd", "-N", wrapper=ALONE)
    first = process_1(run.process.pid)
    (bridge,) = children(first)
    os.kill(bridge, signal.SIGKILL)
    assert run.ends() == 137
    assert run.puppet.last_words() == []


@pytest.mark.parametrize(
    ("wrapper", "because"),
    [
        (ALONE, "this is process 1"),
        *(((*ALONE, *words), f"the parent process 1 is {name}") for name, words in REAPERS.items()),
        ((*ALONE, "/bin/sh", "-c", '"$@"; exit $?', "sh"), "nothing in the environment says"),
    ],
)
def test_what_is_detected(wrapper: tuple[str, ...], because: str) -> None:
    need(*REAPERS)
    environ = {"PATH": PATH, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    said = run("-t", "systemd", "-N", "--explain", "--", "/bin/true", wrapper=wrapper, environ=environ)
    init = "none" if because.startswith("nothing") else "container"
    assert f"init        {init}, because {because}" in said.out.decode()
    if init == "container":
        assert "KUBERNETES_SERVICE_HOST" in said.out.decode()
        assert "--fd-store" not in said.out.decode()


@pytest.mark.parametrize(("alone", "options"), [(ALONE, HERE), ((), ("--supervise",))])
def test_a_hang_up_is_passed_on_where_the_terminal_is_shared(
    place: Place, alone: tuple[str, ...], options: tuple[str, ...]
) -> None:
    """The kernel tells that to the leader of the terminal's session alone."""
    master, terminal = os.openpty()
    lead = ("/bin/sh", "-c", 'exec setsid --ctty "$@" 0<&2', "sh")
    run = place.begin(*options, "-t", "systemd", "-N", wrapper=(*alone, *lead), stderr=terminal)
    os.close(terminal)
    os.close(master)
    run.puppet.hear_signal(signal.SIGHUP)
    run.puppet.tell("exit 4")
    assert run.puppet.last_words() == []
    assert run.ends() == 4
