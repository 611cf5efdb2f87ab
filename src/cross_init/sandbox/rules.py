"""What the directives that filter system calls mean: which call, with which arguments, gets which answer. Pure.

As systemd.exec(5) says, and systemd does (seccomp-util.c); tests/running/test_filters.py holds it to that.
"""

from cross_init.sandbox.libseccomp import ALLOW, EQ, ERRNO, GT, KILL_PROCESS, LOG, LT, MASKED_EQ, NE, UNKNOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cross_init.definitions.definition import Context
    from cross_init.sandbox.libseccomp import Rule

EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97  # asm-generic/errno.h
DENY = ERRNO | EPERM
NAMESPACES = {  # linux/sched.h
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
    "time": 0x00000080,
}
LOW_WORD = 0xFFFFFFFF  # all that the kernel looks at of an int
ORDINARY = (0, 3, 5)  # sched(7): other, batch, idle
EXEC, WRITE_EXEC = 0x4, 0x6  # PROT_... of bits/mman.h
SHM_EXEC = 0o100000
O_CREAT = 0o100
SPECIAL_BITS = (0o4000, 0o2000)  # set-user-ID, set-group-ID
WITH_MODE = {  # the calls that take one, and which argument it is
    **dict.fromkeys(("chmod", "fchmod", "mkdir", "mknod", "creat"), 1),
    **dict.fromkeys(("fchmodat", "fchmodat2", "mkdirat", "mknodat"), 2),
}
# Those whose sockets are made by socketcall(2) as well, which tells a filter nothing.
WITHOUT_SOCKET = ("x86", "s390", "s390x", "ppc", "ppc64", "ppc64le")
WITHOUT_SYSCTL = ("x32", "aarch64", "riscv64", "loongarch64")
# systemd's names of architectures, where libseccomp has others.
RENAMED = {"x86-64": "x86_64", "arm64": "aarch64", "ppc64-le": "ppc64le"}


class Restriction:
    """What one directive asks for. default: for calls that no rule is about.

    without: architectures for which it cannot be had. instead: by architecture, the rules that it has there.
    """

    __slots__ = ("default", "instead", "key", "rules", "without")

    def __init__(self, key: str, rules: "Iterable[Rule]", default: int = ALLOW, without: tuple[str, ...] = ()) -> None:
        self.key = key
        self.rules = tuple(rules)
        self.default = default
        self.without = without
        self.instead: dict[str, tuple[Rule, ...]] = {}


def restrictions(context: "Context", denies_by_itself: bool) -> "Iterator[Restriction]":
    """What is asked for before SystemCallArchitectures=, in systemd's order.

    denies_by_itself: the kernel does what MemoryDenyWriteExecute= means (PR_SET_MDWE).
    """
    from cross_init.sandbox.calls import named

    if context.protect_hostname.partition(":")[0] == "yes":
        yield Restriction("ProtectHostname", _all(("sethostname", "setdomainname")))
    if context.restrict_address_families or context.restrict_address_families_allow:
        allow = bool(context.restrict_address_families_allow)
        rules = _families(context.restrict_address_families, allow)
        yield Restriction("RestrictAddressFamilies", rules, without=WITHOUT_SOCKET)
    if context.memory_deny_write_execute and not denies_by_itself:
        yield _memory()
    if context.restrict_realtime:
        yield Restriction("RestrictRealtime", _real_time())
    if context.restrict_suid_sgid:
        yield Restriction("RestrictSUIDSGID", _special_bits())
    if context.restrict_namespaces is not None and not {*NAMESPACES} - {"time"} <= {*context.restrict_namespaces}:
        yield Restriction("RestrictNamespaces", _namespaces(context.restrict_namespaces))
    if context.protect_kernel_tunables:
        yield Restriction("ProtectKernelTunables", _all(("_sysctl",)), without=WITHOUT_SYSCTL)
    if context.protect_kernel_modules:
        yield Restriction("ProtectKernelModules", _all(named("@module")))
    if context.protect_kernel_logs:
        yield Restriction("ProtectKernelLogs", _all(("syslog",)))
    if context.protect_clock:
        yield Restriction("ProtectClock", _all(named("@clock")))
    if context.private_devices:
        yield Restriction("PrivateDevices", _all(named("@raw-io")))


def last_restrictions(context: "Context", personality: int, number: "Callable[[str], int]") -> "Iterator[Restriction]":
    """What comes behind it, for the architectures that this leaves.

    personality: that the process has. number: of a call on this machine's own architecture, as libseccomp has it.
    """
    if context.lock_personality:
        yield Restriction("LockPersonality", (("personality", DENY, ((0, NE, personality, 0),)),))
    if context.system_call_log:
        from cross_init.sandbox.calls import merged

        is_listed, listed = merged(context.system_call_log, is_log=True)
        default, action = (ALLOW, LOG) if is_listed else (LOG, ALLOW)
        if any(number(name) != UNKNOWN for name in listed):  # without any, nothing is logged, not even all
            yield Restriction("SystemCallLog", ((name, action, ()) for name in listed), default)
    if context.system_call_filter:
        yield _filter(context, number)


