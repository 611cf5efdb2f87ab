"""--ready-when log: the daemon's output goes on byte for byte, as if we were not there, while anybody writes."""

import fcntl
import hashlib
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.command import ROOT
from tests.support.command import run as run_bridge
from tests.support.observed import LONGEST_S, PYTHON, Place, Reader

# Writes to both streams what no text is, in pieces of all sizes; and says on descriptor 2 the digest of each.
BINARY = """
import hashlib, os
streams = {1: hashlib.sha256(), 2: hashlib.sha256()}
state = 1
for piece in range(400):
    for fd in streams:
        state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        data = hashlib.shake_128(state.to_bytes(8, "little")).digest(state >> 50)
        while data:
            written = os.write(fd, data)
            streams[fd].update(data[:written])
            data = data[written:]
with open("digests", "w") as file:
    file.write(" ".join(each.hexdigest() for each in streams.values()))
"""


def without_ours(said: bytes) -> bytes:
    """What the daemon said, without our one line on its end, which is there."""
    rest, found = re.subn(rb"cross-init-bridge: [^\n]* while it still waited for log:never, never[^\n]*\n", b"", said)
    assert found == 1
    return rest


def test_both_streams_come_through_byte_for_byte(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    run = place.spawn(
        *("-t", "plain", *shape, "--ready-when", "log:never, never"),
        command=(*PYTHON, "-c", BINARY),
        stdout=subprocess.PIPE,
    )
    out, err = run.process.communicate(timeout=60)
    assert run.process.returncode == 0
    err = without_ours(err)
    digests = (tmp_path / "digests").read_text().split()
    assert [hashlib.sha256(stream).hexdigest() for stream in (out, err)] == digests
    assert len(out) > 1_000_000
    place.nothing_remains()


def test_two_streams_that_are_one_keep_their_order(place: Place, shape: tuple[str, ...]) -> None:
    code = "import os\nfor number in range(5000): os.write(1 + number % 2, b'%d\\n' % number)"
    run = place.spawn(
        *("-t", "plain", *shape, "--ready-when", "log:never, never"),
        command=(*PYTHON, "-c", code),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = run.process.communicate(timeout=60)
    assert without_ours(out).decode().split() == [str(number) for number in range(5000)]


def test_a_reader_that_is_slow_holds_up_the_daemon_and_nobody_else(place: Place, shape: tuple[str, ...]) -> None:
    read, write = os.pipe()
    try:
        run = place.begin("-t", "systemd", "-N", *shape, "--ready-when", "log:^last$", stdout=write)
        os.close(write)
        run.puppet.do("while select.select([], [1], [], 0.2)[1]: os.write(1, bytes(4096))")
        run.puppet.send(repr(b"READY=1"))  # heard all the while
        assert not run.is_ready()
        if shape:
            run.process.send_signal(signal.SIGHUP)
            run.puppet.hear_signal(signal.SIGHUP)
        run.puppet.do("import threading")
        run.puppet.do("threading.Thread(target=lambda: os.write(1, b'\\nlast\\n')).start()")
        size = fcntl.fcntl(read, fcntl.F_GETPIPE_SZ)
        reader = Reader(read)
        reader.hears("last\n")
        run.becomes_ready()
        run.puppet.tell("exit 6")
        assert run.ends() == 6
        assert not reader.rest().strip("\0").replace("\nlast\n", "")
        assert len(reader.text) > 2 * size
    finally:
        os.close(read)
    place.nothing_remains()


def test_so_does_one_whose_end_does_not_block(place: Place, shape: tuple[str, ...]) -> None:
    """Whoever shares the open file with us may have made it so that writing does not wait."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    code = "import os\nfor number in range(40): os.write(1, b'%d' % (number % 10) * 9999)"
    run = place.spawn("-t", "plain", *shape, "--ready-when", "log:x", command=(*PYTHON, "-c", code), stdout=write)
    os.close(write)
    text = Reader(read)
    try:
        assert text.rest() == "".join(str(number % 10) * 9999 for number in range(40))
        assert run.ends() == 0
    finally:
        os.close(read)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
@pytest.mark.parametrize("ready", [False, True])
def test_when_the_reader_has_gone_the_daemon_finds_it_so(
    place: Place, shape: tuple[str, ...], kind: str, ready: bool
) -> None:
    ends = tuple(end.detach() for end in socket.socketpair()) if kind == "socket" else os.pipe()
    read, write = ends
    run = place.begin(*shape, "--ready-when", "log:go", stdout=write)
    os.close(write)
    if ready:
        run.puppet.do("os.write(1, b'go\\n')")
        run.becomes_ready()
    run.puppet.do("import select, signal; signal.signal(signal.SIGPIPE, signal.SIG_IGN); p = select.poll()")
    run.puppet.do("p.register(1, 0)")
    os.close(read)
    # It is seen without anything being written, as with a pipe to the reader itself.
    run.puppet.do("assert p.poll(10_000)[0][1] & select.POLLERR")
    run.puppet.do("try: os.write(1, b'x')\nexcept BrokenPipeError: pass\nelse: raise AssertionError")
    run.puppet.do("os.write(2, b'the other stream is still there\\n')")
    run.err.hears("the other stream is still there\n")
    run.puppet.do("signal.signal(signal.SIGPIPE, signal.SIG_DFL)")
    run.puppet.tell("do os.write(1, b'x')")
    assert run.ends() == -signal.SIGPIPE


@pytest.mark.parametrize("many", [1, 200_000])
def test_a_child_that_outlives_the_daemon_can_still_write(place: Place, shape: tuple[str, ...], many: int) -> None:
    run = place.begin(*shape, "--kill-mode", "process", "--ready-when", "log:go", stdout=subprocess.PIPE)
    assert run.process.stdout is not None
    run.puppet.do(
        f"""
read, write = os.pipe()
if not os.fork():
    os.setsid()
    test = None
    os.close(write)
    os.read(read, 1)  # until the daemon has ended
    for _ in range({many}):
        os.write(1, b"child\\n")
    os._exit(0)
os.write(1, b"parent\\n")
"""
    )
    run.puppet.tell("exit 5")
    assert run.ends() == 5
    assert Reader(run.process.stdout.fileno()).rest() == "parent\n" + "child\n" * many
    place.nothing_remains()


def test_the_last_words_are_passed_on_before_the_end(place: Place) -> None:
    """A container ends with its first process; what is not written by then is lost."""
    for _ in range(20):
        read, write = os.pipe()
        command = ("/bin/sh", "-c", "echo out; echo err >&2; exit 3")
        run = place.spawn("-t", "plain", "--supervise", "--ready-when", "log:x", command=command, stdout=write)
        os.close(write)
        assert run.ends() == 3
        os.set_blocking(read, False)
        assert os.read(read, 100) == b"out\n"
        os.close(read)
        assert run.err.rest().startswith("err\ncross-init-bridge: sh (PID ")


def test_why_a_command_cannot_be_run_comes_through(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    run = place.spawn("-t", "plain", *shape, "--ready-when", "log:x", command=(str(program),))
    assert run.ends() == 127
    assert "not the interpreter that it names" in run.err.rest()


def test_a_terminal_gets_what_was_written(place: Place, shape: tuple[str, ...]) -> None:
    far, near = pty.openpty()
    try:
        run = place.begin(*shape, "--ready-when", "log:^go$", stdout=near)
        run.puppet.do("os.write(1, b'go\\n')")
        run.becomes_ready()
        assert select.select([far], [], [], 10)[0]
        assert os.read(far, 100) == b"go\r\n"
    finally:
        os.close(far)
        os.close(near)


LOOKS = 'for fd in 1 2; do test ! -e /proc/$$/fd/$fd || words="$words $fd"; done; echo $words > open'


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_a_stream_that_was_closed_stays_closed(
    place: Place, tmp_path: Path, shape: tuple[str, ...], closed: tuple[int, ...]
) -> None:
    closes = " ".join(f"{fd}>&-" for fd in closed)
    wrapper = ("/bin/sh", "-c", f'exec "$@" {closes}', "sh")
    run = place.spawn("-t", "plain", *shape, "--ready-when", "log:x", command=("/bin/sh", "-c", LOOKS), wrapper=wrapper)
    assert run.ends() == 0
    assert (tmp_path / "open").read_text().split() == [str(fd) for fd in (1, 2) if fd not in closed]


def test_what_is_said_later_is_passed_on_but_not_looked_at(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", *shape, "--ready-when", "log:one|two", stdout=subprocess.PIPE)
    assert run.process.stdout is not None
    run.puppet.do("os.write(1, b'one\\n')")
    run.becomes_ready()
    run.puppet.do("os.write(1, b'two\\n')")
    run.puppet.tell("exit 0")
    assert Reader(run.process.stdout.fileno()).rest() == "one\ntwo\n"
    assert run.ends() == 0
    assert run.err.rest().count("is ready") == 1


def test_bytes_that_are_no_text_can_be_looked_for(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*shape, "--ready-when", "log:caf\udce9 (ouvert|ferm\udce9)")
    run.puppet.do("os.write(1, b'caf\\xc3\\xa9 ouvert\\n')")
    run.is_not_ready_yet(lambda: run.puppet.do("os.write(1, b'\\n')"))
    run.puppet.do("os.write(1, b'le caf\\xe9 ferm\\xe9 est\\n')")
    run.becomes_ready()


def test_a_line_may_be_as_long_as_it_likes(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*shape, "--ready-when", "log:ready$")
    run.puppet.do("for _ in range(300): os.write(1, bytes(4000))\nos.write(1, b'ready\\n')")
    run.becomes_ready()


def test_leaving_after_ready_is_impossible_and_said(tmp_path: Path) -> None:
    words = ("--end-after-ready", "--ready-when", "log:x", "--", "/bin/touch", f"{tmp_path}/started")
    ran = run_bridge("-t", "plain", "--init", "none", *words)
    assert ran.status == 125
    assert "cannot leave" in ran.line
    assert not list(tmp_path.iterdir())


def test_sockets_at_any_numbers_do_not_take_our_own_descriptors_places(place: Place, shape: tuple[str, ...]) -> None:
    read, write = os.pipe()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        far = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 50)  # Upstart passes them anywhere
        run = place.begin(
            *("-t", "systemd", *shape, "--init", "upstart", "--ready-fd", str(write), "--ready-when", "log:^go$"),
            environ={"UPSTART_JOB": "web", "UPSTART_FDS": str(far)},
            pass_fds=(far, write),
        )
        os.close(write)
        os.close(far)
        assert os.readlink(f"/proc/{run.puppet.pid}/fd/3") == os.readlink(f"/proc/self/fd/{sock.fileno()}")
    run.puppet.do("os.write(1, b'go\\n')")
    assert select.select([read], [], [], LONGEST_S)[0], "it is heard"
    assert os.read(read, 1) == b"\n"
    os.close(read)
    run.puppet.tell("exit 0")
    assert run.ends() == 0
    place.nothing_remains()


def test_several_lines_are_looked_for_in_one_output(place: Place, shape: tuple[str, ...]) -> None:
    run = place.begin(*shape, "--ready-when", "log:^one$", "--ready-when", "log:^two$", "--ready-when", "log:^o")
    run.puppet.do("os.write(2, b'two\\n')")
    run.err.hears("two\n")
    run.is_not_ready_yet(lambda: run.puppet.do("os.write(2, b'three\\n')"))
    run.puppet.do("os.write(2, b'one\\n')")
    run.becomes_ready()
    run.puppet.tell("exit 4")
    assert run.ends() == 4
    place.nothing_remains()


@pytest.mark.parametrize(
    ("name", "instead"), [("watched.py", "starting the watcher: "), ("status_socket.py", "loading")]
)
def test_a_watcher_that_fails_leaves_the_daemon_its_output(place: Place, name: str, instead: str) -> None:
    """Where nobody waits for readiness the daemon runs on; its pipes must still be read by somebody."""
    for folder in ("src", "bin"):
        shutil.copytree(
            ROOT / folder,
            place.folder / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
            symlinks=True,
        )
    (place.folder / "src/cross_init/watch" / name).write_text("raise ImportError('an upgrade is under way')\n")
    code = (
        "import os\nfor number in range(40000): os.write(1 + number // 20000, b'%d\\n' % (number % 20000))\nos._exit(5)"
    )
    run = place.spawn(
        *("-t", "plain", "--init", "daemontools", "--ready-when", "log:^7$"),
        command=(*PYTHON, "-c", code),
        bridge=place.folder / "bin/cross-init-bridge",
        stdout=subprocess.PIPE,
    )
    out, err = run.process.communicate(timeout=60)
    assert run.process.returncode == 5
    assert out.decode().split() == [str(number) for number in range(20000)]
    lines = err.decode().splitlines()
    ours = [line for line in lines if line.startswith("cross-init-bridge: ")]
    assert instead in ours[-1]
    assert [line for line in lines if line not in ours] == out.decode().split()
    place.nothing_remains()
