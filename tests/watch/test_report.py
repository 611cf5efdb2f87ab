"""What a daemon says and Upstart has no ear for: to syslog, whatever kind of syslog that is and whatever it does.

The bridge runs in a mount namespace with a /dev of its own, in which /dev/log leads into the test's folder.
"""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.watch.log import BURST, LINE_MAX
from tests.support.command import script
from tests.support.early_end import without_early_end
from tests.support.observed import Place
from tests.support.puppet import Puppet
from tests.support.show import Show, get_ready
from tests.support.syslog import ENTRY, Syslog
from tests.support.upstart import Job
from tests.support.waiting import until

OWN_DEV = 'mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && ln -s "$1" /dev/log && shift && exec "$@"'
NOT_WAITING = os.O_WRONLY | os.O_NONBLOCK


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[Syslog]:
    """A syslog that is not there yet."""
    log = Syslog(tmp_path / "log")
    try:
        yield log
    finally:
        log.stop()


def started(show: Show, instance: str = "", *options: str) -> tuple[Job, Puppet]:
    """A job whose /dev/log is the test's."""
    own_dev = ("/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", OWN_DEV, "sh")
    return show.started(*options, instance=instance, wrapper=(*own_dev, str(show.folder / "log")))


def ended(job: Job, puppet: Puppet) -> str:
    """Have it end; returns all else that was said on standard error."""
    puppet.tell("exit 0")
    assert os.waitstatus_to_exitcode(job.ended()) == 0
    assert job.orphans_gone_within(5)
    return without_early_end(job.said())


KINDS = [socket.SOCK_DGRAM, socket.SOCK_STREAM]


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_has_the_service_its_pid_and_the_priority_of_a_daemons_news(
    show: Show, syslog: Syslog, kind: socket.SocketKind
) -> None:
    syslog.start(kind)
    job, puppet = started(show, "one")
    puppet.send(repr(b"STATUS=looking for work"))
    found = ENTRY.fullmatch(syslog.entry())
    assert found
    assert found.groups() == ("testjob/one", str(job.pid), "status: looking for work")
    assert ended(job, puppet) == ""


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        (b"STOPPING=1", ["stopping"]),
        (b"RELOADING=1\nMONOTONIC_USEC=17", ["reloading"]),
        (b"ERRNO=2", ["error: No such file or directory (errno 2)"]),
        (b"X_MANY=many\nSTOPPING=0", ["says X_MANY=many", "says STOPPING=0"]),
        (b"ERRNO=many", ["says ERRNO=many, which is ignored: it is no number of an error, 0 to 4095"]),
        (b"ERRNO=99999", ["says ERRNO=99999, which is ignored: it is no number of an error, 0 to 4095"]),
        (b"MAINPID=4194305", ["says MAINPID=4194305, which is ignored: it is no number of a process, 1 to 4194304"]),
        (
            b"EXTEND_TIMEOUT_USEC=-1",
            ["says EXTEND_TIMEOUT_USEC=-1, which is ignored: it is no number of microseconds, 0 to {uint64}"],
        ),
        (b"MAINPID=17", ["says that its main process is 17 now, which its init cannot be told"]),
        (
            b"FDSTORE=1\nFDNAME=x",
            ["wants descriptors to be kept (FDSTORE=1), which its init does not do; --fd-store does"],
        ),
        (b"X_NEW=a=b\nSTATUS=x", ["says X_NEW=a=b", "status: x"]),
        (b"READY=0\nWATCHDOG=1\nFDNAME=x\nNOTIFYACCESS=main\nSTATUS=x", ["status: x"]),
        (b"a\0b\nSTATUS=x", ["ignored a notification from process {pid}: it has a NUL byte in it"]),
    ],
)
def test_each_assignment_is_a_line_except_those_that_are_for_no_one(
    show: Show, syslog: Syslog, message: bytes, lines: list[str]
) -> None:
    syslog.start(socket.SOCK_DGRAM)
    job, puppet = started(show)
    puppet.send(repr(message))
    assert syslog.waiting() == [line.format(pid=job.pid, uint64=2**64 - 1) for line in lines]


