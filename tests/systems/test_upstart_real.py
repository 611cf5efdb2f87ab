"""Jobs under a real Upstart, where CROSS_INIT_TEST_UPSTART names the prefix that it is in."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.command import PATH
from tests.support.containers import BRIDGE, INSIDE
from tests.support.kept import keep, kept
from tests.support.packages import need
from tests.support.puppet import Puppet, Stage, stage
from tests.support.real_upstart import LONGEST_S, Upstart, upstart_booted
from tests.support.waiting import until


@pytest.fixture(scope="module")
def upstart() -> Iterator[Upstart]:
    with upstart_booted() as booted:
        yield booted


def test_redis_for_systemd_is_started_stopped_restarted_and_missed(upstart: Upstart) -> None:
    need("redis-server")
    redis = "/usr/bin/redis-server --port 7002 --supervised systemd --daemonize no --save ''"
    upstart.job("redis", f"expect stop\nchdir /tmp\nexec {BRIDGE} -t systemd -N -- {redis}\n")
    assert "redis start/running" in upstart.initctl("start", "redis")
    pid = upstart.main_pid("redis")
    assert "PONG" in upstart.run("redis-cli", "-p", "7002", "ping").stdout
    assert f"process_id:{pid}" in upstart.run("redis-cli", "-p", "7002", "info", "server").stdout
    assert "redis start/running" in upstart.initctl("restart", "redis")
    pid = upstart.main_pid("redis")
    upstart.run("kill", "-KILL", str(pid))
    until(lambda: "redis stop/waiting" in upstart.initctl("status", "redis"), "Upstart sees the crash")
    assert "redis start/running" in upstart.initctl("start", "redis")
    assert "redis stop/waiting" in upstart.initctl("stop", "redis")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")
    assert list((upstart.root / "run/cross-init").iterdir()) == []


HANGING = {
    "watched": "-t systemd -N -- /bin/sleep 1234",
    "supervised": "-t systemd -N --supervise -- /bin/sleep 1234",
    "forked away": "-t sysv -N --pid-file /run/never -- /bin/sh -c 'sleep 1234 &'",
}


@pytest.mark.parametrize("daemon", HANGING)
def test_a_start_that_is_cancelled_ends_the_daemon(upstart: Upstart, daemon: str) -> None:
    name = f"hang-{daemon[:4]}"
    upstart.job(name, f"expect stop\nexec {BRIDGE} {HANGING[daemon]}\n")
    words = upstart.enter(f"{upstart.prefix}/sbin/initctl", "start", name)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as start:
        until(lambda: "sleep 1234" in upstart.processes(), "the daemon starts")
        assert f"{name} stop/waiting" in upstart.initctl("stop", name)
        start.wait(LONGEST_S)
    until(lambda: "sleep 1234" not in upstart.processes(), "nothing is left")
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watcher goes")


def test_a_daemon_that_ends_before_it_is_ready_fails_the_start(upstart: Upstart) -> None:
    upstart.job("fails", f"expect stop\nexec {BRIDGE} -t systemd -N -- /bin/sh -c 'exit 7'\n")
    assert "Job failed to start" in upstart.initctl("start", "fails")


def test_a_shell_on_an_upstart_machine_is_no_job(upstart: Upstart) -> None:
    ran = upstart.run("/bin/sh", "-c", f"{BRIDGE} -t systemd -- /bin/true; exit $?")  # whose parent is in there, too
    assert ran.returncode == 125
    assert "UPSTART_JOB is not set" in ran.stderr


# Serves clients one after the other; each is told who serves it, and what was passed.
DAEMON = """
import os, socket
listening = [socket.socket(fileno=3 + at) for at in range(int(os.environ["LISTEN_FDS"]))]
assert os.environ["LISTEN_PID"] == str(os.getpid())
address = os.environ.get("NOTIFY_SOCKET")
if address:
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", address)
while True:
    connection, _ = listening[0].accept()
    connection.sendall(("%d %d" % (os.getpid(), len(listening))).encode())
    connection.close()
