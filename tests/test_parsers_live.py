"""What is read from sockets, files and processes: real ones, that say anything; see test_parsers.py for the rest."""

import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jeepney import HeaderFields, MessageType, new_method_return
from jeepney.low_level import Endianness, Header, Message

from cross_init.bounds import PID_MAX
from cross_init.commands.check import by_file
from cross_init.commands.options import Options
from cross_init.detect import init_named, target_named
from cross_init.errors import Failure
from cross_init.kernel.procfs import process_of
from cross_init.launch import Start
from cross_init.model import Service
from cross_init.notify.pid_file import Foreign, read
from cross_init.readiness.conditions import parse_all
from cross_init.request import Request
from cross_init.store.wanted_state import wants_up
from cross_init.systems.s6_programs import wants_up as s6_wants_up
from cross_init.systems.upstart_control import Goal
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.health import respond
from cross_init.watch.state_file import read as read_state
from cross_init.watch.watchdog import Watchdog
from cross_init.watch.watched import Watched
from tests.support.kept import holder, holders, keep
from tests.support.observed import Place
from tests.support.odd import BYTES, NUMBERS, TEXTS

ANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = settings(ANY, max_examples=30)  # each with a process, or a connection


# Files.


@ANY
@given(BYTES | NUMBERS.map(lambda text: f" {text}\n".encode()))
def test_a_pid_file_names_a_process_or_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pid"
    path.write_bytes(content)
    said: list[str] = []
    foreign = Foreign(str(path), said.append)
    pid = foreign.read()
    assert read(str(path)) == foreign.read() == pid
    assert pid is None or 1 <= pid <= PID_MAX
    assert len(said) == (1 if pid is None and content.strip() else 0)
    for each in said:
        assert str(path) in each
        assert "1 to 4194304" in each


def test_of_a_longer_file_the_beginning_is_no_pid(tmp_path: Path) -> None:
    (tmp_path / "pid").write_bytes(b" " * 26 + b"1234567")
    assert read(str(tmp_path / "pid")) is None


STATES = st.tuples(st.sampled_from(["ready", "starting", "x"]), TEXTS, TEXTS, TEXTS).map(" ".join)


@ANY
@example(b"ready 4194305 5 x")
@given(BYTES | STATES.map(lambda text: text.encode("utf-8", "surrogateescape")))
def test_a_state_file_is_answered_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    with suppress(Failure):
        assert 1 <= read_state(str(path)).pid <= PID_MAX
        code, line = by_file(str(path))
        assert code in (0, 1)
        assert line


@ANY
@given(st.binary(max_size=70))
def test_what_supervise_notes_is_a_wish_or_not_or_too_short(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "status").write_bytes(content)
    if len(content) < 18:
        with pytest.raises(OSError, match="status"):
            wants_up(str(tmp_path))
    else:
        assert wants_up(str(tmp_path)) == (content[17:18] == b"u")


@FEW
@given(st.binary(max_size=70))
def test_what_s6_supervise_notes_is_a_wish_or_not_or_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "supervise").mkdir(exist_ok=True)
    (tmp_path / "supervise" / "status").write_bytes(content)
    with suppress(OSError):
        assert isinstance(s6_wants_up(f"{tmp_path}/supervise"), bool)


def test_a_descriptor_of_any_kind_is_a_pidfd_or_none() -> None:
    descriptors = [*os.pipe(), os.memfd_create("x"), os.eventfd(1), os.pidfd_open(os.getpid())]
    descriptors += [select.epoll().fileno(), os.open("/", os.O_PATH), *(each.detach() for each in socket.socketpair())]
    found = [process_of(fd) for fd in descriptors]
    assert [pid for pid in found if pid is not None] == [os.getpid()]
    gone = subprocess.Popen(["/bin/true"])
    pidfd = os.pidfd_open(gone.pid)
    gone.wait()
    assert process_of(pidfd) is None
    for fd in {*descriptors, pidfd}:
        with suppress(OSError):
            os.close(fd)
            assert process_of(fd) is None


# Sockets.


