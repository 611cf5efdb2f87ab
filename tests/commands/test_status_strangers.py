"""cross-init beside hostile users: root's files, its decisions and its time are not theirs."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.watch.wire import encode
from tests.support.packages import need
from tests.support.private_run import PYTHON, PrivateRun, private_run

MALLORY, BOB = 1001, 1002
CONTAINER = ("--init", "container")
# A TCP connection whose last close waits for an hour.
LINGERING = """
import socket, struct
def lingering():
    global server
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        return client
"""
# Listens under so many names as a bridge has them: abstract ones, or in this folder. Answers with this text, or not at
# all; "full": lets nobody in, and so many wait that nobody else may; "linger": with a descriptor whose close waits.
LISTENER = """
import os, select, socket, sys
exec(sys.argv[4])
count, folder, answer = int(sys.argv[1]), sys.argv[2], os.fsencode(sys.argv[3])
made, poller, kept = {}, select.poll(), []
for number in range(count):
    each = socket.socket(socket.AF_UNIX)
    each.bind((folder + "/" if folder else "\\0cross-init-status/") + f"{os.getpid()}-{number}")
    each.listen(0 if answer == b"full" else 64)
    made[each.fileno()] = each
    poller.register(each.fileno(), select.POLLIN)
if answer == b"full":
    try:
        while True:
            kept.append(socket.socket(socket.AF_UNIX))
            kept[-1].setblocking(False)
            kept[-1].connect(each.getsockname())
    except BlockingIOError:
        pass
print("listens", flush=True)
if answer == b"full":
    sys.stdin.read()
while True:
    for fd, _ in poller.poll():
        asker = made[fd].accept()[0]
        if answer == b"linger":
            client = lingering()
            socket.send_fds(asker, [b"x"], [client.fileno()])
            client.close()
            kept.append(server)
        elif answer:
            asker.sendall(answer)
        if answer:
            asker.close()
        else:
            kept.append(asker)
"""


@pytest.fixture
def place() -> Iterator[PrivateRun]:
    need("iproute2", "procps")
    with private_run() as made:
        made.run("ip", "link", "set", "lo", "up")
        yield made


def answer(state: str, service: str = "forged", init: str = "container") -> bytes:
    times = {"since": 1.0, "age": 1.0}
    texts = {"service": service, "init": init, "target": "systemd", "shape": "watch", "state": state}
    return encode({**texts, **times, "pid": 1, "waits_for": "", "status": "", "daemon_user": 0})


def listen(
    place: PrivateRun, user: int, said: bytes = b"", count: int = 1, folder: str = ""
) -> "subprocess.Popen[bytes]":
    return place.begin(*PYTHON, LISTENER, str(count), folder, said, LINGERING, user=user, nofile=8192)


def home(place: PrivateRun, user: int) -> Path:
    """The user's folder below /run/user, with that of the sockets in it, as seen from outside."""
    made = place.root / "run/user" / str(user)
    (made / "cross-init-status").mkdir(parents=True)
    for path in (made, made / "cross-init-status"):
        path.chmod(0o700)
        os.chown(path, user, user)
    return made


def left_behind(folder: Path, name: str, user: int) -> Path:
    """A socket at which nobody listens any more."""
    path = folder / name
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    os.chown(path, user, user)
    return path


# Exchanges the two entries of the folder for ever.
EXCHANGE = """
import ctypes, os, sys
os.chdir(sys.argv[1])
os.symlink(sys.argv[2], "link")
print("begins", flush=True)
library = ctypes.CDLL(None)
while True:
    library.renameat2(-100, b"cross-init-status", -100, b"link", 2)
"""


def test_root_removes_nothing_in_a_users_folder_nor_what_a_link_there_points_to(place: PrivateRun) -> None:
    folder = home(place, MALLORY)
    stale = left_behind(folder / "cross-init-status", "4194304-left", MALLORY)
    assert place.ask("status").code == 0
    assert stale.exists()
    victim = place.root / "run/victim"
    victim.mkdir()
    for number in range(5):
        (victim / f"{number}-file").write_text("root's")
        left_behind(victim, f"{number}-socket", MALLORY)
    place.begin("/usr/bin/python3", "-ISc", EXCHANGE, f"/run/user/{MALLORY}", "/run/victim", user=MALLORY)
    for _ in range(20):
        assert place.ask("status").code == 0
        assert len(os.listdir(victim)) == 10


