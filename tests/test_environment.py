"""What the daemon gets is what we were given, and what its init would have given it; nothing of ours, in any shape."""

import ctypes
import os
import re
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, IS_BY_SHELL, PATH, close_descriptors, command, run, script
from tests.support.early_end import without_early_end
from tests.support.packages import need

PLAIN = {b"PATH": PATH.encode()}
LOOK = ("/usr/bin/cat", "/proc/self/environ")
UPSTART_SAYS = {b"UPSTART_JOB": b"cat", b"UPSTART_INSTANCE": b""}


class Shape:
    """One way through: the options that lead there, what has to be in the environment, what is added and removed."""

    def __init__(self, options: str, given: dict[bytes, bytes], added: dict[bytes, bytes]) -> None:
        self.options = options.split()
        self.given = {**PLAIN, **given}
        self.added = added

    def daemon(self, environ: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """What the daemon has to get of this environment."""
        return {**{key: value for key, value in environ.items() if key != b"NOTIFY_SOCKET"}, **self.added}


READ_BY_NOBODY = {b"NOTIFY_SOCKET": b"@cross-init-test-environment-%d" % os.getpid()}
ANY = b"*"
SHAPES = {
    "exec": Shape("-t upstart --init none", {}, UPSTART_SAYS),
    "watch": Shape("-t systemd -N --init none", {}, {b"NOTIFY_SOCKET": ANY}),
    "hand over": Shape("-t upstart -N --init systemd", READ_BY_NOBODY, UPSTART_SAYS),
    "supervise": Shape("-t upstart -N --init none", {}, UPSTART_SAYS),
}


@pytest.fixture(autouse=True, scope="module")
def manager() -> Iterator[None]:
    """Somebody is there, to whom a daemon could be handed over."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(b"\0" + READ_BY_NOBODY[b"NOTIFY_SOCKET"][1:])
        yield


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    return SHAPES[request.param]


def parse(text: bytes) -> dict[bytes, bytes]:
    found = {}
    for entry in text.split(b"\0")[:-1]:
        key, _, value = entry.partition(b"=")
        assert key not in found, "each variable stands there once"
        found[key] = value
    return found


def daemon_gets(shape: Shape, environ: dict[bytes, bytes]) -> dict[bytes, bytes]:
    result = run(*shape.options, "--", *LOOK, environ={**shape.given, **environ})
    assert result.status == 0, result
    return parse(result.out)


def assert_unchanged(shape: Shape, environ: dict[bytes, bytes]) -> None:
    got = daemon_gets(shape, environ)
    wanted = shape.daemon({**shape.given, **environ})
    if shape.added.get(b"NOTIFY_SOCKET") == ANY:
        assert got.pop(b"NOTIFY_SOCKET")
        del wanted[b"NOTIFY_SOCKET"]
    assert got == wanted


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {b"EMPTY": b"", b"with.dot": b"a=b", b"SPACED": b" a\nb\t", b"with space": b"x"},
        {b"\xff\xfe": b"\x80\x81", "ä".encode("latin-1"): b"\xed\xa0\x80"},
        {b"LC_CTYPE": b"C.UTF-8"},
        {b"LC_CTYPE": b"C"},
        {b"LC_CTYPE": b""},
        {b"LC_ALL": b"C"},
        {b"LANG": b"C.UTF-8"},
        {b"INVOCATION_ID": b"1", b"JOURNAL_STREAM": b"8:1", b"RUNTIME_DIRECTORY": b"/run/x"},
        {b"HUGE": b"x" * 100_000},
    ],
)
def test_variables_come_through_byte_for_byte(shape: Shape, environ: dict[bytes, bytes]) -> None:
    assert_unchanged(shape, environ)


def test_what_is_for_the_daemons_python_does_not_touch_ours(shape: Shape, tmp_path: Path) -> None:
    for name in ("posix", "errno", "sitecustomize", "usercustomize", "cross_init", "encodings", "fcntl", "select"):
        script(tmp_path, f"{name}.py", "raise SystemExit('poisoned')")
    poison = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "PYTHONSTARTUP": str(tmp_path / "posix.py"),
        "PYTHONINSPECT": "1",
        "PYTHONIOENCODING": "nonsense",
        "PYTHONUTF8": "nonsense",
        "PYTHONWARNINGS": "error",
        "PYTHONVERBOSE": "9",
        "PYTHONTRACEMALLOC": "nonsense",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONEXECUTABLE": "/nonexistent",
    }
    assert_unchanged(shape, {key.encode(): value.encode() for key, value in poison.items()})


def test_a_module_in_the_working_folder_is_not_ours(shape: Shape, tmp_path: Path) -> None:
    script(tmp_path, "cross_init.py", "raise SystemExit('poisoned')")
    script(tmp_path, "select.py", "raise SystemExit('poisoned')")
    result = run(*shape.options, "--", "/bin/pwd", "-P", environ=shape.given, cwd=tmp_path)
    assert result.out == os.fsencode(tmp_path.resolve()) + b"\n"


def test_a_variable_without_a_name_is_no_reason_to_fail() -> None:
    ended = exec_raw([b"=value", b"no equals sign", b"A=1"], [b"-t", b"upstart", b"--", *map(os.fsencode, LOOK)])
    assert parse(ended) == {b"A": b"1", **UPSTART_SAYS}


def exec_raw(environ: list[bytes], words: list[bytes]) -> bytes:
    """Run the bridge with an environment that Python's own exec would not take; returns its standard output."""
    libc = ctypes.CDLL(None)
    argv = (ctypes.c_char_p * (len(words) + 2))(b"cross-init-bridge", *words, None)
    envp = (ctypes.c_char_p * (len(environ) + 1))(*environ, None)

    def become() -> None:
        libc.execve(os.fsencode(BRIDGE), argv, envp)

    ended = subprocess.run(["/nonexistent"], preexec_fn=become, stdout=subprocess.PIPE, timeout=60)
    assert ended.returncode == 0
    return ended.stdout


WORDS: list[str | bytes] = ["", "--", "-t", "a b", "\n", "'\"$HOME", b"\xff\xfe", "ä€😀".encode(), b"\xed\xa0\x80"]


@pytest.mark.parametrize("locale", ["", "C", "C.UTF-8", "nonsense"])
def test_words_come_through_byte_for_byte(shape: Shape, locale: str) -> None:
    environ = {**shape.given, b"LC_ALL": locale.encode()}
    result = run(*shape.options, "--", "/usr/bin/printf", "%s\\0", *WORDS, environ=environ)
    assert result.out.split(b"\0")[:-1] == [word if isinstance(word, bytes) else word.encode() for word in WORDS]


@pytest.fixture(scope="session")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("locales")
    folder = tmp_path_factory.mktemp("locales")
    try:
        subprocess.run(["localedef", "-i", "en_US", "-f", "ISO-8859-1", folder / "en_US.ISO-8859-1"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a Latin-1 locale cannot be made here: {error}")
    return folder


def test_a_name_that_is_not_ascii_is_found_in_a_latin_1_locale(shape: Shape, latin1: Path, tmp_path: Path) -> None:
    program = os.fsencode(tmp_path) + b"/d\xe9mon"
    os.symlink("/usr/bin/printf", program)
    environ = {**shape.given, b"LOCPATH": os.fsencode(latin1), b"LC_ALL": b"en_US.ISO-8859-1"}
    result = run(*shape.options, "--", program, "%s", b"\xe9\xff", environ=environ)
    assert (result.status, result.out) == (0, b"\xe9\xff")


def test_the_daemon_is_called_by_the_name_that_was_given(shape: Shape) -> None:
    result = run(*shape.options, "--", "cat", "/proc/self/cmdline", environ=shape.given)
    assert result.out == b"cat\0/proc/self/cmdline\0"


def set_up() -> None:
    os.umask(0o123)
    os.nice(3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (77, 99))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMIN + 3])


def signals(*numbers: int) -> str:
    return f"{sum(1 << number - 1 for number in numbers):016x}"


def test_limits_and_signals_come_through(shape: Shape) -> None:
    files = ("/proc/self/status", "/proc/self/limits", "/proc/self/stat")
    result = run(*shape.options, "--", "/usr/bin/cat", *files, environ=shape.given, before=set_up)
    text = result.out.decode()
    facts = dict(re.findall(r"^(\w+):\t(\S+)", text, re.MULTILINE))
    assert facts["Umask"] == "0123"
    assert facts["SigBlk"] == signals(signal.SIGUSR1, signal.SIGTERM, signal.SIGRTMIN + 3)
    assert facts["SigPnd"] == facts["ShdPnd"] == signals()
    sigpipe = [signal.SIGPIPE] if "systemd" in shape.options[1] else []  # IgnoreSIGPIPE=, systemd.exec(5)
    # The two that the C library keeps for itself nobody can set; whoever runs the tests may have them ignored.
    ours = int(re.findall(r"^SigIgn:\t(\S+)", Path("/proc/self/status").read_text(), re.MULTILINE)[0], 16)
    kept = [number for number in (32, 33) if ours >> number - 1 & 1]
    assert facts["SigIgn"] == signals(signal.SIGHUP, signal.SIGINT, signal.SIGUSR2, *sigpipe, *kept)
    assert re.search(r"^Max open files +77 +99 ", text, re.MULTILINE)
    assert text.splitlines()[-1].rpartition(")")[2].split()[16] == "3"  # nice, proc_pid_stat(5)


def ignore_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def block_children() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])


