"""SIGKILL for one process of ours at the worst moment: no daemon runs on that nobody watches, or stands still for ever.

The moments are events: what the daemon has said, which processes there are. tests/test_supervise.py and test_front.py
have those that come later in a daemon's life.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_state
from tests.support.command import BRIDGE, PATH, ROOT
from tests.support.observed import Place
from tests.support.processes import children, end, named, parent, stop
from tests.support.puppet import Puppet
from tests.support.show import Show, get_ready
from tests.support.upstart import Job, reap
from tests.support.waiting import until

TIMES = 8
LONGEST_S = 10
FOREVER = ("/bin/sleep", "1000")
INITS = {"upstart": (), "none": ("--init", "none")}
WAITS_FOR_A_CHILD = "61 "  # wait4(2), as /proc/PID/syscall begins with it on x86_64


def pidfd_of(pid: int) -> int:
    return os.pidfd_open(pid)


def ends(pidfd: int) -> bool:
    """Whether the process has ended, or does so soon; closes the pidfd."""
    try:
        return bool(select.select([pidfd], [], [], LONGEST_S)[0])
    finally:
        os.close(pidfd)


# The watcher.


@pytest.mark.parametrize("init", INITS)
def test_a_watcher_that_is_killed_at_once_makes_the_start_fail(show: Show, init: str) -> None:
    for _ in range(TIMES):
        job = show.job("-t", "systemd", "-N", *INITS[init], command=FOREVER, expect_stop=False)
        job.spawn()
        while len(found := [each for pid in children(job.pid) for each in children(pid)] or job.orphans()) < 2:
            pass  # no step: at once
        os.kill(found[1], signal.SIGKILL)  # behind its witness, as who forks both has forked them
        assert os.WTERMSIG(job.ended()) == signal.SIGTERM
        assert job.orphans_gone_within(LONGEST_S)
        said = job.said()
        assert said.count("\n") == 1
        assert "was killed, so nobody would hear that it is ready; the daemon was told to end" in said


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("said", [False, True], ids=["before", "after"])
def test_a_watcher_that_is_killed_before_readiness_makes_the_start_fail(show: Show, init: str, said: bool) -> None:
    job, puppet = show.started(*INITS[init], expect_stop=init == "upstart")
    if said:
        puppet.send("b'STATUS=nearly'")
    os.kill(job.watcher(), signal.SIGKILL)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 3")
    assert os.WEXITSTATUS(job.ended()) == 3
    assert job.orphans_gone_within(LONGEST_S)
    assert "was killed, so nobody would hear that it is ready" in job.said()


def test_a_daemon_that_ignores_that_is_killed_in_the_end(show: Show) -> None:
    job, puppet = show.started("--init", "none")
    os.kill(job.watcher(), signal.SIGKILL)
    puppet.hear_signal(signal.SIGTERM)
    assert os.WTERMSIG(job.ended()) == signal.SIGKILL
    assert job.orphans_gone_within(LONGEST_S)


@pytest.mark.parametrize("init", INITS)
def test_a_witness_that_is_killed_matters_to_nobody(show: Show, init: str) -> None:
    job, puppet = show.started(*INITS[init], expect_stop=init == "upstart")
    os.kill(witness_of(job), signal.SIGKILL)
    get_ready(job, puppet)
    puppet.send("b'STATUS=still heard'")
    job.kill(signal.SIGKILL)
    job.ended()
    assert job.orphans_gone_within(LONGEST_S)


def witness_of(job: Job) -> int:
    until(lambda: job.witness() > 0, "the witness has settled down")
    return job.witness()


@pytest.mark.parametrize("init", INITS)
def test_the_witness_goes_when_the_init_was_told(show: Show, init: str) -> None:
    job, puppet = show.started(*INITS[init], expect_stop=init == "upstart")
    witness = pidfd_of(witness_of(job))
    assert os.readlink(f"/proc/{witness_of(job)}/cwd") == "/"
    get_ready(job, puppet)
    assert ends(witness)
    os.kill(job.watcher(), signal.SIGKILL)
    puppet.do("pass")  # it serves on


def test_where_signs_of_life_are_counted_somebody_sees_that_nobody_counts_any_more(show: Show) -> None:
    job, puppet = show.started("--init", "none", "--watchdog", "60", expect_stop=False)
    get_ready(job, puppet)
    puppet.send("b'WATCHDOG=1'")
    os.kill(job.watcher(), signal.SIGKILL)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 3")
    assert os.WEXITSTATUS(job.ended()) == 3
    assert job.orphans_gone_within(LONGEST_S)
    assert "nobody counts its signs of life (--watchdog)" in job.said()


def test_the_watchdogs_witness_goes_with_the_daemon(show: Show) -> None:
    job, puppet = show.started("--init", "none", "--watchdog", "60", expect_stop=False)
    get_ready(job, puppet)
    assert witness_of(job)
    puppet.tell("exit 0")
    job.ended()
    assert job.orphans_gone_within(LONGEST_S)
    assert "was told to end" not in job.said()


BROKEN = {
    "a mistake of ours": ("watch/watcher.py", "loop.run()", "loop.walk()"),
    "an upgrade under way": ("watch/watched.py", "import _signal", "import nothing_of_this_name"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_watcher_that_ends_of_itself_makes_the_start_fail_as_well(place: Place, what: str) -> None:
    for name in ("src", "bin"):
        shutil.copytree(ROOT / name, place.folder / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    name, before, after = BROKEN[what]
    module = place.folder / "src/cross_init" / name
    text = module.read_text()
    assert before in text
    module.write_text(text.replace(before, after, 1))
    run = place.spawn("-t", "systemd", "-N", command=FOREVER, bridge=place.folder / "bin/cross-init-bridge")
    assert run.ends() == -signal.SIGTERM
    run.err.hears("the daemon was told to end")
    place.nothing_remains()


# The bridge, and its guard.


@contextmanager
def supervised(*options: str, command: tuple[str, ...] = FOREVER) -> Iterator["subprocess.Popen[bytes]"]:
    """A bridge that supervises; what is left of it and its daemon ends with this."""
    reap(True)
    others = set(children(os.getpid()))
    words = [str(BRIDGE), "--init", "none", *options, "--", *command]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, env={"PATH": PATH}, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        until(lambda: not [pid for pid in left(others) if not os.waitpid(pid, os.WNOHANG)[0]], "all of it ends")
        end(left(others))
        reap(False)


def left(others: set[int]) -> set[int]:
    return set(children(os.getpid())) - others


PLAIN = ("-t", "plain", "--supervise")
SAYS = ("/bin/sh", "-c", "echo $$; exec sleep 1000")


def test_a_bridge_that_is_killed_when_its_daemon_says_its_first_word_takes_it_along() -> None:
    for _ in range(TIMES):
        with supervised(*PLAIN, command=SAYS) as bridge:
            assert bridge.stdout is not None
            daemon = pidfd_of(int(bridge.stdout.readline()))
            bridge.kill()
            assert ends(daemon)


def test_a_bridge_that_is_killed_when_its_daemon_has_been_forked_takes_it_along() -> None:
    for _ in range(TIMES):
        with supervised(*PLAIN) as bridge:
            while len(below := children(bridge.pid)) < 2:  # no step: it has hardly been forked
                pass
            pidfds = [pidfd_of(pid) for pid in below]
            bridge.kill()
            assert all(ends(pidfd) for pidfd in pidfds), "the guard, and the daemon"


def test_a_bridge_that_is_killed_when_a_client_is_served_takes_that_daemon_along(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    command = ("/bin/sh", "-c", "echo $$; exec sleep 1000")
    for _ in range(TIMES):
        path.unlink(missing_ok=True)
        with (
            supervised("-t", "inetd:nowait", "-N", "--listen", f"unix:{path}", command=command) as bridge,
            socket.socket(socket.AF_UNIX) as client,
        ):
            assert bridge.stderr is not None
            assert b"is ready after" in bridge.stderr.readline()
            client.connect(str(path))
            daemon = pidfd_of(int(client.recv(20)))
            bridge.kill()
            assert ends(daemon)


# The command ends at once, and leaves a process in between, which ends when it has forked the daemon.
FORKS = ("/bin/sh", "-c", "exec 3<&0; (echo between; read go <&3; sleep 1000 3<&- & echo $!) &")


def test_a_daemon_that_forks_away_twice_ends_with_the_bridge_before_it_is_known_which_it_is(tmp_path: Path) -> None:
    with supervised("-t", "sysv", "--pid-file", str(tmp_path / "never"), command=FORKS) as bridge:
        assert bridge.stdout is not None
        assert bridge.stdin is not None
        assert bridge.stdout.readline() == b"between\n"
        until(lambda: len(children(bridge.pid)) == 2, "the command has ended")
        (guard,) = (pid for pid in children(bridge.pid) if named(pid) == named(bridge.pid))
        bridge.stdin.write(b"go\n")
        bridge.stdin.flush()
        daemon = int(bridge.stdout.readline())
        until(lambda: follows(guard, daemon), "the guard knows of it")
        pidfd = pidfd_of(daemon)
        bridge.kill()
        assert ends(pidfd)


LEAVES = ("/bin/sh", "-c", "exec 3<&0; echo here; read go <&3; sleep 1000 3<&- & echo $!")


@pytest.mark.parametrize("options", [("-t", "sysv"), ("-t", "systemd", "--supervise", "--pid-file", "PID")])
def test_a_bridge_that_is_killed_as_the_daemon_forks_away(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Stopped meanwhile, it can tell the guard nothing; and the daemon has lost its parent, and leads a session."""
    words = [str(tmp_path / "pid") if word == "PID" else word for word in options]
    with supervised(*words, command=LEAVES) as bridge:
        assert bridge.stdout is not None
        assert bridge.stdin is not None
        assert bridge.stdout.readline() == b"here\n"
        stop(bridge.pid)
        bridge.stdin.write(b"go\n")
        bridge.stdin.flush()
        daemon = int(bridge.stdout.readline())
        until(lambda: parent(daemon) == bridge.pid, "it has lost its parent")
        pidfd = pidfd_of(daemon)
        bridge.kill()
        assert ends(pidfd)


