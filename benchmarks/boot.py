"""make bench-boot: many services at once under a real s6 and a real runit, until all are ready. As root, some minutes.

Each run has a machine of its own: PID and mount namespaces with an empty /run, in which the init starts so many service
directories at once. The daemon, a few lines of C, says that it is ready at once and waits. Runs of the init alone
("bare": the daemon tells it in its own way) alternate with runs of each mode; the figures are medians over the rounds.

- time: from the init's start until the last service is ready for it, and the ratios to bare and to python in the same
  round;
- cpu: of everything, until all of it has ended, so what bare takes is in it;
- ours: our processes when all are ready, and their memory (PSS, proc_pid_smaps_rollup(5)).

Modes: python (the bare interpreter, which becomes the daemon: what any bridge in Python takes at the least), own (a
watcher for each service), resident (handed over to cross-init serve), static (the same, both from the static file),
outside (NOTIFY_SOCKET leads to cross-init serve, and no bridge is on the way). Behind the table: how long one start
takes that is handed over, until the daemon's main; and what is over its limit, where that was measured.
"""

import argparse
import json
import math
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
from benchmarks.startup import PYTHON, lives, speaks, static_file

ROOT = Path(__file__).resolve().parent.parent
START = "start"
AFTERWARDS_S = 0.02
CHECKOUT = ROOT / "bin/cross-init-bridge"
BARE, BARE_PYTHON, OWN, RESIDENT, STATIC, OUTSIDE = MODES = ("bare", "python", "own", "resident", "static", "outside")
SCANNERS = {"s6": ["s6-svscan", "-c", "1010", "."], "runit": ["runsvdir", "."]}
NATIVE = {"s6": "3", "runit": "ready"}  # how the daemon says it without us: on a descriptor; by a file
# What stands in a run script.
COMMANDS = {
    BARE: "exec {daemon} {native}",
    BARE_PYTHON: f'exec {PYTHON} -ISc \'import posix; posix.execv("{{daemon}}", ["{{daemon}}", "{{native}}"])\'',
    **dict.fromkeys((OWN, RESIDENT, STATIC), "exec {bridge} -t systemd -N -- {daemon} NOTIFY_SOCKET"),
    OUTSIDE: "NOTIFY_SOCKET=/run/cross-init/notify exec {daemon} NOTIFY_SOCKET",
}
LONGEST_S = 300.0
# Of 200 services: the ratio of the time to that of bare, or to the bare interpreter's, which alone is 2.5 to 4 times
# that of bare, as the machine is; our processes; and their memory in MB.
MANY, MORE = 200, 1000
LIMITS = {
    RESIDENT: {"to python": 1.3, "ours": 2, "MB": 15},
    STATIC: {"to bare": 2.5, "ours": 2, "MB": 15},
    OUTSIDE: {"to bare": 1.6, "ours": 2, "MB": 15},
}
GROWTH_MOST = 1.2  # of time and memory for each service, from MANY to MORE of them
STARTS_MOST = {RESIDENT: 1.12, STATIC: 0.5}  # of the bare interpreter's time, for a start that is handed over
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


def lay_out(init: str, mode: str, bridge: Path, folder: Path, count: int, daemon: str) -> list[Path]:
    """The service directories. All that the modes differ in is the run script's last line."""
    line = COMMANDS[mode].format(bridge=bridge, daemon=daemon, native=NATIVE[init])
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


def resident(bridge: Path) -> bool:
    """Start cross-init serve of that form; returns when it is ready: whether there is such a thing."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("/run/told")
        told.settimeout(0.1)
        environ = {**os.environ, "NOTIFY_SOCKET": "/run/told"}
        process = subprocess.Popen([bridge.with_name("cross-init"), "serve"], env=environ, cwd="/")
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


def inside(init: str, mode: str, bridge: Path, count: int, folder: Path) -> dict[str, float] | None:
    """One run, as process 1 of a PID namespace whose end ends all of it; None if this mode is not there."""
    for place in ("/run", str(folder)):
        subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    if mode == START:
        return {"ratio": start_ratio(bridge)} if resident(bridge) else None
    services_in = folder / "services"
    services_in.mkdir()
    daemon = folder / "daemon"
    (folder / "daemon.c").write_text(DAEMON)
    subprocess.run(["gcc", "-O1", "-o", daemon, folder / "daemon.c"], check=True)
    services = lay_out(init, mode, bridge, services_in, count, str(daemon))
    if mode in (RESIDENT, STATIC, OUTSIDE) and not resident(bridge):
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


def start_ratio(form: Path) -> float:
    """How long a start takes that a resident watches, until the daemon's main, to the bare interpreter's life."""
    ratios = []
    bridge = [str(form), "--init", "none", "-t", "systemd", "-N", "--need-resident", "--", *ECHO]
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


def run(init: str, mode: str, bridge: Path, count: int) -> dict[str, float] | None:
    """One run in namespaces of its own."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.boot", "--inside", init, mode, str(bridge), str(count), folder]
        space = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "--"]
        done = subprocess.run([*space, *words], stdout=subprocess.PIPE, check=True, cwd=ROOT)
        figures: dict[str, float] | None = json.loads(done.stdout)
        return figures


