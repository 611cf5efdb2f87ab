"""make bench-boot: many services at once under a real s6 and a real runit, until all are ready. As root, some minutes.

Each run has a machine of its own: PID and mount namespaces with an empty /run, in which the init starts so many service
directories at once. The daemon, a few lines of C, says that it is ready at once and waits. Runs of the init alone
("bare": the daemon tells it in its own way) alternate with runs of each mode; the figures are medians over the rounds.

- time: from the init's start until the last service is ready for it, and the ratio to bare in the same round;
- cpu: of everything, until all of it has ended, so what bare takes is in it;
- ours: our processes when all are ready, and their memory (PSS, proc_pid_smaps_rollup(5)).

Modes: python (the bare interpreter, which becomes the daemon: what any bridge in Python takes at the least), own (a
watcher for each service), resident (handed over to cross-init serve), outside (NOTIFY_SOCKET leads to cross-init serve,
and no bridge is on the way). Behind the table: how long one start takes that is handed over, until the daemon's main;
and what is over its limit, where that was measured.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.startup import BARE as NOTHING
from benchmarks.startup import DAEMON as ECHO
from benchmarks.startup import PYTHON, lives, speaks

ROOT = Path(__file__).resolve().parent.parent
START = "start"
AFTERWARDS_S = 0.02
BRIDGE, FRONT_DOOR = (ROOT / "bin" / name for name in ("cross-init-bridge", "cross-init"))
BARE, BARE_PYTHON, OWN, RESIDENT, OUTSIDE = MODES = ("bare", "python", "own", "resident", "outside")
SCANNERS = {"s6": ["s6-svscan", "-c", "1010", "."], "runit": ["runsvdir", "."]}
NATIVE = {"s6": "3", "runit": "ready"}  # how the daemon says it without us: on a descriptor; by a file
# What stands in a run script.
COMMANDS = {
    BARE: "exec {daemon} {native}",
    BARE_PYTHON: f'exec {PYTHON} -ISc \'import posix; posix.execv("{{daemon}}", ["{{daemon}}", "{{native}}"])\'',
    OWN: "exec {bridge} -t systemd -N -- {daemon} NOTIFY_SOCKET",
    RESIDENT: "exec {bridge} -t systemd -N -- {daemon} NOTIFY_SOCKET",
    OUTSIDE: "NOTIFY_SOCKET=/run/cross-init/notify exec {daemon} NOTIFY_SOCKET",
}
LONGEST_S = 300.0
# Of 200 services: the ratio to bare, our processes, and their memory in MB.
MANY, MORE = 200, 1000
LIMITS = {RESIDENT: {"ratio": 3.5, "ours": 2, "MB": 15}, OUTSIDE: {"ratio": 1.6, "ours": 2, "MB": 15}}
GROWTH_MOST = 1.2  # of time and memory for each service, from MANY to MORE of them
START_MOST = 1.12  # of the bare interpreter's time, for a start that is handed over
STARTS = 100
FLAGS_AT, READY = 34, 8  # s6-supervise's status file (s6, src/libs6/s6_svstatus_pack.c)
DAEMON = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
    const char *how = argv[1], *name = getenv("NOTIFY_SOCKET");
    if (!strcmp(how, "NOTIFY_SOCKET")) {
        struct sockaddr_un to = {AF_UNIX};
        if (!name) return 2;
        strncpy(to.sun_path, name, sizeof to.sun_path - 1);
        int length = sizeof to - sizeof to.sun_path + strlen(name);
        if (*name == '@') to.sun_path[0] = 0;
        int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (sendto(sock, "READY=1", 7, 0, (struct sockaddr *)&to, length) != 7) return 3;
    } else if (*how >= '0' && *how <= '9') {
        if (write(atoi(how), "\n", 1) != 1) return 4;
        close(atoi(how));
    } else {
        close(open(how, O_WRONLY | O_CREAT, 0644));
    }
    for (;;) pause();
}
"""


