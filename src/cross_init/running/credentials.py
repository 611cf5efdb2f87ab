"""A service's credentials: LoadCredential=, SetCredential=, ImportCredential= (systemd.exec(5), "Credentials").

They are files that only the service's user can read, in a file system of their own that is never swapped, where we may
mount one; else in a folder. Who reads them is root, before the user is changed.
"""

import posix

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.folders import FOLDER, KIND, REGULAR, SOCKET, open_folder, remove
from cross_init.running.directories import base_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cross_init.definitions.definition import Definition
    from cross_init.kernel.linux import Environment

FIELDS = ("load_credential", "set_credential", "import_credential")
VARIABLE = b"CREDENTIALS_DIRECTORY"
EXIT = 243  # the exit code of a service whose credentials cannot be had (systemd.exec(5))
STORES = ("/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore")
SIZE_MOST = 1 << 20  # bytes, of all together (credentials.md of systemd's)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096  # mount(2)
MNT_DETACH = 2  # umount2(2)
FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC
MOUNTS_MOST = 10


def folder_of(definition: "Definition") -> str:
    """Where they are. Raises Failure."""
    return f"{base_of(definition, 'runtime')}/credentials/{definition.name}"


def provide(definition: "Definition", owner: tuple[int, int], given: "Environment") -> None:
    """Have them there. given: what we were started with. Raises Failure."""
    found = collect(definition, given)
    path = folder_of(definition)
    where = next(filter(None, map(definition.where, FIELDS)))
    remove_all(definition)
    parent_path, _, name = path.rpartition("/")
    try:
        parent = open_folder(parent_path, 0o755)
        try:
            try:
                posix.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:  # nothing that could be removed
                raise OSError(17, "something else is in its place") from None
            is_mounted = _mount(path, definition)
            folder = posix.open(name, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW, dir_fd=parent)
        finally:
            posix.close(parent)
        try:
            for each, data in found.items():
                _write(each, data, folder, -1 if definition.of_user else owner[0])
            if not definition.of_user:
                posix.fchown(folder, owner[0], -1)
            posix.fchmod(folder, 0o500)
        finally:
            posix.close(folder)
        if is_mounted:
            from cross_init.kernel.system_calls import mount

            mount(b"", encoded(path), b"", MS_REMOUNT | MS_BIND | MS_RDONLY | FLAGS)
    except OSError as error:
        remove_all(definition)
        raise Failure(f"{where}: putting the credentials into {path}: {why(error)}", EXIT) from None


def _mount(path: str, definition: "Definition") -> bool:
    """A file system for them alone, if that is possible; else a line says so."""
    if definition.of_user:
        return False  # nor does systemd's manager of a user
    try:
        from cross_init.kernel.system_calls import mount

        mount(b"ramfs", encoded(path), b"ramfs", FLAGS, b"mode=0700")
        return True
    except (OSError, Failure) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        print_error(
            f"{definition.name}: its credentials are in the folder {path}, which may be swapped, as nothing can be "
            f"mounted there ({reason})",
            0,
        )
        return False


def _write(name: str, data: bytes, folder: int, owner: int) -> None:
    fd = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        while data:
            data = data[posix.write(fd, data) :]
        posix.fchown(fd, owner, -1)
        posix.fchmod(fd, 0o400)
    finally:
        posix.close(fd)


def remove_all(definition: "Definition") -> None:
    """The service has ended, or has not begun: remove them."""
    path = folder_of(definition)
    parent_path, _, name = path.rpartition("/")
    try:
        parent = open_folder(parent_path)
    except OSError:
        return
    try:
        if posix.stat(name, dir_fd=parent, follow_symlinks=False).st_mode & KIND == FOLDER:
            _unmount(path)
        remove(name, parent)
    except OSError:
        pass  # it is gone, or not ours to remove
    finally:
        posix.close(parent)


