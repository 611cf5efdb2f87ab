"""Becoming the daemon, in each shape: exit codes and signals, how a program is found, limits that are in the way."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cross_init.kernel.linux import ROOM
from tests.support.command import IS_BY_SHELL, Result, closed_pipe, run, script
from tests.support.observed import Place
from tests.support.own import OWN
from tests.support.waiting import until

# How the daemon is started: without anything to watch, with a watcher beside it, and as a child.
SHAPES = [["-t", "upstart"], ["-t", "systemd", "-N"], ["-t", "upstart", "-N"]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_program_that_the_kernel_does_not_take_is_126_even_without_standard_error(
    shape: list[str], tmp_path: Path
) -> None:
    program = script(tmp_path, "program", "\1\2")
    result = run(*shape, "--", str(program))
    assert result.status == 126
    assert "Exec format error; is it made for this machine? A script has to begin with #!" in result.line
    pipe = closed_pipe()
    assert run(*shape, "--", str(program), stderr=pipe).status == 126
    os.close(pipe)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_cannot_be_run_is_126_and_what_is_not_there_127(shape: list[str], tmp_path: Path) -> None:
    cases = {
        str(tmp_path): (126, "Is a directory"),
        str(script(tmp_path, "plain", "#!/bin/sh\n", 0o644)): (126, "Permission denied; is it a program"),
        str(script(tmp_path, "lost", "#!/nonexistent/sh\n")): (127, "the program is there, but not the interpreter"),
        "/nonexistent/daemon": (127, "there is no such file"),
        f"{tmp_path}/plain/daemon": (127, "there is no such file"),
        "no-such-daemon": (127, "it is in no folder of PATH"),
        "": (127, "it is in no folder of PATH"),
        "x" * 5000: (126, "File name too long"),
        f"{tmp_path}/x\ny": (127, "x\\ny: not found"),
    }
    (tmp_path / "loop").symlink_to("loop")
    cases[f"{tmp_path}/loop"] = (126, "Too many levels of symbolic links")
    for name, (status, says) in cases.items():
        result = run(*shape, "--", name)
        assert result.status == status, name
        assert says in result.line


def assert_early_end_is_said(shape: list[str], result: Result, how: str) -> None:
    """In one line, where somebody waits for the daemon to be ready. Kernels before 6.15 do not tell a watcher how."""
    if "-N" not in shape:
        assert result.err == b""
        return
    assert " while it still waited for " in result.line
    assert f" ended ({how}) " in result.line or " ended (it is not known how) " in result.line


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [0, 1, 125, 126, 127, 255])
def test_the_daemons_exit_status_is_ours(shape: list[str], status: int) -> None:
    result = run(*shape, "--", "/bin/sh", "-c", f"exit {status}")
    assert result.status == status
    assert_early_end_is_said(shape, result, f"exit code {status}")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP, signal.SIGRTMIN + 1])
def test_the_signal_that_the_daemon_dies_of_is_ours(shape: list[str], number: int) -> None:
    result = run(*shape, "--", "/bin/sh", "-c", f"kill -{int(number)} $$")
    assert result.status == -number
    assert_early_end_is_said(shape, result, getattr(number, "name", f"signal {int(number)}"))


def found_on(path: str | None, folder: Path, name: str = "daemon") -> Result:
    environ = {} if path is None else {"PATH": path}
    return run("-t", "systemd", "--init", "none", "--", name, environ=environ, cwd=folder)


def test_a_name_is_looked_for_on_path_as_execvp_does(tmp_path: Path) -> None:
    for name in ("plain", "folder", "lost", "good", "later"):
        (tmp_path / name).mkdir()
    script(tmp_path / "plain", "daemon", "#!/bin/sh\nexit 1\n", 0o644)
    (tmp_path / "folder" / "daemon").mkdir()
    script(tmp_path / "lost", "daemon", "#!/nonexistent/sh\n")
    script(tmp_path / "good", "daemon", "#!/bin/sh\nexit 42\n")
    script(tmp_path / "later", "daemon", "#!/bin/sh\nexit 43\n")
    passed_over = ":".join(f"{tmp_path}/{name}" for name in ("missing", "plain", "plain/daemon", "folder", "lost"))
    assert found_on(f"{passed_over}:{tmp_path}/good:{tmp_path}/later", tmp_path).status == 42
    assert found_on(f"{passed_over}:", tmp_path / "good").status == 42
    assert found_on("", tmp_path / "good").status == 42
    assert found_on(f"::{tmp_path}/later", tmp_path / "good").status == 42
    assert found_on(None, tmp_path, "true").status == 0
    assert found_on(None, tmp_path / "good").status == 127
    assert found_on(f"{tmp_path}/plain", tmp_path).status == 126
    assert found_on(f"{tmp_path}/folder", tmp_path).status == 126
    assert found_on(f"{tmp_path}/lost", tmp_path).status == 127


def test_no_other_program_of_the_name_is_tried_when_the_first_is_broken(tmp_path: Path) -> None:
    for name, text in (("broken", "\1\2"), ("later", "#!/bin/sh\nexit 43\n")):
        (tmp_path / name).mkdir()
        script(tmp_path / name, "daemon", text)
    assert found_on(f"{tmp_path}/broken:{tmp_path}/later", tmp_path).status == 126


def test_arguments_that_are_too_long_for_the_kernel_are_one_line(tmp_path: Path) -> None:
    # A script's interpreter gets the script's path as one more word. Among these lengths are some where only that does
    # not fit: as long as all does, the script ends with 0, and in the end the bridge itself does not fit.
    folder = tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 200)
    folder.mkdir(parents=True)
    program = str(script(folder, "daemon", "#!/bin/true\n"))
    limit = 2 << 20

    def little_stack() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (4 * limit, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    words = ["x" * 100_000] * 20
    for length in range(limit - 20 * 100_009 - 2000, 131_000, 50):
        try:
            result = run("-t", "systemd", "--", program, *words, "x" * length, before=little_stack)
        except OSError:
            break
        if result.status:
            assert result.status == 126
            assert "Argument list too long; its arguments and its environment are longer" in result.line
            return
    pytest.fail("no length was too long for the daemon and not for the bridge")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user with a limit on processes")
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_without_a_process_left_it_is_one_line(shape: list[str]) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.setgroups([])
        os.setgid(64321)
        os.setuid(64321)

    result = run(*shape, "--", "/bin/true", before=limited)
    assert result.status == 125
    assert "is a limit on processes reached?" in result.line


def entries() -> set[str]:
    """What bridges have below /run."""
    folders = (Path("/run/cross-init"), Path("/run/cross-init-status"))
    return {str(path) for folder in folders if folder.exists() for path in folder.iterdir()}


LIMITS = (*range(3, 21), 24)
ENOUGH = 3 + ROOM


def with_limit(limit: int) -> Callable[[], None]:
    """To be called in the new process: so many open files, and no more."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@pytest.mark.skipif(IS_BY_SHELL, reason="dash itself needs a dozen descriptors, to read what it runs")