"""
SERVE = "/usr/bin/python3 -IS /run/daemon.py"


@pytest.fixture
def bridged(upstart: Upstart) -> Upstart:
    """The same, with its socket bridge running, and the daemon there."""
    if "socket-bridge" not in upstart.processes():
        upstart.job("bridge", f"exec {upstart.prefix}/sbin/upstart-socket-bridge\n")
        assert "start/running" in upstart.initctl("start", "bridge")
    (upstart.root / "run/daemon.py").write_text(DAEMON)
    return upstart


def ask(upstart: Upstart, family: str, address: str) -> list[int]:
    """Connect inside: the PID that serves, as it is numbered there, and how many sockets it has."""
    client = (
        f"import socket; c = socket.socket(socket.{family}); c.settimeout(10); c.connect({address}); "
        "print(c.recv(100).decode())"
    )
    ran = upstart.run("/usr/bin/python3", "-ISc", client)
    return [int(word) for word in ran.stdout.split()]


def listens(upstart: Upstart, port: int) -> bool:
    return f":{port} " in upstart.run("ss", "-Hltn").stdout


def unix(path: str) -> str:
    """The condition for a UNIX socket: 1.13.2's socket bridge opens what PATH names, and announces a SOCKET_PATH."""
    return f"(socket PROTO=unix PATH={path} or socket PROTO=unix SOCKET_PATH={path})"


@pytest.mark.parametrize(
    ("name", "event", "family", "address"),
    [
        ("inet", "socket PROTO=inet PORT=7701 ADDR=127.0.0.1", "AF_INET", "('127.0.0.1', 7701)"),
        ("inet6", "socket PROTO=inet6 PORT=7702 ADDR=::1", "AF_INET6", "('::1', 7702)"),
        ("unix", unix("/run/on-unix"), "AF_UNIX", "'/run/on-unix'"),
    ],
)
def test_a_client_starts_the_job_and_is_served(
    bridged: Upstart, name: str, event: str, family: str, address: str
) -> None:
    job = f"on-{name}"
    bridged.job(job, f"start on {event}\nexpect stop\nexec {BRIDGE} -t systemd -N -- {SERVE}\n")
    until(lambda: ask(bridged, family, address) != [], "the socket bridge listens")
    pid, sockets = ask(bridged, family, address)
    assert (pid, sockets) == (bridged.main_pid(job), 1)
    assert f"{job} stop/waiting" in bridged.initctl("stop", job)
    assert ask(bridged, family, address)[0] != pid, "the next client starts it anew"
    bridged.initctl("stop", job)


def test_two_sockets_in_the_order_of_the_condition(bridged: Upstart) -> None:
    on = f"start on socket PROTO=inet PORT=7703 ADDR=127.0.0.1 and {unix('/run/both')}"
    bridged.job("both", f"{on}\nexpect stop\nexec {BRIDGE} -t systemd -N -- {SERVE}\n")
    until(lambda: listens(bridged, 7703), "the socket bridge listens")
    connect = "import socket; c = socket.socket(socket.AF_UNIX); c.connect('/run/both'); input()"
    with subprocess.Popen(bridged.enter("/usr/bin/python3", "-ISc", connect), stdin=subprocess.PIPE) as other:
        pid, sockets = ask(bridged, "AF_INET", "('127.0.0.1', 7703)")
        assert (pid, sockets) == (bridged.main_pid("both"), 2)
        assert other.stdin
        other.stdin.close()
    bridged.initctl("stop", "both")


def test_after_a_respawn_there_is_no_socket_and_that_is_said(bridged: Upstart) -> None:
    job = f"start on socket PROTO=inet PORT=7707 ADDR=127.0.0.1\nrespawn\nexpect stop\nexec {BRIDGE} -t systemd -N"
    bridged.job("respawns", f"{job} -- {SERVE} 2>> /run/respawns\n")
    until(lambda: listens(bridged, 7707), "the socket bridge listens")
    pid, _ = ask(bridged, "AF_INET", "('127.0.0.1', 7707)")
    # It serves before it says that it is ready, and one that ends before that is started anew by nobody.
    started = f"respawns start/running, process {pid}\n"
    until(lambda: bridged.initctl("status", "respawns") == started, "Upstart has heard that it is ready")
    bridged.run("kill", "-KILL", str(pid))
    log = bridged.root / "run/respawns"
    # Before it is stopped: Upstart shows no process for a moment as well while it starts the next one.
    until(lambda: log.exists() and "after a respawn Upstart passes none" in log.read_text(), "it says why")
    no_process = "respawns start/running\n"  # where Upstart leaves a job of both kinds (docs/protocols.md)
    until(lambda: bridged.initctl("status", "respawns") == no_process, "the bridge has ended")
    assert "respawns stop/waiting" in bridged.initctl("stop", "respawns")
    said = log.read_text()
    assert {line.partition(": ")[0] for line in said.splitlines()} == {"cross-init-bridge"}
    assert ask(bridged, "AF_INET", "('127.0.0.1', 7707)")[0] != pid, "the next client starts it"
    bridged.initctl("stop", "respawns")


