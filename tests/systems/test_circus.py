"""Daemons for systemd and Upstart as processes of a real circusd: what becomes of its sockets, and of readiness."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH, run
from tests.support.puppet import Puppet, Stage, stage
from tests.support.waiting import until

BIN = Path(sys.executable).parent
PUPPET = Path(__file__).parents[1] / "daemons" / "puppet.py"
LONGEST_S = 30
CONFIGURATION = """
[circus]
endpoint = ipc://{folder}/endpoint
pubsub_endpoint = ipc://{folder}/pubsub
[watcher:web]
cmd = {command}
use_sockets = {use_sockets}
graceful_timeout = 5
{more}
[socket:web]
host = 127.0.0.1
port = 0
[socket:admin]
path = {folder}/admin
blocking = {blocking}
[socket:log]
host = 127.0.0.1
port = 0
type = SOCK_DGRAM
"""


class Circus:
    """A circusd with three sockets and one watcher, web."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, use_sockets: bool = True, blocking: bool = False, more: str = "") -> None:
        """Start it, with a process that runs the bridge with these options."""
        daemon = f"/usr/bin/python3 -IS {PUPPET} {self.folder}/stage"
        command = " ".join((str(BRIDGE), *options, "--", daemon))
        text = CONFIGURATION.format(
            folder=self.folder, command=command, use_sockets=use_sockets, blocking=blocking, more=more
        )
        (self.folder / "circus.ini").write_text(text)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [f"{BIN}/circusd", "circus.ini"],
                env={"PATH": PATH},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """What it and its processes have written."""
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        """circusd's."""
        assert self.process is not None
        return self.process.pid


@pytest.fixture
def init(tmp_path: Path) -> Iterator[Circus]:
    made = None
    try:
        with stage(tmp_path / "stage") as where:
            made = Circus(tmp_path, where)
            try:
                yield made
            except BaseException:
                print(made.log)
                raise
            finally:
                if made.process:
                    made.process.terminate()  # before the puppets end with their stage, or they were started anew
                    until(lambda: f"circus[{made.pid}] [INFO] Got signal SIG_TERM" in made.log, "circusd ends")
        if made.process:
            try:
                made.process.wait(LONGEST_S)
            except subprocess.TimeoutExpired:
                pass  # Circus itself: told to end while it starts a program anew that fails each time, it may hang
    finally:
        if made and made.process:
            made.process.kill()
            made.process.wait()


def passed(puppet: Puppet) -> list[str]:
    """The sockets that the daemon has, by number, without the puppet's own."""
    fds = puppet.hello["fds"]
    return [fds[number] for number in sorted(fds, key=int) if "socket:" in fds[number]]


def test_its_sockets_are_passed_by_name_and_in_order(init: Circus) -> None:
    option = "circus:web=$(circus.sockets.web),admin=$(circus.sockets.admin)"
    init.start("-t", "systemd", "--init", option)
    puppet = init.stage.puppet()
    assert puppet.hello["parent"] == init.pid
    assert puppet.environ["LISTEN_FDNAMES"] == "web:admin"
    assert puppet.environ["LISTEN_FDS"] == "2"
    assert puppet.environ["LISTEN_PID"] == str(puppet.pid)
    assert puppet.hello["fds"]["4"] == f"socket:[{inode_of_unix(init.folder / 'admin')}]"


def inode_of_unix(path: Path) -> str:
    lines = Path("/proc/net/unix").read_text().splitlines()
    return next(words[6] for words in map(str.split, lines) if words[-1] == str(path))


def test_without_names_all_of_them_are_passed(init: Circus) -> None:
    init.start("-t", "systemd")
    puppet = init.stage.puppet()
    assert puppet.environ["LISTEN_FDS"] == "3"
    assert puppet.environ["LISTEN_FDNAMES"] == "unknown:unknown:unknown"
    assert passed(puppet)[:3] == [puppet.hello["fds"][number] for number in ("3", "4", "5")]


def test_a_daemon_for_upstart_serves_the_one_that_is_chosen(init: Circus) -> None:
    option = "circus:web=$(circus.sockets.web),admin=$(circus.sockets.admin)"
    init.start("-t", "upstart", "--init", option, "--socket", "admin", blocking=True)
    puppet = init.stage.puppet()
    assert puppet.environ["SOCKET_PATH"] == str(init.folder / "admin")
    puppet.tell("serve")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LONGEST_S)
        client.connect(str(init.folder / "admin"))
        client.sendall(b"you")
        assert client.recv(100) == b"hello you"


def test_sockets_that_do_not_block_are_pointed_out(init: Circus) -> None:
    option = "circus:web=$(circus.sockets.web),admin=$(circus.sockets.admin)"
    init.start("-t", "systemd", "--init", option, blocking=True)
    init.stage.puppet()
    (line,) = (line for line in init.log.splitlines() if line.startswith("cross-init-bridge: "))
    assert ' "web" (tcp:127.0.0.1:' in line
    assert line.endswith(" does not block: unless the daemon can do with that, say blocking = True in [socket:...]")
    assert "admin" not in line


def test_a_socket_as_standard_input(init: Circus) -> None:
    init.start("-t", "systemd", use_sockets=False, more="stdin_socket = web")
    puppet = init.stage.puppet()
    assert puppet.environ["LISTEN_FDS"] == "1"
    assert puppet.hello["fds"]["3"].startswith("socket:")


def test_sockets_that_are_named_but_not_passed_are_refused(init: Circus) -> None:
    init.start("-t", "systemd", "--init", "circus:web=$(circus.sockets.web)", use_sockets=False)
    until(lambda: "cross-init-bridge: " in init.log, "it is refused")
    line = next(line for line in init.log.splitlines() if line.startswith("cross-init-bridge: "))
    assert line.startswith('cross-init-bridge: taking the socket "web" as descriptor ')
    assert line.endswith(" is open there; the watcher in circus's configuration has to say use_sockets = True")


def test_readiness_goes_to_the_log_and_one_line_says_so(init: Circus) -> None:
    init.start("-t", "systemd", "-N")
    puppet = init.stage.puppet()
    said = ": circus waits for no daemon to be ready; it goes to syslog\n"
    assert f"cross-init-bridge: telling that the daemon is ready{said}" in init.log
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    until(lambda: Path("/dev/log").exists() or f"[{puppet.pid}]: ready after " in init.log, "the log is told")


@pytest.mark.parametrize("option", ["web", "web=", "=3", "web=x", "web=3,", "web=$(circus.sockets.other)"])
def test_what_circusd_has_not_written_is_refused(option: str) -> None:
    result = run("-t", "systemd", "--init", f"circus:{option}", "--", "true")
    assert result.status == 125
    assert result.line.startswith(f"--init circus:{option}: there it takes what circusd wrote for its sockets")


def test_an_init_without_options_takes_none() -> None:
    result = run("-t", "systemd", "--init", "none:x", "--", "true")
    assert result.status == 125
    assert result.line == "--init none:x: nothing may stand behind its name"