def test_a_user_removes_what_is_left_in_its_own_folder_and_nothing_that_is_no_socket(place: PrivateRun) -> None:
    folder = home(place, BOB)
    own = {"XDG_RUNTIME_DIR": f"/run/user/{BOB}"}
    sockets = folder / "cross-init-status"
    left_behind(sockets, "4194304-left", BOB)
    (sockets / "4194304-file").write_text("bob's")
    (sockets / "4194304-link").symlink_to("/run/user")
    assert place.ask("status", user=BOB, environ=own).out == "no service is looked after\n"
    assert sorted(os.listdir(sockets)) == ["4194304-file", "4194304-link"]
    left_behind(sockets, "4194304-left", BOB)
    place.bridge(b"READY=1", user=BOB, environ=own)  # the next start does as well
    assert "python3" in place.ask("status", user=BOB, environ=own).out
    assert not (sockets / "4194304-left").exists()
    assert f"user{BOB}" not in place.ask("status").err
    assert "python3" in place.ask("status").out


def test_a_users_folder_that_others_may_write_to_or_that_is_a_link_is_not_looked_at(place: PrivateRun) -> None:
    folder = home(place, BOB)
    listen(place, BOB, answer("ready"), folder=f"/run/user/{BOB}/cross-init-status")
    assert "forged" in place.ask("status").out
    (folder / "cross-init-status").chmod(0o722)
    assert place.ask("status").out == "no service is looked after\n"
    (folder / "cross-init-status").chmod(0o700)
    (folder / "cross-init-status").rename(folder / "moved")
    (folder / "cross-init-status").symlink_to("moved")
    assert place.ask("status").out == "no service is looked after\n"


def test_a_socket_in_a_users_folder_that_is_another_users_is_not_believed(place: PrivateRun) -> None:
    folder = home(place, BOB)
    listen(place, MALLORY, answer("ready"), folder="/tmp")
    place.run("sh", "-c", f"mv /tmp/*-0 /run/user/{BOB}/cross-init-status/1-0")
    assert (folder / "cross-init-status/1-0").is_socket()
    assert place.ask("status").out == "no service is looked after\n"


@pytest.mark.parametrize("forged", ["ready", "starting"])
def test_a_strangers_word_decides_nothing(place: PrivateRun, forged: str) -> None:
    bridge = place.bridge(b"READY=1", *CONTAINER)
    for said in (answer(forged), b"", b"full", b"linger"):
        listen(place, MALLORY, said)
    asked = place.ask("check")
    assert (asked.code, asked.out[:7], asked.err) == (0, "ready (", "")
    (said,) = json.loads(place.ask("status", "python3", "--json").out)
    place.run("kill", "-KILL", str(said["bridge"]))
    bridge.wait()
    asked = place.ask("check")
    assert (asked.code, asked.out[:16]) == (1, "no such service:")
    assert asked.err == f"cross-init: left out: 4 sockets of user {MALLORY}, as only this user's own count\n"


def test_users_count_for_themselves(place: PrivateRun) -> None:
    listen(place, MALLORY, answer("starting"))
    place.bridge(b"READY=1", *CONTAINER, user=BOB)
    assert place.ask("check", user=BOB).code == 0
    assert place.ask("check", user=MALLORY).code == 1
    assert place.ask("check", user=MALLORY).out.startswith("starting")
    assert place.ask("check").code == 1
    assert "forged" not in place.ask("status", user=BOB).out
    assert place.ask("status", user=BOB).err == ""
    assert [line.split()[:2] for line in place.ask("status").out.splitlines()[1:]] == [
        ["forged", str(MALLORY)],
        ["python3", str(BOB)],
    ]


@pytest.mark.parametrize(("nofile", "left_out"), [(1024, 1036), (24, 1094)])
def test_a_crowd_costs_neither_the_answer_nor_the_time(place: PrivateRun, nofile: int, left_out: int) -> None:
    place.bridge(b"READY=1", *CONTAINER)
    place.bridge(b"READY=1", *CONTAINER, user=BOB)
    listen(place, MALLORY, count=1100)
    listen(place, MALLORY + 100, b"full")
    began = time.monotonic()
    assert place.ask("check", nofile=nofile).code == 0
    code = place.ask("status", "python3", nofile=nofile)
    assert time.monotonic() - began < 2
    assert code.code == 0
    assert [line.split()[1] for line in code.out.splitlines()[1:]] == ["root", str(BOB)]
    assert code.err.startswith("cross-init: left out: ")
    assert f"{left_out} sockets of user {MALLORY}, as no more than 64 of a user" in code.err
    assert code.err.count("\n") == 1


