"""With Debian's python3-minimal alone: what works, and that what does not is one line before anything is started."""

import json
import os
from collections.abc import Iterator

import pytest

from tests.support.command import IS_STATIC
from tests.support.containers import BRIDGE, INSIDE
from tests.support.roots import Root, rooted
from tests.support.trees import tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a tree of its own")
# A daemon that goes on for a moment when it is ready, and ends with 4.
LIVES = "echo one; touch /tmp/up; echo $$ > /tmp/pid; sleep 0.5; echo two; exit 4"
WORK = {
    "exec": "-t systemd",
    "watch": "-t systemd -N",
    "supervise": "-t systemd -N --supervise",
    "until ready": "-t systemd -N --end-after-ready",
    "store": "-t systemd -N --fd-store 3",
    "health": "-t systemd -N --health-listen unix:/tmp/health",
    "state": "-t systemd -N --state-file /tmp/state",
    "listen": "-t systemd --listen tcp:127.0.0.1:0",
    "Upstart": "-t upstart -N",
    "s6": "-t s6 -N",
    "watchdog": "-t systemd -N --watchdog 9",
}
OBSERVED = ("file:/tmp/up", "pid-file:/tmp/pid", "log:one", "exec:true", "log:.")
UNMET = {
    "-t sysv -N": "following a daemon that forks away",
    "-t systemd -N --supervise --pid-file /tmp/pid": "following a daemon that forks away",
    "-t systemd --ready-when http://127.0.0.1/": "has no http client",
    "-t systemd --ready-when https://127.0.0.1/": "has no https client",
    "-t systemd --ready-when dbus:a.b": "install python3-jeepney",
    "-t systemd --adopt-socket unix:/tmp/listened": "no module ctypes; install python3",
}
LISTENS = (
    "import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('/tmp/listened'); s.listen(); "
    "open('/tmp/listens', 'w'); time.sleep(60)"
)


@pytest.fixture(scope="module")
def root() -> Iterator[Root]:
    with rooted(tree("bookworm-python3-minimal")) as made:
        # What the test command has installed in a checkout is not what this machine has.
        made.run("/bin/sh", "-c", f"cd {INSIDE}; [ ! -d .venv ] || exec mount -t tmpfs tmpfs .venv")
        assert made.run("/usr/bin/python3", "-c", "import ctypes", check=False).returncode == 1
        yield made


def start(root: Root, options: str, daemon: str = LIVES) -> tuple[int, str, str]:
    root.run("/bin/rm", "-rf", "/tmp/up", "/tmp/pid")
    ran = root.run(BRIDGE, *options.split(), "--init", "none", "--", "/bin/sh", "-c", daemon, check=False)
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("way", WORK)
def test_this_works(root: Root, way: str) -> None:
    status, out, err = start(root, WORK[way])
    assert (status, out) == (4, "one\ntwo\n"), err
    assert "mistake" not in err


@pytest.mark.parametrize("condition", OBSERVED)
@pytest.mark.parametrize("beside", ["", " --supervise", " --ready-when log:t?"])
def test_so_does_what_is_observed_and_no_output_is_lost(root: Root, condition: str, beside: str) -> None:
    status, out, err = start(root, f"-t systemd --ready-when {condition}{beside}")
    assert (status, out) == (4, "one\ntwo\n"), err
    assert "is ready after" in err


def test_a_unix_socket_is_waited_for_without_inotify(root: Root) -> None:
    daemon = f"timeout 3 /usr/bin/python3 -ISc '{LISTENS.replace(chr(39), chr(34)).replace('listened', 'late')}'"
    status, _, err = start(root, "-t systemd --ready-when unix:/tmp/late --ready-timeout 30", daemon)
    assert status == 124, err
    assert "is ready after" in err


HAS_ALL = pytest.mark.skipif(IS_STATIC, reason="the static file lacks nothing that python3-minimal lacks")


@HAS_ALL
@pytest.mark.parametrize("options", UNMET)
def test_what_is_missing_is_one_line_before_the_start_and_explained(root: Root, options: str) -> None:
    daemon = "touch /tmp/started"
    root.run("/bin/rm", "-f", "/tmp/started")
    listens = f'timeout 20 /usr/bin/python3 -ISc "{LISTENS}" & until [ -e /tmp/listens ]; do :; done'
    setup = f"rm -f /tmp/listened /tmp/listens; {listens}"
    words = f"{BRIDGE} {options} --init none"
    asked = root.run("/bin/sh", "-c", f"{setup}; {words} -- sh -c '{daemon}'; echo $?; kill $!", check=False)
    assert asked.stdout == "125\n"
    assert UNMET[options] in asked.stderr
    assert "install python3" in asked.stderr
    assert asked.stderr.count("\n") == 1
    assert not root.exists("/tmp/started")
    explained = root.run("/bin/sh", "-c", f"{setup}; {words} --explain=json -- sh -c x; kill $!", check=False)
    assert asked.stderr.removeprefix("cross-init-bridge: ").strip() in json.loads(explained.stdout)["refusals"]


def test_json_needs_no_module(root: Root) -> None:
    explained = root.run(BRIDGE, "-t", "systemd", "-N", "--explain=json", "--", "/bin/true")
    assert json.loads(explained.stdout)["target"] == "systemd"
    asked = root.run(f"{BRIDGE.rpartition('/')[0]}/cross-init", "status", "--json")
    assert json.loads(asked.stdout) == []


@HAS_ALL
def test_a_main_process_that_cannot_be_followed_is_a_caution(root: Root) -> None:
    explained = root.run(BRIDGE, "-t", "systemd", "-N", "--supervise", "--explain=json", "--", "/bin/true")
    assert "MAINPID=" in "".join(json.loads(explained.stdout)["warnings"])
