"""Adopting orphans, for which a daemon may wait: so this has none of the other system calls, nor what makes them."""

from cross_init.kernel.linux import import_extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUBREAPER = (36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER, linux/prctl.h


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end (PR_SET_CHILD_SUBREAPER, prctl(2)).

    Raises OSError, and Failure where Python has no ctypes. Its C part alone takes a fifth of the time.
    """
    import_extension("_ctypes")
    try:
        from _ctypes import call_function, dlopen, dlsym

        program: Any = None  # this one
        done: int = call_function(dlsym(dlopen(program, 0), "prctl"), SUBREAPER)
        if done < 0:
            raise OSError(0, "the kernel refuses to make this process the parent of orphans")
    except (ImportError, AttributeError):
        from cross_init.kernel.system_calls import process_control

        process_control(*SUBREAPER)
