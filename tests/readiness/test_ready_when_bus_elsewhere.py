"""--ready-when dbus: on a bus of another PID namespace, as a container has its host's: by pidfds, or refused.

Debian's dbus-daemon of a tree of its own (1.16) gives pidfds; the one of Debian 12 does not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.readiness.test_ready_when_bus import NAME, TAKE
from tests.support.command import run
from tests.support.observed import Place
from tests.support.packages import need
from tests.support.trees import tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for PID namespaces")
APART = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
REFUSAL = "the bus is in another PID namespace, so its numbers of processes mean nothing here, and it tells of none"


def new_program() -> tuple[str, ...]:
    """The dbus-daemon of Debian sid, run with the libraries of its tree."""
    root = tree("sid")
    loaders = sorted(root.glob("usr/lib*/ld-linux*.so.?")) + sorted(root.glob("usr/lib/*/ld-linux*.so.?"))
    libraries = ":".join(str(folder) for folder in sorted(root.glob("usr/lib/*-linux-*")))
    return (
        *(str(loaders[0]), "--library-path", libraries, str(root / "usr/bin/dbus-daemon")),
        f"--config-file={root}/usr/share/dbus-1/session.conf",
    )


def old_program() -> tuple[str, ...]:
    """One that gives no pidfds."""
    need("dbus-daemon")
    said = subprocess.run(["dbus-daemon", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(word) for word in said.split("\n")[0].split()[-1].split("."))
    if version >= (1, 15, 8):
        pytest.skip("the machine's dbus-daemon gives pidfds")
    return ("dbus-daemon", "--session")


@contextmanager
def bus(words: tuple[str, ...], folder: Path) -> Iterator[str]:
    """A bus, and its address."""
    address = f"unix:path={folder}/bus"
    process = subprocess.Popen(
        [*words, "--nofork", f"--address={address}", "--print-address=1"], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "it listens"
        yield address
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("apart", ["service", "bus"])
def test_a_name_is_compared_by_what_crosses_namespaces(
    place: Place, shape: tuple[str, ...], apart: str, tmp_path: Path
) -> None:
    """The stranger has the number, in his namespace, that the daemon has in its own."""
    program = new_program()
    wrappers = {apart: APART}
    with bus((*wrappers.get("bus", ()), *program), tmp_path) as address:
        words = ("--ready-when", f"dbus:{NAME}", "--bus", address)
        started = place.begin(*words, *shape, wrapper=wrappers.get("service", ()))
        take = TAKE.format(address=address)
        number = str(started.puppet.pid)
        stranger = subprocess.Popen(
            [*APART, sys.executable, "-c", f"{WITH_NUMBER}\n{take}\nprint('taken', flush=True)\ninput()", number],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"taken\n"
            started.err.hears("which is not of this service")
            assert not started.is_ready()
            stranger.communicate(b"\n", 20)
        finally:
            stranger.kill()
            stranger.wait()
        started.puppet.do(take)
        started.becomes_ready()


# Go on as a process with the number in argv[1], if that may be (ns_last_pid, pid_namespaces(7)); else as we are.
WITH_NUMBER = """
import os, sys
if int(sys.argv[1]) < 1000 and int(sys.argv[1]) > 1:
    open("/proc/sys/kernel/ns_last_pid", "w").write(str(int(sys.argv[1]) - 1))
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("first", ["bus", "daemon"])
def test_a_bus_that_gives_no_pidfds_is_refused_or_said(place: Place, first: str, tmp_path: Path) -> None:
    program = old_program()
    words = ("-t", "plain", "--ready-when", f"dbus:{NAME}", "--bus", f"unix:path={tmp_path}/bus")
    if first == "bus":
        with bus(program, tmp_path):
            result = run(*words, "--", "/usr/bin/touch", f"{tmp_path}/started", wrapper=APART)
        assert result.status == 125
        assert f"--ready-when dbus:{NAME}: {REFUSAL}" in result.line
        assert not (tmp_path / "started").exists()
        return
    started = place.begin(*words[2:], wrapper=APART)
    with bus(program, tmp_path) as address:
        started.puppet.do(TAKE.format(address=address))
        started.err.hears(REFUSAL)
        assert not started.is_ready()


def test_in_one_namespace_it_is_as_ever(place: Place, tmp_path: Path) -> None:
    with bus(new_program(), tmp_path) as address:
        started = place.begin("--ready-when", f"dbus:{NAME}", "--bus", address)
        started.puppet.do(TAKE.format(address=address))
        started.becomes_ready()
