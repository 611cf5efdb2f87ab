"""Values of a Definition as lines of a systemd unit: of each kind of definitions/values.py and the like the way back.

Each is a function of the value, the key, and what the table of directives has behind a kind's name; it returns the
texts of the lines.
"""

import _signal

from cross_init.definitions.definition import INFINITY, SECOND
from cross_init.errors import Failure
from cross_init.writers.unit_words import kept_word, line, literal, plain_word, word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.definition import Bind, Command, Directory

    Texts = tuple[str, ...]
    Form = Callable[..., Texts]

RTMIN = 34  # as glibc leaves them to programs (signal(7))


def command(said: "Command") -> str:
    """One command line (systemd.service(5), "Command lines")."""
    signs = [
        ("-", said.may_fail),
        (":", said.literal),
        ("|", said.login_shell),
        (said.privileges, True),
        ("@", said.argv[:1] != (said.path,)),
    ]
    first = "".join(sign for sign, is_so in signs if is_so) + said.path
    others = said.argv if said.argv[:1] != (said.path,) else said.argv[1:]
    return " ".join(word(literal(each)) for each in (first, *others))


def usec(value: int) -> str:
    """A time span (systemd.time(7))."""
    if value >= INFINITY:
        return "infinity"
    for unit, factor in (("", SECOND), ("ms", 1000)):
        if value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}us"


def signal_name(number: int) -> str:
    """As systemd writes it."""
    for name in sorted(dir(_signal), reverse=True):
        is_one = name.startswith("SIG") and name[3:].isalnum() and not name.startswith("SIGRT")
        if is_one and getattr(_signal, name) == number:
            return name
    return f"RTMIN+{number - RTMIN}" if number >= RTMIN else str(number)


def commands(value: "tuple[Command, ...]", _: str) -> "Texts":
    """Command lines."""
    return tuple(command(each) for each in value)


def boolean(value: bool | None, _: str) -> "Texts":
    """Yes or no."""
    return ("yes" if value else "no",)


def choice(value: str, _: str, *__: str) -> "Texts":
    """A word that is one of several."""
    return (line(value),)


def expanded(value: str, _: str) -> "Texts":
    """A text in which specifiers would be put in."""
    return (line(literal(value)),)


def plain(value: str, _: str) -> "Texts":
    """A text as it is."""
    return (line(value),)


def number(value: int, _: str, *__: int) -> "Texts":
    """A number."""
    return (str(value),)


def mode(value: int, _: str) -> "Texts":
    """A file's mode."""
    return (f"{value:04o}",)


def time(value: int, _: str) -> "Texts":
    """A time."""
    return (usec(value),)


def words(value: "Texts", _: str) -> "Texts":
    """Words that have no blanks: names of units, users, architectures."""
    if any(not each or each != "".join(each.split()) for each in value):
        raise Failure(f"{value}: a unit cannot have such a list")
    return (line(literal(" ".join(value))),)


def install(value: "Texts", _: str) -> "Texts":
    """Names in [Install]."""
    return (line(" ".join(value)),)


def kept_words(value: "Texts", _: str) -> "Texts":
    """Words where a backslash has no meaning."""
    return (" ".join(kept_word(literal(each)) for each in value),)


def paths(value: "Texts", _: str) -> "Texts":
    """Paths."""
    return (" ".join(plain_word(literal(each)) for each in value),)


def search_path(value: "Texts", _: str) -> "Texts":
    """Folders with colons between them."""
    return (line(literal(":".join(value))),)


def raw(value: "Texts", _: str) -> "Texts":
    """What was kept as it was written."""
    return tuple(line(each) for each in value)


def environment(value: tuple[tuple[str, str], ...], _: str) -> "Texts":
    """A variable a line."""
    return tuple(word(literal(f"{name}={text}")) for name, text in value)


def environment_files(value: tuple[tuple[str, bool], ...], _: str) -> "Texts":
    """A file a line."""
    return tuple(line(f"{'-' if may_lack else ''}{literal(path)}") for path, may_lack in value)


def unset(value: "Texts", _: str) -> "Texts":
    """Variables."""
    return (" ".join(word(literal(each)) for each in value),)


def signal(value: int, _: str) -> "Texts":
    """A signal."""
    return (signal_name(value),)


def statuses(value: tuple[tuple[int, ...], tuple[int, ...]], _: str) -> "Texts":
    """Exit codes and signals."""
    return (" ".join([*map(str, value[0]), *map(signal_name, value[1])]),)


def directories(value: "tuple[Directory, ...]", _: str) -> "Texts":
    """Directories, each with its links."""
    found = []
    for each in value:
        path = each.path.replace("\\", "\\\\").replace(":", "\\:")
        for link in each.links or ("",):
            end = f":{link}:ro" if each.read_only else f":{link}" if link else ""
            found.append(kept_word(literal(f"{path}{end}")))
    return (" ".join(found),)


def binds(value: "tuple[Bind, ...]", key: str) -> "Texts":
    """A mount a line, of those that are for this key."""
    is_read_only = "ReadOnly" in key
    found = []
    for each in value:
        if each.read_only == is_read_only:
            source, target = (
                plain_word(literal(path), " \t:")
                for path in (f"{'-' if each.optional else ''}{each.source}", each.target)
            )
            found.append(f"{source}:{target}{'' if each.recursive else ':norbind'}")
    return tuple(found)


