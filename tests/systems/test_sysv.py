"""On sysvinit: LSB scripts, by hand and at boot, and the real start-stop-daemon of dpkg."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.containers import BRIDGE
from tests.support.puppet import Puppet
from tests.support.roots import PUPPET, Root, rooted
from tests.support.trees import tree
from tests.support.waiting import until

PID_FILE = "/run/web.pid"
# As an LSB script is that has its daemon's readiness waited for.
SCRIPT = f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: web
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case $1 in
start) START; echo $? > /run/web.started ;;
stop) start-stop-daemon --stop --pidfile {PID_FILE} --retry 10 ;;
status) start-stop-daemon --status --pidfile {PID_FILE} ;;
esac
"""
FRONT = f"{BRIDGE} -t TARGET -N --pid-file {PID_FILE} -- {PUPPET} 2> /run/web.log"
IN_BACKGROUND = (
    f"start-stop-daemon --start --background --notify-await --notify-timeout 20 --make-pidfile --pidfile {PID_FILE} "
    f"--startas {BRIDGE} -- -t TARGET -N -- {PUPPET}"
)
IN_FOREGROUND = f"start-stop-daemon --start --pidfile {PID_FILE} --startas {BRIDGE} -- {FRONT.removeprefix(BRIDGE)}"
STARTS = {"by itself": FRONT, "start-stop-daemon": IN_FOREGROUND, "--notify-await": IN_BACKGROUND}
INITTAB = "id:2:initdefault:\nl2:2:wait:/etc/init.d/rc 2\n"
TARGETS = ("systemd", "upstart")


def script(start: str, target: str) -> str:
    return SCRIPT.replace("START", STARTS[start].replace("TARGET", target))


@pytest.fixture(scope="module")
def machine() -> Iterator[Root]:
    """A real sysvinit that has booted into a runlevel without services."""
    with rooted(tree("bookworm-sysvinit"), ("/sbin/init",), {"/etc/inittab": "id:2:initdefault:\n"}) as root:
        yield root


@pytest.fixture
def clean(machine: Root) -> Iterator[Root]:
    """The machine, without what another test may have left."""
    yield machine
    machine.stage.dismiss()
    until(lambda: machine.processes().keys() == {1}, "all that the test started ends")
    machine.run("rm", "-f", PID_FILE, "/run/web.started", "/run/web.log")


def get_ready(puppet: Puppet, target: str) -> None:
    if target == "upstart":
        puppet.get_ready()
    else:
        puppet.tell("notify STATUS=nearly\nREADY=1")
        puppet.hear("notified")