def lay_out(init: str, mode: str, folder: Path, count: int, daemon: str) -> list[Path]:
    """The service directories. All that the modes differ in is the run script's last line."""
    line = COMMANDS[mode].format(bridge=BRIDGE, daemon=daemon, native=NATIVE[init])
    services = [folder / f"service-{number}" for number in range(count)]
    for service in services:
        service.mkdir()
        (service / "run").write_text(f"#!/bin/sh\n{line}\n")
        (service / "run").chmod(0o755)
        if init == "s6":
            (service / "notification-fd").write_text("3\n")
        else:
            (service / "check").write_text("#!/bin/sh\nexec cross-init check\n")
            (service / "check").chmod(0o755)
    return services


def ready_at(init: str, mode: str, service: Path) -> float | None:
    """When the init has known that it is ready, or whoever asks could have; None if it does not yet."""
    kinds: dict[tuple[str, bool], tuple[str, Callable[[bytes], bool]]] = {
        ("s6", True): ("supervise/status", lambda text: len(text) > FLAGS_AT and bool(text[FLAGS_AT] & READY)),
        ("s6", False): ("supervise/status", lambda text: len(text) > FLAGS_AT and bool(text[FLAGS_AT] & READY)),
        ("runit", True): ("ready", lambda text: True),
        ("runit", False): ("supervise/cross-init", lambda text: text.startswith(b"ready ")),
    }
    name, says_so = kinds[init, mode in (BARE, BARE_PYTHON)]
    try:
        with (service / name).open("rb") as file:
            return os.fstat(file.fileno()).st_mtime if says_so(file.read()) else None
    except FileNotFoundError:
        return None


def resident() -> bool:
    """Start cross-init serve; returns when it is ready: whether there is such a thing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("/run/told")
        told.settimeout(0.1)
        environ = {**os.environ, "NOTIFY_SOCKET": "/run/told"}
        process = subprocess.Popen([FRONT_DOOR, "serve"], env=environ, cwd="/")
        while process.poll() is None:
            try:
                if b"READY=1" in told.recv(4096).split(b"\n"):
                    return True
            except TimeoutError:
                pass
    return False


def ours() -> tuple[int, float]:
    """Our processes, and their memory in MB."""
    found, kilobytes = 0, 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or process.name == "1":
            continue
        try:
            if b"cross-init" not in (process / "cmdline").read_bytes():
                continue
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        found += 1
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found, kilobytes / 1000


def inside(init: str, mode: str, count: int, folder: Path) -> dict[str, float] | None:
    """One run, as process 1 of a PID namespace whose end ends all of it; None if this mode is not there."""
    for place in ("/run", str(folder)):
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    if mode == START:
        return {"ratio": start_ratio()} if resident() else None
    services_in = folder / "services"
    services_in.mkdir()
    daemon = folder / "daemon"
    (folder / "daemon.c").write_text(DAEMON)
    subprocess.run(["gcc", "-O1", "-o", daemon, folder / "daemon.c"], check=True)
    services = lay_out(init, mode, services_in, count, str(daemon))
    if mode in (RESIDENT, OUTSIDE) and not resident():
        return None
    before, used = time.time(), cpu()
    with (folder / "said").open("w") as said:
        subprocess.Popen(SCANNERS[init], cwd=services_in, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    last = before
    for service in services:
        while (at := ready_at(init, mode, service)) is None:
            if time.time() > before + LONGEST_S:
                raise TimeoutError(f"{service.name} is not ready: {(folder / 'said').read_text()[:2000]}")
            time.sleep(0.02)
            reap()
        last = max(last, at)
    processes, megabytes = ours()
    return {"time": last - before, "cpu": cpu() - used, "ours": processes, "MB": megabytes}


def start_ratio() -> float:
    """How long a start takes that a resident watches, until the daemon's main, to the bare interpreter's life."""
    ratios = []
    bridge = [str(BRIDGE), "--init", "none", "-t", "systemd", "-N", "--need-resident", "--", *ECHO]
    for _ in range(STARTS):
        baseline = lives([PYTHON, *NOTHING])
        ours = speaks(bridge, {})
        time.sleep(AFTERWARDS_S)  # in which the resident is done with it
        ratios.append((ours - speaks(ECHO, {})) / baseline)
    return statistics.median(ratios)


def cpu() -> float:
    """What all processes have taken but this one, in seconds, those that have ended included."""
    used = 0.0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            used += sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")  # of its children that it has waited for
            if process.name != "1":
                used += int((process / "schedstat").read_text().split()[0]) / 1e9  # to the nanosecond
        except OSError:
            continue  # it has ended
    return used


def reap() -> None:
    """Wait for what has ended: everybody's orphans are ours."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def run(init: str, mode: str, count: int) -> dict[str, float] | None:
    """One run in namespaces of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.boot", "--inside", init, mode, str(count), folder]
        space = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "--"]
        done = subprocess.run([*space, *words], stdout=subprocess.PIPE, check=True, cwd=ROOT)
        figures: dict[str, float] | None = json.loads(done.stdout)
        return figures


def compare(init: str, count: int, modes: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Print a line for bare and one for each mode; returns the medians of each."""
    medians = {}
    found: dict[str, list[dict[str, float]]] = {mode: [] for mode in (BARE, *modes)}
    for _ in range(rounds):
        bare = run(init, BARE, count)
        assert bare is not None
        found[BARE].append({**bare, "ratio": 1.0})
        for mode in modes:
            figures = run(init, mode, count)
            if figures is not None:
                found[mode].append({**figures, "ratio": figures["time"] / bare["time"]})
    for mode, runs in found.items():
        if runs:
            each = {key: statistics.median(figures[key] for figures in runs) for key in runs[0]}
            medians[mode] = each
            print(
                f"{init:<6} {count:>8} {mode:<9} {each['time']:7.2f} {each['ratio']:6.2f} {each['cpu']:7.2f} "
                f"{each['ours']:6.0f} {each['MB']:8.1f} {each['MB'] * 1000 / count:8.0f}",
                flush=True,
            )
    return medians


