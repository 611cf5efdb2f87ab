"""The sockets of a unit as --listen has them."""

import posix

from cross_init.definitions.definition import SECOND
from cross_init.errors import Failure
from cross_init.sockets.address import parse
from cross_init.sockets.options import INT_MAX, OPTIONS, PROTOCOLS, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition, Listen, Socket
    from cross_init.sockets.address import Address

BASES = tuple(f"{base}/systemd/{kind}" for base in ("/etc", "/run", "/usr/lib", "/lib") for kind in ("system", "user"))
UNIX = {"Stream": "unix", "Datagram": "unix-dgram", "SequentialPacket": "unix-seqpacket"}
INET = {"Stream": "tcp", "Datagram": "udp"}
VSOCK = {"Stream": "vsock", "Datagram": "vsock-dgram", "SequentialPacket": "vsock-seqpacket"}
OTHERS = {"FIFO": "fifo", "Special": "special", "Netlink": "netlink", "MessageQueue": "mqueue"}
# Fields of a socket unit, by the options of --listen that say the same (sockets/options.py). What has no effect on a
# kind of socket, and is refused there by --listen, is left out, as systemd's own attempt would come to nothing.
FLAGS = {
    "remove_on_stop": "remove-on-stop",
    "reuse_port": "reuse-port",
    "free_bind": "free-bind",
    "transparent": "transparent",
    "keep_alive": "keep-alive",
    "no_delay": "no-delay",
    "broadcast": "broadcast",
    "pass_credentials": "pass-credentials",
    "pass_pidfd": "pass-pidfd",
    "pass_security": "pass-security",
    "pass_packet_info": "pass-packet-info",
    "writable": "writable",
}
TEXTS = {
    "socket_user": "user",
    "socket_group": "group",
    "bind_to_device": "device",
    "tcp_congestion": "congestion",
}
NUMBERS = {  # 0: not said
    "keep_alive_probes": "keep-alive-probes",
    "receive_buffer": "receive-buffer",
    "send_buffer": "send-buffer",
    "pipe_size": "pipe-size",
}
SECONDS = {
    "keep_alive_time": "keep-alive-time",
    "keep_alive_interval": "keep-alive-interval",
    "defer_accept": "defer-accept",
}
OR_NONE = {"priority": "priority", "mark": "mark", "ip_tos": "tos", "ip_ttl": "ttl"}  # below 0: not said either


def listen(definition: "Definition") -> dict[str, str]:
    """What --listen is to open, and where each stands. Raises Failure for a kind that --listen has not."""
    found = {}
    for socket in definition.sockets:
        if not is_wanted(definition, socket):
            continue
        for each in socket.listen:
            at = f"{each.origin[0]}:{each.origin[1]}"
            address = parse(escape(said(each, socket)))
            name = socket.file_descriptor_name or socket.name
            words = [address.text, *(escape(word) for word in options(socket, address))]
            found[f"{name}={','.join(words)}"] = at
    return found


def said(each: "Listen", socket: "Socket") -> str:
    """The address, as --listen has it. Raises Failure for a kind that it has not."""
    where, kind = each.address, each.kind
    if kind in OTHERS:
        return f"{OTHERS[kind]}:{where.replace(' ', ':') if kind == 'Netlink' else where}"
    kinds = UNIX if where.startswith(("/", "@")) else VSOCK if where.startswith("vsock:") else INET
    if kind not in kinds:
        at = f"{each.origin[0]}:{each.origin[1]}"
        raise Failure(f"{at}: Listen{kind}={where}: this kind of socket cannot be opened here")
    where = host_and_port(where, socket) if kinds is INET else where.removeprefix("vsock:")
    return f"{kinds[kind]}:{where}"


def clients_at_a_time(definition: "Definition") -> int:
    """How many services there are at most, where each is for one client (Accept=yes); 0: one serves all."""
    return next((each.max_connections for each in _for_one_client(definition)), 0)


def clients_per_source(definition: "Definition") -> int:
    """How many of these at most are for clients of one host, or one user; 0: as many as there may be."""
    return next((each.max_connections_per_source or 0 for each in _for_one_client(definition)), 0)


def _for_one_client(definition: "Definition") -> "list[Socket]":
    return [each for each in definition.sockets if each.accept and is_wanted(definition, each)]


def is_wanted(definition: "Definition", socket: "Socket") -> bool:
    """Whether a socket unit is there for this service, and not only beside it: it is named, or was enabled.

    A unit that stands outside of systemd's folders cannot be enabled: there it counts as it is.
    """
    relations, context = definition.relations, definition.context
    named = (*relations.sockets, *relations.requires, *relations.wants, *relations.binds_to)
    if socket.name in named or "socket" in (context.standard_input, context.standard_output):
        return True
    if not definition.files[0].startswith(tuple(f"{base}/" for base in BASES)):
        return True
    prefix, _, instance = socket.name.rpartition(".")[0].partition("@")
    template = f"{prefix}@.socket" if instance else socket.name
    for base in BASES:
        for folder in _names(base):
            if folder.endswith((".wants", ".requires")) and {socket.name, template} & {*_names(f"{base}/{folder}")}:
                return True
    return False


def _names(folder: str) -> list[str]:
    try:
        return posix.listdir(folder)
    except OSError:
        return []


def host_and_port(text: str, socket: "Socket") -> str:
    """As --listen has it: all of IPv6 takes IPv4 as well; what a link-local address is on stands in the brackets."""
    if text.startswith("[::]:") and "%" not in text and socket.bind_ipv6_only != "ipv6-only":
        return f":{text.rpartition(':')[2]}"
    host, bracket, rest = text.partition("]:")
    port, percent, scope = rest.partition("%")
    return f"{host}{percent}{scope}{bracket}{port}" if percent else text


def options(socket: "Socket", address: "Address") -> "list[str]":
    """What stands behind the address: what a socket of its kind can be told."""
    words = [f"mode={socket.socket_mode:04o}", f"folder-mode={socket.directory_mode:04o}"]
    words += [f"symlink={path}" for path in socket.symlinks]
    if "backlog" in socket.origins and 0 < socket.backlog <= INT_MAX:
        words.append(f"backlog={socket.backlog}")
    words += [option for field, option in FLAGS.items() if getattr(socket, field)]
    for names, unit in ((TEXTS, 0), (NUMBERS, 1), (SECONDS, SECOND)):
        for field, option in names.items():
            value = getattr(socket, field)
            value = value // unit if unit else value
            if value:
                words.append(f"{option}={value}")
    for field, option in OR_NONE.items():
        value = getattr(socket, field)
        if value is not None and value >= 0:
            words.append(f"{option}={value}")
    if socket.message_queue_max_messages > 0 and socket.message_queue_message_size > 0:
        words += [f"max-messages={socket.message_queue_max_messages}"]
        words += [f"message-size={socket.message_queue_message_size}"]
    words += [] if socket.timestamping == "off" else [f"timestamping={socket.timestamping}"]
    words += ["ipv6-only"] * (socket.bind_ipv6_only == "ipv6-only")
    words += ["refuse-descriptors"] * (not socket.accept_file_descriptors)
    words.append("reuse-address")  # as systemd has it for datagrams as well
    if socket.socket_protocol and address.suits(PROTOCOLS[socket.socket_protocol][0]):
        words.append(f"protocol={socket.socket_protocol}")
    return [word for word in words if address.suits(OPTIONS[word.partition("=")[0]][0])]
