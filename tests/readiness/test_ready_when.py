"""--ready-when: for each kind of condition not ready before it holds, ready after; and what is no condition."""

from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.observed import Place, wakeups
from tests.support.own import free_port
from tests.support.waiting import lives_through, until

LONGEST_STEP_S = 2.2


LISTENS = "made = socket.socket(); made.bind(('127.0.0.1', {port})); made.listen()"
SERVES = """
import http.server, threading
server = http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
"""
OTHER = "open('{folder}/y', 'a').close()"
# Kind: the condition, what the daemon does that is not it but makes us look, and what it does that is it.
KINDS = {
    "tcp": ("tcp:127.0.0.1:{port}", "", LISTENS),
    "tcp by name": ("tcp:localhost:{port}", "", LISTENS),
    "unix": ("unix:{folder}/x", OTHER, "made = socket.socket(socket.AF_UNIX); made.bind('{folder}/x'); made.listen()"),
    "unix, later": (
        "unix:{folder}/x",
        "made = globals().get('made') or socket.socket(socket.AF_UNIX); made.getsockname() or made.bind('{folder}/x')",
        "made.listen()",
    ),
    "unix, datagrams": (
        "unix:{folder}/x",
        OTHER,
        "made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); made.bind('{folder}/x')",
    ),
    "unix, abstract": (
        "unix:@cross-init-test-{port}",
        "",
        "made = socket.socket(socket.AF_UNIX); made.bind('\\0cross-init-test-{port}'); made.listen()",
    ),
    "http": ("http:http://127.0.0.1:{port}/", "", SERVES),
    "http alone": ("http://localhost:{port}/?a=b", "", SERVES),
    "file": ("file:{folder}/x", OTHER, "open('{folder}/x', 'w').close()"),
    "file, moved": ("file:{folder}/x", OTHER, "os.rename('{folder}/y', '{folder}/x')"),
    "pid-file": (
        "pid-file:{folder}/x",
        "open('{folder}/x', 'w').write('1\\n')",
        "open('{folder}/x', 'w').write(str(os.getpid()))",
    ),
    "listening": ("listening", "", LISTENS),
    "listening, unix": (
        "listening",
        "",
        "made = socket.socket(socket.AF_UNIX); made.bind('{folder}/x'); made.listen()",
    ),
    "listening, IPv6": (
        "listening",
        "",
        "made = socket.socket(socket.AF_INET6); made.bind(('::1', {port})); made.listen()",
    ),
    "log": ("log:^up in [0-9]+ ms$", "os.write(1, b'soon up in 5 ms\\n')", "os.write(1, b'up in 5 ms\\n')"),
    "log, in two parts": ("log:^up.*ms", "os.write(1, b'\\nup in ')", "os.write(1, b'5 ms')"),
    "log, standard error": ("log:up", "os.write(2, b'soon\\n')", "os.write(2, b'up\\n')"),
    "exec": ("exec:test -e x && test $HOME = /nowhere", "", "open('{folder}/x', 'w').close()"),
}


def words(kind: str, folder: Path, port: int) -> tuple[str, str, str]:
    condition, before, after = (word.format(folder=folder, port=port) for word in KINDS[kind])
    return condition, before, after


@pytest.mark.parametrize("kind", KINDS)
def test_a_daemon_is_ready_when_the_condition_holds_and_not_before(
    place: Place, tmp_path: Path, shape: tuple[str, ...], kind: str
) -> None:
    condition, before, after = words(kind, tmp_path, free_port())
    run = place.begin(*shape, "--ready-when", condition, environ={"HOME": "/nowhere"})
    run.is_not_ready_yet(lambda: run.puppet.do(before or "pass"))
    run.puppet.do(after)
    run.becomes_ready()
    run.puppet.tell("exit 7")
    assert run.ends() == 7
    place.nothing_remains()
    assert run.err.rest().count("is ready after") == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["word", "condition"])
def test_with_notify_the_daemons_word_is_needed_as_well(
    place: Place, tmp_path: Path, shape: tuple[str, ...], kind: str, first: str
) -> None:
    condition, before, after = words(kind, tmp_path, free_port())
    options = ("-t", "systemd", "-N", *shape, "--ready-when", condition)
    run = place.begin(*options, environ={"HOME": "/nowhere"})
    if before:
        run.puppet.do(before)
    if first == "word":
        run.puppet.send(repr(b"READY=1"))
        run.is_not_ready_yet(lambda: run.puppet.do(before or "pass"))
        run.puppet.do(after)
    else:
        run.puppet.do(after)
        run.puppet.send(repr(b"STATUS=all of it was seen when this is heard"))
        assert not run.is_ready()
        run.puppet.send(repr(b"READY=1"))
    run.becomes_ready()


@pytest.mark.parametrize("target", ["upstart", "s6"])
def test_so_is_the_word_of_daemons_for_other_inits(place: Place, tmp_path: Path, target: str) -> None:
    run = place.begin("-t", target, "-N", "--ready-when", f"file:{tmp_path}/x")
    if target == "upstart":
        run.puppet.get_ready()
    else:
        run.puppet.do("os.write(3, b'\\n')")
    run.is_not_ready_yet(lambda: (tmp_path / "y").touch())
    run.puppet.do(f"open('{tmp_path}/x', 'w').close()")
    run.becomes_ready()


