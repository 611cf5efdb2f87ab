"""A mount namespace for this process, with the mounts of a list (entries.py), in systemd's order (namespace.c).

All is mounted below a folder beside the machine's root, which becomes the root at last: so nothing that is bound from
the machine is hidden by what was mounted before. That folder is in a file system of its own, which only this process's
namespace has, and which goes with it.
"""

import posix

from cross_init.kernel.folders import FOLDER, KIND, LINK, LINKS_MAX, open_folder
from cross_init.kernel.system_calls import CLONE_NEWNS, leave, unmount
from cross_init.kernel.system_calls import mount as call_mount
from cross_init.sandbox import entries as modes
from cross_init.sandbox.devices import make as make_devices
from cross_init.sandbox.entries import is_below
from cross_init.sandbox.mount_table import (
    MS_BIND,
    MS_MOVE,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_STRICTATIME,
    MS_UNBINDABLE,
    encoded,
    mount,
    mounted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.sandbox.entries import Entry

PROPAGATION = {"": MS_SHARED, "shared": MS_SHARED, "slave": MS_SLAVE, "private": MS_PRIVATE}
UMOUNT_NOFOLLOW = 8
_user = posix.geteuid()
_runtime = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape") or f"/run/user/{_user}"
PLACE, RIGHTS = f"{_runtime if _user else '/run'}/cross-init/sandbox", 0o711
OWN_TMP = f"{PLACE}/private-tmp"  # what PrivateTmp=disconnected is in
OF_KERNEL = MS_NOSUID | MS_NOEXEC | MS_NODEV
NODES = {  # what stands for a file that nobody can use, by its kind (inode(7))
    0o040000: "dir",
    0o100000: "reg",
    0o010000: "fifo",
    0o140000: "sock",
    0o020000: "chr",
    0o060000: "blk",
}


def begin() -> None:
    """A namespace of our own, and a file system for what is made in it. Raises OSError, Failure."""
    posix.close(open_folder(PLACE, RIGHTS))
    leave(CLONE_NEWNS)
    call_mount(b"", b"/", b"", MS_SLAVE | MS_REC)
    mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_STRICTATIME, "mode=0711,size=4m,nr_inodes=1k")


class NotMounted(Exception):
    """What an entry asks for could not be mounted, or not be changed."""

    def __init__(self, entry: "Entry", error: OSError) -> None:
        super().__init__(entry, error)
        self.entry = entry
        self.error = error