def follows(guard: int, pid: int) -> bool:
    """Whether it has a pidfd of that process (proc_pid_fdinfo(5))."""
    for file in Path(f"/proc/{guard}/fdinfo").iterdir():
        try:
            if f"Pid:\t{pid}\n" in file.read_text():
                return True
        except OSError:
            continue
    return False


def test_that_the_guard_is_gone_is_said() -> None:
    with supervised(*PLAIN, command=SAYS) as bridge:
        assert bridge.stdout is not None
        assert bridge.stderr is not None
        daemon = int(bridge.stdout.readline())
        (guard,) = (pid for pid in children(bridge.pid) if pid != daemon)
        os.kill(guard, signal.SIGKILL)
        assert b"the process that guards it has ended" in bridge.stderr.readline()
        os.kill(daemon, signal.SIGTERM)
        assert bridge.wait(LONGEST_S) == -signal.SIGTERM


# The hand over.


class Manager:
    """A stand-in for systemd that hears the bridge, and answers no barrier: so the bridge waits there to be killed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(LONGEST_S)
        self.held: list[int] = []

    def hear(self) -> bytes:
        message, fds, _, _ = socket.recv_fds(self.socket, 4096, 1)
        self.held += fds
        return message

    def answer(self) -> None:
        while self.held:
            os.close(self.held.pop())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.answer()
    made.socket.close()


def to_be_handed_over(show: Show, manager: Manager) -> tuple[Job, Puppet]:
    """A daemon that says by stopping itself that it is ready."""
    job = show.job("--init", "systemd", "-t", "upstart", "-N", expect_stop=False)
    job.spawn(event={"NOTIFY_SOCKET": str(manager.path)})
    return job, show.stage.puppet()


def test_a_bridge_that_is_killed_when_the_init_was_told_leaves_no_daemon_stopped(show: Show, manager: Manager) -> None:
    job, puppet = to_be_handed_over(show, manager)
    puppet.tell("stop")
    assert manager.hear() == f"MAINPID={puppet.pid}\nREADY=1".encode()
    assert manager.hear() == b"BARRIER=1"
    job.kill(signal.SIGKILL)
    puppet.hear("continued")
    until(lambda: alone(job, puppet), "nobody else is left")


def alone(job: Job, puppet: Puppet) -> bool:
    for pid in job.orphans():
        if pid != puppet.pid:
            os.waitpid(pid, os.WNOHANG)
    return job.orphans() == [puppet.pid]


def test_the_witness_of_a_hand_over_is_gone_when_the_bridge_is(show: Show, manager: Manager) -> None:
    job, puppet = to_be_handed_over(show, manager)
    puppet.tell("stop")
    manager.hear()
    manager.hear()
    running = [pid for pid in job.orphans() if pid != puppet.pid and process_state(pid) != "Z"]
    assert len(running) == 1, "the witness"
    witness = pidfd_of(running[0])
    manager.answer()
    puppet.hear("continued")
    assert os.WEXITSTATUS(job.ended()) == 0
    assert ends(witness)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls have other numbers there")
def test_a_bridge_that_is_killed_before_the_init_is_told_leaves_no_daemon(show: Show, manager: Manager) -> None:
    job, puppet = to_be_handed_over(show, manager)
    keeper = puppet.hello["parent"]
    job.kill(signal.SIGSTOP)
    puppet.tell("stop")
    until(lambda: process_state(puppet.pid) == "T", "the daemon has stopped itself")
    until(lambda: process_state(keeper) == "S", "the keeper has seen it")
    os.kill(keeper, signal.SIGSTOP)
    until(lambda: process_state(keeper) == "T", "the keeper is stopped")
    job.kill(signal.SIGCONT)
    call = Path(f"/proc/{job.pid}/syscall")
    until(lambda: call.read_text().startswith(WAITS_FOR_A_CHILD), "the bridge lets the keeper go")
    job.kill(signal.SIGKILL)
    os.kill(keeper, signal.SIGCONT)
    assert puppet.last_words() == []
    assert job.orphans_gone_within(LONGEST_S)


# Nobody is told of a daemon that is dead.


@pytest.mark.parametrize("options", [(), ("--supervise",)], ids=["watch", "supervise"])
def test_a_daemon_that_has_died_is_not_said_to_be_ready(show: Show, options: tuple[str, ...]) -> None:
    job = show.job("--init", "none", "-t", "systemd", "-N", *options, expect_stop=False)
    job.spawn()
    puppet = show.stage.puppet()
    puppet.send("b'STATUS=it listens'")
    watching = job.pid if options else job.watcher()
    os.kill(watching, signal.SIGSTOP)
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    daemon = pidfd_of(puppet.pid)
    puppet.tell(f"die {signal.SIGKILL}")
    assert ends(daemon)
    os.kill(watching, signal.SIGCONT)
    assert os.WTERMSIG(job.ended()) == signal.SIGKILL
    assert job.orphans_gone_within(LONGEST_S)
    assert "is ready" not in job.said()


def test_a_daemon_that_has_died_is_not_handed_over(show: Show, manager: Manager) -> None:
    job, puppet = to_be_handed_over(show, manager)
    job.kill(signal.SIGSTOP)
    puppet.tell("stop")
    until(lambda: process_state(puppet.pid) == "T", "the daemon has stopped itself")
    until(lambda: process_state(puppet.hello["parent"]) == "S", "the keeper has seen it")
    daemon = pidfd_of(puppet.pid)
    os.kill(puppet.pid, signal.SIGKILL)
    assert ends(daemon)
    job.kill(signal.SIGCONT)
    assert job.ended() != 0
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hear()
