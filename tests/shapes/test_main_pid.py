"""MAINPID= where the init cannot be told: --supervise follows the process that is named, and ends as that ends."""

import os
import signal

import pytest

from tests.support.load import busy
from tests.support.observed import PYTHON, Place
from tests.support.puppet import Puppet
from tests.support.show import Show
from tests.support.upstart import Job

# A child that is a puppet too; it gets everything that the first one has.
HAVE_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-IS", *sys.argv])
pidfd = os.pidfd_open(child.pid)
def say(text, *fds):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_manager:
        to_manager.connect("\\0" + address[1:] if address.startswith("@") else address)
        socket.send_fds(to_manager, [text.encode()], list(fds))
"""
# How the daemon names its child.
NAMES = {
    "MAINPID": "say(f'MAINPID={child.pid}')",
    "MAINPIDFD": "say('MAINPIDFD=1', pidfd)",
    "MAINPIDFDID": "say(f'MAINPID={child.pid}\\nMAINPIDFDID={os.fstat(pidfd).st_ino}')",
    "within a message": "say(f'STATUS=x\\nMAINPID={child.pid}\\nX_OTHER=1')",
}
NAMES_NOBODY = {
    "another process": "say(f'MAINPID={os.getppid()}')",
    "init": "say('MAINPID=1')",
    "no number": "say('MAINPID=x')",
    "what has ended": "gone = subprocess.Popen(['/bin/true']); gone.wait(); say(f'MAINPID={gone.pid}')",
    "a pidfd of a stranger": "say('MAINPIDFD=1', os.pidfd_open(os.getppid()))",
    "no pidfd": "say('MAINPIDFD=1', 0)",
    "the number of another one": "say(f'MAINPID={child.pid}\\nMAINPIDFDID={os.fstat(pidfd).st_ino + 1}')",
}
# What the main process leaves says on how that was; test_leftovers.py has what becomes of it otherwise.
JOB = ("-t", "systemd", "-N", "--supervise", "--kill-mode", "process")


@pytest.fixture
def running(show: Show) -> tuple[Job, Puppet, Puppet]:
    return start(show, *JOB)


def start(show: Show, *options: str) -> tuple[Job, Puppet, Puppet]:
    """A supervised job with "expect stop" that runs, its daemon, and that one's child."""
    job = show.job(*options)
    job.spawn()
    first = show.stage.puppet()
    first.do(HAVE_CHILD)
    second = show.stage.puppet()
    assert job.pid not in (first.pid, second.pid)
    first.tell("notify READY=1")
    assert job.wait_running()
    first.hear("notified")
    return job, first, second


def inode(pid: int) -> int:
    """Of the process's pidfd."""
    pidfd = os.pidfd_open(pid)
    try:
        return os.fstat(pidfd).st_ino
    finally:
        os.close(pidfd)


def name(puppet: Puppet, how: str) -> None:
    """Have it name another main process, and return when that was dealt with."""
    puppet.do(how)
    puppet.send("b'X_NOTHING=1'")


@pytest.mark.parametrize("how", NAMES)
@pytest.mark.parametrize("end", [7, -signal.SIGSEGV])
def test_the_bridge_ends_as_the_process_that_was_named(running: tuple[Job, Puppet, Puppet], how: str, end: int) -> None:
    job, first, second = running
    name(first, NAMES[how])
    first.tell("exit 3")
    assert first.last_words() == []
    os.kill(job.pid, signal.SIGHUP)
    second.hear_signal(signal.SIGHUP)
    second.send("b'STATUS=I speak for the service now'")
    second.tell(f"exit {end}" if end >= 0 else f"die {-end}")
    assert os.waitstatus_to_exitcode(job.ended()) == end
    assert job.orphans_gone_within(5)
    assert "I speak for the service now" in job.said()
    assert job.stops == 1


