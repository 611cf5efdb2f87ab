"""Descriptors on the notification socket that make whoever closes them wait, or fail: the watching process never does.

What a stranger sends, and what the daemon itself sends; and that all is heeded, in the order in which it was said,
whatever becomes of the workers.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.sockets.connection import may_claim
from tests.support.kept import holder, holders, keep, kept
from tests.support.observed import Place, Run
from tests.support.own import OWN, STRANGER
from tests.support.processes import children, kill
from tests.support.puppet import Puppet
from tests.support.show import Show
from tests.support.strangers import BEGIN, FUSE, LINGER, PACKET, sending
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
WAYS = {"watch": (), "supervise": ("--supervise",), "until ready": ("--end-after-ready",)}
STAYING = ("watch", "supervise")
SOON_S = 4.5  # what nobody holds up takes some milliseconds, but this machine may be busy; CARRY_S is 5
HEALTH = f"@{OWN}-worker"
# What a puppet learns: to send a message with descriptors, and not to wait for anything.
SAY = """
def say(text, *fds):
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\\0" + address[1:] if address[0] == "@" else address)
        socket.send_fds(sender, [text.encode()], fds)
"""


def begun(place: Place, way: str, *options: str) -> tuple[Run, Puppet]:
    """A daemon that has not said that it is ready."""
    run = place.begin("-t", "systemd", "-N", *WAYS[way], *options)
    run.puppet.do(SAY)
    OBSERVERS[run] = run.observer  # now, as who keeps descriptors will be an orphan as well
    return run, run.puppet


OBSERVERS: dict[Run, int] = {}


def address(puppet: Puppet) -> str:
    return puppet.environ["NOTIFY_SOCKET"]


@contextmanager
def soon() -> Iterator[None]:
    """All this is held up by nobody."""
    since = time.monotonic()
    yield
    assert time.monotonic() - since < SOON_S


def becomes_ready(run: Run) -> None:
    run.puppet.tell("notify READY=1")
    run.becomes_ready()
    run.puppet.hear("notified")


def ends(place: Place, run: Run) -> None:
    run.puppet.tell("exit 3")
    assert run.ends() == 3
    place.nothing_remains()


def workers(run: Run) -> list[int]:
    """The processes that do something for who watches: beside the guard and the daemon, and each in its own session."""
    observer = OBSERVERS[run]
    return [pid for pid in children(observer) if pid != run.puppet.pid and os.getsid(pid) == pid]


def is_alive() -> bool:
    """Whether the watching process answers, and says so of the daemon."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SOON_S)
        client.connect("\0" + HEALTH[1:])
        client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["X=1", "READY=1", "BARRIER=1", "FDSTORE=1"])
def test_a_connection_that_lingers_holds_up_nobody(place: Place, way: str, text: str) -> None:
    run, puppet = begun(place, way)
    with sending(place, LINGER, address(puppet), text), soon():
        becomes_ready(run)
        if way == "supervise":
            run.process.terminate()
            puppet.hear_signal(signal.SIGTERM)
        ends(place, run)


@pytest.mark.parametrize("way", WAYS)
def test_nor_do_those_that_are_still_unread_at_its_end(place: Place, way: str) -> None:
    run, puppet = begun(place, way)
    os.kill(OBSERVERS[run], signal.SIGSTOP)
    with sending(place, LINGER, address(puppet), "X=1"):
        puppet.tell("exit 3")
        assert puppet.last_words() == []
        with soon():
            os.kill(OBSERVERS[run], signal.SIGCONT)
            assert run.ends() == 3
            place.nothing_remains()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flush", ["fails", "never"])
def test_a_strangers_file_is_not_flushed(place: Place, way: str, flush: str) -> None:
    run, puppet = begun(place, way)
    with sending(place, FUSE, address(puppet), "X=1", flush), soon():
        becomes_ready(run)
        ends(place, run)


