"""--fd-store without an init's help: systemd's rules about what is kept, and who can reach it, after whose death."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command import PATH, run
from tests.support.kept import abstract, client, holder, holders, keep, kept
from tests.support.kept import end_of_all as end
from tests.support.kept import one_more as started
from tests.support.processes import kill, watcher_among
from tests.support.puppet import Puppet
from tests.support.show import Show, send_as_another
from tests.support.upstart import Job
from tests.support.waiting import until

GRACE_S = 10
NOBODY = 65534
SHAPES = {"watch": (), "supervise": ("--supervise",)}


def again(show: Show, job: Job, *options: str, most: int = 3) -> tuple[Job, Puppet]:
    """End it, and start it again, when the daemon is gone as well: where we supervise, the guard ends it."""
    daemon = os.pidfd_open(show.stage.puppets[-1].pid)
    job.kill(signal.SIGKILL)
    job.ended()
    assert select.select([daemon], [], [], GRACE_S)[0]
    os.close(daemon)
    return started(show, *options, most=most)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_newest_comes_first_behind_the_sockets(show: Show, shape: str) -> None:
    options = (*SHAPES[shape], "--listen", "web=unix:@cross-init-test-fd-store")
    job, puppet = started(show, *options)
    assert [name for name, _ in kept(puppet)] == ["web"]
    puppet.do("first, second = os.memfd_create('first'), os.memfd_create('second')")
    keep(puppet, "FDSTORE=1", "first")
    keep(puppet, "FDSTORE=1\nFDNAME=a name", "second")
    job, puppet = again(show, job, *options)
    names, links = zip(*kept(puppet), strict=True)
    assert names == ("web", "a name", "stored")
    assert links[0].startswith("socket:")
    assert links[1:] == ("/memfd:second (deleted)", "/memfd:first (deleted)")
    assert end(job, puppet, "a name", "stored") == ""


def test_what_is_kept_stays_kept_until_it_is_removed(show: Show) -> None:
    job, puppet = started(show)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1\nFDNAME=made", "made")
    for _ in range(2):
        job, puppet = again(show, job)
        assert [name for name, _ in kept(puppet)] == ["made"]
    end(job, puppet, "made")
    assert kept(started(show)[1]) == []


def test_one_open_file_is_kept_once_and_no_more_than_the_limit(show: Show) -> None:
    job, puppet = started(show)
    puppet.do("one, same = os.memfd_create('one'), os.memfd_create('same'); again = os.open(f'/proc/self/fd/{one}', 2)")
    keep(puppet, "FDSTORE=1\nFDNAME=a", "one", "os.dup(one)")
    keep(puppet, "FDSTORE=1\nFDNAME=b", "one")
    keep(puppet, "FDSTORE=1\nFDNAME=c", "again")  # the same file, opened once more
    keep(puppet, "FDSTORE=1\nFDNAME=d", "same", "os.memfd_create('e')", "os.memfd_create('f')")
    job, puppet = again(show, job)
    assert [name for name, _ in kept(puppet)] == ["d", "c", "a"]
    job, puppet = again(show, job, most=1)
    assert puppet.environ["FDSTORE"] == "1"
    assert len(kept(puppet)) == 3, "what is there stays, as with systemd"
    keep(puppet, "FDSTORE=1", "os.memfd_create('g')")
    assert "cannot keep more than 1 descriptors (--fd-store 1): closing 1" in end(job, puppet, "a", "c", "d")


def test_what_hangs_up_is_dropped_unless_the_daemon_says_no(show: Show) -> None:
    job, puppet = started(show, most=9)
    puppet.do("import tempfile; file = tempfile.TemporaryFile(); pairs = [socket.socketpair() for _ in range(3)]")
    puppet.do("read, write = os.pipe()")
    for name, more, fd in (
        ("hangs up", "", "pairs[0][0].fileno()"),
        ("is kept", "\nFDPOLL=0", "pairs[1][0].fileno()"),
        ("has an error", "\nFDPOLL=1", "write"),
        ("is live", "", "pairs[2][0].fileno()"),
        ("is held", "", "pairs[2][1].fileno()"),
        ("cannot hang up", "", "file.fileno()"),
    ):
        keep(puppet, f"FDSTORE=1\nFDNAME={name}{more}", fd)
    job, puppet = again(show, job, most=9)
    names = [name for name, _ in kept(puppet)]
    assert names == ["cannot hang up", "is held", "is live", "is kept"]
    assert end(job, puppet, *names) == ""


def test_when_the_last_one_hangs_up_the_holder_ends(show: Show) -> None:
    job, puppet = started(show)
    puppet.do("read, write = os.pipe()")
    keep(puppet, "FDSTORE=1", "write")
    (path,) = holders()
    ended = os.pidfd_open(holder(path))
    puppet.do("os.close(read)")
    until(lambda: holders() == [], "the holder has ended")
    os.close(ended)
    assert end(job, puppet) == ""


def test_names_that_cannot_be_and_removals_that_name_nothing(show: Show) -> None:
    job, puppet = started(show)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTOREREMOVE=1\nFDNAME=unknown")
    assert holders() == []
    keep(puppet, "FDSTORE=1\nFDNAME=a:b", "made")
    keep(puppet, "FDSTOREREMOVE=1")
    keep(puppet, f"FDSTOREREMOVE=1\nFDNAME={'x' * 256}")
    keep(puppet, f"FDSTORE=1\nFDNAME={'x' * 255}", "os.memfd_create('long')")
    keep(puppet, "FDSTORE=1")
    job, puppet = again(show, job)
    assert [name for name, _ in kept(puppet)] == ["x" * 255, "stored"]
    end(job, puppet, "x" * 255, "stored")


def test_only_who_may_speak_for_the_service_may_store(show: Show) -> None:
    job, puppet = started(show)
    send_as_another(puppet.environ["NOTIFY_SOCKET"], "FDSTORE=1", descriptors=1)
    assert holders() == []
    assert "may not speak for the service" in end(job, puppet)


def test_an_init_that_cannot_say_is_given_time(show: Show) -> None:
    job, puppet = started(show)
    with client(puppet) as asker:
        job, puppet = again(show, job)
        assert [name for name, _ in kept(puppet)] == ["client"]
        puppet.tell("exit 0")
        job.ended()
        since = time.monotonic()
        assert asker.hears() == ""
        assert GRACE_S - 0.5 < time.monotonic() - since < GRACE_S + 3
    until(lambda: holders() == [], "the holder is gone")


def test_behind_a_front_it_is_the_daemon_that_is_followed(show: Show) -> None:
    job, puppet = started(show, "--daemonize")
    puppet.send("b'READY=1'")
    assert os.waitstatus_to_exitcode(job.ended()) == 0
    keep(puppet, "FDSTORE=1", "os.memfd_create('made')")
    puppet.tell("exit 0")
    job, puppet = started(show, "--daemonize")
    assert [name for name, _ in kept(puppet)] == ["stored"]
    puppet.send("b'READY=1'")
    assert os.waitstatus_to_exitcode(job.ended()) == 0
    keeper = holder(holders()[0])
    until(lambda: puppet.pid in pidfds(keeper), "the holder follows the daemon")
    keep(puppet, "FDSTOREREMOVE=1\nFDNAME=stored")
    puppet.tell("exit 0")
    assert job.orphans_gone_within(5)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_machine_that_goes_down_need_not_wait_for_it(show: Show, is_first: bool) -> None:
    job, puppet = started(show)
    with client(puppet) as asker:
        keeper = os.pidfd_open(holder(holders()[0]))
        if is_first:
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            assert asker.is_served()
            keep(puppet, "FDSTORE=1", "os.memfd_create('made')")
        puppet.tell("exit 0")
        job.ended()
        if not is_first:
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
        os.close(keeper)
        since = time.monotonic()
        assert asker.hears() == ""
        assert time.monotonic() - since < GRACE_S / 2
    assert job.orphans_gone_within(5)


def test_many_are_kept_and_come_back(show: Show) -> None:
    job, puppet = started(show, most=500)
    for number in range(5):
        keep(puppet, f"FDSTORE=1\nFDNAME={number}", "*[os.memfd_create('made') for _ in range(100)]")
    job, puppet = again(show, job, most=500)
    assert [name for name, _ in kept(puppet)] == [str(number) for number in (4, 3, 2, 1, 0) for _ in range(100)]
    end(job, puppet, *map(str, range(5)))


def test_the_limit_on_open_files_is_one_as_well(show: Show) -> None:
    words = ("--init", "none", "-t", "systemd", "-N", "--fd-store=99")
    job = show.job(*words, expect_stop=False, wrapper=("/usr/bin/prlimit", "--nofile=40:40"))
    job.spawn()
    puppet = show.stage.puppet()
    for _ in range(2):
        puppet.do("made = [os.memfd_create('made') for _ in range(10)]")
        keep(puppet, "FDSTORE=1", "*made")
        puppet.do("[os.close(fd) for fd in made]")
    said = end(job, puppet, "stored")
    assert "cannot keep more than 16 descriptors (the limit on open files): closing 4" in said


def test_a_killed_watcher_loses_nothing(show: Show) -> None:
    job, puppet = started(show)
    with client(puppet) as asker:
        (path,) = holders()
        keeper = holder(path)
        watcher = watcher_among(lambda: set(job.orphans()) - {keeper})
        kill(watcher)
        assert asker.is_served()
        job, puppet = again(show, job)
        assert [name for name, _ in kept(puppet)] == ["client"]
        end(job, puppet, "client")


def test_a_killed_holder_is_replaced_and_what_it_left_is_swept(show: Show) -> None:
    job, puppet = started(show)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1", "made")
    (path,) = holders()
    first = holder(path)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    assert holders() == [path]
    keep(puppet, "FDSTORE=1\nFDNAME=anew", "made")
    assert holder(path) != first
    job, puppet = again(show, job)
    assert [name for name, _ in kept(puppet)] == ["anew"]
    second = holder(path)
    os.kill(second, signal.SIGKILL)
    os.waitpid(second, 0)
    os.utime(path, (0, 0))
    other = show.job("--init", "none", "-t", "systemd", "-N", expect_stop=False)
    other.spawn()
    show.stage.puppet().send("b'READY=1'")
    until(lambda: not path.exists(), "the next start sweeps")


@pytest.mark.parametrize("user", [0, NOBODY])
def test_nobody_else_reaches_it(show: Show, user: int) -> None:
    """Below a folder of root's, or under an abstract name, where the kernel says who asks."""
    job, puppet = started(show, user=user)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1", "made")
    address = abstract(user) if user else str(holders()[0])
    ask = f"""
import socket
asker = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asker.connect({address!r})
asker.send(b"take")
print(asker.recv(100))
"""
    ran = subprocess.run(
        ["/usr/bin/python3", "-ISc", ask], env={"PATH": PATH}, capture_output=True, text=True, user=1, group=1
    )
    refused = ("ConnectionResetError", "BrokenPipeError") if user else ("PermissionError",)
    assert any(error in ran.stderr for error in refused), ran
    end(job, puppet, "stored")