@pytest.mark.parametrize("how", NAMES_NOBODY)
def test_who_is_not_of_the_service_is_not_followed(running: tuple[Job, Puppet, Puppet], how: str) -> None:
    job, first, second = running
    if "MAINPIDFDID" in NAMES_NOBODY[how] and inode(first.pid) == inode(second.pid):
        pytest.skip("needs Linux 6.9, where each process's pidfd has an inode of its own")
    name(first, NAMES_NOBODY[how])
    os.kill(job.pid, signal.SIGHUP)
    first.hear_signal(signal.SIGHUP)
    first.tell("exit 3")
    assert os.waitstatus_to_exitcode(job.ended()) == 3
    second.tell("exit 0")
    assert "does not name a process of the service as its main process" in job.said()


@pytest.mark.skipif(
    tuple(map(int, os.uname().release.split(".")[:2])) < (6, 15),
    reason="needs Linux 6.15: only its parent is told how it ended",
)
@pytest.mark.parametrize("end", [7, -signal.SIGSEGV])
def test_the_end_of_one_that_has_a_living_parent_is_mirrored(running: tuple[Job, Puppet, Puppet], end: int) -> None:
    job, first, second = running
    name(first, NAMES["MAINPID"])
    second.tell(f"exit {end}" if end >= 0 else f"die {-end}")
    first.do("child.wait()")
    assert os.waitstatus_to_exitcode(job.ended()) == end
    first.tell("exit 0")


def test_so_is_the_end_of_one_whose_parent_does_not_care(running: tuple[Job, Puppet, Puppet]) -> None:
    job, first, second = running
    name(first, NAMES["MAINPID"])
    second.tell("exit 7")
    assert os.waitstatus_to_exitcode(job.ended()) == 7
    first.tell("exit 0")


def test_its_last_words_count(running: tuple[Job, Puppet, Puppet]) -> None:
    job, first, second = running
    first.tell(f"do {NAMES['MAINPID']}; os._exit(0)")
    assert first.last_words() == []
    os.kill(job.pid, signal.SIGHUP)
    second.hear_signal(signal.SIGHUP)
    second.tell("exit 0")
    assert os.waitstatus_to_exitcode(job.ended()) == 0


def test_a_crash_before_the_other_one_was_named_ends_the_service(running: tuple[Job, Puppet, Puppet]) -> None:
    job, first, second = running
    first.tell(f"die {signal.SIGSEGV}")
    assert os.waitstatus_to_exitcode(job.ended()) == -signal.SIGSEGV
    second.tell("exit 0")


def test_a_stop_is_told_to_the_one_that_is_named_after_it(running: tuple[Job, Puppet, Puppet]) -> None:
    told_once(*running)


def test_where_all_are_told_it_is_told_no_second_time(show: Show) -> None:
    told_once(*start(show, "-t", "systemd", "-N", "--supervise"))


def told_once(job: Job, first: Puppet, second: Puppet) -> None:
    os.killpg(job.pid, signal.SIGTERM)
    first.hear_signal(signal.SIGTERM)
    name(first, NAMES["MAINPID"])
    second.hear_signal(signal.SIGTERM)
    for puppet in (second, first):
        puppet.tell("exit 0")
        assert puppet.last_words() == []
    assert os.waitstatus_to_exitcode(job.ended()) == 0


# The main process names its child and ends at once: that is all that it ever does. What the child ends with comes last.
LAST_WORD = """
import os, socket, time
BEFORE
gate, release = os.pipe()
child = os.fork()
if child == 0:
    os.setsid()
    os.close(release)
    os.read(gate, 1)  # until its parent has ended
    time.sleep(0.2)
    os._exit(7)
address = os.environ["NOTIFY_SOCKET"]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(f"READY=1\\nMAINPID={child}".encode(), "\\0" + address[1:] if address[0] == "@" else address)
os._exit(0)
"""


@pytest.mark.parametrize("access", ["main", "all"])
@pytest.mark.parametrize("before", ["", "time.sleep(0.3)"], ids=["at once", "later"])
def test_one_that_ends_with_that_word_is_followed(place: Place, access: str, before: str) -> None:
    options = ("-t", "systemd", "-N", "--supervise", "--notify-access", access)
    command = (*PYTHON, "-c", LAST_WORD.replace("BEFORE", before))
    with busy():
        for _ in range(3):
            run = place.spawn(*options, command=command)
            assert run.ends() == 7
            assert "is ready after" in run.err.rest()
