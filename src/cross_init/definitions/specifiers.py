"""The specifiers of a unit's values, %i and its like (systemd.unit(5), "Specifiers"). Imported when there is one."""

import posix

from cross_init.errors import Failure, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.reading import Reading

MACHINES = {  # uname(2): what systemd calls it (systemd.unit(5), ConditionArchitecture=)
    "x86_64": "x86-64",
    "aarch64": "arm64",
    "aarch64_be": "arm64-be",
    "ppc64le": "ppc64-le",
    "ppcle": "ppc-le",
    "mips64el": "mips64-le",
    "mipsel": "mips-le",
    "loongarch64": "loongarch64",
    "sh5": "sh64",
    **dict.fromkeys(("i686", "i586", "i486", "i386"), "x86"),
    **dict.fromkeys(("armv4l", "armv4tl", "armv5tl", "armv5tel", "armv5tejl", "armv6l", "armv7l", "armv8l"), "arm"),
}
OF_OS = {"A": "IMAGE_VERSION", "B": "BUILD_ID", "M": "IMAGE_ID", "o": "ID", "w": "VERSION_ID", "W": "VARIANT_ID"}
OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
OF_SYSTEM = {"t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "D": "/usr/share"}
OF_USER = {  # the variable, and what holds below the home where it is not set
    "t": ("XDG_RUNTIME_DIR", ""),
    "S": ("XDG_STATE_HOME", ".local/state"),
    "C": ("XDG_CACHE_HOME", ".cache"),
    "L": ("XDG_STATE_HOME", ".local/state"),
    "E": ("XDG_CONFIG_HOME", ".config"),
    "D": ("XDG_DATA_HOME", ".local/share"),
}
# A unit's own. In a name of a unit those that may hold a slash are not known.
OF_NAME = "injNp"


def expand(text: str, reading: "Reading", of_name: bool = False) -> str:
    """The text with them put in. of_name: it is to be the name of a unit. Raises ValueError."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter != "%" or at == len(text):
            parts.append(letter)
            continue
        which = text[at]
        at += 1
        if which == "%":
            parts.append("%")
        elif not (which.isascii() and which.isalnum()):
            parts.append(f"%{which}")
        else:
            parts.append(_value(which, reading, of_name))
    return "".join(parts)


def _value(which: str, reading: "Reading", of_name: bool) -> str:
    """What this one stands for. Raises ValueError."""
    if which in OF_OS:
        return _of_file(OS_RELEASE, OF_OS[which])
    if which in SIMPLE:
        return SIMPLE[which]()
    own = _own(reading)
    if which in own and (not of_name or which in OF_NAME):
        return own[which]
    if which in "uUgG":
        return _who(which, reading.of_user)
    if of_name or which not in (*OF_SYSTEM, *"dhsTV"):
        raise ValueError(f"%{which} is no specifier{' of a name' if of_name else ''}")
    if which == "h":
        return home() if reading.of_user else "/root"
    if which == "s":
        return _shell(reading.of_user)
    if which in "TV":
        names = (b"TMPDIR", b"TEMP", b"TMP")
        said = [posix.environ[name] for name in names if posix.environ.get(name, b"").startswith(b"/")]
        return said[0].decode("utf-8", "surrogateescape") if said else {"T": "/tmp", "V": "/var/tmp"}[which]  # noqa: S108
    if which == "d":
        return f"{folder('t', reading.of_user)}/credentials/{reading.name}"
    return folder(which, reading.of_user)


def folder(which: str, of_user: bool) -> str:
    """The folder of a kind, as %t has it. Raises ValueError, and Failure if that is nobody's mistake in a unit."""
    if not of_user:
        return OF_SYSTEM[which]
    variable, below = OF_USER[which]
    said = posix.environ.get(variable.encode(), b"").decode("utf-8", "surrogateescape")
    if not said.startswith("/"):
        said = f"{home()}/{below}" if below else f"/run/user/{posix.getuid()}"
        if not below and not _is_there(said):
            raise Failure(f"%{which}, in a unit of a user: {variable} is not set, and there is no {said}; set it")
    return f"{said}/log" if which == "L" else said


def _is_there(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def home() -> str:
    """The home of who runs us."""
    said = posix.environ.get(b"HOME", b"").decode("utf-8", "surrogateescape")
    return said if said.startswith("/") else _account().pw_dir


def unescaped(text: str) -> str:
    """A name's part with its escapes undone (systemd.unit(5), "String escaping"). Raises ValueError."""
    parts = text.replace("-", "/").split("\\x")
    for at, part in enumerate(parts[1:], 1):
        try:
            parts[at] = bytes([int(part[:2], 16)]).decode("latin-1") + part[2:]
        except ValueError:
            raise ValueError(f"\\x{part[:2]} in the unit's name means nothing") from None
    whole = "".join(parts)
    return whole if len(parts) == 1 else whole.encode("latin-1", "replace").decode("utf-8", "surrogateescape")


def unescaped_path(text: str) -> str:
    """The path that a name's part stands for. Raises ValueError."""
    return "/" if text == "-" else f"/{unescaped(text)}"


def _own(reading: "Reading") -> dict[str, str]:
    """What the unit's own name and file say."""
    whole = reading.name.rpartition(".")[0]
    prefix = whole.partition("@")[0]
    last = prefix.rpartition("-")[2]
    return {
        "i": reading.instance,
        "I": unescaped(reading.instance),
        "j": last,
        "J": unescaped(last),
        "n": reading.name,
        "N": whole,
        "p": prefix,
        "P": unescaped(prefix),
        "f": unescaped_path(reading.instance or prefix),
        "y": reading.fragment,
        "Y": reading.fragment.rpartition("/")[0],
    }


def _who(which: str, of_user: bool) -> str:
    """The user or group of the manager."""
    if which == "U":
        return str(posix.getuid() if of_user else 0)
    if which == "G":
        return str(posix.getgid() if of_user else 0)
    if not of_user:
        return "root"
    if which == "u":
        return str(_account().pw_name)
    from grp import getgrgid

    try:
        return getgrgid(posix.getgid()).gr_name
    except KeyError:
        return str(posix.getgid())


def _account() -> "pwd.struct_passwd":
    import pwd

    try:
        return pwd.getpwuid(posix.getuid())
    except KeyError:
        raise ValueError(f"user {posix.getuid()} has no entry in the user database") from None


def _shell(of_user: bool) -> str:
    if of_user:
        said = posix.environ.get(b"SHELL", b"").decode("utf-8", "surrogateescape")
        return said if said.startswith("/") else str(_account().pw_shell)
    return "/bin/sh"


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readline().strip()
    except OSError as error:
        raise ValueError(f"{path}: {why(error)}") from None


def _of_file(paths: tuple[str, ...], name: str) -> str:
    """A variable in the first of these files that is there (os-release(5)), "" if it has none. Raises ValueError."""
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                said = [line.partition("=")[2].strip() for line in file if line.startswith(f"{name}=")]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ValueError(f"{path}: {why(error)}") from None
        return said[-1].strip("\"'") if said else ""
    raise ValueError(f"{paths[0]} is not there")


def _short_host() -> str:
    return posix.uname().nodename.partition(".")[0]


def _pretty_host() -> str:
    try:
        return _of_file(("/etc/machine-info",), "PRETTY_HOSTNAME") or _short_host()
    except ValueError:
        return _short_host()


SIMPLE: "dict[str, Callable[[], str]]" = {
    "a": lambda: MACHINES.get(posix.uname().machine, posix.uname().machine),
    "b": lambda: _first_line("/proc/sys/kernel/random/boot_id").replace("-", ""),
    "H": lambda: posix.uname().nodename,
    "l": _short_host,
    "m": lambda: _first_line("/etc/machine-id"),
    "q": _pretty_host,
    "v": lambda: posix.uname().release,
}
if TYPE_CHECKING:
    import pwd
