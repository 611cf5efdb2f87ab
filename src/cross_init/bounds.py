"""Numbers from outside: the one place that makes a text a PID, a descriptor, a port, a count or a time, within bounds.

Who wrote it (a person, a daemon, whoever may write to a file) may have written anything. A number that no C type holds
would end in OverflowError at some system call far from here, and this process with it. So each has a type that says
that it was looked at, and what is none of its kind is None: who asked for it knows what to say, and to whom.

Decimal ASCII digits count and nothing else. int() takes a sign, blanks, underscores and the digits of other scripts as
well, and stops with an error at 4,301 digits; isdigit() takes "²", which int() does not.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NewType

    Pid = NewType("Pid", int)
    Descriptor = NewType("Descriptor", int)
    Port = NewType("Port", int)
    Count = NewType("Count", int)
    Usec = NewType("Usec", int)
    Identity = NewType("Identity", int)
else:  # at run time that costs nothing
    Pid = Descriptor = Port = Count = Usec = Identity = int

PID_MAX = 1 << 22  # PID_MAX_LIMIT (proc_sys_kernel(5), pid_max)
DESCRIPTOR_MAX = (1 << 31) - 1  # a C int; what is open is far below it
PORT_MAX = 65535
COUNT_MAX = 999_999  # more than fs.nr_open lets a process have open (proc_sys_fs(5)), unless somebody raises that
UINT64_MAX = (1 << 64) - 1  # usec_t of systemd, which is "infinity" there, and the number of an inode
SECONDS_MAX = 999_999_999  # 31 years
DIGITS_MAX = 32  # zeros may stand before the 20 of UINT64_MAX


def number(text: str | bytes, least: int, most: int) -> int | None:
    """The number that this text is, if it is one from least to most."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        return None
    value = int(text)
    return value if least <= value <= most else None


def as_pid(text: str | bytes) -> Pid | None:
    """A process. 0 is none, nor is what is negative: kill(2) takes them for groups, and -1 for everybody."""
    value = number(text, 1, PID_MAX)
    return None if value is None else Pid(value)


def as_descriptor(text: str | bytes) -> Descriptor | None:
    """A descriptor, which need not be open."""
    value = number(text, 0, DESCRIPTOR_MAX)
    return None if value is None else Descriptor(value)


def as_port(text: str | bytes, least: int = 0) -> Port | None:
    """A port of TCP or UDP; 0, where it may be that, lets the kernel choose."""
    value = number(text, least, PORT_MAX)
    return None if value is None else Port(value)


def as_count(text: str | bytes) -> Count | None:
    """How many there are, or may be at most."""
    value = number(text, 0, COUNT_MAX)
    return None if value is None else Count(value)


def as_usec(text: str | bytes) -> Usec | None:
    """A time in microseconds as systemd reads it: any number of 64 bits."""
    value = number(text, 0, UINT64_MAX)
    return None if value is None else Usec(value)


def as_identity(text: str | bytes) -> Identity | None:
    """The number of an inode, by which a pidfd is told from all others (sd_notify(3), MAINPIDFDID)."""
    value = number(text, 1, UINT64_MAX)
    return None if value is None else Identity(value)


def as_seconds(text: str) -> float | None:
    """A time above 0 in seconds as people write it, 10 or 0.5; less than a microsecond counts as one."""
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
        return None
    value = float(text)
    return max(value, 1e-6) if 0 < value <= SECONDS_MAX else None


def in_seconds(usec: Usec) -> float:
    """The same time in seconds; more than SECONDS_MAX counts as that, as nobody sees the end of either."""
    return min(usec / 1e6, float(SECONDS_MAX))
