"""make bench: how long a start takes until the daemon's main, as a ratio to the bare interpreter.

Each command ends in a tiny program that says a word at once; the time is that from the command's start to the word.
The baseline, `python3 -IS -c pass`, runs alternately with it (A B A B ...), so that a machine whose speed drifts slows
both. What the tiny program takes by itself is measured in the same way and taken off. The figure is the median of the
ratios of the pairs. A wheel's baseline is the interpreter of the venv that it is in, which is slower than the system's.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
BARE = ("-IS", "-c", "pass")
DAEMON = ["/bin/echo", "main"]
PAIRS = 200
LIMITS = {"checkout": 1.3, "single file": 1.3, "wheel": 1.4}  # of a checkout in all cases, else in these:
# It forks twice for its daemon and needs a function of the C library (prctl(2)), before the daemon may run.
SUPERVISE = 1.45
ALONE = ("exec", "exec, detecting")  # nothing but what the form itself takes
# cross-init run, as root, of a unit that was read before (kept.py); it becomes its user, and has its folders made.
UNIT = """[Unit]
Description=Says a word
After=network.target

[Service]
Type={type}
User=nobody
RuntimeDirectory={name}
StateDirectory={name}
LimitNOFILE=4096
Environment=MODE=production LEVEL=3
ExecStart=/bin/echo main
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
UNITS = {"run": ("simple", 1.6), "run, notify": ("notify", 2.0)}  # case: the unit's type, and the limit
NOISE = 1.05  # the static file is no slower than the checkout, as far as that can be told


def lives(command: list[str]) -> float:
    """How long the process lives, in seconds."""
    before = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=QUIET)
    os.waitpid(pid, 0)
    return time.perf_counter() - before


def speaks(command: list[str], environ: dict[str, str]) -> float:
    """How long it takes from the command's start to the daemon's word, in seconds; returns when all have ended."""
    read, write = os.pipe()
    actions = [*QUIET, (os.POSIX_SPAWN_DUP2, write, 1)]
    before = time.perf_counter()
    pid = os.posix_spawn(command[0], command, {**os.environ, **environ}, file_actions=actions)
    os.close(write)
    said = os.read(read, 64)
    after = time.perf_counter()
    os.close(read)
    os.waitpid(pid, 0)
    assert said == b"main\n", command
    return after - before


QUIET = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (1, 2)]


# systemd says whom it has started; nobody else can know that before.
AS_SYSTEMD = ["/bin/sh", "-c", 'export SYSTEMD_EXEC_PID=$$; exec "$0" "$@"']


def ratio(python: str, command: list[str], environ: dict[str, str]) -> tuple[float, float, float]:
    """Medians: of (command - daemon) / baseline, of the command and of the baseline, the latter two in seconds."""
    ratios, times, baselines = [], [], []
    before = AS_SYSTEMD if "NOTIFY_SOCKET" in environ else []
    for _ in range(PAIRS):
        baseline, ours, daemon = (
            lives([python, *BARE]),
            speaks([*before, *command], environ),
            speaks([*before, *DAEMON], {}),
        )
        ratios.append((ours - daemon) / baseline)
        times.append(ours - daemon)
        baselines.append(baseline)
    return statistics.median(ratios), statistics.median(times), statistics.median(baselines)


def forms(folder: Path) -> dict[str, tuple[str, str]]:
    """The ways to have the command: (the program, its baseline)."""
    single = folder / "single/cross-init-bridge"
    single.parent.mkdir()
    subprocess.run([PYTHON, "-I", ROOT / "tools/make_single_file.py", single], check=True, stdout=subprocess.DEVNULL)
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "--quiet", ROOT], check=True)
    single.with_name("cross-init").symlink_to(single)
    static = static_file(folder / "static")
    return {
        "checkout": (str(ROOT / "bin/cross-init-bridge"), PYTHON),
        "single file": (str(single), PYTHON),
        **({"static file": (str(static), PYTHON)} if static is not None else {}),
        "wheel": (str(venv / "bin/cross-init-bridge"), str(venv / "bin/python")),
    }


def static_file(folder: Path) -> Path | None:
    """The static file, made there, under both its names; None if it cannot be, which has been said."""
    path = folder / "cross-init-bridge"
    made = subprocess.run([PYTHON, "-I", ROOT / "tools/make_static.py", path], stdout=subprocess.DEVNULL)
    if made.returncode:
        return None
    path.with_name("cross-init").symlink_to(path)
    return path


# The options, and what is in the environment.
CASES: dict[str, tuple[list[str], dict[str, str]]] = {
    "exec": (["--init", "none", "-t", "systemd"], {}),
    "exec, detecting": (["-t", "systemd"], {}),
    "watch": (["--init", "none", "-t", "systemd", "-N"], {}),
    "watch, Upstart": (["-t", "systemd", "-N"], {"UPSTART_JOB": "web"}),
    "hand over": (["-t", "upstart", "-N"], {"NOTIFY_SOCKET": "/nonexistent/notify"}),
    "supervise": (["--init", "none", "-t", "systemd", "-N", "--supervise"], {}),
}


@contextmanager
def units() -> Iterator[dict[str, list[str]]]:
    """The words of each case that runs a unit, while there are such units; none for who cannot become another user."""
    if os.geteuid():
        print("as root only: cross-init run of a unit with User=")
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        name = f"cross-init-bench-{os.getpid()}"
        for kind, _ in UNITS.values():
            Path(folder, f"{name}-{kind}.service").write_text(UNIT.format(type=kind, name=name))
        try:
            yield {case: ["run", "--unit-path", folder, f"{name}-{kind}.service"] for case, (kind, _) in UNITS.items()}
        finally:
            for base in ("/run", "/var/lib"):
                shutil.rmtree(Path(base, name), ignore_errors=True)
            for kept in Path("/run/cross-init/units").glob(f"{name}-*"):
                kept.unlink()


def limit_of(form: str, case: str, like_checkout: float) -> float:
    """What it may take at most."""
    if case in UNITS:
        return UNITS[case][1]
    return SUPERVISE if case == "supervise" else LIMITS.get(form, like_checkout)


def main() -> int:
    """Print the table; the exit status is 1 if a form is over its limit in any case."""
    over = []
    checkout: dict[str, float] = {}
    print(f"{'form':<12} {'shape':<16} {'ratio':>6} {'ms':>6} {'python ms':>10}")
    with tempfile.TemporaryDirectory() as folder, units() as runs:
        for form, (program, python) in forms(Path(folder)).items():
            cases = {case: ([program, *options, "--", *DAEMON], environ) for case, (options, environ) in CASES.items()}
            cases |= {case: ([program.removesuffix("-bridge"), *words], {}) for case, words in runs.items()}
            for case, (command, environ) in cases.items():
                figure, ours, baseline = ratio(python, command, environ)
                print(f"{form:<12} {case:<16} {figure:6.2f} {ours * 1000:6.1f} {baseline * 1000:10.1f}")
                checkout.setdefault(case, figure)
                is_over = figure > limit_of(form, case, checkout[case] * NOISE)
                if is_over and (form == "checkout" or case in ALONE):
                    over.append(f"{form}, {case}")
    print(f"over the limit: {'; '.join(over)}" if over else "none is over its limit")
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
