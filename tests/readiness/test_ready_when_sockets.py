"""--ready-when where the daemon is passed sockets: what would say nothing is refused, and what can be known is."""

import os
import re
import socket
from pathlib import Path

import pytest

from tests.sockets.test_listen_options import void
from tests.support.command import PATH, run
from tests.support.observed import Place
from tests.support.own import free_port

REASONS = {
    "passed": "the daemon is passed this very socket, so it would hold before the daemon has done anything",
    "path": "this is the path of a socket that the daemon is passed, so it would never appear",
    "health": "there we answer ourselves",
}
# What is refused: the options, the condition, and the reason.
OWN = {
    "unix": ("--listen unix:{folder}/x", "unix:{folder}/x", "passed"),
    "unix, another way": ("--listen unix:{folder}/x", "unix:{folder}/../{name}/./x", "passed"),
    "datagrams": ("--listen unix-dgram:{folder}/x", "unix:{folder}/x", "passed"),
    "packets": ("--listen unix-seqpacket:{folder}/x,mode=0600", "unix:{folder}/x", "passed"),
    "abstract": ("--listen unix:@{port}", "unix:@{port}", "passed"),
    "a file": ("--listen unix:{folder}/x", "file:{folder}/x", "path"),
    "tcp": ("--listen tcp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}", "passed"),
    "by name": ("--listen tcp:127.0.0.1:{port}", "tcp:localhost:{port}", "passed"),
    "named": ("--listen a=tcp:localhost:{port}", "tcp:127.0.0.1:{port}", "passed"),
    "any address": ("--listen tcp:0.0.0.0:{port}", "tcp:127.0.0.2:{port}", "passed"),
    "no host": ("--listen tcp::{port}", "tcp:127.0.0.1:{port}", "passed"),
    "IPv6": ("--listen tcp:[::]:{port}", "tcp:[::1]:{port}", "passed"),
    "no host, IPv6": ("--listen tcp::{port}", "tcp:[::1]:{port}", "passed"),
    "the second": ("--listen udp::{port} --listen tcp::{port}", "tcp:127.0.0.1:{port}", "passed"),
    "health": ("--health-listen tcp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}", "health"),
    "health, http": ("--health-listen tcp::{port}", "http://localhost:{port}/readyz", "health"),
    "health, unix": ("--health-listen unix:{folder}/x", "unix:{folder}/x", "health"),
}
OTHERS = {
    "another port": ("--listen tcp:127.0.0.1:0", "tcp:127.0.0.1:{port}"),
    "another host": ("--listen tcp:127.0.0.2:{port}", "tcp:127.0.0.1:{port}"),
    "another family": ("--listen tcp:[::]:{port}", "tcp:127.0.0.1:{port}"),
    "no stream": ("--listen udp:127.0.0.1:{port}", "tcp:127.0.0.1:{port}"),
    "another path": ("--listen unix:{folder}/y", "unix:{folder}/x"),
    "an answer": ("--listen tcp:127.0.0.1:{port}", "http://127.0.0.1:{port}/"),
}


@pytest.mark.parametrize("explain", [[], ["--explain"]])
@pytest.mark.parametrize("case", list(OWN))
def test_a_condition_that_its_own_socket_would_decide_is_refused(case: str, explain: list[str], tmp_path: Path) -> None:
    options, condition, reason = OWN[case]
    what = {"folder": tmp_path, "name": tmp_path.name, "port": free_port()}
    text = condition.format(**what)
    words = ("-t", "systemd", *options.format(**what).split(), "--ready-when", text, *explain)
    result = run(*words, "--", "/bin/touch", f"{tmp_path}/started", cwd=tmp_path)
    assert result.status == 125
    said = result.out.decode() if explain else result.line
    assert f"--ready-when {text}: {REASONS[reason]}" in said
    assert not os.listdir(tmp_path), "nothing was opened or started"


@pytest.mark.parametrize("case", list(OTHERS))
def test_what_is_not_its_own_is_asked(case: str, tmp_path: Path) -> None:
    options, condition = (word.format(folder=tmp_path, port=free_port()) for word in OTHERS[case])
    assert run("-t", "systemd", *options.split(), "--ready-when", condition, "--explain", "--", "true").status == 0


