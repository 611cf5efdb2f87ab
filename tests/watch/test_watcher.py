"""The watcher: it costs nothing while nothing happens, holds nothing that is not its own, and goes with the daemon."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import CHECKOUT, PATH
from tests.support.own import OWN, STRANGER
from tests.support.processes import children, stop
from tests.support.puppet import Puppet
from tests.support.show import Show, get_ready, send_as_another
from tests.support.upstart import Job
from tests.support.waiting import lives_through, until

IDLE_S = 1.0
SETTLE_S = 0.1  # a busy machine lets it go on with what was there bit by bit


# Becomes the command, but says at exec, when all others of its name stand still, which names they have by then.
SAY_AT_EXEC = """
import posix, sys
def text(path):
    try:
        fd = posix.open(path, 0)
        found = posix.read(fd, 1 << 16)
        posix.close(fd)
        return found
    except OSError:
        return b""
def execve(*words):
    mark, still = text("/proc/self/environ"), False
    while not still:
        pids = [pid for pid in posix.listdir("/proc") if pid.isdigit() and text(f"/proc/{pid}/environ") == mark]
        pids.remove(str(posix.getpid()))
        still = not any(text(f"/proc/{pid}/syscall") == b"running\\n" for pid in pids)
    posix.write(1, b" ".join(text(f"/proc/{pid}/comm").strip() for pid in pids))
    posix._exit(0)
posix.execve = execve
sys.argv = sys.argv[1:]
__file__ = sys.argv[0]
exec(compile(text(__file__), __file__, "exec"))
"""


def under_none(show: Show, *options: str) -> tuple[Job, Puppet]:
    """A daemon that was started from a shell, as far as the bridge knows."""
    return show.started("--init", "none", *options, expect_stop=False)


def cost(pid: int) -> tuple[int, int, int]:
    """The CPU time that this process has used, in ticks, and how often it was switched to and away from."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    switches = int(status["voluntary_ctxt_switches"]), int(status["nonvoluntary_ctxt_switches"])
    return int(stat[11]) + int(stat[12]), *switches


def is_idle(watcher: int) -> bool:
    """Whether it waits, and nobody does anything for it; a barrier, which each puppet.send() has, is such work."""
    return not children(watcher) and Path(f"/proc/{watcher}/syscall").read_text() != "running\n"


def status_inode(watcher: int) -> str:
    """Where it answers "cross-init status", as its descriptors show it."""
    lines = Path(f"/proc/{watcher}/net/unix").read_text().splitlines()
    (mine,) = (line.split() for line in lines if f"/{watcher}-" in line)
    return f"socket:[{mine[6]}]"


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("init", ["upstart", "none"])
def test_it_costs_nothing_while_the_daemon_has_nothing_to_say(show: Show, init: str, ready: bool) -> None:
    job, puppet = show.started() if init == "upstart" else under_none(show)
    if ready:
        get_ready(job, puppet)
    puppet.send(repr(b"STATUS=all of it was read when this was"))
    watcher = job.watcher()
    before = cost(watcher)

    def has_settled() -> bool:
        nonlocal before
        last, before = before, cost(watcher)
        return is_idle(watcher) and lives_through(watcher, SETTLE_S) and cost(watcher) == before == last

    until(has_settled, "it waits again", 20)
    for _ in range(100):
        for number in (signal.SIGHUP, signal.SIGUSR1):
            job.kill(number)
            puppet.hear_signal(number)
    assert lives_through(watcher, IDLE_S)
    assert cost(watcher) == before