def _unmount(path: str) -> None:
    """Whatever is mounted there: a bridge that was killed may have left it."""
    try:
        from cross_init.kernel.system_calls import unmount

        for _ in range(MOUNTS_MOST):
            unmount(encoded(path), MNT_DETACH)
    except (OSError, Failure):
        pass  # nothing is


def collect(definition: "Definition", given: "Environment") -> dict[str, bytes]:
    """All of them, by name. Raises Failure."""
    context = definition.context
    found: dict[str, bytes] = {}
    received = given.get(VARIABLE, b"").decode("utf-8", "surrogateescape")
    stores = ((received,) if received.startswith("/") else ()) + _stores(definition)
    fallbacks = dict(context.set_credential)
    for name, source in context.load_credential:
        path = source if source.startswith("/") else _in_stores(source, stores)
        try:
            if path is None:
                raise FileNotFoundError(2, f"it is in none of {', '.join(stores)}")
            found |= dict(_read(name, path))
        except FileNotFoundError as error:
            if name not in fallbacks:
                raise _failure(definition, name, source, error) from None
        except OSError as error:
            raise _failure(definition, name, source, error) from None
    for pattern, renamed in context.import_credential:
        for store in stores:
            for each in _matching(pattern, store):
                beginning = pattern.removesuffix("*")
                name = renamed + each.removeprefix(beginning) if renamed else each
                if name not in found:
                    try:
                        found |= dict(_read(name, f"{store}/{each}"))
                    except OSError:
                        continue  # as systemd has it: what is not there is not imported
    for name, data in fallbacks.items():
        found.setdefault(name, data)
    if sum(map(len, found.values())) > SIZE_MOST:
        where = next(filter(None, map(definition.where, FIELDS)))
        raise Failure(f"{where}: the credentials are larger than {SIZE_MOST} bytes together", EXIT)
    return found


def _failure(definition: "Definition", name: str, source: str, error: OSError) -> Failure:
    where = definition.where("load_credential")
    return Failure(f"{where}: LoadCredential={name}:{source}: {why(error)}", EXIT)


def _stores(definition: "Definition") -> tuple[str, ...]:
    if not definition.of_user:
        return STORES
    return tuple(f"{base_of(definition, kind)}/credstore" for kind in ("configuration", "runtime"))


def _in_stores(name: str, stores: tuple[str, ...]) -> str | None:
    for store in stores:
        try:
            posix.stat(f"{store}/{name}")
        except OSError:
            continue
        return f"{store}/{name}"
    return None


def _matching(pattern: str, store: str) -> list[str]:
    """The names there that a pattern, of which the last letter may be an asterisk, stands for."""
    try:
        names = posix.listdir(store)
    except OSError:
        return []
    if not pattern.endswith("*"):
        return [pattern] if pattern in names else []
    return sorted(name for name in names if name.startswith(pattern[:-1]))


def _read(name: str, path: str) -> "Iterator[tuple[str, bytes]]":
    """What is in this file, in each file of this folder, or what is said on this socket. Raises OSError."""
    kind = posix.stat(path).st_mode & KIND
    if kind == FOLDER:
        for each in sorted(posix.listdir(path)):
            if posix.stat(f"{path}/{each}").st_mode & KIND in (FOLDER, REGULAR):
                yield from _read(f"{name}_{each}", f"{path}/{each}")
        return
    if kind == SOCKET:
        from cross_init.shapes.stops import interruptible

        yield name, interruptible(lambda: _said(path))
        return
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY)
    try:
        yield name, _content(fd)
    finally:
        posix.close(fd)


def _said(path: str) -> bytes:
    """On this socket, to its end, which may be long in coming."""
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        return _content(client.fileno())


def _content(fd: int) -> bytes:
    data = b""
    while part := posix.read(fd, 65536):
        data += part
        if len(data) > SIZE_MOST:
            raise OSError(27, f"it is larger than {SIZE_MOST} bytes")
    return data


def encoded(path: str) -> bytes:
    """As the kernel has it."""
    return path.encode("utf-8", "surrogateescape")
