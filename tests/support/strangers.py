"""Processes that send descriptors whose last close makes whoever has it wait, or fails."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.observed import Place
from tests.support.own import STRANGER

LONGEST_S = 20

# What each of these has: give(FD...) sends a message with these, says "sent", and waits to be ended.
BEGIN = f"""
import ctypes, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
address, text, user = sys.argv[1], os.fsencode(sys.argv[2]), {STRANGER}
def become_nobody():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
def unshare(flags):
    if libc.unshare(flags):
        sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
def give(*fds, count=1):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\\0" + address[1:] if address[0] == "@" else address)
        socket.send_fds(sender, [text], fds)
    for fd in fds:
        os.close(fd)
def give_up(fds):
    # Whoever has the last descriptor waits: that has to be the message. A process that is ending never waits.
    told, tell = os.pipe()
    if os.fork() == 0:
        os.close(tell)
        os.read(told, 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\\0" + address[1:] if address[0] == "@" else address)
            socket.send_fds(sender, [text], fds)
        os._exit(0)
    for fd in (*fds, tell):
        os.close(fd)
    os.wait()
def done():
    os.write(1, b"sent")
    os.read(0, 1)
    os._exit(0)
"""
NEW_USER, NEW_NET, NEW_MOUNT = 0x10000000, 0x40000000, 0x20000  # CLONE_..., linux/sched.h
# Connections with bytes that nobody takes in, which linger for an hour: closed by whoever has the last descriptor.
LINGER = """
become_nobody()
def lingering():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        near.connect(listener.getsockname())
        ends.append(listener.accept()[0])
    near.setblocking(False)
    try:
        while True:
            near.send(bytes(65536))
    except BlockingIOError:
        pass
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return near.detach()
ends = []
for _ in range(6):
    give_up([lingering() for _ in range(3)])
done()
"""
# 250 packet sockets, each of which takes some milliseconds to close that no signal ends.
PACKET = f"""
become_nobody()
unshare({NEW_USER | NEW_NET})
give(*(socket.socket(socket.AF_PACKET, socket.SOCK_RAW).detach() for _ in range(250)))
done()
"""
# A file of a file system of its own, in whose server argv[3] says how a flush ends: "fails" or "never".
FUSE = f"""
unshare({NEW_USER | NEW_MOUNT})
for name, words in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
    with open(f"/proc/self/{{name}}", "w") as file:
        file.write(words)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={{fuse}},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"x", b"/mnt", b"fuse", 0, options):
    sys.exit("mount: " + os.strerror(ctypes.get_errno()))
FLUSH, EIO, ENOSYS = 25, -5, -38
def attributes(inode, mode):
    return struct.pack("<6Q10I", inode, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
def serve():
    answers = {{
        26: struct.pack("<4I2H2I2HI", 7, 31, 65536, 0, 0, 0, 65536, 1, 0, 0, 0) + bytes(24),  # FUSE_INIT
        1: struct.pack("<4Q2I", 2, 0, 0, 0, 0, 0) + attributes(2, 0o100666),  # LOOKUP
        14: struct.pack("<Q2I", 1, 0, 0),  # OPEN
        18: b"",  # RELEASE
    }}
    while True:
        asked = os.read(fuse, 200_000)
        _, what, number, inode = struct.unpack("<2I2Q", asked[:24])
        if what == 3:  # GETATTR
            answers[3] = struct.pack("<Q2I", 0, 0, 0) + attributes(inode, 0o40755 if inode == 1 else 0o100666)
        if what == FLUSH and sys.argv[3] == "never" or what in (2, 36, 38, 42):  # what has no answer: FORGET, ...
            continue
        error, body = (0, answers[what]) if what in answers else (EIO if what == FLUSH else ENOSYS, b"")
        os.write(fuse, struct.pack("<IiQ", 16 + len(body), error, number) + body)
if os.fork() == 0:
    serve()
os.close(fuse)
file = os.open("/mnt/file", os.O_RDWR)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:  # and keeps it itself: what it closes is flushed, too
    sender.connect("\\0" + address[1:] if address[0] == "@" else address)
    socket.send_fds(sender, [text], [file])
done()
"""


@contextmanager
def sending(place: Place, how: str, address: str, text: str, *words: str) -> Iterator[None]:
    """One that has sent such a message, with this text, to this address, and lives on; skips where it cannot be."""
    process = subprocess.Popen(
        ["/usr/bin/python3", "-ISc", BEGIN + how, address, text, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    place.others.add(process.pid)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        if os.read(process.stdout.fileno(), 4) != b"sent":
            pytest.skip(f"cannot be made here: {process.stderr.read().decode().strip().splitlines()[-1:]}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a session, with its server
        process.communicate()