@pytest.mark.parametrize("shape", [(), ("--supervise",)])
def test_a_person_is_told_whatever_the_shape(show: Show, shape: tuple[str, ...]) -> None:
    job = show.job("--init", "none", "-t", "systemd", "-N", *shape, expect_stop=False)
    job.spawn()
    puppet = show.stage.puppet()
    puppet.send("b'STATUS=at work'")
    puppet.tell("exit 0")
    job.ended()
    assert job.orphans_gone_within(5)
    assert f"python3[{puppet.pid}]: status: at work\n" in job.said()


def test_a_status_that_stays_the_same_is_said_once(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_DGRAM)
    _, puppet = started(show)
    for status in (b"STATUS=a", b"STATUS=a", b"STATUS=b", b"STATUS=a"):
        puppet.send(repr(status))
    assert syslog.waiting() == ["status: a", "status: b", "status: a"]


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_the_next_line_reaches_a_syslog_that_was_started_anew(
    show: Show, syslog: Syslog, before: socket.SocketKind, after: socket.SocketKind
) -> None:
    syslog.start(before)
    job, puppet = started(show)
    puppet.send(repr(b"STATUS=before"))
    assert syslog.line() == "status: before"
    syslog.stop()
    syslog.start(after)
    puppet.send(repr(b"STATUS=after"))
    assert syslog.line() == "status: after"
    assert ended(job, puppet) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_syslog_lines_go_to_standard_error(show: Show, syslog: Syslog, kind: socket.SocketKind) -> None:
    job, puppet = started(show)
    puppet.send(repr(b"STATUS=early"))
    syslog.start(kind)
    puppet.send(repr(b"STATUS=in time"))
    assert syslog.line() == "status: in time"
    syslog.stop()
    puppet.send(repr(b"STATUS=late"))
    lines = ended(job, puppet).splitlines()
    assert lines == [f"cross-init-bridge: testjob[{job.pid}]: status: {status}" for status in ("early", "late")]


def test_a_daemon_cannot_forge_lines_or_steer_a_terminal(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_DGRAM)
    _, puppet = started(show)
    puppet.send(repr("STATUS=a\x1b[31m\x07\x7f\x0b\x0c\x85\u2028\u202e gr\u00fc\u00df".encode() + b"\xff"))
    assert syslog.line() == r"status: a\x1b[31m\x07\x7f\x0b\x0c\x85\x2028\x202e gr" + "\u00fc\u00df\ufffd"
    puppet.send(repr(b"X\x1b=\x1b\nSTATUS=one\r<0>Jan  1 00:00:00 kernel: two=2"))
    assert syslog.waiting() == [r"says X\x1b=\x1b", "status: one", "says <0>Jan  1 00:00:00 kernel: two=2"]


def test_neither_does_the_name_of_a_service(show: Show, syslog: Syslog) -> None:
    job, puppet = started(show, "one\n\x1b[31mtwo")
    puppet.send(repr(b"STATUS=said to standard error"))
    syslog.start(socket.SOCK_DGRAM)
    puppet.send(repr(b"STATUS=said to syslog"))
    assert r"one\x0a\x1b[31mtwo[" in syslog.entry()
    assert r"one\x0a\x1b[31mtwo[" in ended(job, puppet)


def test_a_line_has_an_end(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_DGRAM)
    _, puppet = started(show)
    for letter, shown in ((b"x", "x"), (b"\x1b", r"\x1b")):
        puppet.send(f"b'STATUS='.ljust(60000, {letter!r})")
        line = syslog.line()
        assert line == (f"status: {shown * LINE_MAX}")[:LINE_MAX] + "..."


def left_out(lines: list[str]) -> int:
    """How many are left out, by what these lines say."""
    counts = [re.match(r"\((\d+) lines left out", line) for line in lines]
    return sum(int(count[1]) for count in counts if count)


FLOOD = r"b'\n'.join(b'STATUS=%d' % number for number in range(500))"