def service(root: Root, word: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(root.enter("service", "web", word), env=root.environment(0), stdin=subprocess.DEVNULL)


def named(root: Root) -> int:
    return int(root.read(PID_FILE))


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_script_returns_when_the_daemon_is_ready_and_its_pid_file_stops_it(
    clean: Root, start: str, target: str
) -> None:
    clean.write("/etc/init.d/web", script(start, target), 0o755)
    started = service(clean, "start")
    puppet = clean.stage.puppet()
    assert started.poll() is None
    assert not clean.exists("/run/web.started")
    assert "NOTIFY_SOCKET" not in puppet.environ or "s-s-d" not in puppet.environ["NOTIFY_SOCKET"]
    get_ready(puppet, target)
    assert started.wait(20) == 0
    assert clean.read("/run/web.started") == "0\n"
    supervised = target == "upstart" and start == "--notify-await"  # the message's sender stays the main process
    assert (named(clean) == puppet.pid) != supervised
    assert service(clean, "status").wait(20) == 0
    stopped = service(clean, "stop")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopped.wait(20) == 0
    until(lambda: clean.processes().keys() == {1}, "nothing is left")
    if start != "--notify-await" and target == "systemd":
        assert not clean.exists(PID_FILE)


@pytest.mark.parametrize("start", ["by itself", "start-stop-daemon"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_daemon_that_ends_instead_fails_the_start_with_its_status(clean: Root, start: str, target: str) -> None:
    clean.write("/etc/init.d/web", script(start, target), 0o755)
    started = service(clean, "start")
    clean.stage.puppet().tell("exit 7")
    started.wait(20)
    assert clean.read("/run/web.started") == "7\n"
    assert not clean.exists(PID_FILE)


def test_a_second_start_is_refused_and_the_first_goes_on(clean: Root) -> None:
    clean.write("/etc/init.d/web", script("by itself", "systemd"), 0o755)
    started = service(clean, "start")
    puppet = clean.stage.puppet()
    get_ready(puppet, "systemd")
    assert started.wait(20) == 0
    assert service(clean, "start").wait(20) == 0
    assert clean.read("/run/web.started") == "125\n"
    assert f"the service runs already, as PID {puppet.pid}: stop it first" in clean.read("/run/web.log")
    assert named(clean) == puppet.pid


def test_explain_names_the_script(clean: Root) -> None:
    explain = f"{BRIDGE} -t systemd -N --explain -- /bin/true > /run/web.log"
    clean.write("/etc/init.d/web", SCRIPT.replace("START", explain), 0o755)
    assert service(clean, "start").wait(20) == 0
    lines = clean.read("/run/web.log").splitlines()
    assert lines[0].startswith("init        sysv, because the parent process ")
    assert lines[0].endswith(" runs /etc/init.d/web")
    assert lines[1] == "service     web"


@pytest.mark.parametrize("start", STARTS)
def test_at_boot_the_next_script_waits_for_readiness(start: str) -> None:
    files = {
        "/etc/inittab": INITTAB,
        "/etc/init.d/web": script(start, "systemd"),
        "/etc/rc2.d/S01web": script(start, "systemd"),
        "/etc/init.d/.depend.start": "TARGETS = web\nINTERACTIVE =\n",
        "/etc/rc2.d/S02after": "#!/bin/sh\n",
    }
    with rooted(tree("bookworm-sysvinit"), ("/sbin/init",), files) as root:
        puppet = root.stage.puppet()
        assert puppet.environ["RUNLEVEL"] == "2"
        assert not root.exists("/run/web.started")
        get_ready(puppet, "systemd")
        until(lambda: root.exists("/run/web.started"), "the script goes on")
        assert named(root) == puppet.pid
        assert root.run("service", "web", "status").returncode == 0


def test_a_forking_daemon_that_is_not_ready_in_time_is_ended(clean: Root) -> None:
    daemon = "/bin/sh -c 'setsid sleep 1000 & wait'"
    start = f"{BRIDGE} -t sysv -N --ready-timeout 0.5 --pid-file {PID_FILE} -- {daemon} 2> /run/web.log"
    clean.write("/etc/init.d/web", SCRIPT.replace("START", start), 0o755)
    service(clean, "start").wait(20)
    assert clean.read("/run/web.started") == "125\n"
    assert f"still waits for the PID file {PID_FILE} to name the daemon and the command" in clean.read("/run/web.log")
    until(lambda: clean.processes().keys() == {1}, "nothing is left")


def test_a_forking_daemon_is_ready_when_what_is_observed_holds_too(clean: Root) -> None:
    daemon = f"/usr/bin/python3 -IS /mnt/project/examples/sysv_daemon.py {PID_FILE}"
    start = f"{BRIDGE} -t sysv -N --ready-when exec:'test -e /run/go' --pid-file {PID_FILE} -- {daemon} 2> /run/web.log"
    clean.write("/etc/init.d/web", SCRIPT.replace("START", start), 0o755)
    started = service(clean, "start")
    until(lambda: clean.exists(PID_FILE), "the daemon is ready")
    assert started.poll() is None
    assert not clean.exists("/run/web.started")
    clean.write("/run/go", "")
    assert started.wait(20) == 0
    assert clean.read("/run/web.started") == "0\n"
    assert service(clean, "stop").wait(20) == 0
    until(lambda: clean.processes().keys() == {1}, "nothing is left")


def test_redis_under_sysvinit(clean: Root) -> None:
    redis = "/usr/bin/redis-server --supervised systemd --daemonize no --port 0 --save '' --unixsocket /run/redis.sock"
    start = f"{BRIDGE} -t systemd -N --end-after-ready --pid-file {PID_FILE} -- {redis} > /run/web.log 2>&1"
    clean.write("/etc/init.d/web", SCRIPT.replace("START", start), 0o755)
    assert service(clean, "start").wait(20) == 0
    assert clean.read("/run/web.started") == "0\n"
    assert clean.run("redis-cli", "-s", "/run/redis.sock", "ping").stdout == "PONG\n"
    until(lambda: clean.processes().keys() == {1, named(clean)}, "nothing of ours stays")
    assert service(clean, "stop").wait(20) == 0
