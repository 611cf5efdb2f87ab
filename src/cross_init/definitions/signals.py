"""Values that name signals and exit codes, as KillSignal= and SuccessExitStatus=."""

import _signal

from cross_init.definitions.reading import Reading
from cross_init.definitions.values import number
from cross_init.definitions.words import words

Statuses = tuple[tuple[int, ...], tuple[int, ...]]
SIGNALS = 64
RTMIN, RTMAX = 34, 64  # as glibc leaves them to programs (signal(7))
# systemd.exec(5), "Process Exit Codes".
CODES = {
    "SUCCESS": 0,
    "FAILURE": 1,
    "INVALIDARGUMENT": 2,
    "NOTIMPLEMENTED": 3,
    "NOPERMISSION": 4,
    "NOTINSTALLED": 5,
    "NOTCONFIGURED": 6,
    "NOTRUNNING": 7,
    "USAGE": 64,
    "DATAERR": 65,
    "NOINPUT": 66,
    "NOUSER": 67,
    "NOHOST": 68,
    "UNAVAILABLE": 69,
    "SOFTWARE": 70,
    "OSERR": 71,
    "OSFILE": 72,
    "CANTCREAT": 73,
    "IOERR": 74,
    "TEMPFAIL": 75,
    "PROTOCOL": 76,
    "NOPERM": 77,
    "CONFIG": 78,
    "CHDIR": 200,
    "NICE": 201,
    "FDS": 202,
    "EXEC": 203,
    "MEMORY": 204,
    "LIMITS": 205,
    "OOM_ADJUST": 206,
    "SIGNAL_MASK": 207,
    "STDIN": 208,
    "STDOUT": 209,
    "CHROOT": 210,
    "IOPRIO": 211,
    "TIMERSLACK": 212,
    "SECUREBITS": 213,
    "SETSCHEDULER": 214,
    "CPUAFFINITY": 215,
    "GROUP": 216,
    "USER": 217,
    "CAPABILITIES": 218,
    "CGROUP": 219,
    "SETSID": 220,
    "CONFIRM": 221,
    "STDERR": 222,
    "PAM": 224,
    "NETWORK": 225,
    "NAMESPACE": 226,
    "NO_NEW_PRIVILEGES": 227,
    "SECCOMP": 228,
    "SELINUX_CONTEXT": 229,
    "PERSONALITY": 230,
    "APPARMOR": 231,
    "ADDRESS_FAMILIES": 232,
    "RUNTIME_DIRECTORY": 233,
    "CHOWN": 235,
    "SMACK_PROCESS_LABEL": 236,
    "KEYRING": 237,
    "STATE_DIRECTORY": 238,
    "CACHE_DIRECTORY": 239,
    "LOGS_DIRECTORY": 240,
    "CONFIGURATION_DIRECTORY": 241,
    "NUMA_POLICY": 242,
    "CREDENTIALS": 243,
    "BPF": 245,
    "EXCEPTION": 255,
}


def signal(text: str, _: object, reading: Reading) -> int:
    """A signal by name or number."""
    return signal_number(text)


def signal_number(text: str) -> int:
    """Raises ValueError."""
    try:
        return number(text, 1, SIGNALS)
    except ValueError:
        pass
    name = text.removeprefix("SIG")
    if name.isupper() and not name.startswith(("RT", "_")):
        found = getattr(_signal, f"SIG{name}", None)
        if isinstance(found, int):
            return int(found)
    for base, first, sign in (("RTMIN", RTMIN, "+"), ("RTMAX", RTMAX, "-")):
        if name == base:
            return first
        if name.startswith(f"{base}{sign}"):
            value = first + number(name.removeprefix(base), RTMIN - RTMAX, RTMAX - RTMIN)
            if RTMIN <= value <= RTMAX:
                return value
    raise ValueError("it is no signal")


def statuses(text: str, old: Statuses, reading: Reading) -> Statuses:
    """Exit codes and signals; an empty line resets them."""
    if not text:
        return ((), ())
    codes, signals = set(old[0]), set(old[1])
    for word in words(text, quotes=False):
        try:
            codes.add(CODES[word] if word in CODES else number(word, 0, 255))
            continue
        except ValueError:
            pass
        try:
            signals.add(signal_number(word))
        except ValueError:
            reading.remark(f"{word}: it is no exit code and no signal")
    return tuple(sorted(codes)), tuple(sorted(signals))