@pytest.mark.parametrize("way", STAYING)
def test_what_takes_long_to_close_is_left_to_who_is_not_waited_for(place: Place, way: str) -> None:
    run, puppet = begun(place, way)
    with sending(place, PACKET, address(puppet), "X=1"), sending(place, PACKET, address(puppet), "X=1"):
        becomes_ready(run)


# What a puppet learns: a child that is the service's as well, and has a file of its own kept.
CHILD = f"""
import subprocess
child = subprocess.Popen(
    ["/usr/bin/python3", "-ISc", {BEGIN + FUSE!r}, os.environ["NOTIFY_SOCKET"], "FDSTORE=1\\nSTATUS=keep it", "never"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
)
os.write(2, b"it has sent it\\n" if child.stdout.read(4) == b"sent" else b"it cannot\\n")
"""


@pytest.mark.parametrize("way", STAYING)
def test_a_file_of_the_services_own_holds_up_nobody_but_who_had_it_open(place: Place, way: str) -> None:
    run, puppet = begun(place, way, "--fd-store=2", "--notify-access=all")
    puppet.do(CHILD)
    run.err.hears("it ")
    if b"it cannot" in run.err.text:
        pytest.skip("there is no FUSE here, or not for a user namespace")
    with soon():
        run.err.hears("status: keep it")
        until(lambda: holders() != [], "somebody keeps it")
        becomes_ready(run)
    assert workers(run), "the one that had it open waits for the flush"
    puppet.do("os.killpg(child.pid, 9)")  # and so its server
    puppet.tell("exit 3")
    assert run.ends() == 3
    until(lambda: holders() == [], "nobody keeps it any more", 20)
    place.nothing_remains()


@pytest.fixture(params=STAYING)
def stopped(request: pytest.FixtureRequest, place: Place) -> Iterator[tuple[Run, Puppet]]:
    """A daemon that has something kept, by a process that is stopped meanwhile."""
    run, puppet = begun(place, request.param, "--fd-store=9", f"--health-listen=unix:{HEALTH}")
    puppet.do("made = [os.memfd_create(name) for name in 'abc']")
    keep(puppet, "FDSTORE=1\nFDNAME=a", "made[0]")
    (path,) = holders()
    keeper = holder(path)
    os.kill(keeper, signal.SIGSTOP)
    try:
        yield run, puppet
    finally:
        kill(keeper)
        path.unlink()


def test_who_keeps_descriptors_may_be_stopped(stopped: tuple[Run, Puppet]) -> None:
    run, puppet = stopped
    with soon():
        puppet.do("say('FDSTORE=1\\nFDNAME=b\\nREADY=1', made[1])")
        run.becomes_ready()
        assert is_alive()
        if OBSERVERS[run] == run.process.pid:
            run.process.send_signal(signal.SIGHUP)
            puppet.hear_signal(signal.SIGHUP)
    puppet.do("say('FDSTOREREMOVE=1\\nFDNAME=a')")
    puppet.do("say('STATUS=heard all the same')")
    assert is_alive()
    run.err.hears("status: heard all the same")
    assert run.err.text.count(b"keeping descriptors for it (--fd-store) failed") == 2


def test_a_porter_may_be_killed(stopped: tuple[Run, Puppet]) -> None:
    run, puppet = stopped
    puppet.do("say('FDSTORE=1\\nFDNAME=b\\nSTATUS=the rest counts', made[1])")
    run.err.hears("status: the rest counts")
    until(lambda: len(workers(run)) == 1, "only the one that asks is there")
    (worker,) = workers(run)
    puppet.do("say('STATUS=what comes after it as well')")
    os.kill(worker, signal.SIGKILL)
    run.err.hears("the process that received its descriptors has ended")
    run.err.hears("status: what comes after it as well")
    assert run.err.text.count(b"the rest counts") == 1


