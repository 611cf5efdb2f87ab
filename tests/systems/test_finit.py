"""On Finit, booted as PID 1: 4.12, where NOTIFY_SOCKET is a bare number, and a later one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.containers import BRIDGE
from tests.support.puppet import Puppet
from tests.support.roots import PUPPET, Root, rooted
from tests.support.trees import tree
from tests.support.waiting import until

TREES = ("trixie", "sid-inits")
TARGETS = ("systemd", "upstart")
# Finit takes what follows the first "--" for a description.
STANZA = "runlevel 2\nservice [2] notify:NOTIFY name:web WORDS -- the daemon\n"
CONFIGURATION = "/etc/finit.conf"
# What the stanza says, and the option that belongs to it.
WAYS = {"systemd": "", "s6": "--ready-fd %n"}


@contextmanager
def running(name: str, notify: str, words: str) -> Iterator[Root]:
    """A Finit that has booted into a runlevel with one service."""
    stanza = STANZA.replace("NOTIFY", notify).replace("WORDS", words)
    redis = "#!/bin/sh\n"  # the tree's own is none of ours
    files = {CONFIGURATION: stanza, "/etc/init.d/redis-server": redis}
    with rooted(tree(name), ("/sbin/finit",), files) as root:
        yield root


def is_ready(root: Root) -> bool:
    return root.run("initctl", "cond", "get", "service/web/ready", check=False).returncode == 0


def get_ready(puppet: Puppet, target: str) -> None:
    if target == "upstart":
        puppet.get_ready()
    else:
        puppet.tell("notify STATUS=a long way to go before it is ready\nREADY=1")
        puppet.hear("notified")


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_service_is_ready_when_the_daemon_is(name: str, way: str, target: str) -> None:
    with running(name, way, f"{BRIDGE} -t {target} -N {WAYS[way]} {PUPPET}") as root:
        puppet = root.stage.puppet()
        assert not is_ready(root)
        get_ready(puppet, target)
        until(lambda: is_ready(root), "Finit hears that it is ready")
        if target == "systemd":
            assert puppet.hello["parent"] == 1
            assert f"PID : {puppet.pid}\n" in root.run("initctl", "status", "web").stdout
        root.run("initctl", "stop", "web")
        puppet.hear_signal(signal.SIGTERM)
        puppet.tell("exit 0")
        until(lambda: BRIDGE not in str(root.processes()) and PUPPET not in str(root.processes()), "nothing is left")


@pytest.mark.parametrize("name", TREES)
def test_a_service_that_finit_does_not_wait_for_is_told_what_to_do(name: str) -> None:
    with running(name, "none", f"/bin/sh -c '{BRIDGE} -t systemd -N --init finit {PUPPET} 2>>/run/said'") as root:
        until(lambda: root.exists("/run/said") and root.read("/run/said").endswith("\n"), "it says why")
        assert "add notify:systemd to the service's stanza" in root.read("/run/said").splitlines()[0]
