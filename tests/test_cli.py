"""The command line: what its words mean, and that every mistake is one line and an exit code, never a traceback."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.cli import OPTIONS, ORIGINAL, Wish, parse
from cross_init.detect import INITS, TARGETS
from cross_init.model import Failure
from tests.support.command import PATH, Result, close_descriptors, command, run, script

WORD = st.text(st.characters(exclude_characters="\0"), max_size=8)
LIKELY = st.sampled_from(
    [*OPTIONS, "-t", "-N", "-Nt", "--", "-", "", "systemd", "upstart", "--t", "--n", "--explain=x", "="]
)


def wish(*words: str) -> Wish:
    return parse(list(words))


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "systemd", "-N", "--", "d", "-x"],
        ["-Nt", "systemd", "--", "d", "-x"],
        ["-Ntsystemd", "--", "d", "-x"],
        ["-tsystemd", "-N", "d", "-x"],
        ["--target", "systemd", "--notify", "d", "-x"],
        ["--target=systemd", "--notify", "--", "d", "-x"],
        ["--ta=systemd", "--notify", "d", "-x"],
        ["-t", "upstart", "-t", "systemd", "-N", "-N", "d", "-x"],
    ],
)
def test_options_are_written_as_getopt_long_has_them(words: list[str]) -> None:
    got = parse(words)
    assert (got.target, got.notify, got.command) == ("systemd", True, ["d", "-x"])


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["d", "-N"], ["d", "-N"]),
        (["--", "d", "--", "-N"], ["d", "--", "-N"]),
        (["d", "--", "-N"], ["d", "--", "-N"]),
        (["-", "-N"], ["-", "-N"]),
        (["", "-N"], ["", "-N"]),
        (["--", "-N"], ["-N"]),
        (["--", "--"], ["--"]),
    ],
)
def test_the_first_word_that_is_no_option_begins_the_command(words: list[str], left: list[str]) -> None:
    got = wish("-t", "systemd", *words)
    assert got.command == left
    assert not got.notify


VALUES = {
    "--target": "systemd",
    "--init": "none",
    "--notify-access": "all",
    "--ready-timeout": "9",
    "--watchdog": "9",
    "--fd-store": "9",
    "--stop-signal": "QUIT",
    "--reload-signal": "USR1",
    "--pid-file": "/run/x.pid",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_known_by_each_beginning_that_is_its_own(option: str) -> None:
    for length in range(3, len(option) + 1):
        beginning = option[:length]
        fits = [each for each in OPTIONS if each.startswith(beginning)]
        known = [each for each in fits if each in ORIGINAL] or fits
        if beginning in OPTIONS or known != [option]:
            continue
        takes_value = OPTIONS[option][1]
        words = [f"{beginning}={VALUES.get(option, 'x')}" if takes_value else beginning]
        got = wish("-N", "-t", "systemd", "--ready-when=dbus:a.b", *words, "d")
        assert getattr(got, OPTIONS[option][0]) not in ("", False, [])


def test_a_value_is_taken_whatever_it_looks_like() -> None:
    assert wish("-t", "systemd", "--socket", "--", "d").socket == "--"
    assert wish("-t", "systemd", "--socket=a=b", "d").socket == "a=b"
    assert wish("-t", "systemd", "--listen", "-N", "--listen=--", "d").listen == ["-N", "--"]


TARGETS_LISTED, INITS_LISTED = ", ".join(TARGETS), ", ".join(INITS)
MISTAKES = [
    ([], f"-t TARGET is missing.*{TARGETS_LISTED}"),
    (["-t"], "--target needs a value"),
    (["-t", ""], "--target needs a value"),
    (["--target="], "--target needs a value"),
    (["-t", "sysvinit", "d"], f"--target sysvinit: not known; choose one of {TARGETS_LISTED}"),
    (["-t", "--", "d"], "--target --: not known"),
    (["-t", "systemd"], "COMMAND to run is missing"),
    (["-t", "systemd", "--"], "COMMAND to run is missing"),
    (["-t", "systemd:x", "/bin/true"], "--target systemd:x: nothing may stand behind its name"),
    (["-t", "s6:x", "/bin/true"], "--target s6:x: write the number of a descriptor"),
    (["-t", "s6:000004" + "9" * 5000, "/bin/true"], "write the number of a descriptor"),
    (["-t", "systemd", "-x", "d"], "-x: no such option; there are -t, -N, -h, -V, --target"),
    (["-t", "systemd", "-Nx", "d"], "-x: no such option"),
    (["-t", "systemd", "--frobnicate", "d"], "--frobnicate: no such option; there are --target"),
    (["-t", "systemd", "--ready", "d"], "--ready: could be --ready-"),
    (["-t", "systemd", "--=", "d"], "--: could be --target"),
    (["-t", "systemd", "--notify=yes", "d"], "--notify takes no value"),
    (["-t", "systemd", "--init", "smf", "d"], f"--init smf: not known; choose one of {INITS_LISTED}"),
    (["-t", "systemd", "--notify-access=any", "d"], "choose one of main, exec, all"),
    (["-t", "systemd", "--explain=xml", "d"], "choose one of text, json"),
    (["-t", "systemd", "--end-after-ready", "d"], "has to be asked for with -N"),
    (["-t", "systemd", "--socket", "a", "--all-sockets", "d"], "use one of them"),
    (["-t", "systemd", "--socket", "web", "/bin/true"], "a shell passed no socket of this name; it passed: nothing"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_choices(words: list[str], says: str) -> None:
    result = run(*words, environ={"PATH": PATH})
    assert result.status == 125
    assert re.search(says, result.line)
    assert not result.out


@given(st.lists(WORD | LIKELY, max_size=6))
def test_any_words_are_a_wish_or_a_failure(words: list[str]) -> None:
    try:
        got = parse(words)
    except Failure:
        return
    assert got.help or got.version or got.target.partition(":")[0] in TARGETS


ODD = [
    "",
    " ",
    "\n",
    "-\n",
    "--\n",
    "--target=\n",
    "-t\n",
    b"\xff",
    b"-\xff",
    b"--\xff=\xff",
    b"-t\xff",
    "\x1b[31m",
    "٣",
]


@pytest.mark.parametrize("word", ODD)
@pytest.mark.parametrize("before", [[], ["-t"], ["-t", "systemd", "--init"], ["-t", "systemd", "--explain", "--"]])
def test_odd_words_give_one_line_without_control_characters(word: str | bytes, before: list[str]) -> None:
    result = run(*before, word)
    if "--explain" in before:
        assert result.status == 125
        assert not result.err
        assert b"\x1b" not in result.out
        return
    assert result.status == 125
    assert result.line.isprintable()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=6).map(lambda word: word.replace(b"\0", b"")) | LIKELY, max_size=4))
def test_no_words_give_a_traceback(words: list[str | bytes]) -> None:
    result = run("--init", "none", *words, environ={"PATH": "/nonexistent"})
    assert b"Traceback" not in result.err
    assert b"please report" not in result.err
    assert result.status in (0, 125, 126, 127)


@pytest.mark.parametrize("word", ["-h", "--help", "-Nh", "--he"])
def test_help_names_every_option_and_choice_on_one_screen(word: str) -> None:
    result = run(word)
    assert (result.status, result.err) == (0, b"")
    text = result.out.decode()
    for each in (*OPTIONS, *TARGETS, *INITS):
        assert each in text
    assert max(map(len, text.splitlines())) <= 120
    assert "{" not in text


def test_the_version_is_one_line() -> None:
    assert re.fullmatch(rb"cross-init-bridge \d+\.\d+\.\d+\n", run("--version").out)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["-t", "systemd", "--explain"]])
def test_standard_output_that_takes_nothing_is_one_line(words: list[str]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    result = run(*words, stdout=full)
    os.close(full)
    assert (result.status, result.line) == (125, "writing to standard output: No space left on device")
    result = run(*words, before=close_descriptors(1))
    assert (result.status, result.line) == (125, "writing to standard output: Bad file descriptor")
    read, write = os.pipe()
    os.close(read)
    result = run(*words, stdout=write)
    os.close(write)
    assert (result.status, result.line) == (125, "writing to standard output: Broken pipe")


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


@pytest.mark.parametrize("closed", [(0,), (2,), (0, 1, 2)])
@pytest.mark.parametrize(
    ("words", "status"), [([], 125), (["-t", "systemd", "/"], 126), (["-t", "systemd", "/x"], 127)]
)
def test_the_exit_code_tells_even_where_nothing_can_be_said(
    words: list[str], status: int, closed: tuple[int, ...]
) -> None:
    assert run(*words, before=close_descriptors(*closed)).status == status
    pipe = closed_pipe()
    assert run(*words, stderr=pipe).status == status
    os.close(pipe)


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [0, 1, 125, 126, 127, 255])
def test_the_daemons_exit_status_is_ours(shape: list[str], status: int) -> None:
    result = run(*shape, "--", "/bin/sh", "-c", f"exit {status}")
    assert (result.status, result.err) == (status, b"")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP, signal.SIGRTMIN + 1])
def test_the_signal_that_the_daemon_dies_of_is_ours(shape: list[str], number: int) -> None:
    result = run(*shape, "--", "/bin/sh", "-c", f"kill -{int(number)} $$")
    assert (result.status, result.err) == (-number, b"")


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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("limit", range(3, 12))
def test_with_few_descriptors_it_works_or_is_one_line(shape: list[str], limit: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    result = run(*shape, "--", "/bin/sh", "-c", "exit 42", before=limited)
    if limit == 3:
        assert result.status != 0  # the interpreter itself cannot read its modules
    elif result.status != 42:
        assert result.status in (125, 126)
        assert "raise the limit on open files" in result.line or "processes" in result.line
    if limit >= 8:
        assert result.status == 42


SAYS_READY = """
import os, socket
where = os.environ["NOTIFY_SOCKET"]
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "\\0" + where[1:] if where[0] == "@" else where)
"""


@pytest.mark.parametrize("limit", range(5, 12))
def test_with_few_descriptors_readiness_is_heard_or_a_line_says_why_not(limit: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    words = ("-t", "systemd", "-N", "--init", "none", "--", "/usr/bin/python3", "-IS", "-c", SAYS_READY)
    said = run(*words, before=limited).err
    assert b"is ready after" in said or b"cross-init-bridge: starting the watcher: " in said or b"open files" in said


NO_PROC = 'mount -t tmpfs none /proc && exec "$@"'


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")
@pytest.mark.parametrize("shape", SHAPES)
def test_proc_is_not_needed(shape: list[str]) -> None:
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", NO_PROC, "sh")
    result = run(*shape, "--", "/bin/sh", "-c", "exit 42", wrapper=wrapper)
    assert (result.status, result.err) == (42, b"")


def explain(*words: str, environ: dict[str, str] | None = None) -> tuple[Result, Result]:
    given = {"PATH": PATH, **(environ or {})}
    return run("--explain", *words, environ=given), run("--explain=json", *words, environ=given)


EXPLAINED: list[tuple[list[str], dict[str, str]]] = [
    (["-t", "systemd", "-N", "--", "/bin/true"], {}),
    (["-t", "upstart", "-N", "--", "/bin/true"], {}),
    (["-t", "systemd"], {}),
    (["-t", "upstart", "-N", "--init", "systemd", "--", "/bin/true"], {"WATCHDOG_USEC": "1"}),
    (["-t", "systemd", "-N", "--end-after-ready", "--", "no-such"], {"UPSTART_JOB": "web", "UPSTART_INSTANCE": "x"}),
    (["-t", "systemd", "--listen", "bad", "--listen", "tcp::80", "--", "/bin/true"], {}),
]


@pytest.mark.parametrize(("words", "environ"), EXPLAINED)
def test_explain_fits_one_screen_and_says_the_same_as_json(words: list[str], environ: dict[str, str]) -> None:
    text, data = explain(*words, environ=environ)
    assert not text.err + data.err
    facts = json.loads(data.out)
    assert len(text.out.splitlines()) <= 24
    said = text.out.decode()
    for key, value in facts.items():
        if key != "command":
            for each in value if isinstance(value, list) else [value]:
                assert each in said
    assert text.status == data.status == (125 if facts["refusals"] else 0)


REFUSED = [
    *("-t upstart --listen udp::0", "-t upstart --socket web", "-t upstart --listen bad"),
    *("-t plain -N", "-t systemd --ready-when nonsense:x", "-t upstart -N --watchdog 3", "-t systemd -N --ready-fd 99"),
    *("-t upstart -N --init systemd", "-t upstart -N --end-after-ready --init none"),
    "-t systemd -N --supervise --end-after-ready",
]


@pytest.mark.parametrize("words", REFUSED)
def test_explain_refuses_what_the_start_refuses(words: str) -> None:
    started = run(*words.split(), "--", "/bin/true")
    explained = run(*words.split(), "--explain=json", "--", "/bin/true")
    assert started.status == explained.status == 125
    assert json.loads(explained.out)["refusals"] == [started.line]


def test_explain_refuses_nothing_that_the_start_does_not_refuse() -> None:
    words = ("-t", "systemd", "--init", "systemd", "--supervise", "--explain", "--", "/bin/true")
    assert run(*words).status == 0, "without -N nobody has to be told"


def test_explain_with_words_that_are_no_utf_8_is_json_still() -> None:
    data = run("-t", "systemd", "--explain=json", "--", b"/\xff\n\x1b")
    assert json.loads(data.out)["command"] == ["/\udcff\n\x1b"]


def test_explain_runs_nothing_and_opens_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addresses = ("--listen", f"tcp:127.0.0.1:{taken.getsockname()[1]}", "--listen", f"unix:{tmp_path}/socket")
        result = run("-t", "systemd", "-N", *addresses, "--explain", "--", "/usr/bin/touch", f"{tmp_path}/started")
    assert result.status == 0, "not even that the port is in use can be noticed"
    assert not os.listdir(tmp_path)


def slow_start(before: Callable[[], None] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command("-t", "systemd", "--wait-for-client", "--listen", "tcp:127.0.0.1:0", "--", "/bin/true"),
        env={"PATH": PATH},
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


def ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    process = slow_start(ignore_interrupts)
    assert process.stderr is not None
    port = int(process.stderr.readline().rpartition(b":")[2])
    process.send_signal(signal.SIGINT)
    with socket.create_connection(("127.0.0.1", port)):
        assert process.wait(60) == 0
    process.stderr.close()