class View:
    """The new root, as it comes to be.

    root: what becomes it. proc: the options of a new /proc. tmp: folders that are to be in OWN_TMP.
    """

    def __init__(self, root: str, proc: str, tmp: list[str]) -> None:
        self.root = root or "/"
        self.proc = proc
        self.tmp = tmp
        self.new = f"{PLACE}/root"
        self.host: list[str] = []  # where something is mounted on the machine
        self.points: set[str] = set()  # and in the new root, by the paths there

    def real(self, path: str) -> str:
        """Where it is now."""
        return self.new if path == "/" else self.new + path

    def build(self, entries: "list[Entry]", propagation: str, no_suid: bool) -> None:
        """Mount all of it and go there. no_suid: no program in it gives rights. Raises OSError, NotMounted, Failure."""
        before = posix.umask(0)
        try:
            self.host = [path for path, _ in mounted()]
            begin()
            posix.mkdir(self.new, 0o755)
            call_mount(b"", encoded(PLACE), b"", MS_UNBINDABLE)  # so that it is not in the new root as well
            call_mount(encoded(self.root), encoded(self.new), b"", MS_BIND | MS_REC)
            call_mount(b"", encoded(PLACE), b"", MS_PRIVATE)
            self.note("/", self.root, True)
            if self.tmp:
                self._make_tmp()
            self._protect(self._mount_all(entries), no_suid)
            posix.chdir(self.new)
            call_mount(encoded(self.new), b"/", b"", MS_MOVE)
            posix.chroot(".")
            posix.chdir("/")
            call_mount(b"", b"/", b"", PROPAGATION[propagation] | MS_REC)
        finally:
            posix.umask(before)

    def _make_tmp(self) -> None:
        posix.mkdir(OWN_TMP, 0o700)
        options = f"mode=0700{modes.NESTED}"
        mount("tmpfs", OWN_TMP, "tmpfs", MS_NODEV | MS_STRICTATIME, options)
        for name in self.tmp:
            posix.mkdir(f"{OWN_TMP}/{name}", 0o1777)

    def note(self, path: str, source: str, is_recursive: bool) -> None:
        """That this of the machine is bound there, with what is mounted in it."""
        self.points.add(path)
        if is_recursive:
            begin, cut = "" if path == "/" else path, 0 if source == "/" else len(source)
            self.points.update(begin + each[cut:] for each in self.host if each != source and is_below(each, source))

    def _mount_all(self, entries: "list[Entry]") -> "list[Entry]":
        """Returns them as they were in the end: a link on the way to a place may lead to another one's."""
        while True:
            for entry in entries:
                if entry.applied is None:
                    try:
                        target = self._followed(entry.path)
                        if target:
                            entry.followed += 1
                            if entry.followed > LINKS_MAX:
                                raise OSError(40, posix.strerror(40))  # ELOOP
                            entry.path = target
                            break
                        entry.applied = MOUNTS[entry.mode](self, entry)
                    except OSError as error:
                        if not (entry.may_lack and isinstance(error, FileNotFoundError)):
                            raise NotMounted(entry, error) from None
                        entry.applied = False
            else:
                return entries
            entries = modes.normalised(entries)

    def _followed(self, path: str) -> str:
        """The path with the first link in it replaced, "" if there is none. It stays in the new root."""
        done = ""
        names = path.split("/")
        for at, name in enumerate(names):
            if name in ("", "."):
                continue
            if name == "..":
                return _joined(done.rpartition("/")[0], names[at + 1 :])
            try:
                if posix.lstat(f"{self.new}{done}/{name}").st_mode & KIND == LINK:
                    target = posix.readlink(f"{self.new}{done}/{name}")
                    return _joined("" if target.startswith("/") else done, [*target.split("/"), *names[at + 1 :]])
            except (FileNotFoundError, NotADirectoryError):
                return ""
            done = f"{done}/{name}"
        return ""

    def clear(self, path: str) -> None:
        """Unmount what is mounted there and in it, as far as that goes: one below another comes to light meanwhile."""
        inside = sorted((each for each in self.points if is_below(each, path) and each != "/"), reverse=True)
        self.points.difference_update(inside)
        while sum(map(self._is_unmounted, inside)):
            pass

    def _is_unmounted(self, path: str) -> bool:
        try:
            unmount(encoded(self.real(path)), UMOUNT_NOFOLLOW)
        except OSError:
            return False  # nothing is there, or it is not ours to unmount
        return True

    def make_folder(self, path: str) -> None:
        """With those that it is in, if it is not there; that it cannot be made is seen when it is needed."""
        at = self.new
        for name in filter(None, path.split("/")):
            at = f"{at}/{name}"
            try:
                posix.mkdir(at, 0o755)
            except OSError:
                continue

    def bind(self, source: str, path: str, is_recursive: bool, is_made: bool) -> None:
        """is_made: what is not there yet is made, as the source is. Raises OSError."""
        flags = MS_BIND | (MS_REC if is_recursive else 0)
        try:
            mount(source, self.real(path), "", flags)
        except FileNotFoundError:
            if not is_made:
                raise
            kind = posix.stat(source).st_mode & KIND
            self.make_folder(path if kind == FOLDER else path.rpartition("/")[0])
            if kind != FOLDER:
                try:
                    posix.mknod(self.real(path), 0o100644)
                except FileExistsError:
                    pass  # it is the source that was not there for a moment
            mount(source, self.real(path), "", flags)

    def _protect(self, entries: "list[Entry]", no_suid: bool) -> None:
        """Have mounts be read only, without programs and so on; what was so stays so. Raises NotMounted."""
        by_path: dict[str, list[Entry]] = {}
        for entry in entries:
            by_path.setdefault(entry.path, []).append(entry)
        now: dict[str, int] = {}
        for path, flags in mounted():
            if is_below(path, self.new):
                now[path[len(self.new) :] or "/"] = flags
        for path, flags in now.items():
            folders = list(_upwards(path))
            owner = next((each for each in folders if each in by_path), "")
            wanted, asks = flags, None
            for entry in by_path.get(owner, ()):
                if entry.applied and (owner == path or not entry.is_alone):
                    wanted = _wanted(entry, wanted, owner == path)
                    asks = entry
            if no_suid and any(
                entry.applied and (entry.path == path or not entry.is_alone)
                for folder in folders
                for entry in by_path.get(folder, ())
            ):
                wanted |= MS_NOSUID
            if wanted != flags:
                try:
                    mount("", self.real(path), "", wanted & ~MS_RELATIME | MS_BIND | MS_REMOUNT)
                except OSError as error:
                    if owner == path and asks is not None:
                        raise NotMounted(asks, error) from None


def _joined(folder: str, names: list[str]) -> str:
    return f"{folder}/{'/'.join(filter(None, names))}"


def _upwards(path: str) -> "list[str]":
    """It, and all folders that it is in."""
    found = [path]
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        found.append(path)
    return found


def _wanted(entry: "Entry", flags: int, is_itself: bool) -> int:
    """What the flags of a mount are to be. is_itself: it is the entry's own, not one in it."""
    if entry.read_only or (entry.mode == modes.DEVICES and is_itself):
        flags |= MS_RDONLY
    if entry.no_suid and (is_itself or entry.read_only):
        flags |= MS_NOSUID
    if entry.no_exec:
        flags |= MS_NOEXEC
    elif entry.is_executable:
        flags &= ~MS_NOEXEC
    return flags


