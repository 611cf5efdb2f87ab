"""A program that writes down all that can be asked of the descriptors it was passed, as JSON, into a file.

It runs as a service under a real service manager and under ours, in the same place: what differs is a defect. Words:
the file, and paths whose owners, modes and targets are wanted as well.
"""

import ctypes
import fcntl
import json
import os
import pwd
import signal
import socket
import stat
import struct
import sys

SOL_NETLINK, SOL_SCTP = 270, 132
F_GETPIPE_SZ = 1032
SAID = {  # levels, and options there by their numbers: asm-generic/socket.h, linux/tcp.h, in.h, in6.h, netlink.h
    "SOL_SOCKET": (
        socket.SOL_SOCKET,
        {
            "TYPE": 3,
            "DOMAIN": 39,
            "PROTOCOL": 38,
            "ACCEPTCONN": 30,
            "KEEPALIVE": 9,
            "BROADCAST": 6,
            "REUSEADDR": 2,
            "REUSEPORT": 15,
            "SNDBUF": 7,
            "RCVBUF": 8,
            "PRIORITY": 12,
            "MARK": 36,
            "PASSCRED": 16,
            "PASSSEC": 34,
            "PASSPIDFD": 76,
            "PASSRIGHTS": 83,
            "TIMESTAMP": 29,
            "TIMESTAMPNS": 35,
            "OOBINLINE": 10,
            "DONTROUTE": 5,
            "RXQ_OVFL": 40,
            "RCVLOWAT": 18,
        },
    ),
    "SOL_TCP": (6, {"NODELAY": 1, "KEEPIDLE": 4, "KEEPINTVL": 5, "KEEPCNT": 6, "DEFER_ACCEPT": 9}),
    "SOL_IP": (0, {"TOS": 1, "TTL": 2, "PKTINFO": 8, "FREEBIND": 15, "TRANSPARENT": 19}),
    "SOL_IPV6": (41, {"V6ONLY": 26, "UNICAST_HOPS": 16, "RECVPKTINFO": 49, "FREEBIND": 78, "TRANSPARENT": 75}),
    "SOL_NETLINK": (SOL_NETLINK, {"PKTINFO": 3}),
}
TEXTS = {"device": (socket.SOL_SOCKET, 25), "congestion": (6, 13)}
TCP_INFO = 11


def of_socket(sock: socket.socket) -> dict[str, object]:
    """All of its options that are to be had; its address."""
    found: dict[str, object] = {}
    for level, (number, options) in SAID.items():
        for name, option in options.items():
            try:
                found[f"{level} {name}"] = sock.getsockopt(number, option)
            except OSError:
                continue
    for name, (number, option) in TEXTS.items():
        try:
            found[name] = sock.getsockopt(number, option, 64).rstrip(b"\0").decode()
        except OSError:
            continue
    if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
        try:  # of one that listens: its backlog (tcp_diag.c)
            found["backlog"] = struct.unpack_from("I", sock.getsockopt(6, TCP_INFO, 128), 8 + 5 * 4)[0]
        except OSError:
            pass
    where = sock.getsockname()
    found["address"] = where[1:] if sock.family == socket.AF_NETLINK else repr(where)  # each has its own number there
    return found


def of_descriptor(fd: int) -> dict[str, object]:
    """What it is, and how it is open."""
    status = os.fstat(fd)
    link = os.readlink(f"/proc/self/fd/{fd}")
    found: dict[str, object] = {
        "kind": stat.S_IFMT(status.st_mode),
        "flags": fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NOFOLLOW,  # that is only how it was found
        "closed at exec": bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC),
        "file": "" if link.startswith("socket:") else link.replace(f"/{os.getpid()}/", "/self/"),
    }
    if stat.S_ISSOCK(status.st_mode):
        return found | of_socket(socket.socket(fileno=os.dup(fd)))
    found |= {"mode": oct(status.st_mode), "whose": [status.st_uid, status.st_gid]}
    if stat.S_ISFIFO(status.st_mode):
        found["pipe"] = fcntl.fcntl(fd, F_GETPIPE_SZ)
    numbers = (ctypes.c_long * 8)()
    if not ctypes.CDLL(None).mq_getattr(fd, numbers):
        found["queue"] = numbers[:3]
    return found


def of_path(path: str) -> list[str]:
    """Its mode, its owner, and where it leads if it is a link."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return [str(error.strerror)]
    target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
    return [oct(status.st_mode), pwd.getpwuid(status.st_uid).pw_name, str(status.st_gid), target]


def main() -> None:
    """Write it; then wait, so that whoever has started us sees a service."""
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    seen = {
        "for us": os.environ.get("LISTEN_PID") == str(os.getpid()),
        "names": names,
        **{f"{number} {names[number]}": of_descriptor(3 + number) for number in range(count)},
        **{path: of_path(path) for path in sys.argv[2:]},
    }
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.write(fd, json.dumps(seen).encode())
    os.close(fd)
    signal.pause()


if __name__ == "__main__":
    main()