def left(architectures: tuple[str, ...], said: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the machine's whose calls may still be made (SystemCallArchitectures=). Its own stays, as the last."""
    if not said:
        return architectures
    named = {RENAMED.get(name, name) for name in said}
    return tuple(each for each in architectures if each in named or each == architectures[-1])


def _filter(context: "Context", number: "Callable[[str], int]") -> Restriction:
    """Where a list says which may be made, a call that systemd itself does not know is one that the kernel has not.

    So a program that tries a new call goes on without it.
    """
    from cross_init.sandbox.calls import KILL, WITHOUT_ERROR, merged
    from cross_init.sandbox.groups import GROUPS

    is_allowed, listed = merged(context.system_call_filter)
    refusal = answer(context.system_call_error_number or KILL)
    if is_allowed:
        default, action = ERRNO | ENOSYS, ALLOW
        actions = {name: refusal for name in GROUPS["@known"].split() if not name.startswith("@") and number(name) >= 0}
        listed["write"] = WITHOUT_ERROR  # by which systemd hears that exec comes
    else:
        default, action, actions = ALLOW, refusal, {}
        listed.pop("write", None)
    actions |= {name: action if error == WITHOUT_ERROR else answer(error) for name, error in listed.items()}
    return Restriction(
        "SystemCallFilter", ((name, each, ()) for name, each in actions.items() if each != default), default
    )


def answer(error: int) -> int:
    """What a call that is refused gets: an error, or calls.KILL."""
    return ERRNO | error if error >= 0 else KILL_PROCESS


def _all(names: "Iterable[str]") -> "Iterator[Rule]":
    return ((name, DENY, ()) for name in names)


def _families(names: tuple[str, ...], allow: bool) -> "Iterator[Rule]":
    from cross_init.definitions.restrictions import FAMILIES

    numbers = sorted(FAMILIES.index(name.removeprefix("AF_")) + 1 for name in names)
    action = ERRNO | EAFNOSUPPORT
    if not allow:
        return (("socket", action, ((0, EQ, number, 0),)) for number in numbers)
    if not numbers:
        return iter((("socket", action, ()),))
    between = (number for number in range(1, len(FAMILIES) + 1) if number not in numbers)
    ends = ((0, LT, numbers[0], 0), (0, GT, numbers[-1], 0))
    return (("socket", action, (each,)) for each in (*ends, *((0, EQ, number, 0) for number in between)))


def _memory() -> Restriction:
    def maps(name: str) -> "Rule":
        return (name, DENY, ((2, MASKED_EQ, WRITE_EXEC, WRITE_EXEC),))

    protects: list[Rule] = [(name, DENY, ((2, MASKED_EQ, EXEC, EXEC),)) for name in ("mprotect", "pkey_mprotect")]
    attaches: Rule = ("shmat", DENY, ((2, MASKED_EQ, SHM_EXEC, SHM_EXEC),))
    made = Restriction("MemoryDenyWriteExecute", (maps("mmap"), *protects, attaches))
    # Where shmat(2) is a part of ipc(2), a filter does not see its arguments.
    made.instead = {name: (maps("mmap2"), ("mmap", DENY, ()), *protects) for name in ("x86", "s390")}
    made.instead |= {name: (maps("mmap"), *protects) for name in ("ppc", "ppc64", "ppc64le")}
    made.instead["arm"] = (maps("mmap2"), *protects, attaches)
    return made


def _real_time() -> "Iterable[Rule]":
    highest = max(ORDINARY)
    refused = (number for number in range(highest) if number not in ORDINARY)
    each = (*((1, EQ, number, 0) for number in refused), (1, GT, highest, 0))
    return (*(("sched_setscheduler", DENY, (one,)) for one in each), ("sched_setattr", DENY, ()))


def _special_bits() -> "Iterator[Rule]":
    for bit in SPECIAL_BITS:
        for name, argument in WITH_MODE.items():
            yield name, DENY, ((argument, MASKED_EQ, bit, bit),)
        yield "open", DENY, ((1, MASKED_EQ, O_CREAT, O_CREAT), (2, MASKED_EQ, bit, bit))
        yield "openat", DENY, ((2, MASKED_EQ, O_CREAT, O_CREAT), (3, MASKED_EQ, bit, bit))
    yield "openat2", ERRNO | ENOSYS, ()  # what it is asked for is out of a filter's reach: callers have openat(2)


def _namespaces(allowed: tuple[str, ...]) -> "Iterator[Rule]":
    yield "clone3", ERRNO | ENOSYS, ()  # likewise: callers have clone(2)
    yield "setns", DENY, ((1, MASKED_EQ, LOW_WORD, 0),) if allowed else ()
    for name, flag in NAMESPACES.items():
        if name not in allowed:
            yield "unshare", DENY, ((0, MASKED_EQ, flag, flag),)
            yield "clone", DENY, ((0, MASKED_EQ, flag, flag),)
            if allowed:
                yield "setns", DENY, ((1, MASKED_EQ, flag, flag),)
