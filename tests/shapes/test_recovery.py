"""Real daemons whose main process is killed, and whose workers have its port: started anew, they serve."""

import os
import select
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.matrix.daemons import is_bridge
from tests.matrix.directories import S6, Runit, directory
from tests.matrix.driver import Driver
from tests.matrix.foreground import RealUpstartJob, real_upstart_job
from tests.support.classic import words_of
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.processes import children, descendants, end, kill
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to install the daemons and for their inits")
LONGEST_S = 30
LISTENS = "0A"  # proc_pid_net(5), tcp


class Daemon:
    """HERE is a folder that it has to itself, PORT a number that is free; text is in HERE/conf."""

    def __init__(self, package: str, words: str, text: str, says: bool = False) -> None:
        self.package = package
        self.words = words
        self.text = text
        self.says = says  # that it is ready


PHP = """
[global]
error_log = /dev/stderr
[www]
user = www-data
listen = 127.0.0.1:PORT
pm = static
pm.max_children = 2
"""
NGINX = """
daemon off; user root; worker_processes 2; pid HERE/pid; error_log stderr; events {}
http { access_log off; server { listen 127.0.0.1:PORT; } }
"""
APACHE = """
ServerRoot HERE
ServerName localhost
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
Listen 127.0.0.1:PORT
PidFile HERE/pid
ErrorLog /dev/stderr
Mutex sysvsem default
User www-data
Group www-data
"""
SQUID = """
http_port 127.0.0.1:PORT
pid_filename HERE/pid
cache_log /dev/null
access_log none
coredump_dir /
shutdown_lifetime 1 second
http_access deny all
"""
GUNICORN = "import sys\ndef app(environ, start):\n    start('200 OK', [])\n    return [b'x']\n"
DAEMONS = {
    "php-fpm": Daemon("php8.2-fpm", "/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config HERE/conf", PHP, True),
    "nginx": Daemon("nginx", "/usr/sbin/nginx -c HERE/conf", NGINX),
    "apache2": Daemon(
        "apache2-bin", "/usr/sbin/apache2 -D FOREGROUND -f HERE/conf", APACHE
    ),  # its workers block SIGTERM
    "squid": Daemon("squid", "/usr/sbin/squid --foreground -n tPORT -YC -f HERE/conf", SQUID),
    "gunicorn": Daemon(
        "gunicorn",
        "/usr/bin/gunicorn --chdir HERE --graceful-timeout 2 -w 2 -b 127.0.0.1:PORT conf:app",
        GUNICORN,
        True,
    ),
}


INITS: dict[str, Callable[[Path], AbstractContextManager[Driver]]] = {
    "s6": lambda folder: directory(S6, folder),
    "runit": lambda folder: directory(Runit, folder),
    "real upstart": real_upstart_job,
}


def install(driver: Driver, daemon: Daemon, *options: str) -> int:
    """Have it as a service; the port that it will serve."""
    need(daemon.package)
    port = free_port()

    def filled(text: str) -> str:
        return text.replace("HERE", driver.here).replace("PORT", str(port))

    (driver.folder / "conf").write_text(filled(daemon.text))
    (driver.folder / "conf.py").write_text(daemon.text)
    ready = ("-t", "systemd", "-N") if daemon.says else ("-t", "plain", "--ready-when", f"tcp:127.0.0.1:{port}")
    driver.install([driver.bridge, *ready, *options, "--", *filled(daemon.words).split()])
    return port


def serves(driver: Driver, port: int) -> bool:
    network = driver.network if isinstance(driver, RealUpstartJob) else Path("/proc/self/net")
    lines = (network / "tcp").read_text().splitlines()
    return any(line.split()[1:4:2] == [f"0100007F:{port:04X}", LISTENS] for line in lines)


def tracked(driver: Driver) -> int:
    """The main process that the init shows; 0 while there is none."""
    try:
        return max(driver.main_pid(), 0)
    except (ValueError, OSError, AssertionError, IndexError):
        return 0


def main_process(driver: Driver) -> int:
    """The daemon's: the one that the init shows, or that one's child."""
    main = tracked(driver)
    found = [pid for pid in children(main) if not is_bridge(words_of(pid))] if is_bridge(words_of(main)) else [main]
    return found[0]


@pytest.mark.parametrize("shape", ["watch", "supervise"])
@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("init", INITS)
def test_it_is_started_anew_and_serves(init: str, name: str, shape: str, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    tmp_path.chmod(0o755)
    before = descendants(os.getpid())
    try:
        with INITS[init](folder) as driver:
            port = install(driver, DAEMONS[name], *(["--supervise"] if shape == "supervise" else []))
            driver.begin()
            until(driver.is_ready, "it is ready", LONGEST_S)
            bridge, first = tracked(driver), main_process(driver)
            until(lambda: children(first) != [], "it has workers")
            workers = {pid: os.pidfd_open(pid) for pid in descendants(first)}
            kill(first)
            if not driver.restarts:
                until(driver.is_down, "the init sees that", LONGEST_S)
                driver.begin()
            until(lambda: tracked(driver) not in (0, bridge), "it is started anew", LONGEST_S)
            second = tracked(driver)
            until(lambda: driver.is_ready() and serves(driver, port), "it is ready again", LONGEST_S)
            assert tracked(driver) == second, "the first attempt had the port"
            for pidfd in workers.values():
                assert select.select([pidfd], [], [], 0)[0], "a worker of the first one lives"
                os.close(pidfd)
            driver.stop()
    finally:
        end([pid for pid in descendants(os.getpid()) if pid not in before])  # of a test that fails