def test_after_a_manual_start_the_socket_is_adopted_from_the_socket_bridge(bridged: Upstart) -> None:
    on = "start on socket PROTO=inet PORT=7704 ADDR=127.0.0.1"
    adopt = f"{BRIDGE} -t systemd -N --adopt-socket tcp:127.0.0.1:7704 -- {SERVE}"
    bridged.job("adopts", f"{on}\nexpect stop\nexec {adopt} 2>> /run/adopts\n")
    until(lambda: listens(bridged, 7704), "the socket bridge listens")
    assert "adopts start/running" in bridged.initctl("start", "adopts")
    pid = bridged.main_pid("adopts")
    for _ in range(5):
        assert ask(bridged, "AF_INET", "('127.0.0.1', 7704)") == [pid, 1]
    assert "adopts stop/waiting" in bridged.initctl("stop", "adopts")
    assert listens(bridged, 7704), "the socket bridge has kept its own"
    assert ask(bridged, "AF_INET", "('127.0.0.1', 7704)")[0] != pid, "the next client starts it, with its socket"
    bridged.initctl("stop", "adopts")


def test_a_socket_that_somebody_else_holds_is_not_adopted(bridged: Upstart) -> None:
    listen = "import socket; s = socket.create_server(('127.0.0.1', 7705)); print('listens', flush=True); input()"
    words = bridged.enter("setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-ISc", listen)
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == "listens\n"
        adopt = f"{BRIDGE} -t systemd -N --adopt-socket tcp:127.0.0.1:7705 -- {SERVE}"
        bridged.job("refuses", f"expect stop\nexec {adopt} 2> /run/refuses\n")
        assert "failed to start" in bridged.initctl("start", "refuses")
        holder.stdin.close()
    said = (bridged.root / "run/refuses").read_text()
    assert "which is user 65534's and not root's" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("shape", ["", "--supervise"])
def test_a_daemon_that_does_not_end_when_it_is_told_is_killed(upstart: Upstart, shape: str) -> None:
    (upstart.root / "run/deaf").write_text("trap '' TERM\nwhile :; do sleep 1237; done\n")
    start = f"exec {BRIDGE} -t plain {shape} --ready-when exec:/bin/true -- /bin/sh /run/deaf"
    upstart.job("deaf", f"expect stop\nkill timeout 1\n{start}\n")
    assert "deaf start/running" in upstart.initctl("start", "deaf")
    assert "deaf stop/waiting" in upstart.initctl("stop", "deaf")
    until(lambda: "/run/deaf" not in upstart.processes(), "it is killed, and the watcher goes")
    until(lambda: "sleep 1237" not in upstart.processes(), "so is what it has started")


USER = "1"  # "daemon", which every Debian has


@pytest.fixture
def session(upstart: Upstart) -> Iterator[list[str]]:
    """A user's session init; the command line of an initctl that asks it."""
    jobs = upstart.root / "run/session-jobs"
    jobs.mkdir()
    start = f"exec {BRIDGE} -t systemd -N --"
    (jobs / "web.conf").write_text(
        f"expect stop\n{start} /usr/bin/redis-server --supervised systemd --port 7706 --save ''\n"
    )
    (jobs / "hang.conf").write_text(f"expect stop\n{start} /bin/sleep 1236\n")
    subprocess.run(upstart.enter("install", "-d", "-o", USER, "-m", "0700", f"/run/user/{USER}"), check=True)
    become = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"]
    environment = ["env", "-i", "HOME=/tmp", f"XDG_RUNTIME_DIR=/run/user/{USER}", f"PATH={PATH}"]
    init = [
        f"{upstart.prefix}/sbin/init",
        "--user",
        "--no-startup-event",
        "--no-dbus",
        "--confdir",
        "/run/session-jobs",
    ]
    null = subprocess.DEVNULL
    with subprocess.Popen(upstart.enter(*become, *environment, *init), stdin=null, stdout=null, stderr=null) as process:
        sessions = upstart.root / f"run/user/{USER}/upstart/sessions"
        try:
            until(lambda: sessions.exists() and bool(list(sessions.glob("*.session"))), "the session init is up")
            (file,) = sessions.glob("*.session")
            until(lambda: file.read_text().strip() != "", "it says where it is")
            yield [*become, *environment, file.read_text().strip(), f"{upstart.prefix}/sbin/initctl"]
        finally:
            process.kill()


