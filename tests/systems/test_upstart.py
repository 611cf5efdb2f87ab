"""Daemons for systemd in an Upstart job: readiness, whose messages count, sockets, and what is left behind.

Upstart is the stand-in of tests/support/upstart.py; test_upstart_real.py runs a real one.
"""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.processes import kill
from tests.support.puppet import Puppet
from tests.support.show import SENDER, Show, get_ready, send_as_another
from tests.support.upstart import Job
from tests.support.waiting import until

BASE = Path("/run/cross-init")


def say(puppet: Puppet, text: str) -> None:
    puppet.tell(f"notify {text}")
    puppet.hear("notified")


def test_the_job_runs_when_the_daemon_says_ready_and_not_before(show: Show) -> None:
    job, puppet = show.started()
    say(puppet, "STATUS=not yet\nX_NOTHING=1")
    assert os.waitpid(job.pid, os.WNOHANG | os.WUNTRACED) == (0, 0)
    get_ready(job, puppet, "STATUS=first another line\nREADY=1")
    watcher = job.watcher()
    assert os.getsid(watcher) != os.getsid(job.pid), "a signal to the daemon's group does not reach the watcher"
    assert list(Path(f"/proc/{job.pid}/task/{job.pid}").joinpath("children").read_text().split()) == []
    job.kill(signal.SIGKILL)
    assert os.WTERMSIG(job.ended()) == signal.SIGKILL
    assert job.orphans_gone_within(5)


def test_ready_stops_the_daemon_once(show: Show) -> None:
    job, puppet = show.started()
    get_ready(job, puppet)
    for _ in range(20):
        say(puppet, "RELOADING=1\nREADY=1")
    say(puppet, "STATUS=all of it was read when this was")
    puppet.tell("exit 3")  # were it stopped again, it could not
    assert os.waitstatus_to_exitcode(job.ended()) == 3
    assert job.orphans_gone_within(5)
    assert job.stops == 1
    assert "all of it was read" in job.said()


def test_a_daemon_that_ends_before_it_is_ready_fails_the_start_with_its_status(show: Show) -> None:
    job, puppet = show.started()
    puppet.tell("exit 7")
    assert not job.wait_running()
    assert os.waitstatus_to_exitcode(job.ended()) == 7
    assert job.orphans_gone_within(5)


def test_nothing_is_left_on_disk(show: Show) -> None:
    before = set(BASE.glob("*")) if BASE.exists() else set()
    job, puppet = show.started()
    until(lambda: len(set(BASE.glob("*")) - before) == 2, "its watcher is there")
    address, noted = sorted(map(str, set(BASE.glob("*")) - before))
    assert puppet.environ["NOTIFY_SOCKET"] == address
    assert noted.startswith(f"{BASE}/watched-upstart=testjob=+")  # for the next start of the same service
    puppet.tell("exit 0")
    job.ended()
    assert job.orphans_gone_within(5)
    assert set(BASE.glob("*")) - before == set()


def test_what_a_killed_watcher_left_is_swept_by_the_next_start(show: Show) -> None:
    job, puppet = show.started()
    get_ready(job, puppet)
    left = Path(puppet.environ["NOTIFY_SOCKET"])
    watcher = job.watcher()
    kill(watcher)
    assert left.exists()
    other, second = show.started()
    get_ready(other, second)
    until(lambda: not left.exists(), "the next watcher sweeps")
    assert Path(f"/proc/{job.pid}").exists(), "the daemon lives on without its watcher"


def test_redis_for_systemd_runs_as_the_main_process(show: Show) -> None:
    need("redis-server")
    words = ("/usr/bin/redis-server", "--supervised", "systemd", "--daemonize", "no", "--port", "0", "--save", "")
    where = ("--unixsocket", str(show.folder / "redis"))
    job = show.job("-t", "systemd", "-N", command=(*words, *where))
    job.spawn()
    assert job.wait_running()
    assert Path(f"/proc/{job.pid}/exe").resolve().name.startswith("redis")
    assert os.waitstatus_to_exitcode(job.stop()) == 0
    assert job.orphans_gone_within(5)
    assert "Ready to accept connections" in job.said()


@pytest.mark.parametrize("access", ["main", "exec", "all"])
@pytest.mark.parametrize("user", [0, 65534])
def test_nobody_else_can_say_ready(show: Show, access: str, user: int) -> None:
    job, puppet = show.started("--notify-access", access)
    send_as_another(puppet.environ["NOTIFY_SOCKET"], "READY=1", user)
    assert os.waitpid(job.pid, os.WNOHANG | os.WUNTRACED) == (0, 0)
    get_ready(job, puppet)


CHILD_SAYS = f"""
import os, signal, subprocess, sys
words = [sys.executable, "-ISc", {SENDER!r}, os.environ["NOTIFY_SOCKET"], "READY=1", "0"]
subprocess.run(words, check=True)
"""


@pytest.mark.parametrize(("access", "counts"), [("main", False), ("all", True)])
def test_a_child_of_the_daemon_counts_if_it_is_asked_for(show: Show, access: str, counts: bool) -> None:
    then = "signal.pause()" if counts else "sys.exit(9)"
    words = ("/usr/bin/python3", "-ISc", CHILD_SAYS + then)
    job = show.job("-t", "systemd", "-N", "--notify-access", access, command=words)
    job.spawn()
    assert job.wait_running() == counts


