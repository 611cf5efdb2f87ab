"""The filters of system calls that a process has (seccomp(2)), as the kernel has them, and what they say of a call.

A service that spins makes no system call at all, so that it runs under any filter, and has its filters looked at.
"""

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SECCOMP_GET_FILTER = 16, 17, 0x420C
MOST = 4096  # instructions of one
X86, X86_64, X32 = 0x40000003, 0xC000003E, 0x40000000
CALLS = 600  # of each architecture, more than there are
ALLOW = 0x7FFF0000
FIELDS = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
# An ELF file of one segment, whose only instruction jumps to itself.
BASE = 0x400000
SPIN = (
    b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    + struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, 122, 122, 0x1000)
    + b"\xeb\xfe"
)
# What arguments may be to tell filters apart: single bits, some of them together, and what is beyond 32 bits.
VALUES = (*range(64), *(1 << bit for bit in range(6, 34)), 0x8F, 6 | 1 << 40, 0o4100, 0o2100, 0o6755, 0xFFFFFFFF)
Program = tuple[tuple[int, int, int, int], ...]


def number(arch: str, name: str) -> int:
    """Of a call, for this architecture, as libseccomp has it; below 0 if it has none."""
    library = ctypes.CDLL("libseccomp.so.2")
    token = library.seccomp_arch_resolve_name(arch.replace("-", "_").encode())
    found: int = library.seccomp_syscall_resolve_name_arch(token, name.encode())
    return found & ~X32 if found >= 0 else found


def filters_of(pid: int) -> list[Program]:
    """All that this process has. We have to be root, and without any."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(PTRACE_ATTACH, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), f"attaching to {pid}")
    try:
        os.waitpid(pid, 0x40000000)  # __WALL
        found: list[Program] = []
        buffer = ctypes.create_string_buffer(8 * MOST)
        while (count := libc.ptrace(PTRACE_SECCOMP_GET_FILTER, pid, len(found), buffer)) >= 0:
            found.append(tuple(struct.iter_unpack("=HBBI", buffer.raw[: 8 * count])))
        return found
    finally:
        libc.ptrace(PTRACE_DETACH, pid, None, None)


def result(program: Program, words: tuple[int, ...]) -> int:
    """What it says of this call: words of its struct seccomp_data (linux/filter.h)."""
    at = accumulator = 0
    while True:
        code, yes, no, constant = program[at]
        at += 1
        if code == 0x15:  # equal?
            at += yes if accumulator == constant else no
        elif code == 0x20:  # load a word
            accumulator = words[constant >> 2]
        elif code == 0x06:  # return
            return constant
        elif code == 0x05:  # jump
            at += constant
        elif code == 0x54:  # and
            accumulator &= constant
        elif code == 0x25:  # greater?
            at += yes if accumulator > constant else no
        elif code == 0x35:  # not less?
            at += yes if accumulator >= constant else no
        else:
            assert code == 0x45  # any of these bits?
            at += yes if accumulator & constant else no


def said(programs: Iterable[Program], arch: int, number: int, value: int) -> int:
    """What all of them together say: the strictest counts (seccomp(2)), which is the least as a signed number."""
    words = (number, arch, 0, 0, *(value & 0xFFFFFFFF, value >> 32) * 6)
    results = [result(each, words) for each in programs]
    return min(results, key=lambda each: each - (1 << 32) if each & 1 << 31 else each, default=ALLOW)


def different(one: list[Program], other: list[Program]) -> list[tuple[str, int, int, int, int]]:
    """Calls of which they say otherwise: architecture, number, arguments, what each says. Equal programs cancel out."""
    left, right = Counter(one) - Counter(other), Counter(other) - Counter(one)
    return _different(tuple(sorted(left.elements())), tuple(sorted(right.elements())))


@cache
def _different(left: tuple[Program, ...], right: tuple[Program, ...]) -> list[tuple[str, int, int, int, int]]:
    """Arguments are tried of calls alone that are named by a program that looks at some."""
    found = []
    with_arguments = [each for each in (*left, *right) if any(code == 0x20 and at >= 16 for code, _, _, at in each)]
    named = {constant & ~X32 for each in with_arguments for _, _, _, constant in each}
    numbers = {constant & ~X32 for each in (*left, *right) for _, _, _, constant in each} & {*range(CALLS)}
    numbers |= {CALLS - 1} if left or right else set()  # any other: numbers are compared with these alone
    for name, arch, base in (("x86", X86, 0), ("x86-64", X86_64, 0), ("x32", X86_64, X32)):
        for nr in sorted(numbers):
            for value in VALUES if nr in named else (0,):
                pair = [said(each, arch, base + nr, value) for each in (left, right)]
                if pair[0] != pair[1]:
                    found.append((name, nr, value, *pair))
    return found


def status(pid: int) -> dict[str, str]:
    """What the kernel says of who a process is, and how confined."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    said_of = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: said_of[name].strip() for name in (*FIELDS, "Seccomp_filters")}


def spinning() -> dict[str, int]:
    """The processes that spin, by their words."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/spin") and len(words) > 1:
            found[words[1].decode()] = int(path.parent.name)
    return found
