"""Real daemons with no bridge on the way, each under real inits that are no supervisors of one service each.

Each init is process 1 of a machine of its own, with the resident as a service, and its own words for when a service is
ready, has crashed and is down.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.containers import FRONT_DOOR, IN_A_TREE
from tests.support.dinit import prefix
from tests.support.outside import NOTIFY
from tests.support.packages import need
from tests.support.real_upstart import upstart_booted
from tests.support.roots import rooted
from tests.support.trees import tree
from tests.support.waiting import until

LONGEST_S = 30  # an init, and whoever waits for it, beside other tests


class Daemon(NamedTuple):
    """command, conf: how it is run, with its configuration in /etc/d.conf. asks: a command that ends well if it serves.

    inside: what its processes are known by. reload: the signal.
    """

    command: str
    conf: str
    asks: str
    inside: str
    reload: str = ""


def asked(path: str, say: str, answer: str) -> str:
    """Whether who listens there answers so."""
    return (
        '/usr/bin/python3 -ISc "import socket; s = socket.socket(1); s.settimeout(20); '
        f"s.connect('{path}'); s.sendall(b'{say}'); assert b'{answer}' in s.recv(99)\""
    )


HAPROXY = """global
    user nobody
    chroot /var/empty
defaults
    timeout client 9s
    timeout server 9s
    timeout connect 9s
frontend web
    mode http
    bind unix@/run/web.sock
"""
UNBOUND = """server:
    interface: 127.0.0.1@5353
    username: "nobody"
    chroot: "CHROOT"
    pidfile: ""
    directory: ""
    use-syslog: no
remote-control:
    control-enable: yes
    control-interface: /run/unbound.ctl
    control-use-cert: no
