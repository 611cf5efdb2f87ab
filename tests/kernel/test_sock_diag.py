"""The kernel's own list of listening sockets: names framed as bytes, whatever they hold, and the kernel's numbers."""

import errno
import os
import posix
import random
import socket
import subprocess
from pathlib import Path

import pytest

from cross_init.kernel import sock_diag
from tests.support.own import OWN

WITHOUT_CTYPES = """
import sys
sys.path.append(sys.argv[1])
sys.modules["ctypes"] = None
from cross_init.kernel.sock_diag import tcp_listeners, unix_listeners
assert list(unix_listeners()) is not None and list(tcp_listeners()) is not None
print(*sys.modules)
"""


@pytest.mark.parametrize("name", ["\0", "\0\n\0 \xff\n x", "path"])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_a_unix_socket_that_listens_is_listed_with_its_own_name(name: str, kind: int, tmp_path: Path) -> None:
    bound = name.encode("latin-1") + OWN.encode() if name.startswith("\0") else bytes(tmp_path / name)
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(bound)
        inode = os.fstat(sock.fileno()).st_ino
        assert not [each for each in sock_diag.unix_listeners() if each[2] == inode]
        sock.listen()
        assert [each for each in sock_diag.unix_listeners() if each[2] == inode] == [(bound, kind, inode, os.geteuid())]


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_tcp_socket_that_listens_is_listed_with_its_address_and_user(family: int, host: str) -> None:
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        sock.listen()
        inode, port = os.fstat(sock.fileno()).st_ino, sock.getsockname()[1]
        found = [each for each in sock_diag.tcp_listeners() if each[2] == inode]
    assert found == [(socket.inet_pton(family, host), port, inode, os.geteuid())]


def test_more_sockets_than_one_datagram_has_room_for() -> None:
    names = {b"\0%b/%03d/" % (OWN.encode(), number) + b"x" * 80 for number in range(600)}
    held = []
    try:
        for name in names:
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].bind(name)
            held[-1].listen(1)
        assert names <= {name for name, _, _, _ in sock_diag.unix_listeners()}
    finally:
        for sock in held:
            sock.close()


def test_what_the_kernel_refuses_is_said_as_it_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "SOCK_DIAG_BY_FAMILY", 99)
    with pytest.raises(OSError, match=posix.strerror(errno.EINVAL)):
        list(sock_diag.unix_listeners())


def test_no_record_of_any_form_raises_anything_but_an_oserror() -> None:
    dice = random.Random(9)
    name = (9).to_bytes(2, "little") + bytes(2) + b"\0name" + bytes(3)
    whole = (48).to_bytes(4, "little") + (20).to_bytes(2, "little") + bytes(10)
    for sample in (whole + bytes((1, 1, 10)) + bytes(13) + name + bytes(4), bytes((2, 10)) + bytes(70)):
        for _ in range(5000):
            data = bytearray(sample[: dice.randrange(len(sample) + 1)])
            for _ in range(dice.randrange(4)):
                if data:
                    data[dice.randrange(len(data))] = dice.choice((0, 1, 3, 4, 255, dice.randrange(256)))
            for parse in (sock_diag.messages, sock_diag.attributes, sock_diag.unix_listener, sock_diag.tcp_listener):
                try:
                    parse(bytes(data))
                except OSError:
                    pass
            sock_diag.refusal(dice.choice((sock_diag.ERROR, sock_diag.DONE)), bytes(data))


def test_it_needs_no_module_that_a_small_python_lacks() -> None:
    source = str(Path(sock_diag.__file__).parents[2])
    done = subprocess.run(
        ["/usr/bin/python3", "-ISc", WITHOUT_CTYPES, source], capture_output=True, text=True, timeout=20, check=True
    )
    assert not {"os", "struct", "typing", "enum", "re"} & set(done.stdout.split())
