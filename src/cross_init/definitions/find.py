"""Where a unit's files are: systemd's search path, names and their links, templates, drop-ins (systemd.unit(5))."""

import posix
from _stat import S_ISLNK, S_ISREG

from cross_init.errors import Failure, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OF_SYSTEM = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
OF_ALL_USERS = ("/usr/local/lib/systemd/user", "/usr/lib/systemd/user", "/lib/systemd/user")
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@"
OTHERS = (".target", ".timer", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device")
SUFFIXES = (".d", ".wants", ".requires")  # of folders beside a unit
NAME_MOST = 255
ELOOP = 40
FOLLOWED_MOST = 32  # links, one after the other


class Found:
    """A unit's files. name: whole. asked: the name that it was looked for by, which may be another of its names.

    fragment: its own file. drop_ins: in the order in which they count.
    """

    def __init__(self, name: str, asked: str, fragment: str) -> None:
        self.name = name
        self.asked = asked
        self.fragment = fragment
        self.aliases: tuple[str, ...] = ()
        self.drop_ins: tuple[str, ...] = ()
        self.wants: tuple[str, ...] = ()  # links in NAME.wants
        self.requires: tuple[str, ...] = ()

    @property
    def instance(self) -> str:
        """What stands behind the "@" of its name."""
        return instance_of(self.name)


def instance_of(name: str) -> str:
    """What stands behind the "@" of a name, "" if it has none."""
    return name.partition("@")[2].rpartition(".")[0]


def find(said: str, of_user: bool, more: tuple[str, ...]) -> Found:
    """A unit by its name, or the path of its file. more: folders that are looked in first. Raises Failure."""
    folder, slash, name = said.rpartition("/")
    if name.endswith(OTHERS):
        raise Failure(f"{said}: that is no service: a unit that can be run is called NAME.service")
    if slash and not name.endswith((".service", ".socket")) and _mode(said) is not None:
        raise Failure(f"{said}: a unit's file is called NAME.service, and a job's NAME.conf")
    name = name if name.endswith((".service", ".socket")) else f"{name}.service"
    check_name(name)
    usual = search_path(of_user)
    if slash:
        folders: tuple[str, ...] = (folder or "/", *more, *usual)
        found = _resolve(name, folders, folders[:1])
        if found is None:
            raise Failure(f"{said}: there is no such file")
    else:
        folders = (*more, *usual)
        found = _resolve(name, folders, folders)
        if found is None:
            where = "a user's manager" if of_user else "the system's"
            raise Failure(f"{name}: there is no such unit in the folders of {where} ({_places(folders)})")
    if is_masked(found.fragment):
        raise Failure(f"{found.name}: it is masked ({found.fragment} is empty, or a link to /dev/null)")
    _add_drop_ins(found, folders)
    return found


def check_name(name: str) -> None:
    """Raises Failure."""
    prefix = name.rpartition(".")[0]
    if not prefix or prefix[0] == "@" or len(name) > NAME_MOST or any(letter not in LETTERS for letter in name):
        raise Failure(f"{name}: that is no name of a unit")
    if prefix.endswith("@"):
        raise Failure(f"{name}: it is a template; say which instance, as {prefix}NAME.{name.rpartition('.')[2]}")


def search_path(of_user: bool) -> tuple[str, ...]:
    """The folders, those that count first first (systemd.unit(5), "Unit File Load Path")."""
    said = _variable("SYSTEMD_UNIT_PATH")
    usual = _of_user() if of_user else OF_SYSTEM
    if not said:
        return usual
    return (*filter(None, said.split(":")), *(usual if said.endswith(":") else ()))


def _of_user() -> tuple[str, ...]:
    from cross_init.definitions.specifiers import home

    try:
        config = _variable("XDG_CONFIG_HOME") or f"{home()}/.config"
        data = _variable("XDG_DATA_HOME") or f"{home()}/.local/share"
    except ValueError as error:
        raise Failure(f"--user: {error}") from None
    runtime = _variable("XDG_RUNTIME_DIR") or "/nonexistent"
    config_dirs = (_variable("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    data_dirs = (_variable("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return (
        f"{config}/systemd/user.control",
        f"{runtime}/systemd/user.control",
        f"{runtime}/systemd/transient",
        f"{runtime}/systemd/generator.early",
        f"{config}/systemd/user",
        *(f"{each}/systemd/user" for each in config_dirs),
        "/etc/systemd/user",
        f"{runtime}/systemd/user",
        "/run/systemd/user",
        f"{runtime}/systemd/generator",
        f"{data}/systemd/user",
        *(f"{each}/systemd/user" for each in data_dirs),
        *OF_ALL_USERS,
        f"{runtime}/systemd/generator.late",
    )


def _variable(name: str) -> str:
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def _places(folders: tuple[str, ...]) -> str:
    there = [each for each in dict.fromkeys(map(_real, folders)) if _mode(each) is not None]
    return ", ".join(there) or "none of which is there"


def _mode(path: str) -> int | None:
    try:
        return posix.lstat(path).st_mode
    except OSError:
        return None


def _real(folder: str) -> str:
    """A folder without links in its path; itself if it is not there."""
    try:
        fd = posix.open(folder, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    except OSError:
        return folder
    try:
        return posix.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return folder
    finally:
        posix.close(fd)


def _resolve(name: str, folders: tuple[str, ...], own: tuple[str, ...]) -> Found | None:
    """Follow links from name to name, and from an instance to its template. own: where the first is. Raises Failure."""
    instance = instance_of(name)
    asked = name
    for _ in range(FOLLOWED_MOST):
        path, target = _entry(name, folders, own)
        if not path and instance:
            template = f"{name.partition('@')[0]}@.{name.rpartition('.')[2]}"
            path, target = _entry(template, folders, own)
        if not path:
            return None
        if not target:
            # A file that is a template's has the instance's name.
            file = path.rpartition("/")[2]
            if file.partition("@")[2].startswith("."):
                file = f"{file.partition('@')[0]}@{instance}.{file.rpartition('.')[2]}"
            return Found(name if _is_linked(path) else file, asked, path)
        name, own = target, folders
        if name.partition("@")[2].startswith("."):
            name = f"{name.partition('@')[0]}@{instance}.{name.rpartition('.')[2]}"
        instance = instance_of(name) or instance
    raise Failure(f"{asked}: its links lead in a circle, from one name to the next ({path})")


def _is_linked(path: str) -> bool:
    mode = _mode(path)
    return mode is not None and S_ISLNK(mode)


def _entry(name: str, folders: tuple[str, ...], own: tuple[str, ...]) -> tuple[str, str]:
    """The first file of this name, "" if there is none; and the other name if it is a link to one."""
    for folder in own:
        path = f"{folder}/{name}"
        mode = _mode(path)
        if mode is None or not (S_ISREG(mode) or S_ISLNK(mode)):
            continue
        if S_ISREG(mode):
            return path, ""
        target = posix.readlink(path)
        target = target if target.startswith("/") else f"{folder}/{target}"
        parent, _, file = target.rpartition("/")
        parent = _real(parent or "/")
        if parent not in (*folders, *map(_real, folders)):
            return path, ""  # a linked file, or one that is masked
        if _is_alias(name, file):
            return path, file
    return "", ""


def _is_alias(name: str, target: str) -> bool:
    """Whether a unit of this name may be a link to another of that name (systemd.unit(5), "Description")."""
    if name == target or name.rpartition(".")[2] != target.rpartition(".")[2]:
        return False
    instance, other = instance_of(name), instance_of(target)
    if ("@" in name) != ("@" in target):
        return False
    return instance == other or (bool(instance) and not other)


def is_masked(path: str) -> bool:
    """Whether it is empty, or a link to /dev/null. Raises Failure."""
    try:
        found = posix.stat(path)
    except OSError as error:
        raise Failure(f"{path}: {why(error)}") from None
    return found.st_size == 0 if S_ISREG(found.st_mode) else True


def _add_drop_ins(found: Found, folders: tuple[str, ...]) -> None:
    """Drop-ins of its names, of their prefixes and of its type; of two with one file name the first one counts."""
    listed = _folders_in(folders)
    kind = found.name.rpartition(".")[2]
    ending = f".{kind}.d"
    beside = {entry.removesuffix(".d") for entries in listed.values() for entry in entries if entry.endswith(ending)}
    aliases = []
    for name in sorted(beside - {found.name}):
        other = name.replace("@.", f"@{found.instance}.", 1) if "@." in name and found.instance else name
        try:
            same = _resolve(other, folders, folders)
        except Failure:
            continue  # its own links lead in a circle
        if same is not None and same.name == found.name and other != found.name:
            aliases.append(other)
    found.aliases = tuple(dict.fromkeys(aliases))
    files: dict[str, str] = {}
    for place in _places_of(".d", (found.name, *found.aliases, kind), listed):
        for entry in _listed(place):
            if entry.endswith(".conf") and not entry.startswith("."):
                files.setdefault(entry, f"{place}/{entry}")
    found.drop_ins = tuple(files[entry] for entry in sorted(files))
    for suffix in ("wants", "requires"):
        links: dict[str, str] = {}
        for place in _places_of(f".{suffix}", (found.name, *found.aliases, kind), listed):
            for entry in _listed(place):
                links.setdefault(entry, f"{place}/{entry}")
        names = [entry for entry in sorted(links) if _is_linked(links[entry]) and not _is_null(links[entry])]
        setattr(found, suffix, tuple(names))


def _folders_in(folders: tuple[str, ...]) -> "dict[str, frozenset[str]]":
    """What may be folders of drop-ins in each of these, of which no two are the same."""
    found: dict[str, frozenset[str]] = {}
    known = set()
    for folder in folders:
        try:
            place = posix.stat(folder)
        except OSError:
            continue
        if (place.st_dev, place.st_ino) not in known:
            known.add((place.st_dev, place.st_ino))
            found[folder] = frozenset(entry for entry in _listed(folder) if entry.endswith(SUFFIXES))
    return found


def _is_null(path: str) -> bool:
    return posix.readlink(path) == "/dev/null"


def _listed(folder: str) -> tuple[str, ...]:
    try:
        return tuple(posix.listdir(folder))
    except OSError as error:
        if error.errno == ELOOP:
            raise Failure(f"{folder}: its links lead in a circle") from None
        return ()


def _places_of(suffix: str, names: tuple[str, ...], listed: "dict[str, frozenset[str]]") -> "Iterator[str]":
    """The folders of drop-ins of these names: NAME.d, of a template and of prefixes as well."""
    for name in names:
        for folder, entries in listed.items():
            for each in _forms(name):
                if f"{each}{suffix}" in entries:
                    yield f"{folder}/{each}{suffix}"


def _forms(name: str) -> "Iterator[str]":
    """The name, that of its template, and both cut behind each dash, the longest first."""
    yield name
    if "." not in name:
        return  # the type itself
    prefix, at, rest = name.partition("@")
    kind = name.rpartition(".")[2]
    instance = rest.rpartition(".")[0] if at else ""
    if instance:
        yield from _forms(f"{prefix}@.{kind}")
    prefix = prefix if at else name.rpartition(".")[0]
    cut = prefix.removesuffix("-") if prefix.endswith("-") else prefix
    shorter = cut.rpartition("-")[0]
    if shorter:
        yield from _forms(f"{shorter}-{f'@{instance}' if instance else ''}.{kind}")