@pytest.mark.parametrize("shape", [*SHAPES, ["-t", "systemd", "-N", "--supervise"]])
@pytest.mark.parametrize("limit", LIMITS)
def test_with_few_descriptors_it_works_or_is_one_line(shape: list[str], limit: int) -> None:
    before = entries()
    result = run(*shape, "--", "/bin/sh", "-c", "exit 42", before=with_limit(limit))
    until(lambda: entries() <= before, "nothing is left on disk")
    if limit == 3:
        assert result.status != 0  # the interpreter itself cannot read its modules
    elif result.status != 42:
        assert result.status in (125, 126)
        assert "raise the limit on open files" in result.line
    if limit > ENOUGH:
        assert result.status == 42


# Leaves a file behind, and says that it is ready in the way that the shape asks for.
STARTS = "open('started', 'w').close()\n"
SAYS = "import socket\nsocket.socket(1, 2).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'].replace('@', chr(0)))\n"
WATCHED: dict[str, tuple[tuple[str, ...], str]] = {
    "watch": (("-t", "systemd", "-N"), SAYS),
    "supervise": (("-t", "systemd", "-N", "--supervise"), SAYS),
    "a descriptor store": (("-t", "systemd", "-N", "--supervise", "--fd-store", "3"), SAYS),
    "health": (("-t", "systemd", "-N", "--supervise", "--health-listen", f"unix:@{OWN}"), SAYS),
    "forks away": (("-t", "sysv", "-N"), "if os.fork(): os._exit(0)\n"),
    "PID file": (("-t", "systemd", "-N", "--daemonize", "--pid-file", "pid"), SAYS),
    "front": (("-t", "systemd", "-N", "--daemonize"), SAYS),
    "front, stops": (("-t", "upstart", "-N", "--daemonize"), "os.kill(os.getpid(), 19)\n"),
}


@pytest.mark.parametrize("way", WATCHED)
@pytest.mark.parametrize("limit", LIMITS)
def test_with_few_descriptors_no_daemon_is_started_that_nobody_could_watch(place: Place, way: str, limit: int) -> None:
    """What is refused is refused before there is a daemon, and in one line; what is not gets ready, and ends."""
    options, says = WATCHED[way]
    code = f"import os, time\n{STARTS}{says}" + "time.sleep(0.2)\n"
    wrapper = ("/usr/bin/prlimit", f"--nofile={limit}:{limit}")
    run = place.spawn(*options, command=("/usr/bin/python3", "-ISc", code), wrapper=wrapper)
    status = run.ends()
    place.nothing_remains()
    said = run.err.rest()
    if status:
        assert not (place.folder / "started").exists()
        assert limit <= ENOUGH + len(options)  # what an option has opened already counts
        assert len(said.splitlines()) == 1 or limit < 6  # below, the interpreter speaks for itself
    else:
        assert (place.folder / "started").exists()
        assert "failed" not in said


# It ends when it was heard, or when nobody hears: the dead are not said to be ready.
SAYS_READY = """
import os, socket
where = os.environ["NOTIFY_SOCKET"]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect("\\0" + where[1:] if where[0] == "@" else where)
sender.send(b"READY=1")
read, write = os.pipe()
socket.send_fds(sender, [b"BARRIER=1"], [write])
os.close(write)
os.read(read, 1)
"""


@pytest.mark.skipif(IS_BY_SHELL, reason="dash itself needs a dozen descriptors, to read what it runs")
@pytest.mark.parametrize("limit", range(5, 20))
def test_with_few_descriptors_readiness_is_heard_or_a_line_says_why_not(limit: int) -> None:
    words = ("-t", "systemd", "-N", "--init", "none", "--", "/usr/bin/python3", "-IS", "-c", SAYS_READY)
    said = run(*words, before=with_limit(limit)).err
    assert b"is ready after" in said or b"cross-init-bridge: starting the watcher: " in said or b"open files" in said


NO_PROC = 'mount -t tmpfs none /proc && exec "$@"'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")
@pytest.mark.parametrize("shape", SHAPES)
def test_proc_is_not_needed(shape: list[str]) -> None:
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", NO_PROC, "sh")
    result = run(*shape, "--", "/bin/sh", "-c", "exit 42", wrapper=wrapper)
    assert result.status == 42
    assert_early_end_is_said(shape, result, "exit code 42")
