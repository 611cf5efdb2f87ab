"""--fd-store among others: names that strangers take, what they send to a holder, and a holder that has stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import script
from tests.support.early_end import without_early_end
from tests.support.kept import abstract, end_of_all, holder, holders, keep, kept, one_more
from tests.support.processes import end
from tests.support.show import Show
from tests.support.upstart import Job
from tests.support.waiting import until

NOBODY, STRANGER = 65534, 1
# What a stopped holder may cost, in seconds, and what something that waits for it takes at the least.
BOUND_S, FOR_EVER_S = 8, 60
# Sends a TCP connection that has data outstanding, and whose close waits for them to be taken (SO_LINGER, socket(7)).
LINGERS = f"""
import socket, struct, sys
server = socket.create_server(("127.0.0.1", 0))
sent = socket.create_connection(server.getsockname())
sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, {FOR_EVER_S}))
sent.setblocking(False)
try:
    while True:
        sent.send(bytes(65536))
except BlockingIOError:
    pass
to = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
to.connect(bytes.fromhex(sys.argv[1]))
to.send(b"nothing with it")
socket.send_fds(to, [b"take"], [sent.fileno()])
to.close()
sent.close()  # not the last of it
print("sent", flush=True)
sys.stdin.read()
server.accept()[0].close()  # which ends the wait
"""


@pytest.fixture(autouse=True)
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be several users")


@contextmanager
def listening(name: bytes, is_full: bool) -> Iterator[None]:
    """We, another user, listen there and say nothing; or let nobody in."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.bind(name)
        stranger.listen(0 if is_full else 8)
        clients = fill(name) if is_full else []
        try:
            yield
        finally:
            for client in clients:
                client.close()


def fill(address: bytes | str) -> list[socket.socket]:
    """Connect until nobody is let in any more."""
    clients: list[socket.socket] = []
    while True:
        clients.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
        try:
            clients[-1].connect(address)
        except BlockingIOError:
            return clients


@pytest.mark.parametrize("is_full", [False, True])
def test_a_strangers_name_neither_refuses_a_start_nor_keeps_anything_from_it(show: Show, is_full: bool) -> None:
    job, puppet = one_more(show, user=NOBODY)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1", "made")
    name = abstract(NOBODY)
    beginning = name[: name.rindex(b"/")]
    keep(puppet, "FDSTOREREMOVE=1\nFDNAME=stored")
    until(lambda: name not in everybody(), "the holder has ended")
    with listening(name, is_full), listening(beginning, is_full), listening(beginning + b"/0", is_full):
        keep(puppet, "FDSTORE=1\nFDNAME=kept", "made")
        puppet.tell("exit 0")
        job.ended()
        second, puppet = one_more(show, user=NOBODY)
        assert [each for each, _ in kept(puppet)] == ["kept"]
        assert end_of_all(second, puppet, "kept") + without_early_end(job.said()) == ""


def everybody() -> bytes:
    return Path("/proc/net/unix").read_bytes().replace(b"@", b"\0")


def test_where_the_kernel_may_not_be_asked_the_daemon_starts_all_the_same(show: Show, tmp_path: Path) -> None:
    """Without a folder of its own, and without netlink, no user's holder can be told from a stranger's."""
    sandbox = script(
        tmp_path,
        "sandbox",
        f"#!{sys.executable}\nimport os, sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r})\n"
        f"from tests.support.sandbox import refuse_sockets; refuse_sockets(16)\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY}); os.execv(sys.argv[1], sys.argv[1:])\n",
    )
    words = ("--init", "none", "-t", "systemd", "-N", "--fd-store=3")
    job = show.job(*words, expect_stop=False, wrapper=(str(sandbox),))
    job.spawn()
    puppet = show.stage.puppet()
    puppet.tell("exit 0")
    assert job.ended() == 0
    assert job.orphans_gone_within(5)
    assert "nothing can be kept for python3: the kernel does not say which sockets listen (sock_diag)" in job.said()


def test_what_a_stranger_sends_holds_up_nobody(show: Show) -> None:
    job, puppet = one_more(show, user=NOBODY)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1", "made")
    words = ["/usr/bin/python3", "-ISc", LINGERS, abstract(NOBODY).hex()]
    pid = holder(abstract(NOBODY))
    os.kill(pid, signal.SIGSTOP)  # so that all of it is there when it looks who has come
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, user=STRANGER, group=STRANGER) as stranger:
        assert stranger.stdin
        assert stranger.stdout
        try:
            assert stranger.stdout.readline() == b"sent\n"
            os.kill(pid, signal.SIGCONT)
            puppet.tell("exit 0")
            job.ended()
            second, puppet = one_more(show, user=NOBODY)
            assert [name for name, _ in kept(puppet)] == ["stored"]
            assert end_of_all(second, puppet, "stored") == ""
        finally:
            stranger.stdin.close()


@contextmanager
def stopped_holder(show: Show) -> Iterator[tuple[Job, Path, int]]:
    """A job that has something kept, where its holder listens, and the holder's PID; it is stopped."""
    job, puppet = one_more(show)
    puppet.do("made = os.memfd_create('made')")
    keep(puppet, "FDSTORE=1", "made")
    (path,) = holders()
    pid = holder(path)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield job, path, pid
    finally:
        end([pid])
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("is_full", [False, True])
def test_a_stopped_holder_holds_up_no_start(show: Show, is_full: bool) -> None:
    """Its own service's is refused after a moment, as that would open anew what is open; no other's is concerned."""
    with stopped_holder(show) as (_, path, pid):
        os.utime(path, (0, 0))  # so old that it is swept, if nobody listens there
        clients = fill(str(path)) if is_full else []
        try:
            other = show.job("--init", "none", "-t", "systemd", "-N", expect_stop=False)
            other.spawn()
            puppet = show.stage.puppet()
            puppet.send("b'READY=1'")
            puppet.tell("exit 0")
            assert other.ended() == 0
            assert other.orphans_gone_within(BOUND_S)
            assert path.exists()
            begun = time.monotonic()
            same = show.job("--init", "none", "-t", "systemd", "-N", "--fd-store=3", expect_stop=False)
            same.spawn()
            assert os.waitstatus_to_exitcode(same.ended()) == 125
            assert time.monotonic() - begun < BOUND_S
        finally:
            for client in clients:
                client.close()
    whom = f"the process that listens at {path} takes nobody in" if is_full else f"process {pid}, which keeps it"
    assert f"taking what was kept for python3: {whom}" in same.said()


def test_a_stopped_holder_is_not_waited_for_again_and_again(show: Show) -> None:
    with stopped_holder(show) as (job, _, pid):
        puppet = show.stage.puppets[0]
        begun = time.monotonic()
        for _ in range(8):
            keep(puppet, "FDSTORE=1", "made")
        assert time.monotonic() - begun < BOUND_S
        puppet.tell("exit 0")
        job.ended()
    said = job.said()
    assert said.count(f"process {pid}, which keeps it, does not answer") == 1
    assert "asked again a little later" in said
