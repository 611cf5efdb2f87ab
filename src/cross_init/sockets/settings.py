"""What the kernel is told of a socket of --listen beside its address: setsockopt(2), and a pipe's size.

As systemd has it (socket.c, socket_apply_socket_options(); socket-label.c): some before the socket is bound, the rest
when it listens. That a network interface cannot be had is an error. All else is said in a line, and the socket is there
without it.
"""

import _socket

from cross_init.errors import print_error, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.address import Address

    Place = tuple[int, int]  # the level, and the option's number there

ALL = -1  # whatever the family
SOL_NETLINK, SOL_SCTP = 270, 132
# Numbers that Python has no names for are asm-generic/socket.h's, linux/in.h's, in6.h's, netlink.h's and sctp.h's.
PLACES: "dict[str, dict[int, Place]]" = {
    "device": {ALL: (_socket.SOL_SOCKET, _socket.SO_BINDTODEVICE)},
    "reuse-port": {ALL: (_socket.SOL_SOCKET, _socket.SO_REUSEPORT)},
    "reuse-address": {ALL: (_socket.SOL_SOCKET, _socket.SO_REUSEADDR)},
    "free-bind": {_socket.AF_INET: (_socket.IPPROTO_IP, 15), _socket.AF_INET6: (_socket.IPPROTO_IPV6, 78)},
    "transparent": {_socket.AF_INET: (_socket.IPPROTO_IP, 19), _socket.AF_INET6: (_socket.IPPROTO_IPV6, 75)},
    "ipv6-only": {ALL: (_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)},
    "keep-alive": {ALL: (_socket.SOL_SOCKET, _socket.SO_KEEPALIVE)},
    "keep-alive-time": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_KEEPIDLE)},
    "keep-alive-interval": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_KEEPINTVL)},
    "keep-alive-probes": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_KEEPCNT)},
    "defer-accept": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_DEFER_ACCEPT)},
    "no-delay": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_NODELAY)},
    "no-delay of sctp": {ALL: (SOL_SCTP, 3)},
    "congestion": {ALL: (_socket.IPPROTO_TCP, _socket.TCP_CONGESTION)},
    "broadcast": {ALL: (_socket.SOL_SOCKET, _socket.SO_BROADCAST)},
    "pass-credentials": {ALL: (_socket.SOL_SOCKET, _socket.SO_PASSCRED)},
    "pass-pidfd": {ALL: (_socket.SOL_SOCKET, 76)},
    "pass-security": {ALL: (_socket.SOL_SOCKET, _socket.SO_PASSSEC)},
    "pass-packet-info": {
        _socket.AF_INET: (_socket.IPPROTO_IP, 8),
        _socket.AF_INET6: (_socket.IPPROTO_IPV6, _socket.IPV6_RECVPKTINFO),
        ALL: (SOL_NETLINK, 3),
    },
    "refuse-descriptors": {ALL: (_socket.SOL_SOCKET, 83)},  # SO_PASSRIGHTS, of which it is the contrary
    "timestamping us": {ALL: (_socket.SOL_SOCKET, 29)},
    "timestamping ns": {ALL: (_socket.SOL_SOCKET, 35)},
    "priority": {ALL: (_socket.SOL_SOCKET, _socket.SO_PRIORITY)},
    "receive-buffer": {ALL: (_socket.SOL_SOCKET, _socket.SO_RCVBUF)},
    "send-buffer": {ALL: (_socket.SOL_SOCKET, _socket.SO_SNDBUF)},
    "mark": {ALL: (_socket.SOL_SOCKET, _socket.SO_MARK)},
    "tos": {ALL: (_socket.IPPROTO_IP, _socket.IP_TOS)},  # systemd sets it so on IPv6 sockets as well
    "ttl": {
        _socket.AF_INET: (_socket.IPPROTO_IP, _socket.IP_TTL),
        _socket.AF_INET6: (_socket.IPPROTO_IPV6, _socket.IPV6_UNICAST_HOPS),
    },
}
BEFORE = ("device", "reuse-port", "reuse-address", "free-bind", "transparent", "ipv6-only")  # the socket is bound
FATAL = ("device",)
CONTRARY = ("refuse-descriptors",)
FORCED = {"receive-buffer": 33, "send-buffer": 32}  # SO_RCVBUFFORCE, SO_SNDBUFFORCE: root's, beyond all bounds
PIPE_SIZE, F_SETPIPE_SZ = "pipe-size", 1031


def set_before(sock: _socket.socket, address: "Address") -> None:
    """What has to be so when it is bound. Raises OSError."""
    for name in BEFORE:
        if name in address.options.settings:
            _set(sock, name, address)


def set_after(sock: _socket.socket, address: "Address") -> None:
    """All the rest."""
    for name in address.options.settings:
        if name not in BEFORE:
            _set(sock, name, address)


def set_pipe_size(fd: int, address: "Address") -> None:
    """Of a FIFO, if that was asked for."""
    size = address.options.settings.get(PIPE_SIZE)
    if size is not None:
        from fcntl import fcntl

        try:
            fcntl(fd, F_SETPIPE_SZ, int(size))
        except OSError as error:
            _say(PIPE_SIZE, address, why(error))


def _set(sock: _socket.socket, name: str, address: "Address") -> None:
    value = address.options.settings[name]
    variants = (f"{name} {value}", f"{name} of {address.options.protocol}", name)
    key = next(each for each in variants if each in PLACES)
    level, number = PLACES[key].get(int(sock.family)) or PLACES[key][ALL]
    told: int | bytes = int(name not in CONTRARY)
    if value is not True and key != variants[0]:
        told = value.encode("utf-8", "surrogateescape") + b"\0" if isinstance(value, str) else value
    try:
        if name in FORCED and isinstance(told, int):
            _set_buffer(sock, name, number, told, address)
        else:
            sock.setsockopt(level, number, told)
    except OSError as error:
        if name in FATAL:
            raise OSError(error.errno, f"{name}={value}: {why(error)}") from None
        _say(name, address, why(error))


def _set_buffer(sock: _socket.socket, name: str, number: int, size: int, address: "Address") -> None:
    """Raises OSError."""
    try:
        sock.setsockopt(_socket.SOL_SOCKET, FORCED[name], size)
    except PermissionError:
        sock.setsockopt(_socket.SOL_SOCKET, number, size)
        got = sock.getsockopt(_socket.SOL_SOCKET, number) // 2  # the kernel doubles it (socket(7))
        if got < size:
            _say(name, address, f"only root may have more than {got}", "has so many")


def _say(name: str, address: "Address", reason: str, what: str = "is without it") -> None:
    print_error(f"{address.said}: {name}: {reason}; the socket {what}", 0)