"""
PHP = """[global]
error_log = /dev/null
daemonize = no
[www]
user = nobody
group = nogroup
listen = /run/php.sock
pm = static
pm.max_children = 2
"""
REDIS = "exec /usr/bin/redis-server --supervised systemd --daemonize no --port 0 --unixsocket /run/d/redis --save ''"
# FastCGI's question for a value, which is answered: who connects and says nothing waits until it closes, after 5 s.
FASTCGI = asked("/run/php.sock", "\\x01\\x09\\x00\\x00\\x00\\x11\\x00\\x00\\x0f\\x00FCGI_MPXS_CONNS", "FCGI_MPXS_CONNS")
HTTP = asked("/run/web.sock", "GET / HTTP/1.0\\r\\n\\r\\n", "HTTP/1")
# What speaks in a root of its own finds the socket there (docs/resident.md).
JAIL = """mkdir -p /var/jail/etc /var/jail/run/cross-init
cp /etc/d.conf /var/jail/etc
mountpoint -q /var/jail/run/cross-init || mount --bind /run/cross-init /var/jail/run/cross-init
"""
DAEMONS = {
    "redis": Daemon(REDIS, "", asked("/run/d/redis", "PING\\r\\n", "+PONG"), "redis-server"),
    "haproxy": Daemon("exec /usr/sbin/haproxy -Ws -f /etc/d.conf", HAPROXY, HTTP, "haproxy", "USR2"),
    "unbound": Daemon(
        "exec /usr/sbin/unbound -d -p -c /etc/d.conf",
        UNBOUND.replace("CHROOT", ""),
        "/usr/sbin/unbound-control -c /etc/d.conf status",
        "unbound",
        "HUP",
    ),
    "chrooted": Daemon(
        JAIL + "exec /usr/sbin/unbound -d -p -c /var/jail/etc/d.conf",
        UNBOUND.replace("CHROOT", "/var/jail"),
        "/usr/sbin/unbound-control -c /etc/d.conf status",
        "unbound",
        "HUP",
    ),
    "php-fpm": Daemon("cd /usr/sbin; exec ./php-fpm8.* -F -y /etc/d.conf", PHP, FASTCGI, "php-fpm", "USR2"),
}
# Debian's packages of them, on the machine itself and in a tree.
PACKAGES = ("redis-server", "haproxy", "unbound", "php8.2-fpm")
GATED = f"#!/bin/sh\nread -r go < /run/gate\nexport NOTIFY_SOCKET={NOTIFY}\nCOMMAND\n"
SERVE = f"#!/bin/sh\nexec {FRONT_DOOR} serve 2>>/run/said\n"


STARTED = ("redis", "haproxy", "unbound", "php")
NONE = "#!/sbin/openrc-run\n"


class Under:
    """A service under a real init in a machine of its own. restarts: whether the init starts anew what has crashed."""

    restarts = True
    boots = ""  # process 1, in a tree
    files: Mapping[str, str] = {}

    def __init__(self, root: Any) -> None:
        self.root = root
        self.name = ""
        (root.root / "run/d").mkdir(exist_ok=True)
        (root.root / "run/d").chmod(0o777)
        (root.root / "var/empty").mkdir(exist_ok=True)
        until((root.root / NOTIFY.lstrip("/")).exists, "the resident listens", LONGEST_S)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command inside to its end."""
        words, null = self.root.enter(*words), subprocess.DEVNULL
        return subprocess.run(
            words, env=IN_A_TREE, stdin=null, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )

    def ask(self, *words: str) -> str:
        """What it says."""
        return self.run(*words).stdout

    def does(self, *words: str) -> bool:
        """Whether it ends well."""
        return self.run(*words).returncode == 0

    def write(self, path: str, text: str) -> None:
        """A file inside, which is executable if it is a script."""
        file = Path(f"{self.root.root}{path}")
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)

    def children(self, pid: int) -> set[str]:
        """The processes that it has."""
        return set(self.ask("ps", "-o", "pid=", "--ppid", str(pid)).split())

    def install(self) -> None:
        """Have the init know the service."""

    def start(self) -> "subprocess.Popen[bytes]":
        """Begin to start it: that ends when it is ready, with 0."""
        null = subprocess.DEVNULL
        return subprocess.Popen(self.root.enter(*self.starting()), env=IN_A_TREE, stdin=null, stdout=null, stderr=null)

    def starting(self) -> tuple[str, ...]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def main_pid(self) -> int:
        """As it is numbered inside; 0 if there is none."""
        raise NotImplementedError

    def is_down(self) -> bool:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def said(self) -> str:
        """What the resident has said."""
        return Path(f"{self.root.root}/run/said").read_text()

    def status(self) -> str:
        """What cross-init says of all."""
        return self.ask(FRONT_DOOR, "status")


def numbered(text: str, after: str) -> int:
    """The number that stands behind this."""
    found = text.partition(after)[2].split()[:1]
    return int(found[0]) if found and found[0].isdecimal() else 0


class OfDinit(Under):
    files: Mapping[str, str] = {
        "/etc/dinit.d/boot": "type = internal\ndepends-on = resident\n",
        "/etc/dinit.d/resident": "type = process\ncommand = /etc/serve\n",
        "/etc/serve": SERVE,
    }

    def ctl(self, *words: str) -> tuple[str, ...]:
        return (f"{prefix()}/sbin/dinitctl", "-p", "/run/dinitctl", *words)

    def install(self) -> None:
        text = f"type = process\ncommand = /etc/run-{self.name}\nready-notification = pipefd:4\nrestart = true\n"
        self.write(f"/etc/dinit.d/{self.name}", text + "load-options = export-service-name\n")

    def starting(self) -> tuple[str, ...]:
        return self.ctl("start", self.name)

    def is_ready(self) -> bool:
        return "State: STARTED" in self.ask(*self.ctl("status", self.name))

    def main_pid(self) -> int:
        return numbered(self.ask(*self.ctl("status", self.name)), "Process ID: ")

    def is_down(self) -> bool:
        return "State: STOPPED" in self.ask(*self.ctl("status", self.name))

    def stop(self) -> None:
        assert self.does(*self.ctl("stop", self.name))


