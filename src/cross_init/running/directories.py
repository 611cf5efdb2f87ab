"""A service's own folders: RuntimeDirectory= and its like (systemd.exec(5)), made, owned, and removed at its end.

Each way to one goes through descriptors: no link of another user's is followed (kernel/folders.py).
"""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.folders import KIND, LINK, open_folder, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition, Directory

# Kind: the folder that they are in, and the specifier that stands for a user's.
KINDS = {
    "runtime": ("/run", "t"),
    "state": ("/var/lib", "S"),
    "cache": ("/var/cache", "C"),
    "logs": ("/var/log", "L"),
    "configuration": ("/etc", "E"),
}
PARENTS = 0o755
HIDDEN, HIDDEN_RIGHTS = "private", 0o700  # the folder in which are those that only their service is to reach


def directories(definition: "Definition", kind: str) -> "tuple[Directory, ...]":
    """Those of this kind."""
    found: tuple[Directory, ...] = getattr(definition.context, f"{kind}_directory")
    return found


def base_of(definition: "Definition", kind: str) -> str:
    """The folder in which they are."""
    if not definition.of_user:
        return KINDS[kind][0]
    from cross_init.definitions.specifiers import folder

    try:
        return folder(KINDS[kind][1], True)
    except ValueError as error:
        where = definition.where(f"{kind}_directory")
        raise Failure(f"{where}: {kind.capitalize()}Directory=: {error}") from None


def are_hidden(definition: "Definition", kind: str) -> bool:
    """Whether they are in HIDDEN, as another user may have the service's number later (exec_directory_is_private())."""
    stays = kind != "runtime" or definition.context.runtime_directory_preserve != "no"
    return definition.hides_folders and kind != "configuration" and stays


def shown(definition: "Definition", kind: str) -> list[str]:
    """Where the service finds them, by a link where they are hidden. Raises Failure."""
    found = directories(definition, kind)
    return [f"{base_of(definition, kind)}/{each.path}" for each in found] if found else []


def paths(definition: "Definition", kind: str) -> list[str]:
    """Where they are. Raises Failure."""
    found = directories(definition, kind)
    if not found:
        return []
    base = base_of(definition, kind) + f"/{HIDDEN}" * are_hidden(definition, kind)
    return [f"{base}/{each.path}" for each in found]


def make_all(definition: "Definition", owner: tuple[int, int]) -> None:
    """Make those that are not there, and give all of them their mode and owner. Raises Failure."""
    for kind in KINDS:
        found = sorted(directories(definition, kind), key=lambda each: each.path)
        for each in found:
            base = base_of(definition, kind)
            path = f"{base}/{each.path}"
            try:
                if are_hidden(definition, kind):
                    from cross_init.running.directories_there import hide

                    hide(base, each.path, is_inside=any(each.path.startswith(f"{other.path}/") for other in found))
                    path = f"{base}/{HIDDEN}/{each.path}"
                elif kind != "configuration" and not definition.of_user and _is_link(path):
                    from cross_init.running.directories_there import show

                    show(base, each.path)
                mode: int = getattr(definition.context, f"{kind}_directory_mode")
                mode &= 0o1777 if definition.context.dynamic_user else 0o7777
                _make(path, mode, owner, kind == "configuration", definition.of_user)
                for name in each.links:
                    from cross_init.running.directories_there import link

                    link(base, name, each.path)
            except OSError as error:
                where = definition.where(f"{kind}_directory")
                raise Failure(f"{where}: {kind.capitalize()}Directory={each.path}: {path}: {why(error)}") from None


def _is_link(path: str) -> bool:
    try:
        return posix.lstat(path).st_mode & KIND == LINK
    except OSError:
        return False


def _make(path: str, mode: int, owner: tuple[int, int], is_configuration: bool, of_user: bool) -> None:
    parent_path, _, name = path.rpartition("/")
    parent = open_folder(parent_path, PARENTS)
    try:
        is_new = True
        try:
            posix.mkdir(name, mode & 0o777, dir_fd=parent)
        except FileExistsError:
            is_new = False
            if is_configuration:
                return  # it is not written to by a service
        fd = posix.open(
            name, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC | _no_link(name, parent), dir_fd=parent
        )
    finally:
        posix.close(parent)
    try:
        status = posix.fstat(fd)
        if status.st_mode & 0o7777 != mode:
            posix.fchmod(fd, mode)
        if not of_user and (status.st_uid, status.st_gid) != owner:
            if not is_new:
                from cross_init.running.directories_there import own_all

                own_all(fd, owner, status.st_uid)
            posix.fchown(fd, *owner)  # at last: it says that all in it is right
            posix.fchmod(fd, mode)
    finally:
        posix.close(fd)


def _no_link(name: str, parent: int) -> int:
    """O_NOFOLLOW, but for a link of root's or our own, as systemd makes /var/lib/NAME one of DynamicUser='s."""
    status = posix.stat(name, dir_fd=parent, follow_symlinks=False)
    is_trusted = status.st_mode & KIND == LINK and status.st_uid in (0, posix.geteuid())
    return 0 if is_trusted else posix.O_NOFOLLOW


def remove_runtime(definition: "Definition") -> None:
    """The service has ended: remove its runtime folders with all that is in them, if they are not to stay."""
    if definition.context.runtime_directory_preserve != "no":
        return
    hidden = definition.hides_folders  # till now they may have stayed
    base = base_of(definition, "runtime")
    places = [f"{base}/{HIDDEN}"] * hidden + [base]
    for path in [f"{place}/{each.path}" for place in places for each in directories(definition, "runtime")]:
        parent_path, _, name = path.rpartition("/")
        try:
            parent = open_folder(parent_path)
            try:
                remove(name, parent)
            finally:
                posix.close(parent)
        except OSError:
            pass  # it is gone, or a daemon's user has made of it what is not ours to remove