def pidfds(pid: int) -> set[int]:
    """The processes that this process has pidfds of (proc_pid_fdinfo(5))."""
    found = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            found |= {int(line[4:]) for line in info.read_text().splitlines() if line.startswith("Pid:")}
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-t", "systemd", "--fd-store", "5"), "it needs -N or --ready-when"),
        (("-t", "systemd", "-N", "--end-after-ready", "--fd-store", "5"), "somebody who stays"),
        (("-t", "upstart", "-N", "--fd-store", "5"), "a daemon for upstart asks for no descriptors to be kept"),
        (("-t", "systemd", "-N", "--fd-store", "many"), "write a number"),
    ],
)
def test_what_does_not_go_is_one_line(words: tuple[str, ...], why: str) -> None:
    result = run(*words, "--init", "none", "--", "/bin/true")
    assert result.status == 125
    assert why in result.line


def test_on_systemd_the_unit_says_it() -> None:
    result = run("-t", "systemd", "-N", "--init", "systemd", "--fd-store", "5", "--", "/bin/true")
    assert result.status == 125
    assert "let the unit have FileDescriptorStoreMax=" in result.line


def test_explain_says_it() -> None:
    words = ("--init", "none", "--explain", "-t", "systemd", "-N")
    said = run(*words, "--", "/bin/true").out.decode()
    assert "descriptors to keep: a shell has no ear for it; --fd-store heeds it here" in said
    said = run(*words, "--fd-store", "7", "--", "/bin/true").out.decode()
    assert "descriptors to keep: kept here over a restart, 7 at most" in said
    refused = run("--init", "none", "--explain", "-t", "s6", "-N", "--fd-store", "7", "--", "/bin/true")
    assert refused.status == 125
    assert "a daemon for s6 asks for no descriptors to be kept" in refused.out.decode()
