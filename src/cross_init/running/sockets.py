"""The sockets of a unit as --listen has them."""

import posix

from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition, Socket

BASES = tuple(f"{base}/systemd/{kind}" for base in ("/etc", "/run", "/usr/lib", "/lib") for kind in ("system", "user"))
PATHS = {"Stream": "unix", "Datagram": "unix-dgram", "SequentialPacket": "unix-seqpacket", "FIFO": "fifo"}
PORTS = {"Stream": "tcp", "Datagram": "udp"}
BACKLOG_MAX = (1 << 31) - 1


def listen(definition: "Definition") -> dict[str, str]:
    """What --listen is to open, and where each stands. Raises Failure for a kind that --listen has not."""
    found = {}
    for socket in definition.sockets:
        if not is_wanted(definition, socket):
            continue
        for each in socket.listen:
            at = f"{each.origin[0]}:{each.origin[1]}"
            where = f"{at}: Listen{each.kind}={each.address}"
            if each.address.startswith(("/", "@")):
                if each.kind not in PATHS:
                    raise Failure(f"{where}: this kind of socket cannot be opened here")
                address = f"{PATHS[each.kind]}:{escaped(each.address)}"
            else:
                if each.kind not in PORTS:
                    raise Failure(f"{where}: this kind of socket cannot be opened here")
                address = f"{PORTS[each.kind]}:{host_and_port(each.address, socket)}"
            name = socket.file_descriptor_name or socket.name
            found[f"{name}={address}{options(socket, each.kind, each.address)}"] = at
    return found


def clients_at_a_time(definition: "Definition") -> int:
    """How many services there are at most, where each is for one client (Accept=yes); 0: one serves all."""
    return next((each.max_connections for each in definition.sockets if each.accept and is_wanted(definition, each)), 0)


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
    """As --listen has it: a port alone is on every address."""
    if text.isdigit():
        return f"[::]:{text}" if socket.bind_ipv6_only == "ipv6-only" else f":{text}"
    if text.startswith("[::]:") and socket.bind_ipv6_only != "ipv6-only":
        return f":{text.rpartition(':')[2]}"
    return text


def options(socket: "Socket", kind: str, address: str) -> str:
    """What stands behind the address."""
    found = []
    if address.startswith("/"):
        found += [f"mode={socket.socket_mode:04o}", f"folder-mode={socket.directory_mode:04o}"]
        found += [f"user={socket.socket_user}"] * bool(socket.socket_user)
        found += [f"group={socket.socket_group}"] * bool(socket.socket_group)
        found += ["remove-on-stop"] * socket.remove_on_stop
    if kind in ("Stream", "SequentialPacket") and "backlog" in socket.origins and 0 < socket.backlog <= BACKLOG_MAX:
        found.append(f"backlog={socket.backlog}")
    if socket.keep_alive and kind == "Stream" and not address.startswith(("/", "@")):
        found.append("keep-alive")
    return "".join(f",{each}" for each in found)


def escaped(path: str) -> str:
    """With its commas as --listen takes them."""
    return path.replace("\\", "\\\\").replace(",", "\\,") if "," in path else path
