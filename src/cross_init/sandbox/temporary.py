"""What a service has for /tmp and /var/tmp with PrivateTmp=yes: folders there that only it sees as these.

They go with the service where somebody stays; else with its next start, once nobody has them mounted any more. Their
names begin as systemd's, so what cleans /tmp knows them (tmpfiles.d(5)).
"""

import posix

from cross_init.kernel.folders import ENTRIES_MOST, FOLDER, HERE, names, open_folder, remove
from cross_init.kernel.linux import contents, read
from cross_init.sandbox.entries import TMP_PLACES

LARGEST = 1 << 24  # bytes
TRIES = 100
INSIDE = "tmp"  # as the folder around it is to be entered by nobody
BOOT = "/proc/sys/kernel/random/boot_id"


def make(unit: str) -> dict[str, str]:
    """One for each of TMP_PLACES, "" where nothing can be written. Raises OSError."""
    found: dict[str, str] = {}
    beginning = _beginning(unit)
    try:
        for place in TMP_PLACES:
            found[place] = _make(place, beginning)
    except OSError:
        remove_all(found)
        raise
    return found


def _beginning(unit: str) -> str:
    """Of their names: no unit of systemd's own is called so."""
    return f"systemd-private-{read(BOOT).strip().replace('-', '')}-cross-init.{unit}-"


def _make(place: str, beginning: str) -> str:
    folder = open_folder(place)
    try:
        _sweep(folder, place, beginning)
        for _ in range(TRIES):
            name = beginning + posix.urandom(4).hex()
            try:
                posix.mkdir(name, 0o700, dir_fd=folder)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno in (28, 30, 122):  # ENOSPC, EROFS, EDQUOT
                    return ""
                raise
            inside = posix.open(name, HERE | posix.O_DIRECTORY, dir_fd=folder)
            try:
                before = posix.umask(0)
                try:
                    posix.mkdir(INSIDE, 0o1777, dir_fd=inside)
                finally:
                    posix.umask(before)
            finally:
                posix.close(inside)
            return f"{place}/{name}/{INSIDE}"
        raise FileExistsError(17, posix.strerror(17))
    finally:
        posix.close(folder)


def _sweep(folder: int, place: str, beginning: str) -> None:
    """Remove what earlier starts have left, and nobody uses."""
    left = [name for name in names(folder, ENTRIES_MOST) if name.startswith(beginning)]
    if not left:
        return
    used = _mounted_anywhere(beginning)
    for name in left:
        try:
            status = posix.stat(name, dir_fd=folder, follow_symlinks=False)
            if status.st_uid == posix.geteuid() and status.st_mode & 0o170777 == FOLDER | 0o700 and name not in used:
                remove(name, folder)
        except OSError:
            continue  # another start removes it as well


def _mounted_anywhere(beginning: str) -> str:
    """The tables of mounts of all processes' namespaces in which something of that name is."""
    found: dict[str, str] = {}
    for name in posix.listdir("/proc"):
        if name.isdigit():
            try:
                space = posix.readlink(f"/proc/{name}/ns/mnt")
                if space not in found:
                    text = contents(f"/proc/{name}/mountinfo", LARGEST)
                    found[space] = text if beginning in text else ""
            except OSError:
                continue  # it has ended
    return "".join(found.values())


def remove_all(made: dict[str, str]) -> None:
    """The service has ended, or has not begun."""
    for place, path in made.items():
        if path:
            try:
                folder = open_folder(place)
                try:
                    remove(path.split("/")[-2], folder)
                finally:
                    posix.close(folder)
            except OSError:
                pass  # it is gone, or swept next time