def test_it_does_nothing_before_the_daemon_is_there() -> None:
    """It would take the processor from it, on its last steps."""
    options = ("--init", "none", "-t", "systemd", "-N", "--")
    words = ("/usr/bin/python3", "-ISXutf8", "-c", SAY_AT_EXEC, str(CHECKOUT), *options)
    environ = {"PATH": PATH, "MARK": f"{OWN}-{time.monotonic_ns()}"}
    said = subprocess.run([*words, "/bin/true"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert said.stdout.split() == [b"python3", b"python3"], "the watcher and its witness, not yet under their own names"


def descriptors(pid: int) -> dict[int, str]:
    folder = Path(f"/proc/{pid}/fd")
    return {int(name): os.readlink(folder / name) for name in os.listdir(folder)}


def notify_inodes() -> set[str]:
    """All notification sockets, as /proc shows descriptors; which one is whose is not to be seen."""
    lines = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    return {f"socket:[{words[6]}]" for words in lines if words[-1].startswith("/run/cross-init/cross-init-")}


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


@pytest.mark.parametrize("ready", [False, True])
def test_it_holds_nothing_of_the_daemons_but_standard_error(show: Show, ready: bool, tmp_path: Path) -> None:
    path = tmp_path / "listening"
    options = ("--init", "none", "-t", "systemd", "-N", "--listen", f"unix:{path}")
    job = show.job(*options, expect_stop=False, wrapper=("/usr/bin/env", f"--chdir={tmp_path}"))
    far, near = socket.socketpair()
    with far, near:
        job.spawn({9: near})
        puppet = show.stage.puppet()
        near.close()
        if ready:
            get_ready(job, puppet)
        puppet.send(repr(b"STATUS=everything is in its place when this is heard"))
        watcher = job.watcher()
        assert "9" in puppet.hello["fds"]
        assert puppet.hello["fds"]["3"].startswith("socket:")
        until(lambda: is_idle(watcher), "it has dealt with everything")
        held = descriptors(watcher)
        assert {held.pop(fd) for fd in (0, 1)} == {"/dev/null"}
        assert held.pop(2) == puppet.hello["fds"]["2"]
        allowed = {"/dev/null", "anon_inode:[pidfd]", "pidfd", *notify_inodes(), status_inode(watcher)}
        if not ready:  # its witness stands beside it, at the other end of a pipe
            until(lambda: job.witness() > 0, "the witness has settled down")
            beside = descriptors(job.witness())
            (line,) = {where for where in beside.values() if where.startswith("pipe:")} & set(held.values())
            assert set(beside.values()) <= {"/dev/null", "anon_inode:[pidfd]", "pidfd", line, beside[2]}
            allowed.add(line)
        assert {where for where in held.values() if not where.startswith("pidfd:")} <= allowed
        assert os.readlink(f"/proc/{job.pid}/cwd") == str(tmp_path)
        assert os.readlink(f"/proc/{watcher}/cwd") == "/"
        # Held still, it can give nothing back when the daemon ends.
        stop(watcher)
        job.kill(signal.SIGKILL)
        job.ended()
        far.settimeout(10)
        assert far.recv(1) == b""
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
            client.connect(str(path))
        os.kill(watcher, signal.SIGCONT)
        assert job.orphans_gone_within(5)


def test_a_port_is_free_as_soon_as_the_daemon_has_ended(show: Show) -> None:
    job = show.job("-t", "systemd", "-N")
    with listening() as sock:
        where = sock.getsockname()
        job.spawn({3: sock})
    puppet = show.stage.puppet()
    get_ready(job, puppet)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(where)
    watcher = job.watcher()
    stop(watcher)
    job.kill(signal.SIGKILL)
    job.ended()
    with socket.socket() as other:
        other.bind(where)
    os.kill(watcher, signal.SIGCONT)
    assert job.orphans_gone_within(5)


MESSAGES = {
    "status": "STATUS=x",
    "to keep": "FDSTORE=1\nFDNAME=x",
    "barrier": "BARRIER=1",
    "nothing": "",
    "too long": "x" * 66_000,
}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("access", ["main", "all"])
@pytest.mark.parametrize("user", ["root", "a stranger"])
def test_every_descriptor_that_arrives_is_closed(show: Show, kind: str, access: str, user: str) -> None:
    sender = STRANGER if user == "a stranger" else 0
    job, puppet = show.started("--notify-access", access)
    puppet.send(repr(b"STATUS=everything is in its place when this is heard"))
    watcher = job.watcher()
    until(lambda: is_idle(watcher), "it has dealt with that")
    before = descriptors(watcher)
    for count in (1, 252, 253):
        send_as_another(puppet.environ["NOTIFY_SOCKET"], MESSAGES[kind], sender, count)
    until(lambda: is_idle(watcher), "it has dealt with that")
    assert descriptors(watcher) == before
    get_ready(job, puppet)


MANY = """
import os, resource, socket, signal
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
for message in (b"STATUS=x", b"BARRIER=1", b"a\\0b", b"READY=1"):
    read, write = os.pipe()
    socket.send_fds(sender, [message], [write] * 253)
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
os._exit(42)
"""


@pytest.mark.parametrize("limit", [16, 100, 1024])
def test_so_is_every_descriptor_of_the_daemons_even_if_there_is_no_room_for_all(show: Show, limit: int) -> None:
    words = ("/usr/bin/python3", "-ISc", MANY)
    job = show.job("-t", "systemd", "-N", command=words)
    possible = min(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    job.command = ["/usr/bin/prlimit", f"--nofile={possible}", *job.command]
    job.spawn()
    assert job.wait_running()
    assert os.waitstatus_to_exitcode(job.ended()) == 42
    assert job.orphans_gone_within(5)
    assert "please report" not in job.said()


DROPS = f"""
import os, signal, socket
os.setgroups([])
os.setgid({STRANGER})
os.setuid({STRANGER})
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect(os.environ["NOTIFY_SOCKET"])
    sender.send(b"READY=1")
    read, write = os.pipe()
    socket.send_fds(sender, [b"BARRIER=1"], [write])
    os.close(write)
    os.read(read, 1)
signal.raise_signal(signal.SIGKILL)
"""


@pytest.mark.parametrize("init", ["upstart", "none"])
def test_it_goes_with_a_daemon_that_has_changed_its_user(show: Show, init: str) -> None:
    options = ("--init", init, "-t", "systemd", "-N")
    job = show.job(*options, command=("/usr/bin/python3", "-ISc", DROPS), expect_stop=init == "upstart")
    job.spawn()
    assert job.wait_running()
    assert job.ended() == signal.SIGKILL
    assert job.orphans_gone_within(5)
    assert ("is ready" in job.said()) == (init == "none")


# Says READY=1 without an end, and that it does, by a line, when the watcher has read a thousand of it.
FLOODS = """
import os, socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(sys.argv[1])
try:
    for _ in range(1000):
        sender.send(b"READY=1")
    os.write(1, b"flooding\\n")
    while True:
        sender.send(b"READY=1\\nSTATUS=mine")
except OSError:
    os._exit(0)
"""


@contextmanager
def floods(address: str, count: int) -> Iterator[list[int]]:
    """So many processes of another user that send without a pause; they end when nobody listens any more."""
    pids: list[int] = []
    read, write = os.pipe()
    try:
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(write, 1)
                    os.setgroups([])
                    os.setgid(STRANGER)
                    os.setuid(STRANGER)
                    os.execv("/usr/bin/python3", ["python3", "-ISc", FLOODS, address])
                finally:
                    os._exit(255)
            pids.append(pid)
        for _ in pids:
            assert os.read(read, len(b"flooding\n")) == b"flooding\n"
        yield pids
        assert [os.waitstatus_to_exitcode(os.waitpid(pids.pop(), 0)[1]) for _ in range(count)] == [0] * count
    finally:
        os.close(read)
        os.close(write)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize("access", ["main", "all"])
@pytest.mark.parametrize("ready", [False, True])
def test_a_flood_from_somebody_else_changes_nothing(show: Show, access: str, ready: bool) -> None:
    job, puppet = show.started("--notify-access", access)
    watcher = job.watcher()
    with floods(puppet.environ["NOTIFY_SOCKET"], 4):
        assert os.waitpid(job.pid, os.WNOHANG | os.WUNTRACED) == (0, 0)
        if ready:
            get_ready(job, puppet)
            assert not job.is_stopped_again()
        job.kill(signal.SIGKILL)
        job.ended()
        assert not lives_through(watcher, 5)
    assert job.orphans_gone_within(5)
    said = job.said()
    assert "mine" not in said
    assert said.count("which may not speak for the service") <= 60