@pytest.mark.parametrize("before", [ignore_children, block_children])
def test_how_sigchld_stands_is_no_reason_to_fail(shape: Shape, before: Callable[[], None]) -> None:
    result = run(*shape.options, "--", "/bin/sh", "-c", "exit 42", environ=shape.given, before=before)
    assert (result.status, without_early_end(result.err.decode())) == (42, "")


@pytest.mark.parametrize("name", ["exec", "watch"])
def test_the_daemon_has_no_sign_of_a_child_that_it_did_not_make(name: str) -> None:
    shape = SHAPES[name]
    result = run(*shape.options, "--", "/usr/bin/cat", "/proc/self/status", environ=shape.given, before=block_children)
    facts = dict(re.findall(r"^(\w+):\t(\S+)", result.out.decode(), re.MULTILINE))
    assert facts["SigPnd"] == facts["ShdPnd"] == signals()
    if IS_BY_SHELL:
        pytest.skip("dash takes SIGCHLD for its own: that it was ignored is lost")
    ignoring = run(*shape.options, "--", "/bin/grep", "SigIgn", "/proc/self/status", before=ignore_children)
    assert int(ignoring.out.split()[1], 16) >> signal.SIGCHLD - 1 & 1, "as it was given"


LISTING = "import os, sys; held = os.listdir('/proc/self/fd'); open(sys.argv[1], 'w').write(' '.join(held))"


