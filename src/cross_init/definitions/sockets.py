"""Values of socket units and of conditions: Listen...=, Condition...=, Assert...=."""

from cross_init.definitions.definition import Check, Listen
from cross_init.definitions.reading import Reading
from cross_init.definitions.values import INT_MAX, number, simplified, without_var
from cross_init.definitions.words import BLANKS
from cross_init.kernel.netlink_families import NAMES

Listens = tuple[Listen, ...]
Checks = tuple[Check, ...]
INTERFACE_MOST = 16  # IFNAMSIZ
VSOCK_MOST = (1 << 32) - 1  # vsock(7)
UNIX_MOST = 107  # bytes of a path (unix(7))
IP_TOS = {"low-delay": 0x10, "throughput": 0x08, "reliability": 0x04, "low-cost": 0x02}


def listen(text: str, old: Listens, reading: Reading) -> Listens:
    """One more, behind those of all kinds that stand before it; an empty line resets all of them."""
    if not text:
        return ()
    kind = reading.key.removeprefix("Listen")
    said = reading.expand(text)
    if kind in ("FIFO", "Special", "MessageQueue", "USBFunction"):
        said = simplified(said)
        said = without_var(said) if kind == "FIFO" else said
    elif kind == "Netlink":
        said = netlink(said)
    else:
        said = address(said)
        if kind == "SequentialPacket" and said[0] not in "/@":
            raise ValueError("sequential packets are for UNIX sockets")
    return (*old, Listen(kind, said, reading.origin))


def address(text: str) -> str:
    """An address of a socket, as systemd writes it. Raises ValueError."""
    if text.startswith("/"):
        path = without_var(text)
        if len(path.encode("utf-8", "surrogateescape")) > UNIX_MOST:
            raise ValueError("the path is too long for a socket")
        return path
    if text.startswith("@"):
        if not 1 < len(text.encode("utf-8", "surrogateescape")) <= UNIX_MOST + 1:
            raise ValueError("it is no name of an abstract socket")
        return text
    if text.startswith("vsock"):
        return vsock(text)
    if text.isdigit():
        return f"[::]:{number(text, 1, 65535)}"
    host, colon, port = text.rpartition(":")
    import _socket

    try:
        if host.startswith("["):
            inside, bracket, behind = host[1:].partition("]")
            if not bracket or behind or "%" in inside:
                raise ValueError
            port, _, zone = port.partition("%")
            name = _socket.inet_ntop(_socket.AF_INET6, _socket.inet_pton(_socket.AF_INET6, inside))
            return f"[{name}]:{number(port, 1, 65535)}{f'%{zone}' if zone else ''}"
        if colon:
            name = _socket.inet_ntop(_socket.AF_INET, _socket.inet_pton(_socket.AF_INET, host))
            return f"{name}:{number(port, 1, 65535)}"
    except (OSError, ValueError):
        pass
    raise ValueError("it is no address: a path, @NAME, PORT, IPv4:PORT or [IPv6]:PORT")


def vsock(text: str) -> str:
    """vsock:CID:PORT, of which the CID may be left out for all. Raises ValueError."""
    kind, _, rest = text.partition(":")
    cid, colon, port = rest.partition(":")
    if not colon or kind not in ("vsock", "vsock-stream", "vsock-dgram", "vsock-seqpacket"):
        raise ValueError("it is no address: write vsock:CID:PORT")
    return f"vsock:{number(cid, 0, VSOCK_MOST) if cid else ''}:{number(port, 0, VSOCK_MOST)}"


def netlink(text: str) -> str:
    """FAMILY GROUP, of which the family alone will do. Raises ValueError."""
    family, _, group = text.partition(" ")
    if family not in NAMES.values():
        known = number(family, 0, INT_MAX)
        family = NAMES.get(known, str(known))
    return f"{family} {number(group, 0, (1 << 32) - 1) if group.strip(BLANKS) else 0}"


def service(text: str, _: object, reading: Reading) -> str:
    """The service that the sockets are for."""
    name = reading.expand(text, of_name=True)
    if not name.endswith(".service"):
        raise ValueError("it is no service")
    return name


def interface(text: str, _: object, reading: Reading) -> str:
    """A network interface, or * for all."""
    if text == "*":
        return ""
    is_name = text not in (".", "..") and len(text) < INTERFACE_MOST and not (text.isascii() and text.isdigit())
    if text and not (is_name and all(32 < ord(letter) < 127 and letter not in ":/%" for letter in text)):
        raise ValueError("it is no network interface")
    return text


def descriptor_name(text: str, _: object, reading: Reading) -> str:
    """The name of descriptors."""
    name = reading.expand(text)
    if any(ord(letter) < 32 or ord(letter) >= 127 or letter == ":" for letter in name) or len(name) > 255:
        raise ValueError(f"{name}: it is no name of a descriptor")
    return name


def type_of_service(text: str, _: object, reading: Reading) -> int | None:
    """IP_TOS of ip(7), by name or number."""
    return IP_TOS[text] if text in IP_TOS else number(text, 0, 255) if text else None


def ipv6_only(text: str, _: object, reading: Reading) -> str:
    """Whether IPv6 sockets take IPv4 as well."""
    known = {"0": "both", "no": "both", "1": "ipv6-only", "yes": "ipv6-only", "true": "ipv6-only", "false": "both"}
    said = known.get(text, text)
    if said not in ("default", "both", "ipv6-only"):
        raise ValueError("it may be default, both, ipv6-only")
    return said


def timestamping(text: str, _: object, reading: Reading) -> str:
    """How exact the times of packets are."""
    known = {"": "off", "usec": "us", "µs": "us", "μs": "us", "nsec": "ns"}
    said = known.get(text, text)
    if said not in ("off", "us", "ns"):
        raise ValueError("it may be off, us, ns")
    return said


def bus_name(text: str, _: object, reading: Reading) -> str:
    """A well-known name on D-Bus."""
    name = reading.expand(text)
    is_unique = name.startswith(":")
    parts = name.removeprefix(":").split(".")
    letters = "".join(parts).replace("_", "").replace("-", "")
    if len(parts) < 2 or not (letters.isascii() and letters.isalnum()) or len(name) > 255:
        raise ValueError(f"{name}: it is no name on a bus")
    if any(not part or (part[0].isdigit() and not is_unique) for part in parts):
        raise ValueError(f"{name}: it is no name on a bus")
    return name


def units(text: str, old: tuple[str, ...], reading: Reading) -> tuple[str, ...]:
    """Sockets=: names of socket units; nothing resets them."""
    found = list(old)
    for word in text.split():
        name = reading.expand(word, of_name=True)
        if name.endswith(".socket"):
            found.append(name)
        else:
            reading.remark(f"{name}: it is no socket unit")
    return tuple(found)


def check(text: str, old: Checks, reading: Reading, *paths: str) -> Checks:
    """One more condition; an empty one resets the conditions, or the asserts, of all kinds."""
    is_assert = reading.key.startswith("Assert")
    if not text:
        return tuple(each for each in old if each.is_assert != is_assert)
    is_path = bool(paths)
    blanks = "" if is_path else BLANKS
    rest = text.removeprefix("|")
    rest = rest.lstrip(blanks) if rest != text and blanks else rest
    triggers = text.startswith("|")
    negated = rest.startswith("!")
    rest = rest.removeprefix("!")
    rest = rest.lstrip(blanks) if negated and blanks else rest
    said = reading.expand(rest)
    kind = reading.key.removeprefix("Condition").removeprefix("Assert")
    said = simplified(said) if is_path else said
    return (*old, Check(kind, said, is_assert, triggers, negated, reading.origin))
