"""--supervise: signals reach the daemon, each once; the bridge ends as it ends; no kill leaves it unsupervised."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH
from tests.support.processes import children, descendants
from tests.support.puppet import Puppet
from tests.support.show import Show
from tests.support.upstart import Job
from tests.support.waiting import until

KEPT = {signal.SIGKILL, signal.SIGSTOP}
LAST = signal.SIGRTMAX
CATCHABLE = sorted(signal.valid_signals() - KEPT - {LAST})
# Says its PID, and then each signal that it gets, as its number, on a line each.
RECORDER = """
import os, signal
every = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
signal.pthread_sigmask(signal.SIG_BLOCK, every)
print(os.getpid(), flush=True)
while True:
    print(int(signal.sigwaitinfo(every).si_signo), flush=True)
"""
SESSION, JOB = "a session of its own", "a shell's job"  # as inits start us, and as shells do
STARTED = (SESSION, JOB)
OPTIONS = ("--init", "none", "-t", "plain", "--supervise", "--")


class Recorded:
    """A bridge with a recorder as its daemon."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout
        self.stdout = process.stdout
        self.daemon = int(self.stdout.readline())
        (self.guard,) = (pid for pid in children(process.pid) if pid != self.daemon)

    def next(self) -> int:
        return int(self.stdout.readline())

    def until_last(self) -> list[int]:
        """All that the daemon gets, up to one that the bridge deals with when it has dealt with the rest."""
        self.process.send_signal(LAST)
        return list(iter(self.next, LAST))


@contextmanager
def recorded(started: str) -> Iterator[Recorded]:
    words = [str(BRIDGE), *OPTIONS, "/usr/bin/python3", "-ISc", RECORDER]
    with subprocess.Popen(
        words,
        env={"PATH": PATH},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=started == SESSION,
        process_group=0 if started == JOB else None,
    ) as process:
        family = [process.pid]
        try:
            bridge = Recorded(process)
            family += [bridge.guard, bridge.daemon]
            yield bridge
        finally:
            for pid in family:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


@pytest.mark.parametrize("started", STARTED)
def test_every_signal_that_can_be_caught_is_passed_on_once(started: str) -> None:
    with recorded(started) as bridge:
        got = []
        for number in CATCHABLE:
            bridge.process.send_signal(number)
            got.append(bridge.next())
        assert got == CATCHABLE
        assert bridge.until_last() == []


@pytest.mark.parametrize("started", STARTED)
def test_real_time_signals_are_not_merged(started: str) -> None:
    with recorded(started) as bridge:
        for _ in range(20):
            bridge.process.send_signal(signal.SIGRTMIN + 2)
        assert bridge.until_last() == [signal.SIGRTMIN + 2] * 20


@pytest.mark.parametrize("started", STARTED)
def test_what_is_sent_to_the_process_group_arrives_once(started: str) -> None:
    with recorded(started) as bridge:
        for number in CATCHABLE:
            os.killpg(bridge.process.pid, number)
            assert bridge.next() == number
            assert bridge.until_last() == []  # each time, as a stop takes a continuation with it that still waits


def state(pid: int) -> str:
    """T: stopped (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_stop_and_its_end_are_the_daemons_too() -> None:
    words = [str(BRIDGE), *OPTIONS, "/bin/sleep", "1000"]
    with subprocess.Popen(words, env={"PATH": PATH}, process_group=0) as process:
        try:
            until(lambda: "sleep" in names(process.pid).values(), "the daemon runs")
            (daemon,) = (pid for pid, name in names(process.pid).items() if name == "sleep")
            for _ in range(3):
                process.send_signal(signal.SIGTSTP)
                until(lambda: {state(process.pid), state(daemon)} == {"T"}, "both stop")
                process.send_signal(signal.SIGCONT)
                until(lambda: "T" not in (state(process.pid), state(daemon)), "both go on")
            process.send_signal(signal.SIGSTOP)  # cannot be caught
            until(lambda: state(process.pid) == "T", "the bridge stops")
            assert state(daemon) != "T"
            process.send_signal(signal.SIGCONT)
            process.terminate()
            assert process.wait(20) == -signal.SIGTERM
        finally:
            process.kill()


def names(pid: int) -> dict[int, str]:
    """The process's descendants, by the names of their programs."""
    found = {}
    for each in descendants(pid):
        try:
            found[each] = Path(f"/proc/{each}/comm").read_text().strip()
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT])
def test_the_bridge_dies_of_the_daemons_signal_without_a_core(show: Show, number: signal.Signals) -> None:
    """The daemon's core would be in the folder of the test; the bridge's own limit is as high."""
    command = ("/bin/sh", "-c", f"cd {show.folder}; kill -{int(number)} $$")
    wrapper = ("/usr/bin/prlimit", "--core=unlimited:unlimited")
    job = show.job("--init", "none", "-t", "plain", "--supervise", command=command, wrapper=wrapper, expect_stop=False)
    job.spawn()
    status = job.ended()
    assert os.WTERMSIG(status) == number
    assert not os.WCOREDUMP(status)