DROPS = """
import os, signal, socket
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""


def test_a_daemon_that_has_dropped_its_privileges_reaches_the_socket_and_is_watched(show: Show) -> None:
    job = show.job("-t", "systemd", "-N", command=("/usr/bin/python3", "-ISc", DROPS))
    job.spawn()
    assert job.wait_running()
    job.kill(signal.SIGTERM)
    job.ended()
    assert job.orphans_gone_within(5)


def test_a_job_of_another_user_works(show: Show) -> None:
    job = show.job("-t", "systemd", "-N")
    job.spawn(user=65534)
    puppet = show.stage.puppet()
    assert puppet.environ["NOTIFY_SOCKET"].startswith("@")
    get_ready(job, puppet)


MILLION = """
import os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
address = os.environ["NOTIFY_SOCKET"]
assert address[0] == "@"
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect("\\0" + address[1:])
sender.send(b"READY=1")
signal.sigwait([signal.SIGUSR1])
send = sender.send
for _ in range(1_000_000):
    send(b"STATUS=still here")
read, write = os.pipe()
socket.send_fds(sender, [b"BARRIER=1"], [write])
os.close(write)
assert os.read(read, 1) == b""
os._exit(42)
"""


def test_a_million_messages_after_the_watcher_has_left(show: Show) -> None:
    words = ("/usr/bin/python3", "-ISc", MILLION)
    job = show.job("-t", "systemd", "-N", "--end-after-ready", command=words)
    job.spawn()
    assert job.wait_running()
    assert job.orphans_gone_within(5), "no process of ours exists"
    assert job.orphans() == []
    name = Path(f"/proc/{job.pid}/environ").read_text().split("NOTIFY_SOCKET=@")[1].split("\0")[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as thief, pytest.raises(OSError, match="in use"):
        thief.bind(f"\0{name}")
    job.kill(signal.SIGUSR1)
    assert os.waitstatus_to_exitcode(job.ended()) == 42
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anybody:
        anybody.bind(f"\0{name}")


CLOSES = """
import os, signal, socket
os.closerange(3, 1024)
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.sendto(b"READY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
signal.pause()
"""


def test_the_watcher_stays_where_the_daemon_does_not_hold_its_socket(show: Show) -> None:
    job = show.job("-t", "systemd", "-N", "--end-after-ready", command=("/usr/bin/python3", "-ISc", CLOSES))
    job.spawn()
    assert job.wait_running()
    watcher = job.watcher()
    job.kill(signal.SIGKILL)
    job.ended()
    assert job.orphans_gone_within(5)
    assert "the watcher stays" in job.said()
    assert watcher


def listening() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


@pytest.mark.parametrize("numbers", [(14,), (3,), (4, 3), (3, 4), (7, 3), (25, 19), (5, 4, 3)])
def test_sockets_stand_from_three_on_in_upstarts_order(show: Show, numbers: tuple[int, ...]) -> None:
    sockets = {number: listening() for number in numbers}
    job = show.job("-t", "systemd", expect_stop=False)
    job.spawn(sockets, {"PROTO": "inet", "PORT": "1", "ADDR": "127.0.0.1"})
    puppet = show.stage.puppet()
    environ = puppet.environ
    assert environ["LISTEN_FDS"] == str(len(numbers))
    assert environ["LISTEN_PID"] == str(job.pid)
    assert environ["LISTEN_FDNAMES"] == ":".join(["unknown"] * len(numbers))
    assert not [key for key in environ if key.startswith("UPSTART") or key in ("PROTO", "PORT", "ADDR")]
    fds = puppet.hello["fds"]
    for at, sock in enumerate(sockets.values()):
        assert fds[str(3 + at)] == f"socket:[{os.fstat(sock.fileno()).st_ino}]"
        sock.close()
    assert sum("socket" in where for where in fds.values()) == len(numbers), "no second copy of any"


def test_the_jobs_own_variables_stay_where_there_was_no_socket_event(show: Show) -> None:
    job = show.job("-t", "systemd", expect_stop=False)
    job.spawn(event={"PORT": "8080"})
    assert show.stage.puppet().environ["PORT"] == "8080"


def test_a_socket_that_is_announced_and_not_there_is_refused(show: Show) -> None:
    job = show.job("-t", "systemd", expect_stop=False)
    job.spawn(event={"UPSTART_FDS": "15", "UPSTART_EVENTS": "socket"})
    assert os.waitstatus_to_exitcode(job.ended()) == 125
    assert "UPSTART_FDS=15" in job.said()


def test_a_job_that_does_not_expect_a_stop_runs_on_and_is_told(show: Show) -> None:
    def is_stopped(job: Job) -> bool:
        return Path(f"/proc/{job.pid}/stat").read_text().split()[2] == "T"

    watched = show.job("-t", "systemd", "-N", expect_stop=False)
    watched.spawn()
    puppet = show.stage.puppet()
    puppet.tell("notify READY=1")  # it may be stopped before it can say that it has
    until(lambda: is_stopped(watched), "the watcher stops it")
    # In these two shapes it is the bridge that is stopped.
    supervised = show.job("-t", "systemd", "-N", "--supervise", expect_stop=False)
    supervised.spawn()
    second = show.stage.puppet()
    say(second, "READY=1")
    until(lambda: is_stopped(supervised), "the bridge stops itself")
    serving = show.job("-t", "inetd:nowait", "-N", "--listen", f"unix:{show.folder}/served", expect_stop=False)
    serving.spawn()
    until(lambda: is_stopped(serving), "the bridge stops itself")

    puppet.tell("exit 4")  # it can, when it was continued
    assert os.waitstatus_to_exitcode(watched.ended()) == 4
    second.tell("exit 5")
    assert os.waitstatus_to_exitcode(supervised.ended()) == 5
    until(lambda: not is_stopped(serving), "it is continued", 20)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{show.folder}/served")
        show.stage.puppet().tell("exit 0")
        assert client.recv(1) == b""
    os.kill(serving.pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(serving.ended()) == 0
    for job in (watched, supervised, serving):
        assert job.orphans_gone_within(5)
        assert 'add "expect stop"' in job.said()