@contextmanager
def abstract(name: str) -> Iterator[socket.socket]:
    """Somebody who listens under an abstract name."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        yield listener


PARTS = st.lists(st.binary(max_size=60), max_size=5)
SIZES = st.integers(0, 40) | st.integers(0, 2**32 - 1)
FRAME = st.tuples(st.integers(0, 255), SIZES, SIZES, st.binary(min_size=48, max_size=200))
FRAMES = FRAME.map(
    lambda each: (
        b"l"
        + bytes([each[0], 0, 1])
        + each[1].to_bytes(4, "little")
        + b"\1\0\0\0"
        + each[2].to_bytes(4, "little")
        + each[3]
    )
)


@ANY
@given(PARTS | FRAMES.map(lambda frame: [b"OK 1234\r\n", frame]), st.booleans())
def test_upstarts_answers_are_a_goal_or_an_error(parts: list[bytes], has_ended: bool) -> None:
    name = f"cross-init-test-parsers-{os.getpid()}"
    with abstract(name) as upstart:
        goal = Goal(Service("web"), {b"UPSTART_SESSION": f"unix:abstract={name}".encode()}, has_ended)
        upstart.accept()[0].close()  # who only asked whose it is
        with upstart.accept()[0] as connection:
            for part in parts:
                connection.sendall(part)
        with suppress(OSError):  # at the latest when it hangs up
            while True:
                assert isinstance(goal.is_stop(), bool)
        goal.close()


def test_upstart_is_not_listened_to_for_ever() -> None:
    name = f"cross-init-test-parsers-{os.getpid()}"
    with abstract(name) as upstart:
        goal = Goal(Service("web"), {b"UPSTART_SESSION": f"unix:abstract={name}".encode()})
        upstart.accept()[0].close()  # who only asked whose it is
        with upstart.accept()[0] as connection:
            taken = 0
            with suppress(ConnectionAbortedError):
                while taken < 1 << 22:  # without the end of a line
                    taken += connection.send(b"x" * 32768)
                    assert not goal.is_stop()
        assert taken <= (1 << 20) + 32768
        goal.close()


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """A daemon under watch that nobody waits for, with a watchdog."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        options = Options()
        options.watchdog = (999.0, 999.0)
        start = Start(Request(options, init_named("none"), target_named("systemd")))
        pidfd = os.pidfd_open(process.pid)
        yield Watched(EventLoop(), start, process.pid, pidfd, 0.0, lambda: None)
        process.kill()


HEADS = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", ""]),
    st.sampled_from([" ", "  ", "\t"]),
    st.sampled_from(["/readyz", "/livez", "/", "//", "http://x/readyz"]) | TEXTS,
    st.sampled_from([" HTTP/1.1", " HTTP/1.", " HTTP/2", "", "\r"]),
    st.sampled_from(["\r\n\r\n", "\n\n", "\r\nContent-Length: 99999999999999999999\r\n\r\n"]),
).map(lambda words: "".join(words).encode("utf-8", "surrogateescape"))


@ANY
@given(BYTES | HEADS)
def test_a_request_is_answered(watched: Watched, head: bytes) -> None:
    answer = respond(head, watched)
    status, _, rest = answer.partition(b"\r\n")
    assert status.split()[1] in (b"200", b"400", b"404", b"405", b"431", b"503")
    fields, end, body = rest.partition(b"\r\n\r\n")
    assert end
    assert f"Content-Length: {len(body)}".encode() in fields or head.startswith(b"HEAD")


@ANY
@given(NUMBERS)
def test_a_watchdogs_limit_is_a_time_or_stays(watched: Watched, number: str) -> None:
    assert isinstance(watched.watchdog, Watchdog)
    watchdog = Watchdog(watched, 999.0, 999.0)
    watchdog.heed((("WATCHDOG_USEC", number),))
    is_one = number.isascii() and number.isdigit() and len(number) <= 32 and int(number) < 1 << 64
    assert watchdog.limit == (min(int(number) / 1e6, 999_999_999) if is_one else 999.0)
    watchdog.start()
    watchdog.stop()


ANSWERS = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 2_0 OK\r\n", b"HTTP/1.1 ", b"HTTP/1.1 \xc2\xb2\r\n", b"HTTP/9.9 200\r\n"),
        *(b"HTTP/1.1 " + b"9" * 5000 + b"\r\n", b"Content-Length: -1\r\n", b"Content-Length: " + b"9" * 5000 + b"\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"\r\n", b"X: " + b"x" * 70000 + b"\r\n", b": \r\n", b"X\r\n" * 200),
    ]
)