@pytest.mark.parametrize("where", ["datagrams", "stream", "standard error"])
def test_of_a_flood_some_lines_are_said_and_the_rest_is_counted(show: Show, syslog: Syslog, where: str) -> None:
    if where != "standard error":
        syslog.start(socket.SOCK_DGRAM if where == "datagrams" else socket.SOCK_STREAM)
    job, puppet = started(show)
    puppet.send(FLOOD)
    said = syslog.waiting() if where == "datagrams" else []  # its queue may be short
    on_stderr = ended(job, puppet).splitlines()
    if where == "datagrams":
        said += syslog.waiting()
    elif where == "stream":
        said = list(iter(lambda: syslog.entry().partition("]: ")[2], ""))
    else:
        said = [line.partition("]: ")[2] for line in on_stderr]
    statuses = [line for line in said if line.startswith("status: ")]
    assert statuses[0] == "status: 0"
    assert said[-1].startswith("(")
    assert len(statuses) <= BURST + 2, "more come with time"
    assert len(statuses) >= BURST or where == "datagrams"
    assert len(statuses) + left_out(said) == 500


def fill(path: Path) -> int:
    """Send datagrams to this socket until there is no more room; returns how many there are."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for count in range(100_000):
            try:
                sender.sendto(b"x", str(path))
            except BlockingIOError:
                return count
    raise AssertionError("there is always room")


def say_ten_lines(job: Job, puppet: Puppet) -> None:
    """Have it say ten lines, and get ready nevertheless."""
    for number in range(10):
        puppet.send(repr(b"STATUS=%d" % number))
    get_ready(job, puppet)


def test_a_syslog_whose_queue_is_full_holds_nobody_up(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_DGRAM)
    count = fill(syslog.path)
    job, puppet = started(show)
    say_ten_lines(job, puppet)
    for _ in range(count):
        syslog.entry()
    puppet.send(repr(b"STATUS=at last"))
    assert syslog.line().startswith("(10 lines left out")
    assert syslog.line() == "status: at last"
    assert ended(job, puppet) == ""


def test_a_syslog_that_lets_nobody_in_holds_nobody_up(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_STREAM)
    assert syslog.listener is not None
    syslog.listener.listen(0)
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(syslog.path))
        job, puppet = started(show)
        say_ten_lines(job, puppet)
        syslog.listener.accept()[0].close()
        puppet.send(repr(b"STATUS=at last"))
        assert syslog.line().startswith("(10 lines left out")
        assert syslog.line() == "status: at last"
    assert ended(job, puppet) == ""


def test_standard_error_that_is_full_holds_nobody_up(show: Show) -> None:
    job, puppet = started(show)
    there = 0
    # Opened anew, so that only this end of the test's does not wait.
    with open(f"/proc/{job.pid}/fd/2", "wb", buffering=0, opener=lambda path, flags: os.open(path, NOT_WAITING)) as log:
        while written := log.write(b"x" * 4096):
            there += written
    say_ten_lines(job, puppet)
    said = ended(job, puppet)
    assert said == "x" * there


def test_more_lines_may_come_with_time(show: Show, syslog: Syslog) -> None:
    syslog.start(socket.SOCK_STREAM)
    _, puppet = started(show)
    puppet.send(FLOOD)
    for _ in range(BURST):
        syslog.line()
    numbers = iter(range(1_000_000))

    def is_said() -> bool:
        puppet.send(repr(b"STATUS=later %d" % next(numbers)))
        syslog.connection.settimeout(0.01) if syslog.connection else None
        try:
            return bool(syslog.line())
        except TimeoutError:
            return False

    until(is_said, "a line may be said again", 5)


def test_without_an_init_people_hear_it_in_every_shape(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape)
    run.puppet.send(repr(b"STATUS=looking for work"))
    run.err.hears(f"[{run.puppet.pid}]: status: looking for work")
    run.puppet.send(repr(b"STOPPING=1"))
    run.puppet.send("b'MAINPID=%d' % os.getpid()")  # as systemd-notify(1) says each time
    run.err.hears(f"[{run.puppet.pid}]: stopping")
    run.puppet.tell("exit 0")
    assert "main process" not in run.err.rest()


def test_a_commands_name_does_not_forge_a_line_either(place: Place, shape: tuple[str, ...]) -> None:
    daemon = script(place.folder, "one\ntwo\x1b[31m", "#!/bin/sh\nsleep 60\n")
    run = place.spawn("-t", "plain", *shape, "--ready-when", "exec:true", command=(str(daemon),))
    run.err.hears(r"one\ntwo\x1b[31m is ready after")