def daemon_holds(shape: Shape, said: Path, *passed: int, before: Callable[[], None] | None = None) -> set[int]:
    """The descriptors that the daemon has, one of them for reading that."""
    words = ("/usr/bin/python3", "-ISc", LISTING, str(said))
    result = run(*shape.options, "--", *words, environ=shape.given, pass_fds=passed, before=before)
    assert result.status == 0, result
    return {int(word) for word in said.read_text().split()}


def test_descriptors_stay_open_and_none_is_added(shape: Shape, tmp_path: Path) -> None:
    spare = os.open("/dev/null", os.O_RDONLY)
    assert daemon_holds(shape, tmp_path / "said", spare) == {0, 1, 2, 3, spare}
    os.close(spare)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_closed_standard_descriptors_stay_closed(shape: Shape, closed: tuple[int, ...], tmp_path: Path) -> None:
    left = {0, 1, 2} - set(closed)
    reads_by = min(set(range(4)) - left)
    assert daemon_holds(shape, tmp_path / "said", before=close_descriptors(*closed)) == left | {reads_by}


READY_UNTIL = """
import os, socket, sys
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
open(sys.argv[1]).read()
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1)])
def test_readiness_is_heard_whatever_is_closed(closed: tuple[int, ...], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "end")
    process = subprocess.Popen(
        command(*SHAPES["watch"].options, "--", "/usr/bin/python3", "-ISc", READY_UNTIL, str(tmp_path / "end")),
        env=PLAIN,
        preexec_fn=close_descriptors(*closed),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert b" is ready after " in process.stderr.readline()
    (tmp_path / "end").write_text("")
    assert process.wait(60) == 0
    process.stderr.close()


def test_a_socket_of_ours_never_becomes_standard_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free = f"tcp:127.0.0.1:{taken.getsockname()[1]}"
    result = run(
        *("-t", "upstart", "--listen", free, "--", "/usr/bin/printenv", "UPSTART_FDS"),
        before=close_descriptors(0, 2),
    )
    assert (result.status, result.out) == (0, b"3\n")


@pytest.mark.parametrize(
    ("option", "job", "instance"), [("job=collectd", b"collectd", b""), ("job=a/b/c", b"a", b"b/c"), ("", b"env", b"")]
)
def test_what_a_daemon_for_upstart_is_called_can_be_said(option: str, job: bytes, instance: bytes) -> None:
    result = run(
        "-t", f"upstart{':' * bool(option)}{option}", "--init", "none", "--", "/usr/bin/env", environ={"PATH": PATH}
    )
    assert {b"UPSTART_JOB=" + job, b"UPSTART_INSTANCE=" + instance} <= set(result.out.split(b"\n"))


@pytest.mark.parametrize("option", ["job=", "job=/x", "name=x", "x"])
def test_what_is_no_name_of_a_job_is_refused(option: str) -> None:
    result = run("-t", f"upstart:{option}", "--init", "none", "--", "/usr/bin/env", environ={"PATH": PATH})
    assert (result.status, result.out) == (125, b"")
    assert f"--target upstart:{option}: there it takes job=NAME" in result.line
