"""A client of a daemon, inside of its root: waits until an init says that it is ready, and asks at once.

usage: python3 client.py TO SEND EXPECT [COMMAND]

TO: tcp:HOST:PORT, udp:HOST:PORT, unix:PATH, unix-dgram:PATH, or sh, whose command line SEND is. SEND has escapes as
Python has them. EXPECT: a regular expression for the answer. COMMAND: a shell's; what it waits for has come when it
ends. The exit code is 0 if the client was served, 1 if not, and 2 if the command failed; a line says why.
"""

import re
import socket
import subprocess
import sys
import time

LONGEST_S = 5
NOT_SERVED, NOT_READY = 1, 2  # exit codes
KINDS = {
    "tcp": socket.SOCK_STREAM,
    "udp": socket.SOCK_DGRAM,
    "unix": socket.SOCK_STREAM,
    "unix-dgram": socket.SOCK_DGRAM,
}


def asked(to: str, send: str, pattern: bytes) -> bytes:
    """What the daemon answers, as far as it takes to match. Raises OSError."""
    kind, _, rest = to.partition(":")
    if kind == "sh":
        ran = subprocess.run(["/bin/sh", "-c", send], capture_output=True, timeout=2 * LONGEST_S)
        return ran.stdout + ran.stderr
    host, _, port = rest.rpartition(":")
    address = rest if kind.startswith("unix") else (host, int(port))
    with socket.socket(socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET, KINDS[kind]) as client:
        client.settimeout(LONGEST_S)
        client.connect(address)
        if send:
            client.sendall(send.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        answer = b""
        while pattern and not re.search(pattern, answer, re.DOTALL):
            part = client.recv(65536)
            if not part:
                break
            answer += part
        return answer


def main() -> int:
    """Do what the command line says; returns the exit code."""
    to, send, expect, *command = sys.argv[1:]
    pattern = expect.encode()
    for line in command:
        ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True)
        if ran.returncode:
            print(f"{ran.returncode}: {(ran.stdout + ran.stderr).strip()}")
            return NOT_READY
    begun = time.monotonic()
    try:
        answer = asked(to, send, pattern)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"after {time.monotonic() - begun:.2f} s: {error}")
        return NOT_SERVED
    if re.search(pattern, answer, re.DOTALL):
        return 0
    print(f"answered {answer[-200:]!r}")
    return NOT_SERVED


if __name__ == "__main__":
    sys.exit(main())
