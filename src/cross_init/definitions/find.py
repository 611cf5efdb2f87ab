"""Where a unit's files are: systemd's search path, names and their links, templates, drop-ins (systemd.unit(5))."""

import posix

from cross_init.errors import Failure, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Names = frozenset[str] | None  # what is in a folder; None: we may not know
    Seen = dict[str, tuple[tuple[int, int], Names] | None]  # which folder it is, and that; None: there is none

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
NAME_MOST = 255
ELOOP = 40
KIND, FILE, LINK, NOTHING = 0o170000, 0o100000, 0o120000, 0  # inode(7)
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
        self.places: list[str] = []  # folders beside it that were looked into
        self.wants: tuple[str, ...] = ()  # links in NAME.wants
        self.requires: tuple[str, ...] = ()

    @property
    def instance(self) -> str:
        """What stands behind the "@" of its name."""
        return instance_of(self.name)


def instance_of(name: str) -> str:
    """What stands behind the "@" of a name, "" if it has none."""
    return name.partition("@")[2].rpartition(".")[0]


def find(said: str, of_user: bool, more: tuple[str, ...], seen: "Seen | None" = None) -> Found:
    """A unit by its name, or the path of its file. more: folders that are looked in first. Raises Failure.

    seen: what was seen of folders for another unit a moment ago, and is seen now.
    """
    found = find_if_there(said, of_user, more, {} if seen is None else seen)
    if found is not None:
        return found
    if "/" in said:
        raise Failure(f"{said}: there is no such file")
    where = "a user's manager" if of_user else "the system's"
    name = _whole(said)
    raise Failure(
        f"{name}: there is no such unit in the folders of {where} ({_places((*more, *search_path(of_user)))})"
    )


def _whole(name: str) -> str:
    return name if name.endswith((".service", ".socket")) else f"{name}.service"


def find_if_there(said: str, of_user: bool, more: tuple[str, ...], seen: "Seen") -> Found | None:
    """The same; None if there is no such unit. Raises Failure."""
    folder, slash, name = said.rpartition("/")
    if name.endswith(OTHERS):
        raise Failure(f"{said}: that is no service: a unit that can be run is called NAME.service")
    if slash and not name.endswith((".service", ".socket")) and _kind(said):
        raise Failure(f"{said}: a unit's file is called NAME.service, and a job's NAME.conf")
    name = _whole(name)
    check_name(name)
    usual = search_path(of_user)
    if slash:
        folders: tuple[str, ...] = (folder or "/", *more, *usual)
    else:
        folders = (*more, *usual)
    there = _there(folders, seen)
    found = _resolve(name, folders, there, folders[:1] if slash else folders)
    if found is None:
        return None
    if is_masked(found.fragment):
        raise Failure(f"{found.name}: it is masked ({found.fragment} is empty, or a link to /dev/null)")
    _add_drop_ins(found, folders, there)
    return found


def _there(folders: tuple[str, ...], seen: "Seen") -> "dict[str, Names]":
    """Those that are there with what is in them; of two that are the same one the first."""
    found: dict[str, Names] = {}
    known = set()
    for folder in folders:
        if folder not in seen:
            try:
                place = posix.stat(folder)
                seen[folder] = ((place.st_dev, place.st_ino), _names(folder))
            except OSError:
                seen[folder] = None
        one = seen[folder]
        if one is not None and one[0] not in known:
            known.add(one[0])
            found[folder] = one[1]
    return found


def _names(folder: str) -> "Names":
    try:
        return frozenset(posix.listdir(folder))
    except PermissionError:
        return None
    except OSError:
        return frozenset()


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
    there = [each for each in dict.fromkeys(map(_real, folders)) if _kind(each)]
    return ", ".join(there) or "none of which is there"


def _may_have(there: "dict[str, Names]", folder: str, name: str) -> bool:
    names = there.get(folder, ())
    return names is None or name in names


def _kind(path: str) -> int:
    """Of what has this path, NOTHING if there is nothing."""
    try:
        return posix.lstat(path).st_mode & KIND
    except OSError:
        return NOTHING


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


def _resolve(name: str, folders: tuple[str, ...], there: "dict[str, Names]", own: tuple[str, ...]) -> Found | None:
    """Follow links from name to name, and from an instance to its template. own: where the first is. Raises Failure."""
    instance = instance_of(name)
    asked = name
    for _ in range(FOLLOWED_MOST):
        path, target = _entry(name, folders, there, own)
        if not path and instance:
            template = f"{name.partition('@')[0]}@.{name.rpartition('.')[2]}"
            path, target = _entry(template, folders, there, own)
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
    return _kind(path) == LINK


def _entry(name: str, folders: tuple[str, ...], there: "dict[str, Names]", own: tuple[str, ...]) -> tuple[str, str]:
    """The first file of this name, "" if there is none; and the other name if it is a link to one."""
    for folder in own:
        if not _may_have(there, folder, name):
            continue
        path = f"{folder}/{name}"
        kind = _kind(path)
        if kind == FILE:
            return path, ""
        if kind != LINK:
            continue
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
    return found.st_size == 0 if found.st_mode & KIND == FILE else True


def _add_drop_ins(found: Found, folders: tuple[str, ...], there: "dict[str, Names]") -> None:
    """Drop-ins of its names, of their prefixes and of its type; of two with one file name the first one counts."""
    kind = found.name.rpartition(".")[2]
    ending = f".{kind}.d"
    beside = {entry.removesuffix(".d") for names in there.values() for entry in names or () if entry.endswith(ending)}
    aliases = []
    for name in sorted(beside - {found.name}):
        other = name.replace("@.", f"@{found.instance}.", 1) if "@." in name and found.instance else name
        try:
            same = _resolve(other, folders, there, folders)
        except Failure:
            continue  # its own links lead in a circle
        if same is not None and same.name == found.name and other != found.name:
            aliases.append(other)
    found.aliases = tuple(dict.fromkeys(aliases))
    files: dict[str, str] = {}
    for place in _places_of(".d", (found.name, *found.aliases, kind), there):
        found.places.append(place)
        for entry in _listed(place):
            if entry.endswith(".conf") and not entry.startswith("."):
                files.setdefault(entry, f"{place}/{entry}")
    found.drop_ins = tuple(files[entry] for entry in sorted(files))
    for suffix in ("wants", "requires"):
        links: dict[str, str] = {}
        for place in _places_of(f".{suffix}", (found.name, *found.aliases, kind), there):
            found.places.append(place)
            for entry in _listed(place):
                links.setdefault(entry, f"{place}/{entry}")
        names = [entry for entry in sorted(links) if _is_linked(links[entry]) and not _is_null(links[entry])]
        setattr(found, suffix, tuple(names))


def _is_null(path: str) -> bool:
    return posix.readlink(path) == "/dev/null"


def _listed(folder: str) -> tuple[str, ...]:
    try:
        return tuple(posix.listdir(folder))
    except OSError as error:
        if error.errno == ELOOP:
            raise Failure(f"{folder}: its links lead in a circle") from None
        return ()


def _places_of(suffix: str, names: tuple[str, ...], there: "dict[str, Names]") -> "Iterator[str]":
    """The folders of drop-ins of these names: NAME.d, of a template and of prefixes as well."""
    for name in names:
        forms = [f"{each}{suffix}" for each in _forms(name)]
        for folder in there:
            for each in forms:
                if _may_have(there, folder, each):
                    yield f"{folder}/{each}"


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
