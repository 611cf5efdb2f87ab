"""NUMAPolicy=, NUMAMask= and CPUAffinity=numa (systemd.exec(5)), by set_mempolicy(2)."""

import sys

from cross_init.kernel.linux import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

POLICIES = {"default": 0, "preferred": 1, "bind": 2, "interleave": 3, "local": 4}  # linux/mempolicy.h
WITHOUT_NODES = ("default", "local")
NODES = "/sys/devices/system/node"
WORD = 64  # bits of an unsigned long


def apply(definition: "Definition") -> None:
    """Have this process's memory come from there. Raises OSError, Failure."""
    from cross_init.kernel.system_calls import set_memory_policy

    policy = definition.context.numa_policy
    nodes = () if policy in WITHOUT_NODES else definition.context.numa_mask
    there = _numbers(read(f"{NODES}/possible"))
    if len(nodes) >= WORD and there:  # NUMAMask=all
        nodes = tuple(there)
    bits = sum(1 << node for node in nodes)
    size = (max(nodes, default=0) // WORD + 1) * WORD
    set_memory_policy(POLICIES[policy], bits.to_bytes(size // 8, sys.byteorder) if nodes else b"", size + 1)


def processors(definition: "Definition") -> list[int]:
    """Those beside the memory of these nodes. Raises OSError."""
    found = [
        processor
        for node in definition.context.numa_mask
        for processor in _numbers(read(f"{NODES}/node{node}/cpulist"))
    ]
    if not found:
        raise OSError(22, "NUMAMask= names no node that has processors")
    return sorted(set(found))


def _numbers(text: str) -> list[int]:
    """As 0-3,7 has them."""
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found += range(int(first), int(last or first) + 1)
    return found
