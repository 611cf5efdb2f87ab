"""The interpreter's built-in half of the module signal: importing signal itself costs more than all of ours."""

from collections.abc import Callable, Iterable
from types import FrameType

SIG_DFL: int
SIG_IGN: int
SIG_BLOCK: int
SIG_UNBLOCK: int
SIG_SETMASK: int

ITIMER_REAL: int

SIGABRT: int
SIGALRM: int
SIGBUS: int
SIGCHLD: int
SIGCONT: int
SIGFPE: int
SIGHUP: int
SIGILL: int
SIGINT: int
SIGKILL: int
SIGPIPE: int
SIGQUIT: int
SIGSEGV: int
SIGSTOP: int
SIGSYS: int
SIGTERM: int
SIGTRAP: int
SIGTSTP: int
SIGTTIN: int
SIGTTOU: int
SIGUSR1: int
SIGUSR2: int
SIGXFSZ: int

class struct_siginfo:  # noqa: N801
    si_signo: int
    si_code: int
    si_pid: int
    si_uid: int
    si_status: int

def default_int_handler(number: int, frame: FrameType | None, /) -> None: ...
def signal(number: int, action: int | Callable[[int, FrameType | None], object], /) -> object: ...
def getsignal(number: int, /) -> object: ...
def pause() -> None: ...
def pthread_kill(thread_id: int, signalnum: int, /) -> None: ...
def pthread_sigmask(how: int, mask: Iterable[int], /) -> set[int]: ...
def valid_signals() -> set[int]: ...
def sigwaitinfo(mask: Iterable[int], /) -> struct_siginfo: ...
def sigpending() -> set[int]: ...
def sigtimedwait(mask: Iterable[int], seconds: float, /) -> struct_siginfo | None: ...
def pidfd_send_signal(pidfd: int, number: int, info: None = None, flags: int = 0, /) -> None: ...
def raise_signal(number: int, /) -> None: ...
def set_wakeup_fd(fd: int, *, warn_on_full_buffer: bool = True) -> int: ...
def setitimer(which: int, seconds: float, interval: float = 0.0, /) -> tuple[float, float]: ...
