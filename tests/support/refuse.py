"""Run a command to which the kernel refuses one system call: refuse.py CALL ERROR COMMAND... (seccomp(2)).

So a kernel looks that is older or short of something, and a sandbox. The command and all its descendants get the error.
"""

import ctypes
import errno
import os
import struct
import sys

# x86_64; from 424 on the numbers are the same everywhere (asm-generic/unistd.h).
NUMBERS = {
    "poll": 7,
    "keyctl": 250,
    "recvmsg": 47,
    "inotify_init1": 294,
    "pwritev2": 328,
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, ERRNO = 0x7FFF0000, 0x00050000  # linux/seccomp.h


def refuse(call: str, error: str) -> None:
    """From now on, for this process and its descendants. Raises OSError."""
    steps = (
        *((LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, NUMBERS[call])),
        *((RETURN, 0, 0, ERRNO | getattr(errno, error)), (RETURN, 0, 0, ALLOW)),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    library = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)):
        if library.prctl(*words):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    refuse(sys.argv[1], sys.argv[2])
    os.execvp(sys.argv[3], sys.argv[3:])
