"""A process that the kernel refuses some kinds of sockets, as a sandbox does (systemd: RestrictAddressFamilies=)."""

import ctypes
import errno
import os
import platform
import struct

import pytest

SOCKET = {"x86_64": 41, "aarch64": 198, "riscv64": 198}  # the number of socket(2)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h
NUMBER_AT, ARGUMENT_AT = 0, 16  # in struct seccomp_data; the lower half of the first argument (little endian)


def refuse_sockets(family: int) -> None:
    """Let this process, and all that it becomes, open no more sockets of this family."""
    number = SOCKET.get(platform.machine())
    if number is None:
        pytest.skip("the number of socket(2) is not known here")
    steps = (
        *((LOAD, 0, 0, NUMBER_AT), (JUMP_IF_EQUAL, 0, 3, number)),
        *((LOAD, 0, 0, ARGUMENT_AT), (JUMP_IF_EQUAL, 0, 1, family)),
        *((RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    library = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)):
        if library.prctl(*words):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
