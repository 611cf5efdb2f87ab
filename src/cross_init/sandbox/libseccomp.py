"""Filters of system calls by libseccomp (seccomp_init(3)): it knows each architecture's numbers, and makes the BPF.

By ctypes' C part alone, as all of ctypes takes 7 ms; in the static file the library is linked in (tools/static/main.c).
"""

import posix
import sys

from cross_init.errors import Failure
from cross_init.kernel.system_calls import BUILT_IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # A call, what becomes of it, and what its arguments are for that: which of them, how it is compared, with what.
    Rule = tuple[str, int, tuple[tuple[int, int, int, int], ...]]

FILE, PACKAGE = "libseccomp.so.2", "libseccomp2"
# linux/seccomp.h: what becomes of a call.
KILL_PROCESS, ERRNO, LOG, ALLOW = 0x80000000, 0x00050000, 0x7FFC0000, 0x7FFF0000
NE, LT, EQ, GT, MASKED_EQ = 1, 2, 4, 6, 7  # enum scmp_compare
ACT_BADARCH, CTL_NNP = 2, 3  # enum scmp_filter_attr
UNKNOWN = -1  # __NR_SCMP_ERROR
PARTS_OF_OTHERS = -1000  # above it, calls that are parts of socketcall(2) and ipc(2) somewhere (seccomp-syscalls.h)
UNNAMED = {"fchmodat2": 452}  # asm-generic/unistd.h, the same everywhere; libseccomp has no name for it before 2.5.5
EDOM, EEXIST, ENOSYS = 33, 17, 38
# Those that systemd filters, by libseccomp's names; the machine's own is the last, as its filter is the one that counts
# for whoever sets it.
ARCHITECTURES = (
    ("x86", "x32", "x86_64"),
    ("arm", "aarch64"),
    ("ppc", "ppc64", "ppc64le"),
    ("s390", "s390x"),
    *(("x86",), ("arm",), ("riscv64",), ("loongarch64",)),
)
_numbers: "dict[str, int]" = {}
_functions: "dict[str, Callable[..., int]]" = {}


class Filter:
    """One that is made, and not yet set. context: libseccomp's own."""

    __slots__ = ("context", "tokens")

    def __init__(self, architectures: "Iterable[str]", default: int) -> None:
        """architectures: that it is for, by libseccomp's names. Raises Failure."""
        self.context = _call("seccomp_init", default)
        if not self.context:
            raise Failure(f"making a filter of system calls: this {FILE} or kernel does not know action {default:#x}")
        _succeed("seccomp_attr_set", self.context, CTL_NNP, 0)
        self.tokens = [_call("seccomp_arch_resolve_name", each.encode()) for each in architectures]
        native = _call("seccomp_arch_native")
        if native not in self.tokens:
            _succeed("seccomp_arch_remove", self.context, native)
        for token in self.tokens:
            if token != native:
                _succeed("seccomp_arch_add", self.context, token)

    def let_others(self) -> None:
        """Calls of other architectures are none of its business. Raises Failure."""
        _succeed("seccomp_attr_set", self.context, ACT_BADARCH, ALLOW)

    def add(self, rules: "Iterable[Rule]") -> int:
        """For the one architecture that it is for. Returns how many of them this has a call for. Raises Failure.

        One that it lacks is not even tried, unless it may be part of another call: each that fails has libseccomp go
        through all that were added before. Added from the highest number down, where they are sorted in fastest.
        """
        found: list[tuple[int, int, tuple[tuple[int, int, int, int], ...]]] = []
        is_native = self.tokens[0] == _call("seccomp_arch_native")
        for name, action, comparisons in rules:
            if comparisons and name in UNNAMED and number_of(name) == UNKNOWN:
                found.append((UNNAMED[name], ERRNO | ENOSYS, ()))  # as if the kernel had none such
                continue
            here = number_of(name)
            if not is_native:
                here = _call("seccomp_syscall_resolve_name_arch", self.tokens[0], name.encode())
            if here >= 0 or PARTS_OF_OTHERS < here < UNKNOWN:
                found.append((number_of(name), action, comparisons))
        known = 0
        function = _function("seccomp_rule_add_exact_array")
        for number, action, comparisons in sorted(found, reverse=True):
            words = b"".join(_comparison(*each) for each in comparisons)
            result = function(self.context, action, number, len(comparisons), words)
            if result == 0:
                known += 1
            elif result != -EDOM:
                raise _failure("seccomp_rule_add", result)
        return known

    def set(self) -> None:
        """Have it count from now on, for this process and all that come of it. Raises Failure."""
        _succeed("seccomp_load", self.context)


def _comparison(which: int, how: int, one: int, other: int) -> bytes:
    """A struct scmp_arg_cmp."""
    return (which | how << 32).to_bytes(8, "little") + b"".join(
        each.to_bytes(8, sys.byteorder) for each in (one, other)
    )


def why_not() -> str:
    """Why there are no filters here, and what to do; "" if they can be made."""
    try:
        _function("seccomp_init")
    except ImportError:  # Debian's python3-minimal
        return "this Python has no module ctypes: install python3"
    except OSError:
        return f"there is no {FILE}: install {PACKAGE}"
    if not local():
        return f"nobody has said which architectures {posix.uname().machine} has"
    return ""


def local() -> tuple[str, ...]:
    """The architectures whose calls can be made on this machine; () if it is none that we know."""
    native = _call("seccomp_arch_native")
    for names in ARCHITECTURES:
        if _call("seccomp_arch_resolve_name", names[-1].encode()) == native:
            return names
    return ()


def number_of(name: str) -> int:
    """Of a call, for this machine's architecture; one below -1 where others have it; UNKNOWN."""
    if name not in _numbers:
        _numbers[name] = _call("seccomp_syscall_resolve_name", name.encode())
    return _numbers[name]


def _call(name: str, *words: object) -> int:
    return _function(name)(*words)


def _succeed(name: str, *words: object) -> None:
    """Raises Failure."""
    result = _call(name, *words)
    if result < 0 and result != -EEXIST:
        raise _failure(name, result)


def _failure(name: str, result: int) -> Failure:
    return Failure(f"{name}: {posix.strerror(-result)}")


def _function(name: str) -> "Callable[..., int]":
    """One of the library's. Raises ImportError, OSError."""
    if name not in _functions:
        _functions[name] = _built_in(name) if BUILT_IN else _loaded(name)
    return _functions[name]


def _built_in(name: str) -> "Callable[..., int]":
    from cross_init_calls import call

    return lambda *words: call(name, *words)


def _loaded(name: str) -> "Callable[..., int]":
    """A context is a pointer, of which _ctypes alone knows no more than 32 bits."""
    from _ctypes import FUNCFLAG_CDECL, CFuncPtr, _SimpleCData, call_function, dlopen, dlsym

    address = dlsym(dlopen(FILE, posix.RTLD_NOW), name)
    if name != "seccomp_init":
        return lambda *words: call_function(address, words)
    pointer = type("Pointer", (_SimpleCData,), {"_type_": "P"})
    maker = type("Maker", (CFuncPtr,), {"_flags_": FUNCFLAG_CDECL, "_restype_": pointer})(address)
    return lambda *words: pointer(made) if (made := maker(*words)) else 0
