"""How the kernel keeps a process's memory: MemoryKSM=, MemoryTHP= (systemd.exec(5)), by prctl(2)."""

from cross_init.errors import Failure, print_error, why
from cross_init.kernel.system_calls import PR_SET_MEMORY_MERGE, PR_SET_THP_DISABLE, process_control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

HUGE_PAGES = {"disable": (1, 0), "madvise": (1, 2), "system": (0, 0)}  # 2: PR_THP_DISABLE_EXCEPT_ADVISED
NOT_THERE = (22, 38, 95)  # EINVAL, ENOSYS, EOPNOTSUPP: this kernel is older, or was built without it


def apply(definition: "Definition") -> None:
    """Have it so; what this kernel does not have is said. Raises Failure."""
    context = definition.context
    if context.memory_ksm is not None:
        _tell(definition, "memory_ksm", "MemoryKSM", PR_SET_MEMORY_MERGE, int(context.memory_ksm))
    if context.memory_thp in HUGE_PAGES:
        _tell(definition, "memory_thp", "MemoryTHP", PR_SET_THP_DISABLE, *HUGE_PAGES[context.memory_thp])


def _tell(definition: "Definition", field: str, key: str, *words: int) -> None:
    try:
        process_control(*words)
    except OSError as error:
        said = f"{definition.where(field)}: {key}=: {why(error)}"
        if error.errno not in NOT_THERE:
            raise Failure(said) from None
        print_error(f"{said}: this kernel has none, so its memory stays as it is", 0)
