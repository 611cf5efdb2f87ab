"""NOTIFY_SOCKET of a resident in the environment of the init itself: all that it starts has it, whoever asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.watch.log import BURST
from tests.resident.test_real_daemons_inits import REDIS, OfDinit
from tests.support.containers import BRIDGE, FRONT_DOOR
from tests.support.dinit import prefix
from tests.support.outside import NOTIFY
from tests.support.packages import need
from tests.support.programs import USUAL
from tests.support.roots import rooted
from tests.support.waiting import until

LONGEST_S = 30
ORPHANS = 3 * BURST
WAITS = "ready-notification = pipefd:4\nload-options = export-service-name\n"
# As a job of cron(8) may: each leads a session of its own and is adopted by process 1, as a service would be.
CRON = f"#!/bin/sh\nfor number in $(seq {ORPHANS}); do setsid -f systemd-notify --ready --status=$number; done\n"
# It says that it is ready, and when it is told to, shows something else where its variables were (setproctitle(3bsd)).
TITLED = """import ctypes, os, signal, socket, time
stat = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(stat[47]), int(stat[48])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.sigwait({signal.SIGUSR1})
ctypes.memset(start, 0, end - start)
signal.pause()
"""
FILES = {
    **OfDinit.files,
    "/etc/env": f"NOTIFY_SOCKET={NOTIFY}\nPATH={USUAL}\n",
    "/etc/redis.sh": f"#!/bin/sh\n{REDIS} --set-proc-title no\n",
    "/etc/dinit.d/redis": f"type = process\ncommand = /etc/redis.sh\n{WAITS}",
    "/etc/dinit.d/bridged": f"type = process\ncommand = {BRIDGE} -t systemd -N -- /etc/redis.sh\n{WAITS}",
    "/etc/titled.py": TITLED,
    "/etc/dinit.d/titled": f"type = process\ncommand = /usr/bin/python3 -IS /etc/titled.py\n{WAITS}",
    "/etc/script.sh": "#!/bin/sh\nsystemd-notify --ready\nexec sleep 1234\n",
    "/etc/dinit.d/script": f"type = process\ncommand = /etc/script.sh\n{WAITS}",
    "/etc/cron.sh": CRON,
    "/etc/dinit.d/cron": "type = scripted\ncommand = /etc/cron.sh\nrun-as = nobody\n",
}


@pytest.fixture(scope="module")
def init() -> Iterator[OfDinit]:
    """A dinit that is process 1."""
    sbin = prefix() / "sbin"
    need("redis-server", "systemd")
    words = ("--container", "-d", "/etc/dinit.d", "-p", "/run/dinitctl", "-e", "/etc/env")
    with rooted(Path("/"), (f"{sbin}/dinit", *words), FILES) as root:
        yield OfDinit(root)


def starts(init: OfDinit, name: str) -> None:
    """It is started, and dinit has waited until it was ready."""
    init.name = name
    assert init.does(*init.starting())
    assert init.is_ready()
    assert f"\n{name} " in init.status()


def stops(init: OfDinit, name: str) -> None:
    init.name = name
    init.stop()
    until(lambda: f"\n{name} " not in init.status(), "it is forgotten", LONGEST_S)


@pytest.mark.parametrize("name", ["redis", "bridged"])
def test_a_daemon_is_heard_with_and_without_a_bridge(init: OfDinit, name: str) -> None:
    starts(init, name)
    stops(init, name)


def test_systemd_notify_of_root_speaks_for_the_script_that_has_called_it(init: OfDinit) -> None:
    starts(init, "script")
    stops(init, "script")


def test_the_resident_is_none_of_its_services(init: OfDinit) -> None:
    assert init.status() == "no service is looked after\n"
    assert "cross-init" not in init.said().replace("cross-init-bridge: ", "")


def test_a_service_keeps_its_name_over_an_upgrade_though_its_variables_are_gone(init: OfDinit) -> None:
    starts(init, "titled")
    pid = init.main_pid()
    init.ask("kill", "-USR1", str(pid))
    until(lambda: init.ask("cat", f"/proc/{pid}/environ").strip("\0") == "", "its variables are gone", LONGEST_S)
    here = Path(f"{init.root.root}/run/cross-init/serve")
    before = here.stat().st_ino
    init.ask("pkill", "-HUP", "--oldest", "-f", f"{FRONT_DOOR} serve")
    until(lambda: here.stat().st_ino != before, "the next one listens", LONGEST_S)
    assert "\ntitled " in init.status()
    stops(init, "titled")


def test_of_what_passes_for_a_service_there_are_few_lines(init: OfDinit) -> None:
    before = init.said().count("\n")
    init.name = "cron"
    assert init.does(*init.starting())
    until(lambda: "systemd-notify" not in init.ask("ps", "-ewo", "args"), "all have spoken", LONGEST_S)
    until(lambda: init.status() == "no service is looked after\n", "none is left", LONGEST_S)
    # BURST of those that pass for one, BURST of those that are not looked at, and a few more with time.
    assert init.said().count("\n") - before < 3 * BURST
    starts(init, "redis")
    stops(init, "redis")
    assert "<defunct>" not in init.ask("ps", "-ewo", "args")
