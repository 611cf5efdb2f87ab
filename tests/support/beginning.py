"""What every test run begins with, whatever the shell, the service or the CI had that started it.

What a process inherits is set here, and nowhere else: signals (their dispositions and the mask), the umask, limits, the
priority, the environment, the terminal, the working directory, descriptors, and whose services are seen. What cannot be
set (a hard limit that only root raises) stays. What only the interpreter's start decides is asked for in the Makefile,
and checked.
"""

import ctypes
import fcntl
import os
import pwd
import resource
import signal
import sys
import tempfile
import termios
from pathlib import Path

from tests.support import programs
from tests.support.reachable import let_through

ROOT = Path(__file__).resolve().parents[2]
UMASK = 0o022
# Soft and hard, as a machine's services have them (systemd-system.conf(5)).
_NONE = resource.RLIM_INFINITY
_LIMITS = {
    resource.RLIMIT_NOFILE: (1024, 524288),
    resource.RLIMIT_CORE: (0, _NONE),
    resource.RLIMIT_STACK: (8 << 20, _NONE),
    **dict.fromkeys(
        (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_CPU),
        (_NONE, _NONE),
    ),
}
# The variables that stay: who asks for what in the tests, and how PyPI and Debian are reached.
_KEPT = (
    *("CI", "CROSS_INIT_TEST_", "PYTEST_", "HYPOTHESIS_", "COLUMNS", "TERM", "PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)

_CLONE_NEWNS, _MS_REC, _MS_PRIVATE = 0x20000, 0x4000, 1 << 18  # sched.h, linux/mount.h
_LIBC = ctypes.CDLL(None, use_errno=True)
_FOLDERS = {"/run/cross-init": 0o711, "/run/cross-init-status": 0o711}  # as the bridge makes them


def begin() -> None:
    """Set all of it. Ends the run if the interpreter was started so that tests cannot be trusted."""
    _set_environment()
    _set_signals()
    os.umask(UMASK)
    _set_limits()
    _set_priority()
    _leave_terminal()
    _close_strangers()
    _part_from_others()
    os.chdir(ROOT)
    if not __debug__:
        sys.exit("tests: this interpreter leaves out assert (python -O, PYTHONOPTIMIZE): use make test")
    if sys.getfilesystemencoding() != "utf-8":
        sys.exit(
            "tests: this interpreter's encoding is that of the locale, not UTF-8: use make test, or python -X utf8"
        )


def _set_environment() -> None:
    user = pwd.getpwuid(os.geteuid())
    kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    os.environ.clear()
    os.environ.update(kept, PATH=programs.PATH, HOME=user.pw_dir, USER=user.pw_name, LANG="C.UTF-8")
    tempfile.tempdir = None  # TMPDIR counts no more: its path may be too long for a socket, or have blanks in it


def _set_signals() -> None:
    """What has a handler of this interpreter keeps it, and so do the two that Python ignores for itself."""
    for number in signal.valid_signals():
        if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _set_limits() -> None:
    for number, (soft, hard) in _LIMITS.items():
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError):  # only root raises a hard limit
            most = resource.getrlimit(number)[1]
            resource.setrlimit(number, (most if soft == _NONE or (most != _NONE and most < soft) else soft, most))


def _set_priority() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    except PermissionError:
        pass


def _leave_terminal() -> None:
    """It stays the terminal that Ctrl-C comes from; but no test can open /dev/tty, as in a CI (tty_ioctl(4))."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return
    try:
        if os.getsid(0) != os.getpid():  # the end of its session would be everybody's
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
    finally:
        os.close(terminal)


def _close_strangers() -> None:
    """Whatever Python opens is not inheritable: what is was inherited itself. Standard input is empty."""
    null = os.open(os.devnull, os.O_RDWR)  # the first of the three that is closed, if one is
    for number in range(3):
        if number == 0 or not os.path.exists(f"/proc/self/fd/{number}"):
            os.dup2(null, number)
    if null > 2:
        os.close(null)
    else:
        os.set_inheritable(null, True)
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if number > 2 and os.get_inheritable(number):
                os.close(number)
        except OSError:  # the listing itself
            pass


def _part_from_others() -> None:
    """The folders of our sockets are this run's own: bridges of the machine, or of another run, are not seen in them.

    That takes a mount namespace, which its processes share with it.
    """
    if os.geteuid() != 0 or _LIBC.unshare(_CLONE_NEWNS) != 0:
        return
    _mount("", "/", "", _MS_REC | _MS_PRIVATE, "")
    for folder, mode in _FOLDERS.items():
        Path(folder).mkdir(mode, exist_ok=True)
        _mount("tmpfs", folder, "tmpfs", 0, f"mode={mode:o}")
    let_through(ROOT, _mount)


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    """As mount(2). Raises OSError."""
    words = (source.encode() or None, target.encode(), kind.encode() or None, flags, data.encode() or None)
    if _LIBC.mount(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