class OfUpstart(Under):
    def ctl(self, *words: str) -> tuple[str, ...]:
        return (f"{self.root.prefix}/sbin/initctl", *words)

    def install(self) -> None:
        self.root.job(self.name, f"expect stop\nrespawn\nexec /etc/run-{self.name}\n")

    def starting(self) -> tuple[str, ...]:
        return self.ctl("start", self.name)

    def is_ready(self) -> bool:
        return "start/running" in self.ask(*self.ctl("status", self.name))

    def main_pid(self) -> int:
        return numbered(self.ask(*self.ctl("status", self.name)), "process ")

    def is_down(self) -> bool:
        return "stop/waiting" in self.ask(*self.ctl("status", self.name))

    def stop(self) -> None:
        assert self.does(*self.ctl("stop", self.name))


class OfFinit(Under):
    boots = "/sbin/finit"
    files: Mapping[str, str] = {
        "/etc/finit.conf": "runlevel 2\nservice [2] name:resident /etc/serve -- the resident\n",
        "/etc/finit.d/none": "",
        "/etc/serve": SERVE,
    }

    def install(self) -> None:
        text = f"service [2] manual:yes restart_sec:1 notify:s6 name:{self.name} /etc/run-{self.name} %n -- a daemon\n"
        self.write(f"/etc/finit.d/{self.name}.conf", text)
        until(lambda: self.does("initctl", "reload"), "Finit reads it")
        until(self.is_down, "Finit knows it")

    def starting(self) -> tuple[str, ...]:
        return ("initctl", "start", self.name)

    def is_ready(self) -> bool:
        return self.does("initctl", "cond", "get", f"service/{self.name}/ready")

    def main_pid(self) -> int:
        return numbered(self.ask("initctl", "status", self.name), "PID : ")

    def is_down(self) -> bool:
        return "stopped" in self.ask("initctl", "status", self.name)

    def stop(self) -> None:
        self.ask("initctl", "stop", self.name)


OPENRC = "#!/sbin/openrc-run\ncommand="


class OfOpenrc(Under):
    """By start-stop-daemon, which is away once the daemon is ready."""

    restarts = False
    boots = "/sbin/openrc-init"
    files: Mapping[str, str] = {
        "/etc/serve": SERVE,
        "/etc/init.d/resident": f"{OPENRC}/etc/serve\ncommand_background=yes\npidfile=/run/r.pid\n",
        "/etc/runlevels/default/resident": f"{OPENRC}/etc/serve\ncommand_background=yes\npidfile=/run/r.pid\n",
    }
    way = "command_background=yes\nnotify=fd:3\n"

    def install(self) -> None:
        pid_file = f"pidfile=/run/{self.name}.pid\n"
        self.write(f"/etc/init.d/{self.name}", f"{OPENRC}/etc/run-{self.name}\n{pid_file}{self.way}")

    def starting(self) -> tuple[str, ...]:
        return ("rc-service", self.name, "start")

    def is_ready(self) -> bool:
        return Path(f"{self.root.root}/run/openrc/started/{self.name}").is_symlink()

    def main_pid(self) -> int:
        file = Path(f"{self.root.root}/run/{self.name}.pid")
        return int(file.read_text() or "0") if file.exists() else 0

    def is_down(self) -> bool:
        return not self.does("rc-service", self.name, "status")

    def stop(self) -> None:
        assert self.does("rc-service", self.name, "stop")


INITS: dict[str, type[Under]] = {
    "dinit": OfDinit,
    "upstart": OfUpstart,
    "finit": OfFinit,
    "openrc": OfOpenrc,
}