def test_all_conditions_have_to_hold(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    port = free_port()
    conditions = (f"tcp:127.0.0.1:{port}", f"file:{tmp_path}/one", f"file:{tmp_path}/two", "exec:test -e three")
    run = place.begin(*shape, *(word for condition in conditions for word in ("--ready-when", condition)))
    for code in (
        LISTENS.format(port=port),
        f"open('{tmp_path}/two', 'w').close()",
        f"open('{tmp_path}/three', 'w').close()",
    ):
        run.puppet.do(code)
        run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    run.puppet.do(f"open('{tmp_path}/one', 'w').close()")
    run.becomes_ready()


def test_once_it_held_a_condition_is_not_asked_again(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    """A daemon whose port is closed again while it waits for something else has been there."""
    run = place.begin(*shape, "--ready-when", f"file:{tmp_path}/one", "--ready-when", f"file:{tmp_path}/two")
    run.puppet.do(f"open('{tmp_path}/one', 'w').close()")
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())
    (tmp_path / "one").unlink()
    run.puppet.do(f"open('{tmp_path}/two', 'w').close()")
    run.becomes_ready()


@pytest.mark.parametrize("kind", ["tcp", "unix", "http", "file", "pid-file", "listening", "exec"])
def test_the_watcher_goes_when_all_was_said_and_nothing_is_to_be_ended(place: Place, tmp_path: Path, kind: str) -> None:
    condition, before, after = words(kind, tmp_path, free_port())
    run = place.begin("--ready-when", condition, "--kill-mode", "none", environ={"HOME": "/nowhere"})
    if before:
        run.puppet.do(before)
    run.puppet.do(after)
    run.becomes_ready()
    place.nothing_remains()
    assert run.process.poll() is None


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_with_a_daemon_that_is_never_ready(
    place: Place, tmp_path: Path, shape: tuple[str, ...], kind: str
) -> None:
    condition, *_ = words(kind, tmp_path, free_port())
    run = place.begin(*shape, "--ready-when", condition)
    run.puppet.tell("exit 3")
    assert run.ends() == 3
    place.nothing_remains()
    assert "is ready" not in run.err.rest()


MALFORMED = {
    "nothing:at-all": "nothing is no condition",
    "tcp": "write tcp:HOST:PORT",
    "tcp:80": "write tcp:HOST:PORT",
    "tcp:localhost": "write tcp:HOST:PORT",
    "tcp:localhost:http": "write tcp:HOST:PORT",
    "tcp:localhost:0": "write tcp:HOST:PORT",
    "tcp:localhost:65536": "write tcp:HOST:PORT",
    "tcp:::1:80": "stands in brackets",
    "tcp:no-such-host.invalid:80": "looking up no-such-host.invalid",
    f"tcp:{'x' * 300}.invalid:80": "looking up x",
    "unix:relative": "no absolute path",
    "unix:@": "no absolute path",
    "http:localhost": "write http:http://HOST:PORT/PATH",
    "http:ftp://localhost/": "write http:http://HOST:PORT/PATH",
    "http://localhost:port/": "is no URL",
    "http://[::1/": "is no URL",
    "http://localhost/a b": "has to be written as %XX",
    "file:": "write file:PATH",
    "file:relative": "relative is no absolute path",
    "pid-file:relative": "relative is no absolute path",
    "fiel:/tmp/x": "did you mean file:/tmp/x?",
    "pidfile:/tmp/x": "did you mean pid-file:/tmp/x?",
    "/tmp/x": "did you mean file:/tmp/x or unix:/tmp/x?",
    "8080": "did you mean tcp:localhost:8080?",
    "localhost:8080": "did you mean tcp:localhost:8080?",
    "listenning": "did you mean listening?",
    "file:/tmp/": "is a folder",
    "pid-file:": "write pid-file:PATH",
    "dbus:": "write dbus:NAME",
    "dbus:nodots": "no bus name",
    "dbus:org..x": "no bus name",
    "dbus:org.example.ä": "no bus name",
    "log:(": "no regular expression",
    "exec:": "write exec:COMMAND",
    "listening:80": "nothing stands behind it",
    ":": "an empty word is no condition",
}


@pytest.mark.parametrize("condition", MALFORMED)
def test_what_is_no_condition_is_said_before_the_start(tmp_path: Path, condition: str) -> None:
    ran = run("-t", "plain", "--init", "none", "--ready-when", condition, "--", "/bin/touch", f"{tmp_path}/started")
    assert ran.status == 125
    assert ran.line.startswith(f"--ready-when {condition}: ")
    assert MALFORMED[condition] in ran.line
    assert not list(tmp_path.iterdir())


def test_a_plain_daemon_says_nothing_so_notify_alone_is_refused() -> None:
    ran = run("-t", "plain", "-N", "--init", "none", "--", "/bin/true")
    assert ran.status == 125
    assert "--ready-when" in ran.line


def test_a_plain_daemon_without_conditions_is_just_run() -> None:
    assert run("-t", "plain", "--init", "none", "--", "/bin/sh", "-c", "exit 9").status == 9


def test_the_watcher_sleeps_while_a_folder_on_the_way_is_missing(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "three"
    run = place.begin("--ready-when", f"unix:{path}/x", "--ready-when", f"file:{path}/y")
    watcher = run.observer
    until(lambda: Path(f"/proc/{watcher}/syscall").read_text() != "running\n", "it waits")
    run.is_not_ready_yet(lambda: (tmp_path / "other").touch())  # so all that it does by itself at first is done

    def is_asleep() -> bool:
        before = wakeups(watcher)
        for _ in range(50):
            run.puppet.do("pass")
        return lives_through(watcher, LONGEST_STEP_S) and wakeups(watcher) == before

    until(
        is_asleep, "nothing wakes it, longer than any step of asking again", 20
    )  # on a busy machine it dozes off late
    path.mkdir(parents=True)
    run.puppet.do(f"made = socket.socket(socket.AF_UNIX); made.bind('{path}/x'); made.listen()")
    run.is_not_ready_yet(lambda: (path / "other").touch())
    (path / "y").touch()
    run.becomes_ready()
