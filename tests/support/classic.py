"""Real daemons of Debian that fork away, unmodified, as services of an init that wants a process in the foreground."""

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.matrix.daemons import is_bridge
from tests.matrix.foreground import Foreground
from tests.support.command import FRONT_DOOR, PATH
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.processes import children, descendants
from tests.support.waiting import until


class Daemon:
    """One that forks away. HERE in its words and configuration is a folder of its own, PORT a free port.

    poke: a signal, and what stands in the file HERE/log when it has come. stopped: how it ends on SIGTERM.
    """

    def __init__(
        self, package: str, words: str, text: str = "", poke: tuple[int, str] | None = None, stopped: int = 0
    ) -> None:
        self.package = package
        self.words = words
        self.text = text
        self.poke = poke
        self.stopped = stopped


NGINX = """
user root; worker_processes 1; pid HERE/pid; error_log HERE/log notice; events {}
http { access_log off; server { listen 127.0.0.1:PORT; listen unix:HERE/socket; location / { return 200 "$pid"; } } }
"""
HAPROXY = """
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind 127.0.0.1:PORT
"""
DNSMASQ = """
port=PORT
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
user=root
log-facility=HERE/log
"""
# dnsmasq forks twice, the others once.
DAEMONS = {
    "nginx": Daemon("nginx", "/usr/sbin/nginx -c HERE/conf", NGINX, (signal.SIGUSR1, "reopening logs")),
    "haproxy": Daemon("haproxy", "/usr/sbin/haproxy -D -p HERE/pid -f HERE/conf", HAPROXY, None, -signal.SIGTERM),
    "memcached": Daemon("memcached", "/usr/bin/memcached -d -u root -l 127.0.0.1 -p PORT -P HERE/pid"),
    "dnsmasq": Daemon(
        "dnsmasq-base",
        "/usr/sbin/dnsmasq --conf-file=HERE/conf --pid-file=HERE/pid",
        DNSMASQ,
        (signal.SIGUSR1, "cache size"),
    ),
}
LISTENS = "0A"  # proc_pid_net(5), tcp
WITH_PID_FILE, WITHOUT = ("--pid-file", "HERE/pid"), ()


def install(driver: Foreground, daemon: Daemon, options: tuple[str, ...]) -> int:
    """Have it as a service of this init; the port that it will serve."""
    need(daemon.package)
    port = free_port()

    def filled(text: str) -> str:
        return text.replace("HERE", driver.here).replace("PORT", str(port))

    (driver.folder / "conf").write_text(filled(daemon.text))
    words = [*options, "--", *daemon.words.split()]
    driver.install([driver.bridge, "-t", "sysv", "-N", *(filled(word) for word in words)])
    return port


def serves(driver: Foreground, port: int) -> bool:
    """Whether somebody listens there; a client would have some of these daemons fork."""
    lines = (driver.network / "tcp").read_text().splitlines()
    return any(line.split()[1:4:2] == [f"0100007F:{port:04X}", LISTENS] for line in lines)


def starts(driver: Foreground, port: int) -> int:
    """Start it; returns its main process, when the init knows that it is ready: it has to serve at once then."""
    (driver.folder / "socket").unlink(missing_ok=True)  # of one that crashed
    driver.begin()
    if driver.waits:
        until(driver.is_ready, "it is ready", 20)
        assert serves(driver, port)
    else:
        until(lambda: serves(driver, port), "it serves", 20)
        until(lambda: is_followed(driver.main_pid()), "the one that it forked last is followed")
    until(lambda: len(daemons(driver)) == 1, "the processes in between have gone")
    return daemons(driver)[0]


def is_followed(bridge: int) -> bool:
    """Whether this bridge says that its service is ready: the first process serves already, and is not the last."""
    asked = subprocess.run([FRONT_DOOR, "status", "--json"], env={"PATH": PATH}, capture_output=True, text=True)
    return any(each["bridge"] == bridge and each["state"] == "ready" for each in json.loads(asked.stdout))


def daemons(driver: Foreground) -> list[int]:
    """Children of the main process that are not ours."""
    main = driver.main_pid()
    return [pid for pid in children(main) if not is_bridge(words_of(pid))]


def words_of(pid: int) -> list[str]:
    """Its command line; one empty word of what has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return [""]


def remains(before: list[int]) -> list[int]:
    """What is left of the service: all that runs now below this test and did not before it started."""
    return [pid for pid in descendants(os.getpid()) if pid not in before and words_of(pid) != [""]]
