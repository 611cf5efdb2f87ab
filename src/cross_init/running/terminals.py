"""A service's terminal (systemd.exec(5), StandardInput=tty, TTYPath= and the like): made fit for it, taken, left.

All of it is done by ioctl(2): nothing is asked of who sits there, and letters are written for TTYVTDisallocate= alone.
"""

import _signal
import posix
from fcntl import ioctl
from sys import byteorder
from time import sleep

from cross_init.errors import print_error
from cross_init.kernel.linux import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cross_init.definitions.definition import Context, Definition

CONSOLE = "/dev/console"
ACTIVE = "/sys/class/tty/console/active"  # what that is, the last word
RIGHTS = 0o620  # of who writes a message to it (mesg(1))
TERM, TERM_VIRTUAL = b"vt220", b"linux"  # what speaks so that nearly every terminal understands it; the machine's own
# asm-generic/ioctls.h; Python's own module of these is not everywhere.
TCGETS, TCSETS, TCFLSH, TIOCNXCL, TIOCSCTTY = 0x5401, 0x5402, 0x540B, 0x540D, 0x540E
TIOCGWINSZ, TIOCSWINSZ, TIOCNOTTY, TIOCVHANGUP = 0x5413, 0x5414, 0x5422, 0x5437
KDSETMODE, KD_TEXT, KDSKBMODE, K_UNICODE = 0x4B3A, 0, 0x4B45, 3  # linux/kd.h
VT_DISALLOCATE, IN_CLOSE = 0x5608, 0x18  # linux/vt.h, linux/inotify.h
CLEAR = b"\033[r\033[H\033[3J"  # it scrolls as a whole; to the first letter; nothing stands there (console_codes(4))
SIZE_MOST = 65535
TRIES, PAUSE_S = 20, 0.05  # one that is just being closed cannot be opened for a moment
# Of each of the four words that ioctl_tty(2) has a terminal's modes in: bits that are not to be set, and that are.
MODES = ((0x2E3, 0x6100), (0, 0x5), (0, 0x80), (0xFFFFFFFF, 0x8A3B))
KEYS = b"\x03\x1c\x7f\x15\x04\0\1-\x11\x13\x1a\0\x12-\x17\x16\0"  # by their places; "-": stays
KEYS_AT, KEPT, TCIOFLUSH = 17, ord("-"), 2
TERMIOS_SIZE, WINDOW_SIZE = 36, 8  # bytes


def path_of(context: "Context") -> str:
    """Which it is."""
    return context.tty_path or CONSOLE


def term_of(context: "Context") -> bytes:
    """What TERM= says of it."""
    path = path_of(context)
    name = (read(ACTIVE).split() or [""])[-1] if path == CONSOLE else path.removeprefix("/dev/")
    return TERM_VIRTUAL if name.removeprefix("tty").isdigit() else TERM


def clear(context: "Context") -> None:
    """Have nothing of its use before be left, as far as the unit asks for it (exec_context_tty_reset())."""
    path = path_of(context)
    try:
        fd = open_terminal(path, posix.O_RDWR | posix.O_NONBLOCK)
    except OSError:
        return  # whoever needs it will say so
    try:
        prepare(context, fd)
        if context.tty_vhangup:
            _unless_it_fails(lambda: _without_hangup(fd, TIOCVHANGUP))
    finally:
        posix.close(fd)
    if context.tty_vt_disallocate:
        _unless_it_fails(lambda: _disallocate(path))


def prepare(context: "Context", fd: int) -> None:
    """Have it be as TTYReset=, TTYRows= and TTYColumns= say."""
    if context.tty_reset:
        _reset(fd)
    if context.tty_rows is not None or context.tty_columns is not None:
        _unless_it_fails(lambda: _resize(fd, context.tty_rows, context.tty_columns))


def acquire(definition: "Definition", kind: str) -> int:
    """It, as this process's controlling terminal. kind: tty, tty-force, tty-fail. Raises OSError, Failure.

    tty: once nobody else has it.
    """
    from cross_init.kernel.system_calls import inotify_add, inotify_open

    path = path_of(definition.context)
    if not _leads():
        where = definition.where("standard_input")
        print_error(f"{where}: StandardInput={kind}: it is not its controlling terminal, as it leads no session", 0)
        return open_terminal(path, posix.O_RDWR)
    watch = -1
    if kind == "tty":
        watch = inotify_open()
        inotify_add(watch, path, IN_CLOSE)
    try:
        is_first = True
        while True:
            _forget(watch)  # also that we have closed it
            fd = open_terminal(path, posix.O_RDWR)
            try:
                _without_hangup(fd, TIOCSCTTY, int(kind == "tty-force"))
            except PermissionError:
                if not (is_first and _release()):
                    if kind != "tty":
                        posix.close(fd)
                        raise
                    _wait(watch)  # before it is closed, which would be heard as well
                posix.close(fd)
                is_first = False
                continue
            return fd
    finally:
        if watch >= 0:
            posix.close(watch)


