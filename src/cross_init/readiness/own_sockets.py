"""Conditions that our own sockets would make hold, or never hold, whatever the daemon does.

A socket that is passed to the daemon listens before the daemon is there, and its path has been made by then. So tcp:
and unix: on it would say nothing of the daemon, and file: would wait for ever. The same goes for the one on which we
answer ourselves (--health-listen). Conversely, started says nothing without a socket that is passed.
"""

import _socket
import posix

from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cross_init.readiness.condition import Condition
    from cross_init.sockets.address import Address
    from cross_init.sockets.passed import Passed

PASSED, PATH, HEALTH = (
    "the daemon is passed this very socket, so it would hold before the daemon has done anything",
    "this is the path of a socket that the daemon is passed, so it would never appear",
    "there we answer ourselves (--health-listen), which says nothing of the daemon",
)
INSTEAD = (
    "use listening, which waits until the daemon attends to the socket, or started, which asks for no more than that "
    "the daemon runs and its socket listens"
)
HTTP = 80  # where a URL names no port
ANY_HOST = {"0.0.0.0": "inet", "::": "inet6"}  # noqa: S104 (to see that a socket is bound to it)
NO_SOCKET = (
    "the daemon is passed no socket that anybody could connect to by then: let the init pass one, or use --listen; or "
    "choose another condition"
)


def refuse(conditions: "list[Condition]", sockets: "list[Passed]", health: "Address | None") -> None:
    """Raise Failure for the first such condition.

    sockets: those that are passed, or announced. health: where we answer ourselves (--health-listen).
    """
    own: list[tuple[Passed, str, tuple[str, ...]]]
    own = [(each, PASSED, ("tcp", "unix")) for each in sockets] + [(each, PATH, ("file",)) for each in sockets]
    if health is not None:
        own.append((health.announced(), HEALTH, ("tcp", "unix", "file", "http")))
    for condition in conditions:
        kind = condition.text.partition(":")[0]
        if kind == "started" and all(each.connected for each in sockets):
            raise Failure(f"--ready-when {condition.text}: {NO_SOCKET}")
        for socket, reason, kinds in own:
            if kind in kinds and is_own(kind, condition, socket):
                raise Failure(f"--ready-when {condition.text}: {reason}: {INSTEAD}")


def is_own(kind: str, condition: "Any", socket: "Passed") -> bool:
    """Whether this condition of this kind asks this socket."""
    if kind in ("tcp", "http"):
        return socket.listening and socket.family != "unix" and asks_tcp(condition.host, condition.port or HTTP, socket)
    own = socket.address
    if socket.family != "unix" or not own:
        return False
    text = "@" + own[1:].decode("utf-8", "surrogateescape") if isinstance(own, bytes) else str(own)
    return is_same_path(condition.path, text)


def asks_tcp(host: str, port: int, passed: "Passed") -> bool:
    """Whether who connects to this port of this host comes to this socket."""
    if not isinstance(passed.address, tuple) or passed.family not in ("inet", "inet6"):
        return False
    own_host, own_port = passed.address[:2]
    if port != own_port:
        return False
    theirs, own = addresses(host, port), addresses(own_host, port) if own_host else {("inet6", "::")}
    if theirs & own:
        return True
    families = {family for family, address in own if ANY_HOST.get(address) == family}
    if "inet6" in families and takes_ipv4(passed):
        families.add("inet")
    return any(family in families for family, _ in theirs)


def takes_ipv4(passed: "Passed") -> bool:
    """Whether a socket of IPv6's any address is the one of IPv4 as well (ipv6(7), IPV6_V6ONLY)."""
    if passed.fd < 0:  # of --listen: listen.py has it so
        return not (isinstance(passed.address, tuple) and passed.address[0])
    sock = _socket.socket(fileno=passed.fd)
    try:
        return not sock.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)
    finally:
        sock.detach()


def addresses(host: str, port: int) -> set[tuple[str, str]]:
    """The addresses of a host, each with its family; none if nobody knows it, which is said elsewhere."""
    name = host.encode("utf-8", "surrogateescape")
    try:
        found = _socket.getaddrinfo(name, port, 0, int(_socket.SOCK_STREAM))
    except (OSError, _socket.gaierror):
        return set()
    families = {int(_socket.AF_INET): "inet", int(_socket.AF_INET6): "inet6"}
    return {(families.get(int(family), ""), str(where[0])) for family, _, _, _, where in found}


def is_same_path(one: str, other: str) -> bool:
    """Whether both are of one file, which may not be there yet: the same name in the same folder."""
    if one == other or "@" in (one[:1], other[:1]):
        return one == other
    (one_folder, _, one_name), (other_folder, _, other_name) = one.rpartition("/"), other.rpartition("/")
    try:
        first, second = posix.stat(one_folder or home(one)), posix.stat(other_folder or home(other))
    except OSError:
        return False
    return one_name == other_name and (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def home(path: str) -> str:
    """The folder that a path without one in it is in."""
    return "/" if path.startswith("/") else "."