def test_a_socket_that_the_init_passed_is_its_own_as_well() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        result = run(
            *("-t", "upstart", "--supervise", "--ready-when", f"tcp:127.0.0.1:{port}", "--", "/bin/true"),
            wrapper=("/bin/sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"'),
            environ={"PATH": PATH, "NOTIFY_SOCKET": "@x"},
            before=lambda: void(os.dup2(passed.fileno(), 3)),
            pass_fds=(3,),
        )
    assert result.status == 125
    assert REASONS["passed"] in result.err.decode()


POLLS = """
import threading, select
def wait():
    {}
threading.Thread(target=wait, daemon=True).start()
"""
# What a daemon does with its passed socket that counts: the form of the socket, and the daemon's words.
ATTENDS = {
    "epoll": ("tcp:127.0.0.1:{port}", "import select; made = select.epoll(); made.register(3, select.EPOLLIN)"),
    "epoll, by a copy": (
        "unix:{folder}/x",
        "import select; made = select.epoll(); made.register(os.dup2(3, 50), select.EPOLLIN)",
    ),
    "poll": ("unix:{folder}/x", POLLS.format("p = select.poll(); p.register(os.pipe()[0]); p.register(3); p.poll()")),
    "select": ("tcp:127.0.0.1:{port}", POLLS.format("select.select([3], [], [])")),
    "select, a high number": ("tcp:127.0.0.1:{port}", POLLS.format("select.select([os.dup2(3, 200)], [], [])")),
    "accept": ("tcp:127.0.0.1:{port}", POLLS.format("socket.socket(fileno=3).accept()")),
    "accept, unix": ("unix-seqpacket:{folder}/x", POLLS.format("socket.socket(fileno=3).accept()")),
    "receives": ("unix-dgram:{folder}/x", POLLS.format("socket.socket(fileno=3).recv(1)")),
    "receives, udp": ("udp:127.0.0.1:{port}", POLLS.format("socket.socket(fileno=3).recvmsg(1)")),
    "serves": (
        "tcp:127.0.0.1:{port}",
        "client = socket.create_connection(('127.0.0.1', {port})); served, _ = socket.socket(fileno=3).accept()",
    ),
    "a child": (
        "tcp:127.0.0.1:{port}",
        "os.fork() or (socket.socket(fileno=3).accept(), os._exit(0))",
    ),
}


@pytest.mark.parametrize("kind", ATTENDS)
def test_listening_counts_a_passed_socket_once_the_daemon_attends_to_it(
    place: Place, tmp_path: Path, shape: tuple[str, ...], kind: str
) -> None:
    port = str(free_port())
    form, does = (word.replace("{folder}", str(tmp_path)).replace("{port}", port) for word in ATTENDS[kind])
    started = place.begin("-t", "systemd", *shape, "--ready-when", "listening", "--listen", form)
    started.puppet.do("import select; other = select.epoll(); other.register(os.pipe()[0], select.EPOLLIN)")
    started.is_not_ready_yet(lambda: started.puppet.do("pass"))
    started.puppet.do(does)
    started.becomes_ready()


def test_a_socket_that_is_not_attended_to_is_said(place: Place) -> None:
    port = free_port()
    started = place.begin("-t", "systemd", "--ready-when", "listening", "--listen", f"tcp:127.0.0.1:{port}")
    started.err.hears(
        "it has no socket of its own that listens, and is not seen to attend to the one that it was passed"
    )
    assert not started.is_ready()


def test_started_is_when_the_daemon_runs_and_not_before(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    """Its program is a FIFO's reader's: exec waits for nothing, but the mark must not count while it is there."""
    started = place.begin("-t", "systemd", *shape, "--ready-when", "started", "--listen", f"unix:{tmp_path}/x")
    started.becomes_ready()
    assert re.search(rf"is ready after .* \(PID {started.puppet.pid}\)", started.err.text.decode())


@pytest.mark.parametrize("command", ["bad", "ends"])
def test_what_cannot_be_run_was_not_started(place: Place, tmp_path: Path, shape: tuple[str, ...], command: str) -> None:
    """Both have the right to be run, and the kernel refuses: no program; and an interpreter that is not there."""
    program = tmp_path / "program"
    program.write_text("\\x7f no program" if command == "bad" else "#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    options = ("-t", "systemd", *shape, "--ready-when", "started", "--listen", f"unix:{tmp_path}/x")
    for _ in range(5):
        started = place.spawn(*options, command=(str(program),))
        assert started.ends() in (126, 127)
        place.nothing_remains()
        assert "is ready" not in started.err.rest()


def test_started_needs_a_socket(tmp_path: Path) -> None:
    for options in ([], ["--explain"]):
        result = run("-t", "systemd", "--ready-when", "started", *options, "--", "/bin/touch", f"{tmp_path}/x")
        assert result.status == 125
        assert "--ready-when started: the daemon is passed no socket" in (result.out + result.err).decode()
    assert not os.listdir(tmp_path)
