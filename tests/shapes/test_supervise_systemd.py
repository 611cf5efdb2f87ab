"""--supervise on a real systemd: it signals all of the control group, and its main process never changes."""

import os
import select
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.command import BRIDGE, PATH
from tests.support.systemd import Manager

UNIT = "Type=notify\nTimeoutStopSec=20\nExecStart=BRIDGE -t systemd -N --supervise -- PUPPET"
NUMBERS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
# What a manager says of a main process that changes or is not its own (systemd 252 and 262, core/service.c).
COMPLAINTS = ("MAINPID", "Supervising process", "main PID", "not our child")


def test_a_signal_to_the_whole_control_group_reaches_the_daemon_once(system: Manager) -> None:
    with system.unit(UNIT) as unit:
        started = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.send("b'READY=1'")
        assert started.ends() == 0
        for whom in ("all", "main", "all"):
            for number in NUMBERS:
                system.systemctl("kill", f"--kill-whom={whom}", f"--signal={number.name}", unit.name)
                puppet.hear_signal(number)
        stopped = unit.begin("stop")
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        assert puppet.last_words() == [], "nothing came twice"
        assert stopped.ends() == 0
        unit.shows(ActiveState="inactive", Result="success")


def test_a_killed_bridge_leaves_nothing_of_the_service_even_if_systemd_kills_nothing(system: Manager) -> None:
    with system.unit(f"{UNIT}\nKillMode=none") as unit:
        started = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.send("b'READY=1'")
        assert started.ends() == 0
        unit.kill(signal.SIGKILL)
        assert puppet.last_words() == []
        unit.has_only()
        unit.shows(ActiveState="failed", Result="signal")


def test_the_main_process_is_the_bridge_from_its_start_to_its_end(system: Manager) -> None:
    with system.unit(UNIT) as unit:
        started = unit.begin("start")
        first = unit.stage.puppet()
        bridge = unit.main_pid
        assert bridge == first.hello["parent"]
        first.do("import subprocess, sys; child = subprocess.Popen([sys.executable, '-IS', *sys.argv])")
        second = unit.stage.puppet()
        first.send("f'MAINPID={child.pid}'.encode()")
        assert unit.main_pid == bridge, "in the middle of its start"
        second.send("b'READY=1'")
        assert started.ends() == 0
        assert unit.main_pid == bridge
        second.send("b'STATUS=the second one speaks\\nMAINPID=%d' % os.getpid()")
        unit.shows(StatusText="the second one speaks")
        assert unit.main_pid == bridge
        first.tell("exit 0")
        assert first.last_words() == []
        second.tell("exit 7")
        assert second.last_words() == []
        unit.has_only()
        unit.shows(ActiveState="failed", Result="exit-code", ExecMainPID=str(bridge), ExecMainStatus="7")
        assert [line for line in unit.journal() if any(words in line for words in COMPLAINTS)] == []


def test_a_helper_that_stops_does_not_end_the_unit(system: Manager) -> None:
    with system.unit(UNIT.replace("--supervise", "--supervise --notify-access all")) as unit:
        started = unit.begin("start")
        puppet = unit.stage.puppet()
        puppet.send("b'READY=1'")
        assert started.ends() == 0
        puppet.do("if os.fork() == 0:\n    send(\"b'STATUS=a helper\\\\nSTOPPING=1'\")\n    os._exit(0)\nos.wait()")
        unit.shows(StatusText="a helper", ActiveState="active", SubState="running")
        puppet.send("b'STOPPING=1'")
        unit.shows(SubState="stop-sigterm")
        puppet.tell("exit 0")
        unit.shows(ActiveState="inactive", Result="success")


def test_a_start_that_ends_early_is_in_the_journal(system: Manager) -> None:
    for options in ("--supervise", "--ready-timeout 1000"):
        with system.unit(UNIT.replace("--supervise", options)) as unit:
            started = unit.begin("start")
            unit.stage.puppet().tell("exit 3")
            assert started.ends() != 0
            unit.shows(ActiveState="failed")
            assert any("ended (exit code 3) while it still waited for READY=1" in line for line in unit.journal())


def test_nothing_of_ours_ever_sends_mainpid(tmp_path: Path) -> None:
    """Not even what the daemon itself says of it. Asked of all that arrives on the manager's socket."""
    says = """
import os, socket, subprocess
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.environ["NOTIFY_SOCKET"])
child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
sender.send(b"MAINPID=%d\\nREADY=1" % os.getpid())
sender.send(b"STATUS=on\\nMAINPID=%d" % child.pid)
read, write = os.pipe()
socket.send_fds(sender, [b"BARRIER=1"], [write])
os.close(write)
os.read(read, 1)
os.execv("/bin/true", ["true"])
"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        words = [str(BRIDGE), "--init", "systemd", "-t", "systemd", "-N", "--supervise", "--"]
        environ = {"PATH": PATH, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen([*words, "/usr/bin/python3", "-ISc", says], env=environ) as bridge:
            ended = os.pidfd_open(bridge.pid)
            heard = []
            while manager.fileno() in (ready := select.select([manager.fileno(), ended], [], [], 20)[0]):
                body, descriptors, _, _ = socket.recv_fds(manager, 65536, 10)
                for fd in descriptors:
                    os.close(fd)
                heard.append(body.decode())
            assert ready, "neither news nor an end"
            os.close(ended)
    assert "READY=1" in "\n".join(heard).splitlines()
    assert "STATUS=on" in "\n".join(heard).splitlines()
    assert "MAINPID" not in "\n".join(heard)