def compare(init: str, count: int, forms: dict[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Print a line for bare and one for each mode; returns the medians of each. forms: the bridge of each mode."""
    medians = {}
    found: dict[str, list[dict[str, float]]] = {mode: [] for mode in (BARE, *forms)}
    for _ in range(rounds):
        bare = run(init, BARE, CHECKOUT, count)
        assert bare is not None
        figures = {BARE: bare} | {mode: run(init, mode, bridge, count) for mode, bridge in forms.items()}
        python = (figures.get(BARE_PYTHON) or {}).get("time", math.nan)
        for mode, each in figures.items():
            if each is not None:
                ratios = {"to bare": each["time"] / bare["time"], "to python": each["time"] / python}
                found[mode].append({**each, **ratios})
    for mode, runs in found.items():
        if runs:
            each = {key: statistics.median(figures[key] for figures in runs) for key in runs[0]}
            medians[mode] = each
            print(
                f"{init:<6} {count:>8} {mode:<9} {each['time']:7.2f} {each['to bare']:8.2f} {each['to python']:10.2f} "
                f"{each['cpu']:7.2f} {each['ours']:6.0f} {each['MB']:8.1f} {each['MB'] * 1000 / count:8.0f}",
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


def measure(inits: list[str], counts: list[int], forms: dict[str, Path], rounds: int) -> list[str]:
    """Print the table, and what is behind it; returns what is over its limit. forms: the bridge of each mode."""
    print("init   services mode       time s  to bare  to python   cpu s   ours       MB  kB/each")
    said = []
    for init in inits:
        said += over(init, {count: compare(init, count, forms, rounds) for count in counts})
    for mode in (RESIDENT, STATIC):
        if mode in forms and (start := run("none", START, forms[mode], 1)) is not None:
            print(f"{mode}: a start that is handed over takes {start['ratio']:.2f} of the bare interpreter's time")
            if start["ratio"] > STARTS_MOST[mode]:
                said.append(f"{mode}: a start that is handed over has to take {STARTS_MOST[mode]} of it at most")
    return said


def main() -> int:
    """Measure what is wished."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inits", nargs="+", choices=tuple(SCANNERS), default=list(SCANNERS))
    parser.add_argument("--counts", nargs="+", type=int, default=[20, 200, 1000], help="how many services at once")
    parser.add_argument("--modes", nargs="+", choices=MODES[1:], default=list(MODES[1:]))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", nargs=5, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        init, mode, bridge, count, folder = chosen.inside
        print(json.dumps(inside(init, mode, Path(bridge), int(count), Path(folder))), flush=True)
        return 0
    missing = [
        each for each in ("gcc", "unshare", *(SCANNERS[init][0] for init in chosen.inits)) if not shutil.which(each)
    ]
    if missing or os.geteuid():
        print(f"boot.py: this needs root, gcc, s6 and runit; missing: {', '.join(missing) or 'root'}", file=sys.stderr)
        return 1
    subprocess.run(["/usr/bin/python3", "-m", "compileall", "-q", ROOT / "src"], check=True)  # as installed
    with tempfile.TemporaryDirectory() as folder:
        static = static_file(Path(folder)) if STATIC in chosen.modes else None
        forms = {mode: static if mode == STATIC else CHECKOUT for mode in chosen.modes}
        said = measure(chosen.inits, chosen.counts, {mode: form for mode, form in forms.items() if form}, chosen.rounds)
    print("\n".join(("over the limit:", *said)) if said else "nothing is over its limit")
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
