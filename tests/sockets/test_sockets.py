"""Descriptors: what they are, in words, and how they get to the numbers where a daemon expects them."""

import fcntl
import os
import select
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.errors import Failure
from cross_init.sockets.passed import NOT_A_SOCKET, Passed, describe, place
from tests.support.own import OWN


def in_a_child(numbers: list[int], others: list[int], start: int) -> str:
    """Put pipes on these numbers, place them, and say in words what is wrong then. Runs in a process of its own."""
    news, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(tell, 900)
            os.closerange(3, 900)
            said = what_is_wrong(numbers, others, start)
        except BaseException as error:
            said = repr(error)
        os.write(900, said.encode())
        os._exit(0)
    os.close(tell)
    with open(news, "rb") as text:
        said = text.read().decode()
    os.waitpid(pid, 0)
    return said


def what_is_wrong(numbers: list[int], others: list[int], start: int) -> str:
    files = {}
    for number in {*numbers, *others}:
        made = os.memfd_create("file")
        files[number] = os.fstat(made).st_ino
        fcntl.fcntl(made, fcntl.F_DUPFD, 500)
        os.close(made)
    held = {os.fstat(fd).st_ino: fd for fd in range(500, 500 + len(files))}
    for number, inode in files.items():
        os.dup2(held[inode], number, inheritable=number in numbers)
    os.closerange(500, 900)

    sockets = [Passed(number, "", NOT_A_SOCKET, "file", "", False) for number in numbers]
    place(sockets, start)

    wanted = range(start, start + len(numbers))
    problems = []
    for at, number, passed in zip(wanted, numbers, sockets, strict=True):
        if os.fstat(at).st_ino != files[number]:
            problems.append(f"{at} is not what {number} was")
        if not os.get_inheritable(at):
            problems.append(f"{at} does not stay open over exec")
        if passed.fd != at:
            problems.append(f"{at} is said to be {passed.fd}")
    still_open = set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, 900}
    strangers = {fd for fd in still_open - set(wanted) - set(others) if fd < 800 and is_open(fd)}
    problems += [f"{fd} was left open" for fd in sorted(strangers)]
    lost = set(others) - set(numbers) - set(wanted) - still_open
    problems += [f"{fd}, which was not in the way, was closed" for fd in sorted(lost)]
    return "; ".join(problems)


def is_open(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GETFD)
    except OSError:
        return False
    return True


NUMBERS = st.lists(st.integers(3, 14), unique=True, min_size=1, max_size=6)


@settings(max_examples=80, deadline=None)
@given(NUMBERS, st.lists(st.integers(3, 20), unique=True, max_size=6), st.integers(3, 8))
def test_any_numbers_get_to_their_places_in_order(numbers: list[int], others: list[int], start: int) -> None:
    assert in_a_child(numbers, others, start) == ""


def test_what_is_in_its_place_already_only_loses_close_on_exec() -> None:
    with socket.socket() as sock:
        passed = describe(sock.fileno())
        place([passed], sock.fileno())
        assert os.get_inheritable(sock.fileno())
        assert passed.fd == sock.fileno()


@pytest.mark.parametrize(
    ("family", "kind", "address", "words"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0), "tcp:127.0.0.1:{port}"),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0), "udp:127.0.0.1:{port}"),
        (socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0), "tcp:[::1]:{port}"),
        (socket.AF_UNIX, socket.SOCK_STREAM, b"\0\xff-", "unix:@\\xff-{own}"),
        (socket.AF_UNIX, socket.SOCK_DGRAM, b"\0", "unix-dgram:@{own}"),
        (socket.AF_UNIX, socket.SOCK_SEQPACKET, b"\0", "unix-seqpacket:@{own}"),
    ],
)
def test_a_socket_is_described_as_listen_takes_it(family: int, kind: int, address: object, words: str) -> None:
    with socket.socket(family, kind) as sock:
        sock.bind(address + OWN.encode() if isinstance(address, bytes) else address)  # type: ignore[arg-type]
        listening = kind != socket.SOCK_DGRAM
        if listening:
            sock.listen()
        passed = describe(sock.fileno(), "web")
        name = sock.getsockname()
        assert passed.where() == words.format(port=name[1] if isinstance(name, tuple) else "", own=OWN)
        assert passed.listening == listening
        assert str(passed) == f'fd {sock.fileno()} "web" ({passed.where()})'
        assert is_open(sock.fileno())


def test_what_is_no_socket_of_ours_is_not_taken_for_one() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as sock:
        sock.bind((0, 0))
        assert describe(sock.fileno()).where() == "address family netlink"
    passed = Passed(3, "", "vsock", "stream", (socket.VMADDR_CID_ANY, 7103), True)
    assert passed.where() == f"vsock:{socket.VMADDR_CID_ANY}:7103"


def test_a_connection_does_not_listen() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert not describe(one.fileno()).listening


def test_what_is_no_socket_is_described_as_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    opened = {
        "FIFO": os.open(tmp_path / "fifo", os.O_RDWR),
        "file or message queue": os.open(tmp_path / "file", os.O_RDONLY),
        "folder": os.open(tmp_path, os.O_RDONLY),
        "character device": os.open("/dev/null", os.O_RDONLY),
    }
    for kind, fd in opened.items():
        passed = describe(fd)
        assert (passed.family, passed.kind, passed.where()) == (NOT_A_SOCKET, kind, kind)
        os.close(fd)
    with select.epoll() as poller:
        assert describe(poller.fileno()).family == NOT_A_SOCKET


def test_a_closed_descriptor_is_a_failure_that_names_it() -> None:
    fd = os.dup(0)
    os.close(fd)
    with pytest.raises(Failure, match=rf"descriptor {fd}\b.*Bad file descriptor"):
        describe(fd)
