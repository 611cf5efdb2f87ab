"""make bench-messages: what a message costs who hears it: systemd, and cross-init serve. As root, two minutes.

A real systemd boots in a container, as for the tests. In it run 200 daemons, a few lines of C, each of which gives a
sign of life (WATCHDOG=1) every 100 ms: first as units of that systemd, then as services of a real s6 that are handed
over to cross-init serve (way 1), then as services of s6 that speak to it without a bridge (way 2). The figures are
medians of what the hearing process (with us the resident and the deposit) has run meanwhile, as the kernel counts it
(schedstat, proc(5)); what it runs while nobody speaks is taken off.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.beginning import begin as begin_tests
from tests.support.containers import BRIDGE, FRONT_DOOR, IN_A_TREE, Container, booted
from tests.support.packages import need
from tests.support.programs import close_path, open_path
from tests.support.waiting import until

EVERY_MS = 100
LIMIT_S = 60  # in which a sign of life has to come: both count them, and nobody is ended for a busy machine
OURS = ("cross-init-all", "cross-init-kept")
FLAGS_AT, READY = 34, 8  # s6-supervise's status file (s6, src/libs6/s6_svstatus_pack.c)
DAEMON = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {AF_UNIX};
    if (!name) return 2;
    strncpy(to.sun_path, name, sizeof to.sun_path - 1);
    int length = sizeof to - sizeof to.sun_path + strlen(name);
    if (*name == '@') to.sun_path[0] = 0;
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sendto(sock, "READY=1", 7, 0, (struct sockaddr *)&to, length) != 7) return 3;
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        next.tv_nsec += EVERY_MS * 1000000L;
        if (next.tv_nsec >= 1000000000L) next.tv_nsec -= 1000000000L, next.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, 0);
        if (sendto(sock, "WATCHDOG=1", 10, 0, (struct sockaddr *)&to, length) != 10) return 4;
    }
}
"""
UNIT = f"[Service]\nType=notify\nWatchdogSec={LIMIT_S}\nExecStart=/run/alive\n"
RUN = {
    "way 1": f"exec {BRIDGE} -t systemd -N --need-resident --watchdog {LIMIT_S} -- /run/alive",
    "way 2": "NOTIFY_SOCKET=/run/cross-init/notify exec /run/alive",
}


def has_run(pids: list[int]) -> float:
    """How long these have run till now, in seconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def load(pids: list[int], seconds: float, rounds: int) -> float:
    """Which part of a core these take."""
    found = []
    for _ in range(rounds):
        began, before = time.monotonic(), has_run(pids)
        time.sleep(seconds)
        found.append((has_run(pids) - before) / (time.monotonic() - began))
    return statistics.median(found)


@contextmanager
def units(container: Container, count: int) -> Iterator[None]:
    """The daemons as units of systemd's."""
    (container.root / "run/systemd/system/alive@.service").write_text(UNIT)
    names = [f"alive@{number}.service" for number in range(count)]
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "start", *names)
    try:
        yield
    finally:
        container.run("systemctl", "stop", *names)


@contextmanager
def services(container: Container, count: int, line: str) -> Iterator[None]:
    """The daemons as services of s6, with this line in their run scripts."""
    folder = container.root / "run/services"
    folder.mkdir()
    for number in range(count):
        service = folder / str(number)
        service.mkdir()
        (service / "run").write_text(f"#!/bin/sh\n{line}\n")
        (service / "run").chmod(0o755)
        (service / "notification-fd").write_text("3\n")
    scanner = begin(container, "s6-svscan", "-c", str(count + 10), "/run/services")
    try:
        until(lambda: all(is_ready(folder / str(number)) for number in range(count)), "all are ready", LIMIT_S)
        yield
    finally:
        container.run("s6-svscanctl", "-t", "/run/services")
        scanner.wait(LIMIT_S)
        container.run("rm", "-r", "/run/services")


def is_ready(service: Path) -> bool:
    """Whether s6 knows that it is."""
    try:
        text = (service / "supervise/status").read_bytes()
    except OSError:
        return False
    return len(text) > FLAGS_AT and bool(text[FLAGS_AT] & READY)


def begin(container: Container, *words: str) -> subprocess.Popen[bytes]:
    """Start this in there."""
    return subprocess.Popen(container.enter(*words), env=container.environment(0), stdin=subprocess.DEVNULL, cwd="/")


def named(container: Container, names: tuple[str, ...]) -> list[int]:
    """The processes in there that are called so."""
    space, found = os.readlink(f"/proc/{container.pid}/ns/pid"), []
    for process in Path("/proc").iterdir():
        try:
            is_one = process.name.isdigit() and (process / "comm").read_text().strip() in names
            if is_one and os.readlink(process / "ns/pid") == space:
                found.append(int(process.name))
        except OSError:
            continue  # it has ended
    return found


def measure(count: int, seconds: float, rounds: int) -> None:
    """Print the table."""
    need("gcc")
    with booted(Path("/")) as machine:
        container = Container(machine.pid, IN_A_TREE)  # with all programs that are installed
        source, made = container.root / "run/alive.c", container.root / "run/alive"
        source.write_text(DAEMON.replace("EVERY_MS", str(EVERY_MS)))
        subprocess.run(["gcc", "-O1", "-o", str(made), str(source)], check=True)
        serve = begin(container, FRONT_DOOR, "serve")
        try:
            until((container.root / "run/cross-init/serve").exists, "the resident serves", LIMIT_S)
            systemd, ours = [container.pid], named(container, OURS)
            cases = {"systemd": (systemd, ""), **{way: (ours, line) for way, line in RUN.items()}}
            print(f"{count} daemons, each WATCHDOG=1 every {EVERY_MS} ms")
            print(f"{'heard by':<12} {'of a core':>10} {'us each':>8} {'to systemd':>11}")
            first = 0.0
            for name, (pids, line) in cases.items():
                idle = load(pids, seconds, 1)
                with services(container, count, line) if line else units(container, count):
                    taken = load(pids, seconds, rounds) - idle
                each = taken / (count * 1000 / EVERY_MS) * 1e6
                first = first or each
                print(f"{name:<12} {taken:10.1%} {each:8.1f} {each / first:11.2f}", flush=True)
        finally:
            serve.kill()
            serve.wait()


def main() -> int:
    """Measure; the exit status is 1 where that cannot be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many daemons")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one look")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    begin_tests()
    open_path()
    try:
        measure(chosen.count, chosen.seconds, chosen.rounds)
    except pytest.skip.Exception as reason:
        print(f"messages.py: {reason}", file=sys.stderr)
        return 1
    finally:
        close_path()
    return 0


if __name__ == "__main__":
    sys.exit(main())
