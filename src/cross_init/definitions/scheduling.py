"""Values about limits and priorities: Limit...=, Nice=, CPU...=, IO...=."""

from cross_init.definitions.definition import INFINITY
from cross_init.definitions.reading import Reading
from cross_init.definitions.values import INT_MAX, bytes_of, number, usec
from cross_init.definitions.words import BLANKS, next_word

POLICIES = ("other", "fifo", "rr", "batch", "iso", "idle", "deadline", "ext")  # by their numbers (sched(7))
REAL_TIME = ("fifo", "rr")
CLASSES = ("none", "realtime", "best-effort", "idle")  # by their numbers (ioprio_set(2))
CPUS_MOST = 8192
COREDUMP = {
    "private-anonymous": 0,
    "shared-anonymous": 1,
    "private-file-backed": 2,
    "shared-file-backed": 3,
    "elf-headers": 4,
    "private-huge": 5,
    "shared-huge": 6,
    "private-dax": 7,
    "shared-dax": 8,
}
Numbers = tuple[int, ...]


def limit(text: str, _: object, reading: Reading, kind: str) -> None:
    """SOFT:HARD, or one for both."""
    parts = text.split(":")
    values = [_bound(part, kind) for part in parts]
    if len(parts) > 2:
        raise ValueError("it is no limit, as 1024:4096")
    if values[0] > values[-1]:
        raise ValueError("the soft limit is above the hard one")
    name = reading.key.removeprefix("Limit")
    limits = reading.context.limits
    limits[name] = (values[0], values[-1])
    reading.subject.origins[name] = reading.origin


def _bound(text: str, kind: str) -> int:
    """Raises ValueError."""
    if text == "infinity" and kind != "nice":  # of which there is nothing above 40, and systemd ignores the line
        return INFINITY
    if kind == "seconds":
        value = usec(text)
        return value if value == INFINITY else -(-value // 1_000_000)
    if kind == "microseconds":
        return usec(text, 1)
    if kind == "nice" and text[:1] in ("+", "-"):
        return 20 - number(text, -20, 19)
    value = bytes_of(text) if kind == "bytes" else number(text, 0, 40 if kind == "nice" else INFINITY - 1)
    if value >= INFINITY:
        raise ValueError("it is too large; infinity is no limit")
    return value


def nice(text: str, _: object, reading: Reading) -> int | None:
    """From -20 to 19, or with nothing: as it is."""
    return number(text, -20, 19) if text else None


def cpu_policy(text: str, _: object, reading: Reading) -> str:
    """How it is scheduled; the priority becomes one that goes with it."""
    context = reading.context
    if text and text not in POLICIES:
        raise ValueError("it may be other, batch, idle, fifo, rr or ext")
    least, most = (1, 99) if text in REAL_TIME else (0, 0)
    context.cpu_scheduling_priority = max(least, min(context.cpu_scheduling_priority or 0, most)) if text else None
    return text


def io_class(text: str, _: object, reading: Reading) -> str:
    """How its input and output is scheduled."""
    context = reading.context
    if not text:
        context.io_scheduling_priority = None
        return ""
    name = CLASSES[number(text, 0, 3)] if text.isdigit() else text
    if name not in CLASSES:
        raise ValueError(f"it may be {', '.join(CLASSES)}")
    if context.io_scheduling_priority is None or name == "none":
        context.io_scheduling_priority = 4
    return "best-effort" if name == "none" else name


def io_priority(text: str, _: object, reading: Reading) -> int | None:
    """From 0 to 7."""
    context = reading.context
    if not text:
        context.io_scheduling_class = ""
        return None
    value = number(text, 0, 7)
    context.io_scheduling_class = context.io_scheduling_class or "best-effort"
    return value


def affinity(text: str, old: Numbers, reading: Reading) -> Numbers:
    """CPUAffinity=: processors, or numa."""
    if text != "numa":
        found = processors(reading.expand(text), old, reading)
    reading.context.cpu_affinity_from_numa = text == "numa"
    return () if text == "numa" else found


def processors(text: str, old: Numbers, reading: Reading) -> Numbers:
    """Numbers and ranges, of which each line adds some; an empty line resets them."""
    found: set[int] = set()
    at, is_any = 0, False
    while at != -1:
        word, at = next_word(text, at, f"{BLANKS},")
        if word is None:
            break
        is_any = True
        first, _, last = word.partition("-")
        low, high = number(first, 0, CPUS_MOST), number(last or first, 0, CPUS_MOST)
        found.update(range(low, high + 1))
    return tuple(sorted({*old, *found})) if is_any else ()


def nodes(text: str, old: Numbers, reading: Reading) -> Numbers:
    """Memory nodes, or all."""
    return tuple(range(64)) if text == "all" else processors(text, old, reading)


def nsec(text: str, _: object, reading: Reading) -> int | None:
    """A time in nanoseconds, if it has no unit."""
    rest = text.strip(BLANKS)
    if rest.endswith("ns") or rest.isdigit():
        return number(rest.removesuffix("ns").rstrip(BLANKS), 0, INFINITY)
    value = usec(rest)
    return None if value == INFINITY else value * 1000


def coredump_filter(text: str, old: int | None, reading: Reading) -> int | None:
    """Which mappings a core has (core(5)): by name, or a mask in hexadecimal."""
    if not text:
        return None
    mask = old or 0
    for word in text.split():
        if word == "default":
            mask |= 0x33
        elif word == "all":
            mask |= (1 << 32) - 1
        elif word in COREDUMP:
            mask |= 1 << COREDUMP[word]
        else:
            try:
                mask |= int(word, 16)
            except ValueError:
                raise ValueError(f"{word}: it is no kind of mapping") from None
    return mask


def personality(text: str, _: object, reading: Reading) -> str:
    """What uname(2) says of the machine."""
    return text


def oom_score(text: str, _: object, reading: Reading) -> int | None:
    """From -1000 to 1000, or with nothing: as it is."""
    return number(text, -1000, 1000) if text else None


def cpu_priority(text: str, _: object, reading: Reading) -> int:
    """From 0 to 99."""
    return number(text, 0, min(99, INT_MAX))
