"""On OpenRC: a command that is waited for, and notify= where that is known, under the real start-stop-daemon and
supervise-daemon, booted by openrc-init.
"""

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
NOTIFY_SINCE = (0, 60)  # 0.56 has none, 0.64 has it
TARGETS = ("systemd", "upstart")
SCRIPT = f"""#!/sbin/openrc-run
command={BRIDGE}
pidfile={PID_FILE}
command_args="-t TARGET -N OPTIONS -- COMMAND"
"""
# Debian 12 has dpkg's start-stop-daemon instead of OpenRC's: to stop, it looks for --exec, which the daemon is not.
STOP = "stop() { start-stop-daemon --stop --pidfile $pidfile --retry 10; }\n"
BY_EXIT = (f"--pid-file {PID_FILE}", STOP)
# What stands in the command line, and in the script beside it.
NOTIFIES = {
    "start-stop-daemon, descriptor": ("", "command_background=yes\nnotify=fd:3\n"),
    "start-stop-daemon, another descriptor": ("", "command_background=yes\nnotify=fd:7\n"),
    "start-stop-daemon, socket": ("", "command_background=yes\nnotify=socket:ready\n"),
    "supervise-daemon, descriptor": ("", "supervisor=supervise-daemon\nnotify=fd:3\n"),
    "supervise-daemon, socket": ("", "supervisor=supervise-daemon\nnotify=socket:ready\n"),
}


def script(target: str, how: tuple[str, str], command: str = PUPPET) -> str:
    options, beside = how
    return SCRIPT.replace("TARGET", target).replace("OPTIONS", options).replace("COMMAND", command) + beside


@pytest.fixture(scope="module", params=["bookworm-openrc", "trixie", "sid-inits"])
def machine(request: pytest.FixtureRequest) -> Iterator[Root]:
    """A real OpenRC that has booted."""
    files = {
        "/etc/init.d/redis-server": "#!/sbin/openrc-run\n",  # nothing that the tree's packages have enabled
        "/etc/init.d/last": "#!/sbin/openrc-run\nstart() { : > /run/booted; }\ndepend() { after *; }\n",
        "/etc/runlevels/default/last": "#!/sbin/openrc-run\nstart() { : > /run/booted; }\ndepend() { after *; }\n",
    }
    with rooted(tree(request.param), ("/sbin/openrc-init",), files) as root:
        until(lambda: root.exists("/run/booted"), "OpenRC boots", 30)
        until(lambda: root.processes().keys() == {1}, "nothing else runs")
        yield root


@pytest.fixture
def clean(machine: Root) -> Iterator[Root]:
    """The machine, without what another test may have left."""
    yield machine
    machine.run("rc-service", "web", "zap", check=False)
    machine.stage.dismiss()
    for pid, words in machine.processes().items():
        if words[0] == "supervise-daemon":
            machine.run("kill", str(pid), check=False)
    until(lambda: machine.processes().keys() == {1}, "all that the test started ends")
    # OpenRC 0.64 leaves its socket behind, and with it the next start of the service fails.
    machine.run("rm", "-f", PID_FILE, "/run/web.log", "/run/openrc/supervise-web.sock")


@pytest.fixture
def notifying(clean: Root) -> Root:
    """The machine, if its OpenRC knows notify=."""
    if version(clean) < NOTIFY_SINCE:
        pytest.skip("this version of OpenRC has no notify=")
    return clean


def version(root: Root) -> tuple[int, ...]:
    """OpenRC's, the first two numbers."""
    return tuple(map(int, root.run("openrc", "--version").stdout.split()[2].split(".")[:2]))


def begin(root: Root, word: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        root.enter("rc-service", "web", word),
        env=root.environment(0),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def get_ready(puppet: Puppet, target: str) -> None:
    if target == "upstart":
        puppet.get_ready()
    else:
        puppet.tell("notify STATUS=nearly\nREADY=1")
        puppet.hear("notified")


def starts_and_stops(root: Root, target: str) -> Puppet:
    started = begin(root, "start")
    puppet = root.stage.puppet()
    assert started.poll() is None
    assert "openrc" not in puppet.environ.get("NOTIFY_SOCKET", "")
    get_ready(puppet, target)
    assert started.wait(20) == 0
    assert "started" in root.run("rc-service", "web", "status").stdout
    stopped = begin(root, "stop")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopped.wait(20) == 0
    until(lambda: root.processes().keys() == {1}, "nothing is left")
    return puppet


@pytest.mark.parametrize("target", TARGETS)
def test_a_command_that_is_waited_for(clean: Root, target: str) -> None:
    clean.write("/etc/init.d/web", script(target, BY_EXIT), 0o755)
    starts_and_stops(clean, target)


@pytest.mark.parametrize("target", TARGETS)
def test_a_daemon_that_ends_instead_fails_the_start(clean: Root, target: str) -> None:
    clean.write("/etc/init.d/web", script(target, BY_EXIT), 0o755)
    started = begin(clean, "start")
    clean.stage.puppet().tell("exit 7")
    assert started.wait(20) == 1
    assert not clean.exists(PID_FILE)


def test_a_service_that_nobody_waits_for_is_told_what_to_do(clean: Root) -> None:
    clean.write("/etc/init.d/web", script("systemd", ("", "command_background=yes\nerror_log=/run/web.log\n")), 0o755)
    if not clean.exists("/usr/lib/rc/sbin/start-stop-daemon"):
        pytest.skip("here it is dpkg's start-stop-daemon, which has no --stderr")
    if version(clean) >= NOTIFY_SINCE:
        pytest.skip("this version lets RC_SVCNAME not through, and its program has ended: nothing tells who started us")
    begin(clean, "start").wait(20)
    until(lambda: clean.exists("/run/web.log") and clean.read("/run/web.log").endswith("\n"), "it says why")
    assert "add notify=fd:3" in clean.read("/run/web.log")
    assert clean.read("/run/web.log").count("\n") == 1


@pytest.mark.parametrize("how", NOTIFIES)
@pytest.mark.parametrize("target", TARGETS)
def test_notify(notifying: Root, how: str, target: str) -> None:
    notifying.write("/etc/init.d/web", script(target, NOTIFIES[how]), 0o755)
    starts_and_stops(notifying, target)


def test_a_daemon_that_supervise_daemon_starts_anew_runs(notifying: Root) -> None:
    notifying.write("/etc/init.d/web", script("systemd", NOTIFIES["supervise-daemon, socket"]), 0o755)
    started = begin(notifying, "start")
    puppet = notifying.stage.puppet()
    get_ready(puppet, "systemd")
    assert started.wait(20) == 0
    puppet.tell("exit 1")
    again = notifying.stage.puppet()
    get_ready(again, "systemd")
    stopped = begin(notifying, "stop")
    again.hear_signal(signal.SIGTERM)
    again.tell("exit 0")
    assert stopped.wait(20) == 0


def test_redis_under_openrc(clean: Root) -> None:
    redis = "/usr/bin/redis-server --supervised systemd --daemonize no --port 0 --save '' --unixsocket /run/redis.sock"
    clean.write("/etc/init.d/web", script("systemd", BY_EXIT, redis), 0o755)
    assert begin(clean, "start").wait(20) == 0
    assert clean.run("redis-cli", "-s", "/run/redis.sock", "ping").stdout == "PONG\n"
    clean.run("rc-service", "web", "stop")
    until(lambda: clean.processes().keys() == {1}, "nothing is left")
