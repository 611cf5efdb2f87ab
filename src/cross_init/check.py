"""cross-init check: whether a service is ready, as its state file says; for runit's ./check and containers' probes."""

import posix

from cross_init.model import Failure
from cross_init.state import FILE, READY, read

NOT_READY = 1


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, 0 if the service is ready, and the answer as a line. Raises Failure."""
    if len(words) > 1 or (words and words[0].startswith("-")):
        raise Failure("check takes the path of one state file, or nothing in a service directory")
    path = words[0] if words else FILE
    try:
        state = read(path)
    except (FileNotFoundError, NotADirectoryError):
        where = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
        return NOT_READY, f"no such service: no start of cross-init-bridge -N has left {where}"
    except OSError as error:
        raise Failure(f"reading the state file {path}: {error.strerror}; ask as the user that may") from None
    if not state.is_alive:
        return NOT_READY, f"not running: process {state.pid}, which was {state.word}, has ended"
    if state.word != READY:
        return NOT_READY, f"starting since {state.seconds:.0f} s (PID {state.pid})"
    return 0, f"ready (PID {state.pid})"
