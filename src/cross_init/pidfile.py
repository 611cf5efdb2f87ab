"""A PID file: it names the main process to whoever was not there when it was started (start-stop-daemon(8), --pidfile).

The folder may be one in which others can make and rename things. So the file is made under a name that nobody could
know, through a descriptor of the folder, and moved to its place whole: what stood there, a link as well, gives way.
"""

import posix

from cross_init.bounds import PID_MAX, Pid, as_pid
from cross_init.linux import absolute
from cross_init.model import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o644
LONGEST = 32  # bytes; more is no PID file
NEW = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def place(path: str, program: list[bytes]) -> str:
    """The absolute path of a PID file that can be written, and does not name a living process of this program.

    That is what "start-stop-daemon --start --pidfile --exec" looks at; a file that names no process, or one of another
    program, is left over from before. Raises Failure.
    """
    whole = absolute(path, f"--pid-file {path}")
    folder = whole.rpartition("/")[0] or "/"
    if whole.endswith("/"):
        raise Failure(f"--pid-file {path}: this is a folder; write the path of a file in it")
    if not posix.access(folder, posix.W_OK | posix.X_OK, effective_ids=True):
        raise Failure(
            f"--pid-file {path}: this user cannot make a file in {folder}: make that folder, or choose another"
        )
    pid = read(whole)
    if pid is not None and pid != posix.getpid() and is_of_program(pid, program):
        raise Failure(f"--pid-file {path}: the service runs already, as PID {pid}: stop it first")
    return whole


def write(path: str, pid: int) -> None:
    """Have the file name this process. Raises OSError."""
    folder, _, name = path.rpartition("/")
    inside = posix.open(folder or "/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        made = f".{name[:200]}.{posix.urandom(8).hex()}"
        file = posix.open(made, NEW, MODE, dir_fd=inside)
        try:
            posix.fchmod(file, MODE)  # whatever the umask is
            posix.write(file, b"%d\n" % pid)
            posix.rename(made, name, src_dir_fd=inside, dst_dir_fd=inside)
        except BaseException:
            posix.unlink(made, dir_fd=inside)
            raise
        finally:
            posix.close(file)
    finally:
        posix.close(inside)


def remove(path: str, pid: int) -> None:
    """Remove the file if it still names this process."""
    if read(path) == pid:
        try:
            posix.unlink(path)
        except OSError:
            pass  # then it is left over, which start-stop-daemon and we see


class Foreign:
    """A PID file that others write, looked at again and again. say: what to call with a line about what is none in it.

    They need not be the daemon: where it may write, others may. What is no number of a process is not heeded.
    """

    def __init__(self, path: str, say: "Callable[[str], None]") -> None:
        self.path = path
        self.say = say
        self.said = b""

    def read(self) -> Pid | None:
        """The number in it, None if there is no such file or number; the latter is said, once."""
        text = content(self.path)
        pid = as_pid(text)
        if pid is None and text not in (b"", self.said):
            shown = text.decode("utf-8", "backslashreplace")
            self.say(f"ignored the PID file {self.path}: {shown} is no number of a process, 1 to {PID_MAX}")
            self.said = text
        return pid


def read(path: str) -> Pid | None:
    """The number in the file, None if there is no such file or number."""
    return as_pid(content(path))


def content(path: str) -> bytes:
    """What stands in the file, nothing if there is none; of a longer one as much as tells that it is no PID file."""
    try:
        file = posix.open(path, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        return b""
    try:
        text = posix.read(file, LONGEST + 1)
    except OSError:
        return b""
    finally:
        posix.close(file)
    return text.strip() if len(text) <= LONGEST else text


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