def file_systems(value: tuple[tuple[str, str], ...], _: str) -> "Texts":
    """Paths, with their options."""
    return (" ".join(plain_word(f"{literal(path)}{f':{more}' if more else ''}") for path, more in value),)


def numbers(value: tuple[int, ...], _: str) -> "Texts":
    """Numbers."""
    return (" ".join(map(str, value)),)


def capabilities(value: int, _: str, *__: int) -> "Texts":
    """Names; behind ~ those that are not to be."""
    from cross_init.definitions.restrictions import ALL, CAPABILITIES

    names = tuple(f"CAP_{name.upper()}" for name in CAPABILITIES)
    if value == ALL:
        return ("~",)
    is_inverted = bool(value >> len(names))
    named = [name for at, name in enumerate(names) if bool(value >> at & 1) != is_inverted]
    return ("~" * is_inverted + " ".join(named),)


def secure_bits(value: int, _: str) -> "Texts":
    """Names of bits."""
    from cross_init.definitions.restrictions import SECURE_BITS

    return (" ".join(name for name, bit in SECURE_BITS.items() if value & bit),)


def namespaces(value: "Texts", _: str) -> "Texts":
    """Those that may be made."""
    return (" ".join(value) or "yes",)


def system_calls(value: "tuple[tuple[bool, Texts], ...]", _: str) -> "Texts":
    """A line for each that was written."""
    return tuple(f"{'' if is_plain else '~'}{line(' '.join(names))}" for is_plain, names in value)


def base64(data: bytes) -> str:
    """As systemd reads it."""
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def input_data(value: bytes, _: str) -> "Texts":
    """What it reads, in Base64."""
    return (base64(value),)


def pairs(value: tuple[tuple[str, str], ...], _: str) -> "Texts":
    """NAME:TEXT."""
    return tuple(line(literal(f"{name}:{text}" if text else name)) for name, text in value)


def data(value: tuple[tuple[str, bytes], ...], _: str) -> "Texts":
    """NAME:TEXT, with each byte escaped."""
    return tuple(f"{line(literal(name))}:{''.join(f'{chr(92)}x{byte:02x}' for byte in text)}" for name, text in value)


def encrypted(value: tuple[tuple[str, bytes], ...], _: str) -> "Texts":
    """NAME:BASE64."""
    return tuple(f"{line(literal(name))}:{base64(text)}" for name, text in value)


def open_files(value: "tuple[tuple[str, str, Texts], ...]", _: str) -> "Texts":
    """PATH:NAME:OPTIONS."""
    return tuple(line(f"{literal(path)}:{name}:{','.join(options)}".rstrip(":")) for path, name, options in value)


FORMS: "dict[str, Form]" = {
    **dict.fromkeys(("boolean", "boolean_or_none", "tristate"), boolean),
    **dict.fromkeys(
        ("choice", "choice_or_truth", "private_tmp", "kill_mode", "scheduling.cpu_policy", "scheduling.io_class"),
        choice,
    ),
    **dict.fromkeys(("streams.facility", "streams.level", "streams.level_or_none", "sockets.ipv6_only"), choice),
    **dict.fromkeys(("sockets.timestamping", "scheduling.personality"), choice),
    **dict.fromkeys(("string", "path", "path_or_none", "pid_file", "account", "hostname"), expanded),
    **dict.fromkeys(
        ("streams.standard_input", "streams.standard_output", "sockets.bus_name", "streams.namespace"), expanded
    ),
    **dict.fromkeys(("sockets.service", "sockets.descriptor_name"), expanded),
    **dict.fromkeys(("plain", "sockets.interface"), plain),
    **dict.fromkeys(
        ("unsigned", "integer", "integer_or_none", "size", "scheduling.nice", "scheduling.oom_score"), number
    ),
    **dict.fromkeys(("scheduling.cpu_priority", "scheduling.io_priority", "scheduling.nsec"), number),
    **dict.fromkeys(("restrictions.error_number", "sockets.type_of_service"), number),
    "mode": mode,
    **dict.fromkeys(("seconds", "seconds_or_infinity", "seconds_not_zero", "seconds_or_none"), time),
    **dict.fromkeys(("names", "accounts", "restrictions.architectures", "sockets.units"), words),
    "install_names": install,
    **dict.fromkeys(("strings", "urls"), kept_words),
    **dict.fromkeys(("paths", "mounts", "folders.flagged_paths"), paths),
    "search_path": search_path,
    "raw": raw,
    "exec_lines.commands": commands,
    "environment.variables": environment,
    "environment.files": environment_files,
    "environment.names": words,
    "environment.names_or_variables": unset,
    "signals.signal": signal,
    "signals.statuses": statuses,
    "folders.directories": directories,
    "folders.binds": binds,
    "folders.file_systems": file_systems,
    **dict.fromkeys(("scheduling.affinity", "scheduling.nodes"), numbers),
    "scheduling.coredump_filter": lambda value, _: (f"{value:#x}",),
    "restrictions.capabilities": capabilities,
    "restrictions.secure_bits": secure_bits,
    "restrictions.namespaces": namespaces,
    "restrictions.system_calls": system_calls,
    "streams.input_data": input_data,
    **dict.fromkeys(("streams.load_credential", "streams.import_credential"), pairs),
    "streams.set_credential": data,
    "streams.set_credential_encrypted": encrypted,
    "streams.open_file": open_files,
}