@pytest.fixture(scope="module", params=INITS)
def init(request: pytest.FixtureRequest) -> Iterator[Under]:
    kind = INITS[request.param]
    with ExitStack() as stack:
        need("iproute2")
        root: Any
        if request.param == "upstart":
            need(*PACKAGES)
            root = stack.enter_context(upstart_booted())
            (root.root / "etc/serve").write_text(SERVE)
            (root.root / "etc/serve").chmod(0o755)
            root.job("resident", "exec /etc/serve\n")
            root.initctl("start", "resident")
        elif request.param == "dinit":
            sbin = prefix() / "sbin"
            need(*PACKAGES)
            words = ("--container", "-d", "/etc/dinit.d", "-p", "/run/dinitctl")
            root = stack.enter_context(rooted(Path("/"), (f"{sbin}/dinit", *words), OfDinit.files))
        else:
            there = tree("sid-daemons")
            packaged = (there / "etc/init.d").iterdir()  # which would be started at boot
            none = {f"/etc/init.d/{file.name}": NONE for file in packaged if file.name.startswith(STARTED)}
            root = stack.enter_context(rooted(there, (kind.boots,), {**kind.files, **none}))
        in_its_net = ["nsenter", "--target", str(root.pid), "--net"]  # a tree has no ip(8)
        subprocess.run([*in_its_net, "ip", "link", "set", "lo", "up"], check=True, timeout=LONGEST_S)
        under = kind(root)
        try:
            yield under
        finally:
            print(under.ask("ps", "-ewo", "pid,ppid,sid,args"), under.status(), under.said())


class Gate:
    """Where each start of the daemon waits until it is let through."""

    def __init__(self, under: Under) -> None:
        self.path = Path(f"{under.root.root}/run/gate")
        self.path.unlink(missing_ok=True)
        os.mkfifo(self.path)
        self.opened = -1

    def is_reached(self) -> bool:
        """Whether somebody waits."""
        try:
            self.opened = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    def let_through(self) -> None:
        os.write(self.opened, b"go\n")
        os.close(self.opened)


@pytest.mark.parametrize("name", DAEMONS)
def test_it_lives(init: Under, name: str) -> None:
    daemon = DAEMONS[name]
    init.name = f"our-{name}"
    gate = Gate(init)
    init.write("/etc/d.conf", daemon.conf)
    init.write(f"/etc/run-{init.name}", GATED.replace("COMMAND", daemon.command))
    init.install()
    with init.start() as start:
        until(gate.is_reached, "it is being started", LONGEST_S)
        assert not init.is_ready()
        gate.let_through()
        is_ready_and_serves(init, daemon)
        if not isinstance(init, OfFinit):
            assert start.wait(LONGEST_S) == 0
    first = init.main_pid()
    if daemon.reload:
        workers, lines = init.children(first), init.said().count(": reloading\n")
        init.ask("kill", f"-{daemon.reload}", str(first))
        if name != "php-fpm":  # which does not say it
            until(lambda: init.said().count(": reloading\n") > lines, "it says that it reloads", LONGEST_S)
        until(lambda: not workers or not workers & init.children(first), "it has other workers", LONGEST_S)
        is_ready_and_serves(init, daemon)
        assert init.main_pid() == first
    init.ask("kill", "-KILL", str(first), *init.children(first))
    if init.restarts:
        until(gate.is_reached, "it is started anew", LONGEST_S)
        assert not init.is_ready()
        gate.let_through()
        is_ready_and_serves(init, daemon)
        assert init.main_pid() != first
    init.stop()
    until(init.is_down, "it is down", LONGEST_S)
    until(lambda: init.status() == "no service is looked after\n", "nothing is known of it", LONGEST_S)
    until(lambda: daemon.inside not in init.ask("ps", "-ewo", "args"), "nothing is left", LONGEST_S)
    assert "<defunct>" not in init.ask(
        "ps", "-ewo", "args"
    )  # of the resident's, who has looked at another user's process


def is_ready_and_serves(init: Under, daemon: Daemon) -> None:
    """Once the init says that it is ready, it is asked once."""
    until(init.is_ready, "the init says that it is ready", LONGEST_S)
    assert init.does("/bin/sh", "-c", daemon.asks)
    pid = init.main_pid()
    until(lambda: f" {pid} " in init.status() and " ready " in init.status(), "so does cross-init", LONGEST_S)
