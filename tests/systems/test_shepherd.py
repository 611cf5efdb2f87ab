"""On the GNU Shepherd, run by an unprivileged user: readiness by a PID file, sockets by LISTEN_FDS."""

import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.containers import BRIDGE
from tests.support.puppet import Puppet
from tests.support.roots import PUPPET, Root, rooted
from tests.support.trees import tree
from tests.support.waiting import until

TARGETS = ("systemd", "upstart")
HOME = "/run/shepherd"
SOCKET, PID_FILE = f"{HOME}/socket", f"{HOME}/web.pid"
USER = 1  # "daemon", which every Debian has


def words(line: str) -> str:
    """A command line as a list of strings in Scheme."""
    return "'(" + " ".join(f'"{word}"' for word in line.split()) + ")"


def forkexec(target: str) -> str:
    line = words(f"{BRIDGE} -t {target} -N --pid-file {PID_FILE} -- {PUPPET}")
    return f'(make-forkexec-constructor {line} #:pid-file "{PID_FILE}" #:pid-file-timeout 20)'


def service(name: str, start: str, stop: str) -> str:
    return f"(service '({name}) #:start {start} #:stop ({stop}))\n"


ENDPOINT = f'(list (endpoint (make-socket-address AF_UNIX "{HOME}/served") #:name "web"))'
SILENT = words(f"{BRIDGE} -t systemd -N -- {PUPPET}")
CONFIGURATION = (
    "(register-services (list\n"
    + service("systemd", forkexec("systemd"), "make-kill-destructor")
    + service("upstart", forkexec("upstart"), "make-kill-destructor")
    + service(
        "listening",
        f"(make-systemd-constructor {words(f'{BRIDGE} -t upstart -- {PUPPET}')} {ENDPOINT} #:lazy-start? #f)",
        "make-systemd-destructor",
    )
    + service(
        "accepting",
        f"(make-inetd-constructor {words(f'{BRIDGE} -t systemd -- {PUPPET}')} {ENDPOINT})",
        "make-inetd-destructor",
    )
    + service("silent", f'(make-forkexec-constructor {SILENT} #:log-file "{HOME}/said")', "make-kill-destructor")
    + "))\n"
)


@pytest.fixture(params=["trixie", "sid-inits"])
def shepherd(request: pytest.FixtureRequest) -> Iterator[Root]:
    """A Shepherd that can be told to start services."""
    with rooted(tree(request.param), files={"/etc/shepherd.scm": CONFIGURATION}) as root:
        root.run("install", "--directory", "--mode=700", f"--owner={USER}", HOME)
        command = ("shepherd", "--config=/etc/shepherd.scm", f"--socket={SOCKET}", f"--logfile={HOME}/log")
        process = subprocess.Popen(
            root.enter(*command, user=USER),
            env={**root.environment(0), "HOME": HOME, "XDG_RUNTIME_DIR": HOME},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            until(lambda: root.exists(SOCKET), "the Shepherd listens", 30)
            yield root
        finally:
            process.kill()
            process.wait()


def herd(root: Root, *command: str) -> "subprocess.Popen[str]":
    """Tell the Shepherd."""
    return subprocess.Popen(
        root.enter("herd", f"--socket={SOCKET}", *command, user=USER),
        env={**root.environment(0), "HOME": HOME},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def get_ready(puppet: Puppet, target: str) -> None:
    if target == "upstart":
        puppet.get_ready()
    else:
        puppet.tell("notify STATUS=nearly\nREADY=1")
        puppet.hear("notified")


@pytest.mark.parametrize("target", TARGETS)
def test_a_start_is_over_when_the_pid_file_names_the_daemon(shepherd: Root, target: str) -> None:
    started = herd(shepherd, "start", target)
    puppet = shepherd.stage.puppet()
    assert started.poll() is None
    assert not shepherd.exists(PID_FILE)
    get_ready(puppet, target)
    assert "has been started" in started.communicate(timeout=20)[0]
    assert int(shepherd.read(PID_FILE)) == puppet.pid
    assert f"Main PID: {puppet.pid}\n" in herd(shepherd, "status", target).communicate(timeout=20)[0]
    stopped = herd(shepherd, "stop", target)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    stopped.communicate(timeout=20)
    assert stopped.returncode == 0
    until(lambda: PUPPET not in str(shepherd.processes()) and BRIDGE not in str(shepherd.processes()), "nothing stays")


def test_sockets_are_passed_on(shepherd: Root) -> None:
    assert "has been started" in herd(shepherd, "start", "listening").communicate(timeout=20)[0]
    puppet = shepherd.stage.puppet()
    assert puppet.environ["UPSTART_FDS"] == "3"
    assert puppet.environ["SOCKET_PATH"] == f"{HOME}/served"
    assert "LISTEN_FDS" not in puppet.environ


def test_without_a_pid_file_it_says_what_to_do(shepherd: Root) -> None:
    herd(shepherd, "start", "silent").communicate(timeout=20)
    until(lambda: shepherd.exists(f"{HOME}/said") and "\n" in shepherd.read(f"{HOME}/said"), "it says why")
    assert "the Shepherd hears it by a PID file only" in shepherd.read(f"{HOME}/said")


def test_a_connection_of_an_inetd_style_service_is_passed_on_and_the_client_gets_nothing_else(shepherd: Root) -> None:
    assert "has been started" in herd(shepherd, "start", "accepting").communicate(timeout=20)[0]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(shepherd.root / f"{HOME}/served".lstrip("/")))
        puppet = shepherd.stage.puppet()
        assert puppet.environ["LISTEN_FDNAMES"] == "connection"
        puppet.do("import os, socket; os.write(1, b'private'); os.write(2, b'private')")
        puppet.do("socket.socket(fileno=3).sendall(b'hello')")
        puppet.tell("exit 0")
        assert client.makefile("rb").read() == b"hello"
