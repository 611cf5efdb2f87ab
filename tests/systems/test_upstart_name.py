"""Upstart's abstract name, which anybody may take: nobody but process 1 and root is believed, and nobody waited for."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cross_init.model import Service
from cross_init.systems.upstart_control import Goal
from tests.support.command import BRIDGE
from tests.support.show import Show, get_ready

STRANGER = 65534
LONGEST_S = 20
# Process 1 of its own namespaces, called init. argv: the bridge; who takes Upstart's name (a user's number), how.
MACHINE = """
import os, signal, socket, subprocess, sys
bridge, user, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open("/proc/self/comm", "w") as comm:
    comm.write("init")
told, tell = os.pipe()
def take_name():
    taken = socket.socket(socket.AF_UNIX)
    taken.bind("\\0/com/ubuntu/upstart")
    taken.listen(0 if how == "full" else 8)
    if how == "full":
        for _ in range(3):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            kept.append(client)
            try:
                client.connect(taken.getsockname())
            except BlockingIOError:
                return
    kept.append(taken)
kept = []
if how == "process 1":
    take_name()
elif os.fork() == 0:
    os.setgid(user)
    os.setuid(user)
    take_name()
    os.write(tell, b".")
    signal.pause()  # till the end of process 1
else:
    os.read(told, 1)
ran = subprocess.run([bridge, "-t", "plain", "--", "/bin/echo", "it runs"], stdin=subprocess.DEVNULL, timeout=10)
os._exit(ran.returncode & 0xFF)
"""


def start_beside(user: int, how: str) -> tuple[int, str, str]:
    """A start where process 1 may be Upstart: its exit code, and what was said."""
    alone = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    if os.geteuid() or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs root and namespaces of its own")
    words = [*alone, "/usr/bin/python3", "-ISc", MACHINE, str(BRIDGE), str(user), how]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("how", ["free", "full"])
@pytest.mark.parametrize("user", [STRANGER, 0])
def test_who_is_not_process_1_prevents_no_start(user: int, how: str) -> None:
    assert start_beside(user, how) == (0, "it runs\n", "")


def test_process_1_is_believed() -> None:
    code, _, said = start_beside(0, "process 1")
    assert code == 125
    assert "Upstart runs here, but UPSTART_JOB is not set" in said


# argv: the name, hexadecimal; whether nobody is to be let in. Says what was sent to it, at its end.
LISTENER = """
import socket, sys
taken = socket.socket(socket.AF_UNIX)
taken.bind(bytes.fromhex(sys.argv[1]))
taken.listen(0 if sys.argv[2] == "full" else 8)
clients = []
try:
    while sys.argv[2] == "full":
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].setblocking(False)
        clients[-1].connect(taken.getsockname())
except BlockingIOError:
    pass
print("ready", flush=True)
taken.settimeout(0)
sys.stdin.read()
said = b""
try:
    while not clients:
        client = taken.accept()[0]
        client.settimeout(0)
        said += client.recv(1000)
except BlockingIOError:
    pass
print(said)
"""


@contextmanager
def session(user: int, how: str = "free") -> Iterator[tuple[dict[bytes, bytes], "subprocess.Popen[str]"]]:
    """Somebody who listens where a session's init would: the variables of a job there, and the process."""
    name = f"\0cross-init-test-session/{os.getpid()}".encode()
    words = ["/usr/bin/python3", "-ISc", LISTENER, name.hex(), how]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, user=user) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield {b"UPSTART_SESSION": b"unix:abstract=" + name[1:]}, process
        finally:
            process.kill()


def test_a_stranger_is_told_nothing_and_not_believed() -> None:
    if os.geteuid():
        pytest.skip("needs root, to be another user")
    with session(STRANGER) as (environ, process):
        with pytest.raises(PermissionError, match=f"user {STRANGER} listens under its name"):
            Goal(Service("web"), environ)
        assert process.communicate("")[0] == "b''\n"


def test_the_sessions_own_user_is_asked() -> None:
    with session(os.geteuid()) as (environ, process):
        goal = Goal(Service("web"), environ)
        said = process.communicate("")[0]
        goal.close()
    assert "AUTH EXTERNAL" in said
    assert "/com/ubuntu/Upstart/jobs/web" in said


@pytest.mark.parametrize(("user", "how"), [(STRANGER, "free"), (STRANGER, "full"), (0, "full")])
def test_a_job_gets_ready_all_the_same_and_it_is_said_once(show: Show, user: int, how: str) -> None:
    if os.geteuid():
        pytest.skip("needs root, to be another user")
    with session(user, how) as (environ, _):
        job = show.job("-t", "systemd", "-N")
        job.spawn(event={name.decode(): value.decode() for name, value in environ.items()})
        puppet = show.stage.puppet()
        get_ready(job, puppet)
        puppet.tell("exit 0")
        assert job.ended() == 0
        assert job.orphans_gone_within(5)
    why = f"user {user} listens under its name" if how == "free" else "Resource temporarily unavailable"
    assert job.said().count(f"asking Upstart whether the start of testjob is cancelled: {why}; not heard then") == 1
