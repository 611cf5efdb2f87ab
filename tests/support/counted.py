"""Run a bridge in namespaces of its own, and see what is left of it: processes, and files below /run.

As a script it is process 1 in there: counted.py COMMAND... runs the command, waits for the processes that it leaves to
end, and says on standard output, in JSON, how it ended, what it said, and what is still there.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

LONGEST_S = 20  # a bridge that takes longer hangs
LEAVE_S = 5  # for a watcher to go when its daemon has
OWN_RUN = 'mount -t tmpfs -o mode=755 none /run && exec "$@"'


class Outcome:
    """How it ended (negative: the signal that it died of), the lines that it said, and what was left."""

    def __init__(self, status: int, said: str, left: list[str]) -> None:
        self.status = status
        self.lines = said.splitlines()
        self.left = left

    def __repr__(self) -> str:
        return f"Outcome({self.status}, {self.lines}, left={self.left})"


def counted(words: Sequence[str]) -> Outcome:
    """Run this command in there."""
    from tests.support.alone import ALONE

    inside = ("/usr/bin/python3", "-IS", os.path.abspath(__file__), *words)
    said = subprocess.run(
        [*ALONE, "sh", "-c", OWN_RUN, "sh", *inside],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        timeout=LONGEST_S + LEAVE_S + 10,
    )
    return Outcome(*json.loads(said.stdout))


def others() -> list[str]:
    """The other processes here, by their command lines; reaps what has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found.append(file.read().replace(b"\0", b" ").decode())
            except OSError:
                pass  # it has just ended
    return found


def main(words: Sequence[str]) -> None:
    """Process 1's whole life."""
    environ = {"PATH": os.environ["PATH"]}
    bridge = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ)
    try:
        said = bridge.communicate(timeout=LONGEST_S)[1]
        end = time.monotonic() + LEAVE_S
        while (left := others()) and time.monotonic() < end:
            time.sleep(0.01)
    except subprocess.TimeoutExpired:
        said, left = b"", ["it hangs", *others()]
    for folder in ("/run/cross-init", "/run/cross-init-status"):
        left += [f"{folder}/{name}" for name in (os.listdir(folder) if os.path.isdir(folder) else ())]
    print(json.dumps([bridge.returncode, said.decode("utf-8", "backslashreplace"), left]))


if __name__ == "__main__":
    main(sys.argv[1:])
