"""--listen: open sockets ourselves, so that a socket-activated daemon can be tried from any shell."""

import _socket
import errno
import posix

from cross_init.errors import Failure, print_error, why
from cross_init.sockets.address import INET, IPV6_ANY, KINDS
from cross_init.sockets.options import PROTOCOLS
from cross_init.sockets.passed import Passed, describe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cross_init.sockets.address import Address

    class Kept(Protocol):
        """Sockets that stay open over a restart."""

        def open(self, address: "Address") -> Passed | None:
            """The one for this address, if there is one from an earlier start."""

        def remember(self, address: "Address", passed: Passed) -> None:
            """This one is the daemon's, and is to be kept."""


def open_all(addresses: "list[Address]", kept: "Kept | None" = None) -> list[Passed]:
    """Open them all, or leave nothing behind but folders. kept: what is open from an earlier start. Raises Failure."""
    opened: list[Passed] = []
    for address in addresses:
        try:
            opened.append((kept and kept.open(address)) or open_socket(address))
            if kept is not None and address.options.keep:
                kept.remember(address, opened[-1])
        except Failure:
            for done, passed in zip(addresses, opened, strict=False):
                posix.close(passed.fd)
                if done.has_path and done.is_socket and not done.options.keep:
                    from cross_init.sockets.placing import remove_abandoned

                    remove_abandoned(done.path, KINDS[done.kind])
            raise
    return opened


def open_socket(address: "Address") -> Passed:
    """Open, bind and, for a stream, listen. Raises Failure."""
    try:
        fd = _opened(address)
    except Failure as failure:
        raise Failure(f"{address.said}: {failure}") from None
    except (OSError, _socket.gaierror) as error:
        raise cannot_listen(address, error) from None
    passed = describe(fd, address.name)
    if address.kind in INET and not address.port:
        print_error(f"listening on {passed.where()}", 0)
    return passed


def cannot_listen(address: "Address", error: OSError) -> Failure:
    """Why, and what to do."""
    reason = why(error)
    instead = "remove what stands there" if address.has_path else "choose another address"
    advice = {
        errno.EADDRINUSE: f"end what listens there, or {instead}",
        errno.ENOENT: "make the folder first" if address.is_socket else "it has to be there already",
        errno.EACCES: "ports below 1024 and others' folders need privileges",
        errno.EPERM: "only root may give a socket to others, and no link of another user's is followed",
        errno.EADDRNOTAVAIL: "choose an address of this machine",
        errno.ENODEV: "choose what this machine has",
        errno.EPROTONOSUPPORT: "this kernel does not have it",
    }.get(error.errno or 0, "" if ";" in reason else "check the address")
    what = f"{address.said}: cannot listen there: {reason}"
    return Failure(f"{what}; {advice}" if advice else what)


def _opened(address: "Address") -> int:
    """Raises OSError, Failure."""
    if not address.is_socket:
        return _open_file(address)
    sock = bound(address)
    if address.accepts:
        sock.listen(address.options.backlog)
    if address.options.settings:
        from cross_init.sockets.settings import set_after

        set_after(sock, address)
    _link(address)
    return sock.detach()


def _open_file(address: "Address") -> int:
    """Raises OSError, Failure."""
    if address.kind != "fifo":
        from cross_init.sockets.rarer import open_queue, open_special

        return open_special(address) if address.kind == "special" else open_queue(address)
    from cross_init.sockets.placing import open_fifo

    fd = open_fifo(address)
    if address.options.settings:
        from cross_init.sockets.settings import set_pipe_size

        set_pipe_size(fd, address)
    _link(address)
    return fd


def _link(address: "Address") -> None:
    if address.options.symlinks:
        from cross_init.sockets.links import make

        make(address)


def bound(address: "Address") -> _socket.socket:
    """A socket that is bound there, and does not listen yet. Raises OSError, Failure, socket.gaierror."""
    if address.kind in INET:
        return bound_inet(address)
    if address.path:
        return _bound_unix(address)
    from cross_init.sockets.rarer import bound as bound_otherwise

    return bound_otherwise(address, KINDS[address.kind])


def bound_inet(address: "Address") -> _socket.socket:
    """A socket that is bound there, and does not listen yet. Raises OSError, socket.gaierror."""
    kind = KINDS[address.kind]
    passive = 1  # AI_PASSIVE: no host means every address
    host = address.host.encode("utf-8", "surrogateescape") or None  # as text it would be checked by Python's own IDNA
    found = _socket.getaddrinfo(host, address.port, 0, int(kind), 0, passive)
    if not address.host:  # prefer [::], which serves IPv4 as well where the machine has both
        found.sort(key=lambda entry: entry[0] != _socket.AF_INET6)
    error: OSError | None = None
    for family, _, protocol, _, where in found:
        sock = None
        try:
            other = address.options.protocol
            sock = _socket.socket(family, kind, PROTOCOLS[other][1] if other else protocol)
            if kind == _socket.SOCK_STREAM:  # for datagrams it would let two daemons share the port (socket(7))
                sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
            if family == _socket.AF_INET6 and where[0] == IPV6_ANY:
                # [::] is one of two that may have the port; no host at all means both. Whatever net.ipv6.bindv6only is.
                sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, int(bool(address.host)))
            if address.options.settings:
                from cross_init.sockets.settings import set_before

                set_before(sock, address)
            sock.bind(where)
        except OSError as failed:
            error = error or failed
            if sock is not None:
                sock.close()
            continue
        return sock
    raise error or OSError(errno.EADDRNOTAVAIL, "no such address")


def _bound_unix(address: "Address") -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, KINDS[address.kind])
    try:
        if address.has_path:
            from cross_init.sockets.placing import bind

            bind(sock, address)
        else:
            sock.bind("\0" + address.path[1:])
    except BaseException:
        sock.close()
        raise
    return sock