@FEW
@given(st.lists(ANSWERS | st.binary(max_size=30), max_size=6))
def test_a_server_that_answers_anything_is_asked_again_and_makes_no_noise(
    watched: Watched, capfd: pytest.CaptureFixture[str], parts: list[bytes]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (condition,) = parse_all([f"http://127.0.0.1:{server.getsockname()[1]}/"], "system", leaves=False)
        condition.attach(watched)

        def serve() -> None:
            with server.accept()[0] as client, suppress(OSError):
                client.recv(65536)
                client.sendall(b"".join(parts))

        server_thread = threading.Thread(target=serve)
        server_thread.start()
        news: Any = condition
        watched.loop.turn()
        while news.news >= 0:
            watched.loop.turn()
        condition.stop()
        server_thread.join()
    watched.outstanding.clear()
    assert capfd.readouterr().err == ""


PARENT = Message(Header(Endianness.little, MessageType.method_call, 0, 1, 0, 1, {}), ())
BODIES = st.sampled_from(
    [
        *(("s", (":1.5",)), ("s", ("",)), ("u", (0,)), ("u", (1,)), ("u", (4294967295,)), ("t", (2**64 - 1,))),
        *(("as", (["x"],)), ("i", (-1,)), ("b", (True,)), ("d", (1e300,)), ("uu", (1, 2)), (None, ())),
    ]
)


def reply(serial: int, said: tuple[str | None, tuple[Any, ...]]) -> bytes:
    """A bus's answer to the call with this serial."""
    message = new_method_return(PARENT, *said)
    message.header.fields[HeaderFields.reply_serial] = serial
    return bytes(message.serialise(serial))


OWNER = (None, ()), (None, ()), ("s", (":1.5",))
REPLIES = (st.lists(BODIES, min_size=3, max_size=3) | BODIES.map(lambda said: [*OWNER, said])).map(
    lambda said: b"".join(reply(serial, each) for serial, each in enumerate(said, 1))
)


@FEW
@given(st.sampled_from([b"OK 1234\r\n", b"OK\r\n", b"\xff\r\n", b""]), BYTES)
@example(b"OK 1234\r\n", b"l" + bytes(100))
@example(b"OK 1234\r\n", b"?" + bytes(100))
def test_a_bus_that_greets_with_anything_is_asked_again(watched: Watched, greeting: bytes, said: bytes) -> None:
    asks_again(watched, greeting, said)


@FEW
@given(REPLIES | FRAMES)
def test_a_bus_that_says_anything_is_asked_again(watched: Watched, said: bytes) -> None:
    asks_again(watched, b"OK 1234\r\n", said)


def asks_again(watched: Watched, greeting: bytes, said: bytes) -> None:
    """Connect to a bus that greets us so and then says that."""
    name = f"cross-init-test-parsers-{os.getpid()}"
    with abstract(name) as bus:
        (condition,) = parse_all(["dbus:org.example.Test"], f"unix:abstract={name}", leaves=False)
        condition.prepare({})
        bus.accept()[0].close()  # it has looked in which PID namespace this is
        condition.attach(watched)
        watched.loop.turn()

        def serve() -> None:
            with bus.accept()[0] as client, suppress(OSError):
                client.recv(65536)
                client.sendall(greeting)
                if greeting:
                    client.recv(65536)
                client.sendall(said)

        server = threading.Thread(target=serve)
        server.start()
        asked: Any = condition
        while asked.socket is not None:
            watched.loop.turn()
        assert not asked.over
        condition.stop()
        server.join()
    watched.outstanding.clear()


# The program as a whole.

KEYS = st.sampled_from(
    [
        *("MAINPID", "MAINPIDFDID", "MAINPIDFD", "EXTEND_TIMEOUT_USEC", "ERRNO", "STATUS", "FDSTORE", "FDSTOREREMOVE"),
        *("FDNAME", "FDPOLL", "BARRIER", "MONOTONIC_USEC", "RELOADING", "X"),
    ]
)
PAIR = st.tuples(KEYS, TEXTS).map("=".join)
# A limit that is short would end the daemon, as it should.
LIMIT = NUMBERS.filter(lambda text: not re.match("0*[1-9][0-9]{0,9}\\s*$", text)).map("WATCHDOG_USEC={}".format)
MESSAGES = st.lists(PAIR | LIMIT, max_size=4).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("options", [("--watchdog", "9999"), ("--fd-store", "3")], ids=lambda options: options[0])
def test_whatever_a_daemon_says_it_lives_on(place: Place, shape: tuple[str, ...], options: tuple[str, ...]) -> None:
    run = place.begin("-t", "systemd", "-N", *shape, *options, "--ready-timeout", "2147490")

    @settings(ANY, max_examples=200)
    @given(MESSAGES | st.binary(max_size=200))
    def say(message: bytes) -> None:
        if b"NOTIFYACCESS" not in message and b"READY" not in message:
            run.puppet.send(repr(message))

    say()
    run.puppet.send(repr(b"READY=1"))
    run.puppet.tell("exit 7")
    assert run.ends() == 7
    place.nothing_remains()
    said = run.err.rest()
    assert "is ready after" in said
    assert "mistake" not in said


REQUESTS = st.tuples(st.sampled_from(["store", "remove", "take", "x", ""]), TEXTS, TEXTS, TEXTS).map("\n".join)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have /run/cross-init")
def test_whatever_a_holder_is_asked_it_keeps_on(place: Place) -> None:
    run = place.begin("-t", "systemd", "-N", "--fd-store", "5")
    keep(run.puppet, "FDSTORE=1\nFDNAME=first", "os.pipe()[1]", "*os.pipe()")
    (path,) = holders()
    pid = holder(path)

    @settings(ANY, max_examples=200)
    @given(REQUESTS.map(lambda text: text.encode("utf-8", "surrogateescape")) | st.binary(max_size=100), st.booleans())
    def ask(request: bytes, with_descriptor: bool) -> None:
        if request.startswith((b"remove\nfirst", b"follow")):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asker:
            asker.connect(str(path))
            asker.settimeout(20)
            socket.send_fds(asker, [request], [asker.fileno()] if with_descriptor else [])
            while asker.recv(1024):
                pass

    ask()
    assert holder(path) == pid
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