def own(user: int) -> None:
    """What standard input is, if it is a terminal, is to be this user's. Raises OSError."""
    if posix.isatty(0):
        posix.fchown(0, user, -1)
        posix.fchmod(0, RIGHTS)


def leave(context: "Context") -> None:
    """Its service has ended: have it be as it was found, and root's again."""
    clear(context)
    try:
        fd = posix.open(path_of(context), posix.O_PATH | posix.O_CLOEXEC)
    except OSError:
        return
    try:
        if posix.fstat(fd).st_mode & 0o170000 == 0o020000 and not posix.geteuid():  # inode(7): a device
            posix.chown(f"/proc/self/fd/{fd}", 0, -1)
            posix.chmod(f"/proc/self/fd/{fd}", RIGHTS)
    except OSError:
        pass  # it is gone
    finally:
        posix.close(fd)


def open_terminal(path: str, flags: int) -> int:
    """It, without its becoming our controlling one. Raises OSError."""
    for left in reversed(range(TRIES)):
        try:
            fd = posix.open(path, flags | posix.O_NOCTTY | posix.O_CLOEXEC)
            break
        except OSError as error:
            if error.errno != 5 or not left:  # EIO
                raise
            sleep(PAUSE_S)
    if not posix.isatty(fd):
        posix.close(fd)
        raise OSError(25, f"{path} is no terminal")  # ENOTTY
    return fd


def _leads() -> bool:
    """Whether we lead a session, a new one if need be, as only who does has a controlling terminal."""
    try:
        if posix.getsid(0) != posix.getpid():
            posix.setsid()
    except PermissionError:
        return False  # we lead a group of processes
    return True


def _release() -> bool:
    """Have no controlling terminal, if we have one; whether we had."""
    try:
        fd = posix.open("/dev/tty", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC | posix.O_NONBLOCK)
    except OSError:
        return False
    try:
        _without_hangup(fd, TIOCNOTTY)
    finally:
        posix.close(fd)
    return True


def _wait(watch: int) -> None:
    """Until somebody has closed it."""
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(watch, POLLIN)
    waiting.poll()


def _forget(watch: int) -> None:
    """What was seen till now."""
    try:
        while watch >= 0 and posix.read(watch, 4096):
            pass
    except BlockingIOError:
        pass


def _without_hangup(fd: int, request: int, value: int = 0) -> None:
    """Do it, and do not die of SIGHUP if it is our own terminal. Raises OSError."""
    before: Any = _signal.getsignal(_signal.SIGHUP)
    _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
    try:
        ioctl(fd, request, value)
    finally:
        _signal.signal(_signal.SIGHUP, before)


def _unless_it_fails(act: "Callable[[], object]") -> None:
    """As with systemd, a terminal that cannot do it is as good."""
    try:
        act()
    except OSError:
        pass


def _reset(fd: int) -> None:
    """Lines, an echo, the usual keys; nothing is waiting to be read or written."""
    for request, value in ((TIOCNXCL, 0), (KDSETMODE, KD_TEXT), (KDSKBMODE, K_UNICODE)):
        _unless_it_fails(lambda request=request, value=value: ioctl(fd, request, value))  # type: ignore[misc]
    _unless_it_fails(lambda: _set_modes(fd))
    _unless_it_fails(lambda: ioctl(fd, TCFLSH, TCIOFLUSH))


def _set_modes(fd: int) -> None:
    before = ioctl(fd, TCGETS, bytes(TERMIOS_SIZE))
    words = [int.from_bytes(before[at : at + 4], byteorder) for at in range(0, 16, 4)]
    words = [word & ~unset | wanted for word, (unset, wanted) in zip(words, MODES, strict=True)]
    keys = bytearray(before[KEYS_AT:])
    for at, key in enumerate(KEYS):
        keys[at] = keys[at] if key == KEPT else key
    ioctl(fd, TCSETS, b"".join(word.to_bytes(4, byteorder) for word in words) + before[16:KEYS_AT] + bytes(keys))


def _resize(fd: int, rows: int | None, columns: int | None) -> None:
    before = ioctl(fd, TIOCGWINSZ, bytes(WINDOW_SIZE))
    both = b"".join(
        before[at : at + 2] if said is None else min(said, SIZE_MOST).to_bytes(2, byteorder)
        for at, said in ((0, rows), (2, columns))
    )
    ioctl(fd, TIOCSWINSZ, both + before[4:])


def _disallocate(path: str) -> None:
    """Free a virtual console that nobody sees; have nothing be on the screen of any other."""
    name = path.removeprefix("/dev/")
    if name == path:
        return
    number = name.removeprefix("tty")
    if name != number and number.isdigit():
        fd = open_terminal("/dev/tty0", posix.O_RDWR | posix.O_NONBLOCK)
        try:
            ioctl(fd, VT_DISALLOCATE, int(number))
            return
        except OSError as error:
            if error.errno != 16:  # EBUSY
                raise
        finally:
            posix.close(fd)
    fd = open_terminal(path, posix.O_RDWR)
    try:
        posix.write(fd, CLEAR)
    finally:
        posix.close(fd)