def test_a_descriptor_that_comes_with_a_strangers_answer_holds_nobody_up(place: PrivateRun) -> None:
    listen(place, MALLORY, b"linger")
    began = time.monotonic()
    assert place.ask("status").code == 0
    assert time.monotonic() - began < 5


def test_what_speaks_in_another_form_is_left_out_and_said(place: PrivateRun) -> None:
    """As a bridge of version 1.0 does, which was started before cross-init was replaced."""
    old = listen(place, 0, b"service=x\ninit=container\ntarget=systemd\npid=1\nstate=ready\nsince=1\nage=1\n")
    for command in ("status", "check"):
        asked = place.ask(command)
        assert "no service" in asked.out or "no such service" in asked.out
        assert asked.err.startswith("cross-init: left out: process ")
        assert " of user 0, which answers as no cross-init-bridge of this version does" in asked.err
    assert old.poll() is None


@pytest.mark.parametrize(
    "changed",
    [
        *(
            {"state": "happy"},
            {"pid": "1"},
            {"pid": 0},
            {"pid": 1 << 23},
            {"since": 1},
            {"since": -1.0},
            {"since": 1e300},
            {"watchdog_age": 1.0},
            {"daemon_user": -1},
            {"daemon_user": 1 << 32},
            {"daemon_user": "root"},
        ),
        *({"service": 1}, {"status": 1.0}),
    ],
)
def test_an_answer_with_values_of_other_kinds_is_none(changed: dict[str, str | int | float]) -> None:
    from cross_init.commands.status import understand
    from cross_init.watch.wire import decode

    whole = decode(answer("ready"))
    assert understand(encode(whole)) == whole
    assert understand(encode({**whole, "news": 1})) == whole  # as a later version may say more
    assert understand(encode({**whole, **changed})) is None
    assert understand(encode({key: value for key, value in whole.items() if key != "age"})) is None


def test_a_stranger_who_connects_to_a_bridge_cannot_hold_it_up(place: PrivateRun) -> None:
    """By a descriptor whose close waits; he is not answered, so it would be closed with his connection."""
    place.bridge(b"READY=1", *CONTAINER, user=BOB)
    (name,) = [
        words[-1].removeprefix("@")
        for words in map(str.split, place.run("cat", "/proc/net/unix").out.splitlines())
        if words[-1].startswith("@cross-init-status/")
    ]
    (said,) = json.loads(place.ask("status", "--json", user=BOB).out)
    place.run("kill", "-STOP", str(said["bridge"]))  # so it comes before he is let in
    place.begin(*PYTHON, SEND, name, LINGERING, user=MALLORY)
    place.run("kill", "-CONT", str(said["bridge"]))
    began = time.monotonic()
    assert place.ask("check", user=BOB).code == 0
    assert time.monotonic() - began < 2


SEND = """
import os, socket, sys
exec(sys.argv[2])
client = lingering()
sender = socket.socket(socket.AF_UNIX)
sender.connect("\\0" + sys.argv[1])
try:
    socket.send_fds(sender, [b"x"], [client.fileno()])
    client.close()
except PermissionError:
    pass  # since Linux 6.16
print("done", flush=True)
sys.stdin.read()
os._exit(0)  # at its end the kernel lingers for nobody
"""
# What comes with descriptors where the kernel does not keep them out: neither taken nor closed by who let it in.
HOLD = """
import socket, sys
sys.path.insert(0, sys.argv[1])
exec(sys.argv[2])
from cross_init.watch.event_loop import EventLoop
from cross_init.watch.untrusted import let_go, received
loop = EventLoop()
ours, theirs = socket.socketpair()
let_go(loop, ours)
assert ours.fileno() == -1
ours, theirs = socket.socketpair()
theirs.send(b"GET / HTTP/1.1")
assert received(ours, 5) == b"GET /" and received(ours, 100) == b" HTTP/1.1"
client = lingering()
theirs.send(b"first")
socket.send_fds(theirs, [b"second"], [client.fileno()])
client.close()
try:
    assert received(ours, 5) == b"first"
    received(ours, 100)
except PermissionError:
    print("seen", flush=True)
theirs.close()
let_go(loop, ours)
assert ours.fileno() == -1
print("let go", flush=True)
"""


def test_what_comes_with_descriptors_is_neither_taken_nor_closed() -> None:
    source = str(Path(__file__).parents[2] / "src")
    ran = subprocess.run([*PYTHON, HOLD, source, LINGERING], capture_output=True, text=True, timeout=20)
    assert (ran.stdout, ran.stderr) == ("seen\nlet go\n", "")