def test_a_users_session_has_its_jobs(upstart: Upstart, session: list[str]) -> None:
    assert "web start/running" in upstart.run(*session, "start", "web").stdout
    assert "PONG" in upstart.run("redis-cli", "-p", "7706", "ping").stdout
    assert "web start/running" in upstart.run(*session, "restart", "web").stdout
    assert "web stop/waiting" in upstart.run(*session, "stop", "web").stdout

    begun = subprocess.Popen(upstart.enter(*session, "start", "hang"), stdout=subprocess.DEVNULL)
    try:
        until(lambda: "sleep 1236" in upstart.processes(), "the daemon starts")
        assert "hang stop/waiting" in upstart.run(*session, "stop", "hang").stdout
    finally:
        begun.kill()
        begun.wait()
    until(lambda: "cross-init-bridge" not in upstart.processes(), "the watchers go")


def come(upstart: Upstart, where: Stage, *words: str) -> Puppet:
    """The puppet that comes by itself, or when initctl is given these words, and has said that it is ready."""
    begun = subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", *words), stdout=subprocess.DEVNULL)
    try:
        puppet = where.puppet()
        puppet.send("b'READY=1'")
    finally:
        begun.wait(LONGEST_S)
    return puppet


@pytest.mark.parametrize("ends", ["stop", "crash"])
def test_descriptors_are_kept_over_a_respawn_and_a_restart_and_not_when_the_goal_is_stop(
    upstart: Upstart, ends: str
) -> None:
    puppet_words = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/puppet.py /run/kept-{ends}"
    bridge = f"exec {BRIDGE} -t systemd -N --fd-store 3 -- {puppet_words}"
    upstart.job(f"kept-{ends}", f"expect stop\n{'respawn' if ends == 'stop' else ''}\n{bridge}\n")
    with stage(upstart.root / f"run/kept-{ends}") as where:
        puppet = come(upstart, where, "start", f"kept-{ends}")
        keep(puppet, "FDSTORE=1", "os.memfd_create('made')")
        if ends == "stop":
            puppet.tell(f"die {signal.SIGKILL}")
            puppet = come(upstart, where, "version")
            assert [name for name, _ in kept(puppet)] == ["stored"]
            with subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", "restart", "kept-stop")) as restart:
                puppet.hear_signal(signal.SIGTERM)
                puppet.tell("exit 0")
                puppet = come(upstart, where, "version")
                assert [name for name, _ in kept(puppet)] == ["stored"]
                restart.wait(LONGEST_S)
            with subprocess.Popen(upstart.enter(f"{upstart.prefix}/sbin/initctl", "stop", "kept-stop")):
                puppet.hear_signal(signal.SIGTERM)
                puppet.tell("exit 0")
        else:
            puppet.tell(f"die {signal.SIGKILL}")
        until(lambda: "cross-init-bridge" not in upstart.processes(), "the holder goes, and waits for no time", 5)


def test_each_client_of_a_socket_gets_a_daemon_that_is_written_for_inetd(bridged: Upstart) -> None:
    on = "start on socket PROTO=inet PORT=7707 ADDR=127.0.0.1\nexpect stop"
    daemon = "/bin/sh -c 'echo $PROTO $TCPLOCALPORT; exec cat'"
    bridged.job("each", f"{on}\nexec {BRIDGE} -t inetd:nowait -N -- {daemon}\n")
    until(lambda: listens(bridged, 7707), "the socket bridge listens")
    client = (
        "import socket; here = ('127.0.0.1', 7707)\n"
        "made = [socket.create_connection(here, 60).makefile('rwb', 0) for _ in range(3)]\n"
        "for number, each in enumerate(made): each.write(b'%d\\n' % number)\n"
        "print([each.readline() + each.readline() for each in made])"
    )
    answers = [f"TCP 7707\n{number}\n".encode() for number in range(3)]
    assert bridged.run("/usr/bin/python3", "-c", client).stdout == f"{answers}\n"
    until(lambda: "each start/running" in bridged.initctl("status", "each"), "the job runs")
    pid = bridged.main_pid("each")
    assert bridged.run("/usr/bin/python3", "-c", client).stdout == f"{answers}\n"
    assert bridged.main_pid("each") == pid
    assert "each stop/waiting" in bridged.initctl("stop", "each")
    until(lambda: "inetd:nowait" not in bridged.processes(), "nothing is left")
