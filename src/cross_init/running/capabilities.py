"""CapabilityBoundingSet=, AmbientCapabilities=, SecureBits= (systemd.exec(5)), by prctl(2) and capset(2)."""

import posix

from cross_init.kernel.linux import read
from cross_init.kernel.process_stat import value_in
from cross_init.kernel.system_calls import process_control, set_capabilities

PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 8, 24, 28, 47  # linux/prctl.h
AMBIENT_RAISE = 2
SETUID, SYS_ADMIN = 7, 21  # linux/capability.h
LAST = "/proc/sys/kernel/cap_last_cap"
MOST = 8192  # bytes of STATUS
_status = -1  # STATUS, opened while it could be (look)
STATUS = "/proc/self/status"


def look() -> None:
    """/proc may be out of reach soon: have what we need of it open. Raises OSError."""
    global _status
    _status = posix.open(STATUS, posix.O_RDONLY | posix.O_CLOEXEC)


def bound(wanted: int) -> None:
    """Never have more than these, nor whatever is started from here. Raises OSError."""
    last = int(read(LAST) or 40)
    have = _own("CapBnd")
    for number in range(last + 1):
        if have >> number & 1 and not wanted >> number & 1:
            process_control(PR_CAPBSET_DROP, number)
    inheritable = _own("CapInh")
    if inheritable & ~wanted:
        set_capabilities(_own("CapEff"), _own("CapPrm"), inheritable & wanted)


def keep_over_change_of_user() -> None:
    """The kernel takes them away from who becomes another user than root, unless this is said. Raises OSError."""
    process_control(PR_SET_KEEPCAPS, 1)


def take(wanted: int) -> None:
    """Have these, and have what is started from here have them, and no others to inherit. Raises OSError."""
    permitted = _own("CapPrm")
    set_capabilities(permitted, permitted, wanted)
    for number in range(64):
        if wanted >> number & 1:
            process_control(PR_CAP_AMBIENT, AMBIENT_RAISE, number)


def has(number: int) -> bool:
    """Whether this one counts for this process."""
    return bool(_own("CapEff") >> number & 1)


def stay_admin(ambient: int) -> None:
    """Have CAP_SYS_ADMIN count, which is permitted, and pass on CAP_SETUID only if it was asked for. Raises OSError."""
    set_capabilities(_own("CapEff") | 1 << SYS_ADMIN, _own("CapPrm"), _own("CapInh") & ~(1 << SETUID) | ambient)


def secure(bits: int) -> None:
    """What being root means from now on. Raises OSError."""
    process_control(PR_SET_SECUREBITS, bits)


def _own(field: str) -> int:
    """Our own, as proc_pid_status(5) has them."""
    text = read(STATUS) if _status < 0 else posix.pread(_status, MOST, 0).decode("utf-8", "replace")
    return int(value_in(text, field) or "0", 16)