def _cover(view: View, entry: "Entry") -> bool:
    """Have nobody reach what is there."""
    view.clear(entry.path)
    kind = posix.lstat(view.real(entry.path)).st_mode & KIND
    view.bind(_node(kind), entry.path, True, False)
    view.points.add(entry.path)
    return True


def _node(kind: int) -> str:
    """A file of this kind that nobody can use."""
    name = NODES[kind]
    path = f"{PLACE}/{name}"
    try:
        if kind == FOLDER:
            posix.mkdir(path, 0)
        else:
            posix.mknod(path, kind)
    except FileExistsError:
        pass
    except PermissionError:  # a device, where none may be made
        if kind == 0o140000:
            raise
        return _node(0o140000)
    return path


def _separate(view: View, entry: "Entry") -> bool:
    """Have it be a mount, which is made read only or the like at last."""
    if entry.path not in view.points:
        view.bind(view.real(entry.path), entry.path, True, False)
        view.points.add(entry.path)
    return True


def _bind(view: View, entry: "Entry") -> bool:
    """Have there what is elsewhere on the machine."""
    try:
        posix.stat(entry.source)
    except PermissionError:
        if entry.may_lack:
            return False
        raise
    is_recursive = entry.mode != modes.BIND
    view.bind(entry.source, entry.path, is_recursive, True)
    view.note(entry.path, entry.source, is_recursive)
    return True


def _memory(view: View, entry: "Entry") -> bool:
    view.make_folder(entry.path)
    view.clear(entry.path)
    mount("tmpfs", view.real(entry.path), "tmpfs", entry.flags, entry.options)
    view.points.add(entry.path)
    return True


def _run(view: View, entry: "Entry") -> bool:
    """One that there is stays. The machine's becomes a mount, if it is none, so that / read only leaves it as it is."""
    if view.root == "/":
        return _separate(view, entry)
    return entry.path not in view.points and _memory(view, entry)


def _queues(view: View, entry: "Entry") -> bool:
    view.make_folder(entry.path)
    view.clear(entry.path)
    mount("mqueue", view.real(entry.path), "mqueue", entry.flags)
    view.points.add(entry.path)
    return True


def _of_host(view: View, entry: "Entry") -> bool:
    """The machine's, in a root of its own that has none."""
    view.make_folder(entry.path)
    if entry.path in view.points:
        return False
    source = "/dev" if entry.mode == modes.HOST_DEVICES else "/sys"
    mount(source, view.real(entry.path), "", MS_BIND | MS_REC)
    view.note(entry.path, source, True)
    return True


def _of_kernel(view: View, entry: "Entry") -> bool:
    """A new instance of what the kernel shows there; where it gives us none, the machine's."""
    kind, source = {modes.PROC: ("proc", "/proc"), modes.OWN_SYS: ("sysfs", "/sys")}.get(
        entry.mode, ("cgroup2", "/sys/fs/cgroup")
    )
    made = f"{PLACE}/{kind}"
    posix.mkdir(made, 0o755)
    view.make_folder(entry.path)
    try:
        mount(kind, made, kind, OF_KERNEL, view.proc if kind == "proc" else "")
    except PermissionError:
        if entry.path in view.points:
            return False
        mount(source, view.real(entry.path), "", MS_BIND | MS_REC)
        view.note(entry.path, source, True)
        return True
    view.clear(entry.path)
    mount(made, view.real(entry.path), "", MS_MOVE)
    view.points.add(entry.path)
    for each in sorted({point for point in view.host if point != source and is_below(point, source)}):
        path = entry.path + each[len(source) :]
        if path not in view.points:
            try:
                mount(each, view.real(path), "", MS_BIND | MS_REC)
                mount("", view.real(path), "", MS_PRIVATE | MS_REC)
            except OSError:
                continue  # this instance has no such file
            view.note(path, each, True)
    return True


def _devices(view: View, entry: "Entry") -> bool:
    shared = make_devices(f"{PLACE}/dev")
    view.make_folder(entry.path)
    view.clear(entry.path)
    mount(f"{PLACE}/dev", view.real(entry.path), "", MS_MOVE)
    view.points.update((entry.path, *(f"{entry.path}/{name}" for name in shared)))
    return True


MOUNTS: "dict[int, Callable[[View, Entry], bool]]" = {
    modes.INACCESSIBLE: _cover,
    **dict.fromkeys((modes.READ_ONLY, modes.READ_WRITE, modes.NO_EXEC, modes.EXEC, modes.WRITABLE), _separate),
    **dict.fromkeys((modes.BIND, modes.BIND_ALL, modes.TMP), _bind),
    **dict.fromkeys((modes.HOST_DEVICES, modes.HOST_SYS), _of_host),
    **dict.fromkeys((modes.PROC, modes.OWN_SYS, modes.OWN_GROUPS), _of_kernel),
    modes.MEMORY: _memory,
    modes.RUN: _run,
    modes.QUEUES: _queues,
    modes.DEVICES: _devices,
}
