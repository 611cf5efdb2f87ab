"""make demo: two daemons, one written for systemd and one for Upstart, run from a shell by cross-init-bridge.

Each gets a socket, becomes ready, answers a client, and is stopped. What happens is printed as it happens; the exit
status is 0 only if all of it was as it should be. Needs nothing but Python.
"""

import re
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 20.0


class Failed(Exception):
    """Something was not as it should be."""


def wait_for(lines: "Queue[str | None]", pattern: str) -> str:
    """The first group of the next line of the bridge that matches; every line is printed as it comes."""
    while True:
        try:
            line = lines.get(timeout=TIMEOUT_S)
        except Empty:
            raise Failed(f"no line that matches {pattern!r} within {TIMEOUT_S:.0f} s") from None
        if line is None:
            raise Failed(f"the bridge ended before it printed a line that matches {pattern!r}")
        print(f"    {line}")
        found = re.search(pattern, line)
        if found:
            return found[1]


def show(target: str) -> None:
    """Run the example daemon for this target, talk to it, stop it. Raises Failed."""
    daemon = ROOT / "examples" / f"{target}_daemon.py"
    options = ["-t", target, "-N", "--init", "none", "--listen", "hello=tcp:127.0.0.1:0"]
    command = [sys.executable, "-ISXutf8", str(ROOT / "bin/cross-init-bridge"), *options, "--", sys.executable]
    shown = f"bin/cross-init-bridge {shlex.join(options)} -- python3 examples/{daemon.name}"
    print(f"\n$ {shown}")
    with subprocess.Popen([*command, str(daemon)], stderr=subprocess.PIPE, text=True) as bridge:
        assert bridge.stderr is not None
        stderr = bridge.stderr
        lines: Queue[str | None] = Queue()

        def pump() -> None:
            for line in stderr:
                lines.put(line.rstrip("\n"))
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        try:
            port = int(wait_for(lines, r"listening on tcp:127\.0\.0\.1:(\d+)"))
            wait_for(lines, r"is ready after ([\d.]+) s")
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as client:
                answer = client.makefile().readline().rstrip("\n")
            print(f"  a client on port {port} gets: {answer}")
            if not answer.startswith("hello from"):
                raise Failed(f"the daemon answered {answer!r}")
            print("  SIGTERM to what the shell started:")
            bridge.terminate()
            status = bridge.wait(timeout=TIMEOUT_S)
            while (line := lines.get(timeout=TIMEOUT_S)) is not None:
                print(f"    {line}")
            print(f"  it ended with exit status {status}")
            if status != 0:
                raise Failed(f"the exit status is {status}, not 0")
        finally:
            if bridge.poll() is None:
                bridge.kill()


def main() -> int:
    """Show both, return the exit status."""
    print("Two daemons under an init that is none: a shell. Neither was changed for it.")
    try:
        for target in ("systemd", "upstart"):
            show(target)
    except (Failed, OSError, subprocess.TimeoutExpired, Empty) as error:
        print(f"demo: FAILED: {error}", file=sys.stderr)
        return 1
    print("\nBoth were ready, served, and stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