@pytest.mark.parametrize("way", STAYING)
def test_all_is_done_in_the_order_in_which_it_was_said(place: Place, way: str) -> None:
    run, puppet = begun(place, way, "--fd-store=99")
    puppet.do("made = [os.memfd_create('made') for _ in range(8)]")
    puppet.do(
        "for number, fd in enumerate(made):\n"
        "    say(f'FDSTORE=1\\nFDNAME={number}', fd)\n"
        "    say(f'FDSTOREREMOVE=1\\nFDNAME={number - 1}')\n"
        "say('FDSTORE=1\\nFDNAME=last words', made[0])\n"
    )
    observer = os.pidfd_open(OBSERVERS[run])
    puppet.tell("exit 3")  # at once: what is still to be read counts
    assert run.ends() == 3
    assert select.select([observer], [], [], SOON_S)[0]
    os.close(observer)
    puppet = place.begin("-t", "systemd", "-N", *WAYS[way], "--fd-store=99").puppet
    assert [name for name, _ in kept(puppet)] == ["last words", "7"]
    for name in ("last words", "7"):
        keep(puppet, f"FDSTOREREMOVE=1\nFDNAME={name}")
    until(lambda: holders() == [], "nothing is kept")


def test_where_no_process_is_to_be_had_it_is_tried_again(show: Show) -> None:
    """For a user who may have no more: the message stays where it is, and is heeded once."""
    job = show.job("--init", "none", "-t", "systemd", "-N", expect_stop=False)
    job.spawn(user=STRANGER)
    puppet = show.stage.puppet()
    puppet.do(SAY)
    watcher = job.watcher()
    puppet.do(f"import resource; hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]; watcher = {watcher}")
    puppet.do("resource.prlimit(watcher, resource.RLIMIT_NPROC, (0, hard))")
    puppet.do("read, write = os.pipe(); say('STATUS=it counts', write); os.close(write)")
    puppet.do("say('STATUS=so does this')")
    puppet.do("import select; assert select.select([read], [], [], 0.5) == ([], [], [])")
    puppet.do("resource.prlimit(watcher, resource.RLIMIT_NPROC, (hard, hard))")
    puppet.do("os.read(read, 1)")
    puppet.send("b'READY=1'")
    puppet.tell("exit 0")
    job.ended()
    said = job.said()
    assert [said.count(text) for text in ("no process to", "status: it counts", "status: so does this")] == [1, 1, 1]


# Sends messages with 253 descriptors each, as fast as it can, until nobody listens any more; says so from the 100th on.
FLOODS = """
become_nobody()
null = os.open("/dev/null", os.O_RDONLY)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect("\\0" + address[1:] if address[0] == "@" else address)
    number = 0
    while number < 10_000_000:
        try:
            socket.send_fds(sender, [text], [null] * 253)
        except OSError as error:
            if error.errno == 109:  # ETOOMANYREFS: a user may have only so many on their way at once
                continue
            break
        number += 1
        if number == 100:
            os.write(1, b"sent")
os.read(0, 1)
"""


@pytest.mark.parametrize("way", STAYING)
@pytest.mark.parametrize("text", ["READY=1", "BARRIER=1"])
def test_a_flood_of_descriptors_holds_up_nobody(place: Place, way: str, text: str) -> None:
    run, puppet = begun(place, way, f"--health-listen=unix:{HEALTH}")
    with sending(place, FLOODS, address(puppet), text), sending(place, FLOODS, address(puppet), text):
        with soon():
            assert is_alive()
            becomes_ready(run)
            puppet.send("b'STATUS=so is this'")
        assert len(workers(run)) <= 8
        ends(place, run)
    assert run.err.text.count(b"may not speak for the service") <= 60


def test_nobody_is_shown_where_it_stands(place: Place) -> None:
    """The kernel shows the name that was bound; it leads nowhere, and tells nothing of the one that does."""
    _, puppet = begun(place, "watch")
    path = Path(address(puppet))
    folder, name = str(path.parent), path.stem
    assert folder == "/run/cross-init"
    shown = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if f"{folder}/" in line]
    assert shown
    assert not [each for each in shown if name in each or Path(each).exists()]


def test_only_root_may_speak_as_another_process() -> None:
    assert may_claim()
    pid = os.fork()
    if pid == 0:
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        os._exit(int(may_claim()))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
