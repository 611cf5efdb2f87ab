"""What the resident takes of the machine: open files, and how soon it is served."""

import posix


def limit_files(most: int = 0) -> int:
    """As many open files as we are allowed at all, or this many. Returns how many they could be before."""
    before = posix.sysconf("SC_OPEN_MAX")
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

        hard = getrlimit(RLIMIT_NOFILE)[1]
        if most or hard != RLIM_INFINITY:
            setrlimit(RLIMIT_NOFILE, (most or hard, hard))
    except (ImportError, ValueError, OSError):
        pass  # Debian's python3-minimal has no such module; what was given has to do
    return before


def set_priority(process: int, nice: int) -> None:
    """Have this process served so soon, 0 for ourselves; that we are not allowed to is no error."""
    try:
        posix.setpriority(posix.PRIO_PROCESS, process, nice)
    except OSError:
        pass
