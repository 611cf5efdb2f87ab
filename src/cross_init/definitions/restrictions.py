"""Values about what a service may do: capabilities, namespaces, address families, file systems, system calls."""

from cross_init.definitions.reading import Reading
from cross_init.definitions.values import number, truth
from cross_init.definitions.words import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Known = Callable[[str], tuple[str, ...]]

Texts = tuple[str, ...]
Filter = tuple[tuple[bool, Texts], ...]
# capabilities(7), by their numbers (linux/capability.h).
CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)
ALL = (1 << 64) - 1
SECURE_BITS = {
    "noroot": 1 << 0,
    "noroot-locked": 1 << 1,
    "no-setuid-fixup": 1 << 2,
    "no-setuid-fixup-locked": 1 << 3,
    "keep-caps": 1 << 4,
    "keep-caps-locked": 1 << 5,
}
NAMESPACES = ("cgroup", "ipc", "net", "mnt", "pid", "user", "uts", "time")


def capabilities(text: str, old: int, reading: Reading, initial: int) -> int:
    """Names; behind ~ those that are not to be. initial: what the field has before anything is said."""
    is_inverted = text.startswith("~")
    mask = 0
    for word in _words_to_the_end(text.removeprefix("~")):
        name = word.lower().removeprefix("cap_")
        if name in CAPABILITIES and name != word.lower():
            mask |= 1 << CAPABILITIES.index(name)
        elif word.isascii() and word.isdigit() and int(word) < 64:
            mask |= 1 << int(word)
        else:
            reading.remark(f"{word}: it is no capability that is known")
    if mask == 0 or old == initial:
        return ALL & ~mask if is_inverted else mask
    return old & ~mask if is_inverted else old | mask


def _words_to_the_end(text: str) -> list[str]:
    """Words; a quotation mark without an end goes to the end, as since systemd 256. Raises ValueError."""
    for end in ("", "'", '"'):
        try:
            return list(words(text + end))
        except ValueError:
            pass
    return list(words(text))


def secure_bits(text: str, _: object, reading: Reading) -> int:
    """Names of bits."""
    mask = 0
    for word in words(text):
        if word not in SECURE_BITS:
            reading.remark(f"{word}: it is no secure bit")
        mask |= SECURE_BITS.get(word, 0)
    return mask


def namespaces(text: str, old: Texts | None, reading: Reading) -> Texts | None:
    """Those that may be made; None if that is all. Behind ~ those that may not."""
    said = truth(text) if text else False
    if said is not None:
        return () if said else None
    is_inverted = text.startswith("~")
    named = list(words(text.removeprefix("~"), quotes=False))
    for word in named:
        if word not in NAMESPACES:
            raise ValueError(f"{word}: it is no namespace")
    if old is None:
        return tuple(each for each in NAMESPACES if (each in named) != is_inverted)
    return tuple(each for each in NAMESPACES if (each in old or each in named) and not (is_inverted and each in named))


def families(text: str, old: Texts, reading: Reading) -> Texts:
    """Address families; behind ~ those that may not be; none: no family at all."""
    context = reading.context
    if text in ("", "none"):
        context.restrict_address_families_allow = True if text else None
        return ()
    is_inverted = text.startswith("~")
    if context.restrict_address_families_allow is None or not old:
        context.restrict_address_families_allow = not is_inverted
    return _list(text, old, is_inverted, bool(context.restrict_address_families_allow), _family, reading)


def _family(word: str) -> Texts:
    """Raises ValueError."""
    name = SAME_FAMILIES.get(word, word)
    if not name.startswith("AF_") or name[3:] not in FAMILIES:
        raise ValueError(f"{word}: it is no address family")
    return (name,)


SAME_FAMILIES = {"AF_LOCAL": "AF_UNIX", "AF_FILE": "AF_UNIX", "AF_ROUTE": "AF_NETLINK"}
# Of socket(2), without AF_ (bits/socket.h): each has the number of its place, the first is 1.
FAMILIES = (
    *("UNIX", "INET", "AX25", "IPX", "APPLETALK", "NETROM", "BRIDGE", "ATMPVC", "X25", "INET6", "ROSE", "DECnet"),
    *("NETBEUI", "SECURITY", "KEY", "NETLINK", "PACKET", "ASH", "ECONET", "ATMSVC", "RDS", "SNA", "IRDA", "PPPOX"),
    *("WANPIPE", "LLC", "IB", "MPLS", "CAN", "TIPC", "BLUETOOTH", "IUCV", "RXRPC", "ISDN", "PHONET", "IEEE802154"),
    *("CAIF", "ALG", "NFC", "VSOCK", "KCM", "QIPCRTR", "SMC", "XDP", "MCTP"),
)


def file_system_types(text: str, old: Texts, reading: Reading) -> Texts:
    """Types of file systems, and groups of them (@...); behind ~ those that may not be."""
    if not text:
        reading.context.restrict_file_systems_allow = False
        return ()
    is_inverted = text.startswith("~")
    if not old:
        reading.context.restrict_file_systems_allow = not is_inverted
    allow = reading.context.restrict_file_systems_allow
    return _list(text, old, is_inverted, allow, lambda word: (word,), reading)


def _list(text: str, old: Texts, is_inverted: bool, allow: bool, known: "Known", reading: Reading) -> Texts:
    """A list of what is allowed, or of what is not, with more added to it or taken out."""
    found = list(old)
    for word in words(text.removeprefix("~")):
        try:
            each = known(word)
        except ValueError as error:
            reading.remark(str(error))
            continue
        if is_inverted == allow:
            found = [one for one in found if one not in each]
        else:
            found += [one for one in each if one not in found]
    return tuple(found)


def system_calls(text: str, old: Filter, reading: Reading) -> Filter:
    """One line's words, as they stand there; an empty line resets them."""
    if not text:
        return ()
    is_inverted = text.startswith("~")
    return (*old, (not is_inverted, tuple(words(text.removeprefix("~"), quotes=False))))


def architectures(text: str, old: Texts, reading: Reading) -> Texts:
    """Architectures whose system calls may be made."""
    found = list(old) if text else []
    for word in words(text):
        if word not in ARCHITECTURES:
            reading.remark(f"{word}: it is no architecture")
        elif word not in found:
            found.append(word)
    return tuple(found)


ARCHITECTURES = (  # systemd.exec(5), SystemCallArchitectures=
    *("native", "x86", "x86-64", "x32", "arm", "arm64", "loongarch64", "mips", "mips64", "mips64-n32", "mips-le"),
    *("mips64-le", "mips64-le-n32", "parisc", "parisc64", "ppc", "ppc64", "ppc64-le", "riscv64", "s390", "s390x"),
)


def error_number(text: str, _: object, reading: Reading) -> int:
    """An error by name or number; 0 for kill."""
    if text in ("", "kill"):
        return 0
    import errno

    found = getattr(errno, text, None)
    return found if isinstance(found, int) else number(text, 1, 4095)
