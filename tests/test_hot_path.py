"""The way from start to exec: exactly which modules it imports, for each shape. Every start of a service pays for them.

A module more shows up here as a failure. What the watcher imports, or the bridge once it has the daemon as its child,
does not count: it delays no start.
"""

import os
import subprocess
from pathlib import Path

import pytest

from cross_init.start import PACKAGES
from tests.support.command import CHECKOUT, PATH, ROOT
from tests.support.own import OWN
from tests.support.resident import machine
from tests.support.waiting import until

# Becomes the command, as the kernel does it for the script's first line, but says at exec what was imported till then.
SAY_AT_EXEC = """
import posix, sys
known = set(sys.modules)
real = posix.execve
def execve(*words):
    posix.write(1, " ".join(sorted(set(sys.modules) - known)).encode())
    posix._exit(0)
posix.execve = execve
with open(sys.argv[1]) as script:
    text = script.read()
sys.argv = sys.argv[1:]
__file__ = sys.argv[0]
exec(compile(text, __file__, "exec"))
"""
CHECK = """
import sys
sys.path.append(sys.argv[1])
from cross_init.commands.front_door import answer
answer("check", [])
print(*sys.modules)
"""
ALWAYS = {
    *("cross_init", *(f"cross_init.{name}" for name in PACKAGES)),
    *("cross_init.start", "cross_init.kernel.evidence", "cross_init.request", "cross_init.gather"),
    *(
        "cross_init.bridge",
        "cross_init.commands.options",
        "cross_init.detect",
        "cross_init.kernel.linux",
        "cross_init.model",
    ),
    *("cross_init.plan", "cross_init.errors", "cross_init.launch", "gc"),
}
SYSTEMD, UPSTART, NONE = "cross_init.systems.systemd", "cross_init.systems.upstart", "cross_init.systems.none"
FOR_SYSTEMD, FOR_UPSTART = f"{SYSTEMD}_target", f"{UPSTART}_target"  # which the first one's init looks at as well
CONTAINER = {"cross_init.systems.container"}
SOCKETS = {"cross_init.sockets.passed", "_socket", "errno", "fcntl"}
WATCH = {"cross_init.shapes.watch", "cross_init.kernel.linux", "cross_init.readiness.notify_socket", "_socket"}
ASKING = "cross_init.resident.asking"
HANDED_OVER = {"cross_init.resident.handover", "cross_init.resident.description", "cross_init.watch.wire", ASKING}
PARENT = {"cross_init.shapes.processes"}
GUARD = {"cross_init.shapes.guard", "_socket"}
ADOPTS = {"cross_init.kernel.orphans", "_ctypes"}  # where the daemon may leave its parent in its first act
HAND_OVER = {"cross_init.shapes.hand_over", "cross_init.shapes.keeper"}
LISTEN = {"cross_init.sockets.address", "cross_init.sockets.listen", "cross_init.sockets.options", "cross_init.bounds"}
NUMBERS = "cross_init.bounds"  # only where there is a number to look at
WORDS = "cross_init.commands.mistakes"  # where an option could contradict another one
ON_SYSTEMD = {"NOTIFY_SOCKET": "/nonexistent/notify"}
# As systemd starts a service: it is the main process by its number, so whether somebody listens need not be asked.
AS_MAIN = ("/bin/sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh")
ON_UPSTART = {"UPSTART_JOB": "web"}

