"""A PID file: it names the main process to whoever was not there when it was started (start-stop-daemon(8), --pidfile).

The folder may be one in which others can make and rename things. So the file is made under a name that nobody could
know, through a descriptor of the folder, and moved to its place whole: what stood there, a link as well, gives way.
Who is killed between the two leaves that hidden file, which the next one to write the same PID file removes. While it
is being written it is locked, and stays.

It is read through a descriptor of its folder as well, to which no link of another user's leads. Who may write it can
choose what it says: so what another user has written is nothing to a start, and to who follows the daemon it is a
number that only counts if it is a process of the service (as in systemd.service(5), PIDFile=).
"""

import posix

from cross_init.bounds import PID_MAX, Pid, as_pid
from cross_init.errors import Failure, why
from cross_init.kernel.folders import folder_of, open_file
from cross_init.kernel.linux import absolute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o644
LONGEST = 32  # bytes; more is no PID file
RANDOM = 8  # bytes, in hexadecimal, at the end of a hidden name
TRIES = 20  # each time another one has to come into the same moment
READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def place(path: str, program: list[bytes]) -> str:
    """The absolute path of a PID file that can be written, and does not name a living process of this program.

    That is what "start-stop-daemon --start --pidfile --exec" looks at; a file that names no process, or one of another
    program, is left over from before. One of another user's could name any process. Raises Failure.
    """
    whole = absolute(path, f"--pid-file {path}")
    folder = whole.rpartition("/")[0] or "/"
    if whole.endswith("/"):
        raise Failure(f"--pid-file {path}: this is a folder; write the path of a file in it")
    if not posix.access(folder, posix.W_OK | posix.X_OK, effective_ids=True):
        raise Failure(
            f"--pid-file {path}: this user cannot make a file in {folder}: make that folder, or choose another"
        )
    pid = _own(whole)
    if pid is not None and pid != posix.getpid() and is_of_program(pid, program):
        raise Failure(f"--pid-file {path}: the service runs already, as PID {pid}: stop it first")
    return whole


def write(path: str, pid: int) -> None:
    """Have the file name this process. Raises OSError."""
    inside, name = folder_of(path)
    try:
        _sweep(inside, name)
        for left in reversed(range(TRIES)):
            try:
                _write(inside, name, pid)
                return
            except FileNotFoundError:  # another one who writes the same file has swept ours before we could lock it
                if not left:
                    raise
    finally:
        posix.close(inside)


def _write(inside: int, name: str, pid: int) -> None:
    made = _hidden(name) + posix.urandom(RANDOM).hex()
    file = posix.open(made, NEW, MODE, dir_fd=inside)
    try:
        try:
            _lock(file)
        except OSError:
            pass  # there are no locks here, or it is being swept already
        posix.fchmod(file, MODE)  # whatever the umask is
        posix.write(file, b"%d\n" % pid)
        posix.rename(made, name, src_dir_fd=inside, dst_dir_fd=inside)
    except BaseException:
        _unlink(made, inside)
        raise
    finally:
        posix.close(file)


def _hidden(name: str) -> str:
    return f".{name[:200]}."


def _sweep(inside: int, name: str) -> None:
    """Remove what those have left who were killed while they wrote this file; only what is ours, in no foreign folder.

    inside: an open descriptor of the folder.
    """
    user, beginning = posix.geteuid(), _hidden(name)
    try:
        if posix.fstat(inside).st_uid not in (0, user):
            return
        reading = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC, dir_fd=inside)
    except OSError:
        return  # a folder that this user may not read
    try:
        for found in posix.listdir(reading):
            ending = found.removeprefix(beginning)
            if ending != found and len(ending) == 2 * RANDOM and not ending.strip("0123456789abcdef"):
                status = posix.stat(found, dir_fd=inside, follow_symlinks=False)
                if status.st_mode & 0o170000 == 0o100000 and status.st_uid == user and _is_left(found, inside):
                    _unlink(found, inside)
    except OSError:
        pass  # somebody was faster
    finally:
        posix.close(reading)


def _is_left(name: str, inside: int) -> bool:
    """Whether nobody is writing this file. Raises OSError."""
    file = posix.open(name, READ, dir_fd=inside)
    try:
        _lock(file)
    except BlockingIOError:
        return False
    finally:
        posix.close(file)
    return True


def _lock(file: int) -> None:
    """Lock it for as long as it is open. Raises OSError, at once."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    flock(file, LOCK_EX | LOCK_NB)


def _unlink(name: str, inside: int) -> None:
    try:
        posix.unlink(name, dir_fd=inside)
    except OSError:
        pass


def remove(path: str, pid: int) -> None:
    """Remove the file if it still names this process, and is ours."""
    try:
        inside, name = folder_of(path)
    except OSError:
        return  # then it is left over, which start-stop-daemon and we see
    try:
        owner = posix.stat(name, dir_fd=inside, follow_symlinks=False).st_uid
        if owner == posix.geteuid() and as_pid(_content(name, inside)[0]) == pid:
            _unlink(name, inside)
    except OSError:
        pass
    finally:
        posix.close(inside)


class Foreign:
    """A PID file that others write, looked at again and again. say: what to call with a line about what is none in it.

    They need not be the daemon: where it may write, others may. What is no number of a process is not heeded.
    """

    def __init__(self, path: str, say: "Callable[[str], None]") -> None:
        self.path = path
        self.say = say
        self.said: bytes | None = None

    def read(self) -> Pid | None:
        """The number in it, None if there is no such file or number; what is there and is none is said, once."""
        try:
            text, _ = content(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._say(b"", f"reading the PID file {self.path}: {why(error)}")
            return None
        pid = as_pid(text)
        if pid is None and text:
            shown = text.decode("utf-8", "backslashreplace")
            self._say(text, f"ignored the PID file {self.path}: {shown} is no number of a process, 1 to {PID_MAX}")
        return pid

    def _say(self, of: bytes, line: str) -> None:
        if of != self.said:
            self.said = of
            self.say(line)


def read(path: str) -> Pid | None:
    """The number in the file at this absolute path, None if there is no such file or number."""
    try:
        return as_pid(content(path)[0])
    except OSError:
        return None


def _own(path: str) -> Pid | None:
    """The same, of a file of root's or of this user's."""
    try:
        text, owner = content(path)
    except OSError:
        return None
    return as_pid(text) if owner in (0, posix.geteuid()) else None


def content(path: str) -> tuple[bytes, int]:
    """What stands in the file, and whose it is; of a longer one as much as tells that it is none. Raises OSError."""
    inside, name = folder_of(path)
    try:
        return _content(name, inside)
    finally:
        posix.close(inside)


def _content(name: str, inside: int) -> tuple[bytes, int]:
    file = open_file(name, inside)
    try:
        text = posix.read(file, LONGEST + 1)
        return text.strip() if len(text) <= LONGEST else text, posix.fstat(file).st_uid
    finally:
        posix.close(file)


def is_of_program(pid: int, program: list[bytes]) -> bool:
    """Whether a process lives by this number that runs the program: the file itself, or a script's interpreter."""
    try:
        runs = posix.stat(f"/proc/{pid}/exe")
        with_words = posix.open(f"/proc/{pid}/cmdline", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    words = posix.read(with_words, 4096).split(b"\0")
    posix.close(with_words)
    for path in program:
        file = posix.stat(path)
        if (file.st_dev, file.st_ino) == (runs.st_dev, runs.st_ino) or path in words[:3]:
            return True
    return False