def over(init: str, found: dict[int, dict[str, dict[str, float]]]) -> list[str]:
    """What is over its limit, in words. found: the medians of each mode, by the number of services. Pure."""
    said = []
    for mode, limits in LIMITS.items():
        many, more = (found.get(count, {}).get(mode) for count in (MANY, MORE))
        if many is not None:
            said += [
                f"{init}, {mode}: {key} is {many[key]:.2f}, and has to be {most} at most"
                for key, most in limits.items()
                if many[key] > most
            ]
        if many is not None and more is not None:
            for key in ("time", "MB"):
                growth = more[key] / MORE / (many[key] / MANY)
                print(f"{init}, {mode}: {key} for each service is {growth:.2f} of what it is with {MANY}")
                if growth > GROWTH_MOST:
                    said.append(f"{init}, {mode}: {key} for each service grows by more than {GROWTH_MOST}")
    return said


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inits", nargs="+", choices=tuple(SCANNERS), default=list(SCANNERS))
    parser.add_argument("--counts", nargs="+", type=int, default=[20, 200, 1000], help="how many services at once")
    parser.add_argument("--modes", nargs="+", choices=MODES[1:], default=list(MODES[1:]))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        init, mode, count, folder = chosen.inside
        print(json.dumps(inside(init, mode, int(count), Path(folder))), flush=True)
        return 0
    missing = [
        each for each in ("gcc", "unshare", *(SCANNERS[init][0] for init in chosen.inits)) if not shutil.which(each)
    ]
    if missing or os.geteuid():
        print(f"boot.py: this needs root, gcc, s6 and runit; missing: {', '.join(missing) or 'root'}", file=sys.stderr)
        return 1
    subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", ROOT / "src"], check=True)  # as installed
    print("init   services mode         time s  ratio   cpu s   ours       MB  kB/each")
    said = []
    for init in chosen.inits:
        said += over(init, {count: compare(init, count, chosen.modes, chosen.rounds) for count in chosen.counts})
    if RESIDENT in chosen.modes and (start := run("none", START, 1)) is not None:
        print(f"a start that is handed over takes {start['ratio']:.2f} of the bare interpreter's time")
        if start["ratio"] > START_MOST:
            said.append(f"a start that is handed over has to take {START_MOST} of the bare interpreter's time at most")
    print("\n".join(("over the limit:", *said)) if said else "nothing is over its limit")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
