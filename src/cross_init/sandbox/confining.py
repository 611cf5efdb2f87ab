"""A process's filters of system calls: made while it may still do anything, and set as the last before its program."""

from cross_init.errors import Failure
from cross_init.kernel.linux import read
from cross_init.sandbox.libseccomp import ALLOW, Filter, local, number_of, why_not
from cross_init.sandbox.rules import Restriction, last_restrictions, left, restrictions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cross_init.definitions.definition import Context

PERSONALITY, LINUX_32 = 0xFFFF, 8  # linux/personality.h
PR_GET_SECCOMP, PR_SET_SECCOMP, MODE_FILTER = 21, 22, 2  # linux/prctl.h, linux/seccomp.h
PR_SET_MDWE, PR_GET_MDWE, REFUSE_EXEC_GAIN = 65, 66, 1
EFAULT = 14
DROPS = ("capget", "capset", "prctl")  # by which privileges are given up


def keys(context: "Context") -> list[str]:
    """The directives of a unit that are met by filters."""
    found = [each.key for each in restrictions(context, False)]
    found += ["SystemCallArchitectures"] if context.system_call_architectures else []
    return found + [each.key for each in last_restrictions(context, 0, len)]


def why_none() -> str:
    """Why no filter can be set here, and what to do; "" if they can be."""
    from cross_init.kernel.system_calls import process_control

    if reason := why_not():
        return reason
    try:
        process_control(PR_GET_SECCOMP)
        process_control(PR_SET_SECCOMP, MODE_FILTER, 0)  # a filter that is nowhere
    except OSError as error:
        if error.errno == EFAULT:
            return ""
        return f"this kernel or container has no filters of system calls (seccomp: {error.strerror})"
    return ""


def allows_giving_up(context: "Context") -> bool:
    """Whether a process with its SystemCallFilter= may still give up privileges."""
    if not context.system_call_filter:
        return True
    from cross_init.sandbox.calls import merged

    is_allowed, listed = merged(context.system_call_filter)
    return all((name in listed) == is_allowed for name in DROPS)


def prepare(context: "Context") -> "list[Callable[[], None]] | None":
    """What is to be done in turn, and nothing but exec behind it; None where it cannot be. Raises Failure, OSError."""
    acts: list[Callable[[], None]] = []
    if why_none():
        return None
    denies_by_itself = False
    if context.memory_deny_write_execute:
        from cross_init.kernel.system_calls import process_control

        try:
            process_control(PR_GET_MDWE)
            denies_by_itself = True
            acts.append(lambda: process_control(PR_SET_MDWE, REFUSE_EXEC_GAIN))
        except OSError:
            pass  # before Linux 6.3
    architectures = local()
    remaining = left(architectures, context.system_call_architectures)
    filters = _made(restrictions(context, denies_by_itself), architectures)
    if remaining != architectures:
        filters.append(Filter(remaining, ALLOW))
    personality = 0
    if context.lock_personality:
        personality = LINUX_32 if int(read("/proc/self/personality") or "0", 16) & PERSONALITY == LINUX_32 else 0
    filters += _made(last_restrictions(context, personality, number_of), remaining)
    return acts + [each.set for each in filters]


def _made(wanted: "Iterable[Restriction]", architectures: tuple[str, ...]) -> list[Filter]:
    """A filter of each, for each architecture. Raises Failure."""
    found = []
    for each in wanted:
        for name in architectures:
            if name in each.without:
                continue
            made = Filter((name,), each.default)
            made.let_others()
            try:
                known = made.add(each.instead.get(name, each.rules))
            except Failure as failure:
                raise Failure(f"{each.key}=: {failure}") from None
            if known or each.default != ALLOW:
                found.append(made)
    return found
