"""Real daemons that say by themselves that they are ready, with no bridge on the way: their supervisors hear it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.outside import ALONE, Plain
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.waiting import until

LONGEST_S = 30
HAPROXY = """global
defaults
    timeout client 1s
    timeout server 1s
    timeout connect 1s
frontend web
    mode http
    bind HERE/web.sock
"""
UNBOUND = """server:
    interface: 0.0.0.0@5353
    username: ""
    chroot: ""
    pidfile: ""
    directory: "HERE"
    use-syslog: no
remote-control:
    control-enable: no
"""
PHP = """[global]
error_log = HERE/php.log
daemonize = no
[www]
user = nobody
group = nogroup
listen = HERE/php.sock
pm = static
pm.max_children = 1
"""
REDIS = '/usr/bin/redis-server --supervised systemd --port 0 --unixsocket HERE/redis.sock --save ""'
# Package: its command, and its configuration.
DAEMONS = {
    "redis-server": (REDIS, ""),
    "haproxy": ("/usr/sbin/haproxy -Ws -f HERE/conf", HAPROXY),
    "mosquitto": ("/usr/sbin/mosquitto -c HERE/conf", "listener 0 HERE/mosquitto.sock\nuser root\n"),
    "unbound": ("/usr/sbin/unbound -d -p -c HERE/conf", UNBOUND),
    "php8.2-fpm": ("/usr/sbin/php-fpm8.2 -F -y HERE/conf", PHP),
}
SUPERVISORS = {"s6-supervise": ("s6-svc", "-t", "-d"), "runsv": ("sv", "term", "down")}  # SIGTERM; and for good


@pytest.fixture
def here() -> Iterator[Machine]:
    """A machine with a resident. Its folder is one that every user reaches."""
    need("s6", "runit")
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        with machine(Path(folder)) as made:
            made.serve()
            yield made


@pytest.mark.parametrize("package", DAEMONS)
@pytest.mark.parametrize("program", SUPERVISORS)
def test_its_supervisor_hears_that_it_is_ready(here: Machine, package: str, program: str) -> None:
    need(package)
    command, conf = DAEMONS[package]
    folder = here.folder / "web"
    (here.folder / "conf").write_text(conf.replace("HERE", str(here.folder)))
    service = Plain(here, program, "web", f"exec {command.replace('HERE', str(here.folder))}")
    controls, end, down = SUPERVISORS[program]
    until((folder / "supervise/status").exists, f"{program} is up")

    def main_pid() -> int:
        if program == "runsv":
            return int.from_bytes((folder / "supervise/status").read_bytes()[12:16], "little")
        return int(here.private.run("s6-svstat", "-o", "pid", str(folder)).out or 0)

    def is_ready() -> bool:
        if program == "runsv":
            return here.private.run("sv", "-w", "1", "check", str(folder)).code == 0
        return service.is_ready()

    def is_up_and_known(but: int = 0) -> bool:
        pid = main_pid()
        return pid > 0 and pid != but and is_ready() and f" {pid} " in here.status() and " ready " in here.status()

    until(is_up_and_known, "it hears it", LONGEST_S)
    assert here.ours() == ALONE
    first = main_pid()
    here.private.run(controls, end, str(folder))
    until(lambda: is_up_and_known(first), "and once more of the next one", LONGEST_S)
    here.private.run(controls, down, str(folder))
    until(lambda: here.status() == "no service is looked after\n", "and that it is stopped", LONGEST_S)
