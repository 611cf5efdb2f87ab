"""--explain from inside units of a real systemd, and how true it is: a start of the same unit does what it says."""

import json
import socket
from typing import Any

import pytest

from tests.support.systemd import Manager

ONCE = "Type=oneshot\nStandardOutput=file:%t/explained"
HEARS = "NotifyAccess=main"
BEWARE = "the unit has WatchdogSec=, which the daemon does not know: systemd will end it; remove it there"


def runtime(manager: Manager) -> str:
    """What %t is in the manager's units."""
    return f"/run/user/{manager.user}" if manager.user else "/run"


def explained(manager: Manager, words: str, *lines: str, sockets: str = "", instance: str = "") -> tuple[str, str]:
    """What the bridge with these words says as the only process of a unit with these lines, and its exit code."""
    output = manager.container.root / runtime(manager).lstrip("/") / "explained"
    service = "\n".join([ONCE, *lines, f"ExecStart=BRIDGE {words} -- PUPPET"])
    with manager.unit(service, sockets, instance=instance) as unit:
        if sockets:
            manager.systemctl("start", unit.socket)
        try:
            unit.begin("start").ends()
            text = output.read_text()
        finally:
            output.unlink(missing_ok=True)
        assert unit.ours() == [], "nothing on standard error"
        assert unit.stage.is_empty(), "nothing was run"
        return text, unit.show("ExecMainStatus")


def facts_of(manager: Manager, words: str, *lines: str, sockets: str = "", instance: str = "") -> dict[str, Any]:
    """The same as JSON; the exit code has to be as the refusals are."""
    text, status = explained(manager, f"--explain=json {words}", *lines, sockets=sockets, instance=instance)
    facts: dict[str, Any] = json.loads(text)
    assert status == ("125" if facts["refusals"] else "0")
    return facts


def test_it_names_the_init_the_service_and_the_way(manager: Manager) -> None:
    facts = facts_of(manager, "-t upstart -N", HEARS, instance="one-two")
    assert facts["init"] == "systemd"
    assert "PID" in facts["evidence"]
    assert facts["service"].endswith("/one-two")
    assert facts["target"] == "upstart"
    assert facts["shape"] == "hand over"
    assert "the job needs: Type=notify" in facts["translations"]
    assert (facts["losses"], facts["warnings"], facts["refusals"], facts["sockets"]) == ([], [], [], [])
    assert facts["command"][0] == "/usr/bin/python3"


def test_between_equals_nothing_is_done(manager: Manager) -> None:
    facts = facts_of(manager, "-t systemd -N", HEARS, "WatchdogSec=30")
    assert facts["shape"] == "exec"
    assert facts["translations"] == ["nothing: the daemon talks to the init itself"]
    assert facts["warnings"] == []


def test_the_text_says_the_same_on_one_screen(manager: Manager) -> None:
    words = "-t upstart -N --listen unix:%t/listen"
    sockets = "ListenStream=%t/explained.socket\nFileDescriptorName=web"
    text, status = explained(manager, f"--explain {words} --socket web", HEARS, "WatchdogSec=30", sockets=sockets)
    facts = facts_of(manager, f"{words} --socket web", HEARS, "WatchdogSec=30", sockets=sockets)
    assert status == "125", "two sockets are too many for Upstart"
    assert facts["sockets"] == [
        f'fd 3 "web" (unix:{runtime(manager)}/explained.socket), passed by systemd',
        f"unix:{runtime(manager)}/listen, opened by --listen: mode 0666, a missing folder is made with 0755, "
        "backlog 4096",
    ]
    assert facts["warnings"] == [BEWARE]
    assert len(text.splitlines()) <= 24
    for key in ("init", "evidence", "target", "shape", "reason"):
        assert facts[key] in text
    for key in ("sockets", "translations", "losses", "warnings", "refusals"):
        for each in facts[key]:
            assert each in text


def test_without_a_notification_socket_readiness_is_refused_as_the_start_refuses_it(manager: Manager) -> None:
    facts = facts_of(manager, "-t upstart -N")
    (reason,) = facts["refusals"]
    assert "set Type=notify" in reason
    with manager.unit("Type=oneshot\nExecStart=BRIDGE -t upstart -N -- PUPPET") as unit:
        assert unit.start(check=False) != 0
        unit.shows(ExecMainStatus="125")
        (line,) = unit.ours()
        assert reason in line


@pytest.mark.parametrize("words", ["-t upstart", "-t s6"])
def test_a_watchdog_that_nobody_will_feed_is_warned_of_once(manager: Manager, words: str) -> None:
    assert facts_of(manager, words, HEARS, "WatchdogSec=30")["warnings"] == [BEWARE]
    with manager.unit(f"Type=exec\nNotifyAccess=main\nWatchdogSec=30\nExecStart=BRIDGE {words} -- PUPPET") as unit:
        unit.start()
        environ = unit.stage.puppet().environ
        assert unit.ours() == [f"cross-init-bridge: {BEWARE}"]
        assert not [key for key in environ if key.startswith("WATCHDOG_")]


@pytest.mark.parametrize("listen", ["", "--listen unix:%t/watchdog "])
def test_a_daemon_for_systemd_with_a_watchdog_is_not_warned_of(system: Manager, listen: str) -> None:
    with system.unit(f"Type=notify\nWatchdogSec=30\nExecStart=BRIDGE -t systemd -N {listen}-- PUPPET") as unit:
        start = unit.begin("start")
        puppet = unit.stage.puppet()
        assert puppet.environ["WATCHDOG_USEC"] == "30000000"
        puppet.send(repr(b"READY=1\nWATCHDOG=1"))
        assert start.ends() == 0
        assert unit.ours() == []


def test_a_passed_socket_arrives_as_it_was_explained(manager: Manager) -> None:
    path = f"{runtime(manager)}/passed.socket"
    sockets = f"ListenStream={path}"
    (socket_line,) = facts_of(manager, "-t upstart", sockets=sockets)["sockets"]
    assert socket_line.startswith("fd 3 ")
    with (
        manager.unit("ExecStart=BRIDGE -t upstart -- PUPPET", sockets) as unit,
        socket.socket(socket.AF_UNIX) as client,
    ):
        manager.systemctl("start", unit.socket)
        client.settimeout(15)
        client.connect(str(manager.container.root / path.lstrip("/")))
        client.sendall(b"client")
        puppet = unit.stage.puppet()
        assert puppet.environ["UPSTART_FDS"] == "3"
        assert puppet.environ["SOCKET_PATH"] == path
        puppet.tell("serve")
        puppet.hear("served")
        assert client.recv(100) == b"hello client"