# The options, the environment, and the modules beside ALWAYS.
STARTS: dict[str, tuple[str, dict[str, str], set[str]]] = {
    "systemd to systemd": ("-t systemd -N", ON_SYSTEMD, {SYSTEMD, FOR_SYSTEMD}),
    "Upstart to Upstart": ("-t upstart -N", ON_UPSTART, {UPSTART, FOR_UPSTART}),
    "exec, on systemd": ("-t upstart", ON_SYSTEMD, {SYSTEMD, FOR_SYSTEMD, FOR_UPSTART}),
    "exec, on Upstart": ("-t systemd", ON_UPSTART, {FOR_SYSTEMD, UPSTART}),
    "exec, on nothing": ("-t upstart --init none", {}, {NONE, FOR_UPSTART}),
    "exec, where Upstart cannot be": ("-t systemd", {}, {NONE, FOR_SYSTEMD}),
    "watch, on Upstart": ("-t systemd -N", ON_UPSTART, {FOR_SYSTEMD, UPSTART} | WATCH),
    "watch, on nothing": ("-t systemd -N --init none", {}, {NONE, FOR_SYSTEMD} | WATCH),
    "watch until ready": (
        "-t systemd -N --end-after-ready",
        ON_UPSTART,
        {FOR_SYSTEMD, UPSTART, WORDS, "fcntl"} | WATCH,
    ),
    "hand over": ("-t upstart -N", ON_SYSTEMD, {SYSTEMD, FOR_SYSTEMD, FOR_UPSTART, *HAND_OVER} | PARENT),
    "supervise": (
        "-t upstart -N --init none",
        {},
        {NONE, FOR_UPSTART, "cross_init.shapes.supervise", *GUARD} | PARENT,
    ),
    "a descriptor store": (
        "-t systemd -N --fd-store 5 --init none",
        {},
        {NONE, FOR_SYSTEMD, "cross_init.store.client", "cross_init.sockets.connection", "_blake2"}
        | {NUMBERS, WORDS, "cross_init.commands.values"}
        | SOCKETS
        | WATCH,
    ),
    "in a container": (
        "-t systemd -N --init container",
        {},
        {*CONTAINER, FOR_SYSTEMD, "cross_init.shapes.supervise", *GUARD, *ADOPTS, "cross_init.readiness.notify_socket"}
        | PARENT,
    ),
    "exec, in a container": ("-t systemd --init container", {}, {*CONTAINER, FOR_SYSTEMD}),
    "health": (
        f"-t systemd -N --init none --health-listen unix:@{OWN}",
        {},
        {NONE, FOR_SYSTEMD, "cross_init.watch.health", WORDS} | LISTEN | SOCKETS | WATCH,
    ),
    "daemonize": (
        "-t systemd --init none --daemonize",
        {},
        {NONE, FOR_SYSTEMD, "cross_init.notify.options", "cross_init.shapes.front", "select"} | WATCH,
    ),
    "listen": (
        f"-t systemd --init none --listen unix:@{OWN}",
        {},
        {NONE, FOR_SYSTEMD} | LISTEN | SOCKETS,
    ),
}
# A unit that says who it is, its folders, limits and variables. What reading it takes the next start does without.
# Of keyrings: another test may have one that can be seen (running/entering.py, may_have_keyring()).
UNIT = """[Unit]
Description=plain
After=network.target

[Service]
User=nobody
RuntimeDirectory=plain
LimitNOFILE=100
KeyringMode=inherit
Environment=A=b
ExecStart=/bin/true

[Install]
WantedBy=multi-user.target
"""
RUN = {
    *(f"cross_init.commands.{name}" for name in ("front_door", "words", "run")),
    *(f"cross_init.definitions.{name}" for name in ("definition", "said", "classes")),
    *(f"cross_init.running.{name}" for name in ("kept", "verdicts", "identity", "command", "environment", "streams")),
    *(f"cross_init.running.{name}" for name in ("entering", "result", "unit", "words", "directories")),
    *("cross_init.kernel.folders", "pwd", "resource"),
}
READING = {
    "cross_init.running.keeping",
    *(f"cross_init.definitions.{name}" for name in ("syntax", "words", "reading", "directives", "find", "finish")),
    *(f"cross_init.definitions.{name}" for name in ("table_unit", "table_service", "table_exec", "units", "load")),
    *(f"cross_init.definitions.{name}" for name in ("values", "exec_lines", "folders", "scheduling", "environment")),
}
EXPENSIVE = {
    *("argparse", "asyncio", "collections", "contextlib", "ctypes", "dataclasses", "enum", "functools"),
    *("getopt", "json", "logging", "os", "pathlib", "re", "shutil", "signal", "socket", "struct", "subprocess"),
    *("tempfile", "typing"),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_start_imports_exactly_this(start: str) -> None:
    options, environ, beside = STARTS[start]
    wrapper = AS_MAIN if environ == ON_SYSTEMD else ()
    said = subprocess.run(
        [
            *wrapper,
            "/usr/bin/python3",
            "-ISXutf8",
            "-c",
            SAY_AT_EXEC,
            str(CHECKOUT),
            *options.split(),
            "--",
            "/bin/true",
        ],
        env={"PATH": PATH, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a front says that its daemon has ended
        timeout=60,
    )
    imported = set(said.stdout.decode().split())
    assert imported == ALWAYS | beside
    assert not imported & EXPENSIVE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become the unit's user")
@pytest.mark.parametrize(("kind", "watched"), [("simple", set()), ("notify", WATCH)])
def test_a_start_of_a_unit(tmp_path: Path, kind: str, watched: set[str]) -> None:
    tmp_path.chmod(0o755)
    unit = f"{OWN}-{kind}.service"
    (tmp_path / unit).write_text(UNIT.replace("User=", f"Type={kind}\nUser=").replace("plain", OWN))
    words = ("/usr/bin/python3", "-ISXutf8", "-c", SAY_AT_EXEC, str(CHECKOUT.with_name("cross-init")))

    def imported() -> set[str]:
        command = [*words, "run", "--unit-path", str(tmp_path), unit]
        said = subprocess.run(
            command, env={"PATH": PATH}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
        return set(said.stdout.decode().split())

    wanted = ALWAYS | {NONE, FOR_SYSTEMD} | RUN | watched
    try:
        assert imported() == wanted | READING
        until(lambda: imported() == wanted, "what was read is kept")
    finally:
        Path("/run", OWN).rmdir()
        for kept in Path("/run/cross-init/units").glob(f"{unit}*"):
            kept.unlink()
    assert not (wanted | READING) & EXPENSIVE


# A parent in the same namespaces, which is no shell.
PARENT_THERE = ("/usr/bin/python3", "-ISc", "import os, sys; sys.exit(os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:]))")


@pytest.mark.parametrize("option", ["", "--state-file"])
def test_a_start_that_a_resident_watches(tmp_path: Path, option: str) -> None:
    """It does nearly all of it itself; what it does not know from beside, the bridge does."""
    more = (option, str(tmp_path / "state")) if option else ()
    with machine(tmp_path) as here:
        here.serve()
        words = (
            *PARENT_THERE,
            "/usr/bin/python3",
            "-ISXutf8",
            "-c",
            SAY_AT_EXEC,
            str(CHECKOUT),
            *["-t", "systemd", "-N", "--init", "none", *more, "--"],
        )
        imported = set(here.private.run(*words, "/bin/true").out.split())
    packages = {"cross_init", *(f"cross_init.{name}" for name in PACKAGES)}
    if option:
        assert imported >= ALWAYS | {NONE, FOR_SYSTEMD} | WATCH | HANDED_OVER
    else:
        assert imported == packages | {"cross_init.start", ASKING, "_socket"}


@pytest.mark.parametrize("module", ["resident.serve", "watch.watcher", "shapes.supervisor", "shapes.handing_over"])
def test_who_stays_is_small(module: str) -> None:
    """Some lives for years, beside each daemon: what it has imported is memory (collections: half a megabyte)."""
    say = f"import sys; sys.path.insert(0, sys.argv[1]); import cross_init.{module}; print(*sys.modules)"
    words = ["/usr/bin/python3", "-ISc", say, str(ROOT / "src")]
    imported = set(subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode().split())
    assert f"cross_init.{module}" in imported
    assert not imported & (EXPENSIVE - {"struct"})


def test_a_check_is_as_cheap() -> None:
    said = subprocess.run(
        ["/usr/bin/python3", "-ISc", CHECK, str(ROOT / "src")],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    imported = set(said.stdout.decode().split())
    assert "cross_init.watch.state_file" in imported
    assert not imported & EXPENSIVE


def test_nothing_expensive_is_there_before_we_are() -> None:
    first_line = CHECKOUT.read_text().splitlines()[0].removeprefix("#!").split()
    said = subprocess.run(
        [*first_line, "-c", "import sys; print(*sys.modules)"], stdout=subprocess.PIPE, check=True, timeout=60
    )
    assert not set(said.stdout.decode().split()) & EXPENSIVE