CHANGES_USER = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
HAS_WORKERS = "import subprocess; [subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True) for _ in range(2)]"
NAMES_ANOTHER = """
import subprocess
child = subprocess.Popen(["/bin/sleep", "1000"])
notify(f"MAINPID={child.pid}")
"""
MOVED = {"": "", "changed its user": CHANGES_USER, "has workers": HAS_WORKERS, "names another": NAMES_ANOTHER}


def supervised(show: Show) -> tuple[Job, Puppet]:
    job = show.job("--init", "none", "-t", "systemd", "-N", "--supervise", expect_stop=False)
    job.spawn()
    puppet = show.stage.puppet()
    assert puppet.pid != job.pid
    return job, puppet


@pytest.mark.parametrize("everybody", [False, True], ids=["the bridge", "its process group"])
@pytest.mark.parametrize("daemon", MOVED)
def test_a_killed_bridge_leaves_nothing_of_the_service(show: Show, daemon: str, everybody: bool) -> None:
    job, puppet = supervised(show)
    puppet.do(MOVED[daemon])
    if daemon == "names another":
        puppet.send("b'STATUS=it was read when this was'")
    if everybody:  # as Upstart does when a stop takes too long
        os.killpg(job.pid, signal.SIGKILL)
    else:
        job.kill(signal.SIGKILL)
    assert os.WTERMSIG(job.ended()) == signal.SIGKILL
    assert puppet.last_words() == []
    until(lambda: job.orphans_gone_within(1) and job.orphans() == [], "nothing is left")


def test_a_killed_bridge_does_not_leave_a_daemon_that_was_on_its_way(show: Show) -> None:
    """The command has ended, and there is no PID file yet."""
    words = ("--init", "none", "-t", "sysv", "--pid-file", f"{show.folder}/never")
    job = show.job(*words, command=("/bin/sh", "-c", "sleep 1000 & echo $!"), expect_stop=False)
    job.spawn()
    until(lambda: len(children(job.pid)) == 2 and "sleep" in names(job.pid).values(), "the command forks away")
    until(lambda: "sh" not in names(job.pid).values(), "and has ended")
    (daemon,) = (pid for pid, name in names(job.pid).items() if name == "sleep")
    (guard,) = (pid for pid in children(job.pid) if pid != daemon)
    until(lambda: follows(guard, daemon), "the guard knows of it")
    job.kill(signal.SIGKILL)
    assert os.WTERMSIG(job.ended()) == signal.SIGKILL
    until(lambda: job.orphans_gone_within(1) and job.orphans() == [], "nothing is left")


def follows(guard: int, pid: int) -> bool:
    """Whether it has a pidfd of that process (proc_pid_fdinfo(5))."""
    for file in Path(f"/proc/{guard}/fdinfo").iterdir():
        try:
            if f"Pid:\t{pid}\n" in file.read_text():
                return True
        except OSError:
            continue
    return False


def test_a_guard_that_answers_too_late_still_guards() -> None:
    with recorded(JOB) as bridge:
        daemon, guard = bridge.daemon, bridge.guard
        os.kill(guard, signal.SIGSTOP)
        os.killpg(bridge.process.pid, signal.SIGUSR1)
        assert [bridge.next(), bridge.next()] == [signal.SIGUSR1] * 2, "better twice than never"
        os.kill(guard, signal.SIGCONT)
        until(lambda: signal.SIGUSR1 not in pending(guard), "the guard answers")
        bridge.process.kill()
        until(lambda: not Path(f"/proc/{daemon}").exists(), "the daemon is ended")


def test_a_guard_that_was_stopped_does_not_hold_up_the_end() -> None:
    with recorded(JOB) as bridge:
        os.kill(bridge.guard, signal.SIGSTOP)
        os.kill(bridge.daemon, signal.SIGKILL)
        assert bridge.process.wait(10) == -signal.SIGKILL
        assert not Path(f"/proc/{bridge.guard}").exists()


def pending(pid: int) -> set[int]:
    """The signals that wait at the process (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    bits = int(next(line for line in status if line.startswith("ShdPnd:")).split()[1], 16)
    return {number for number in signal.valid_signals() if bits >> (number - 1) & 1}
