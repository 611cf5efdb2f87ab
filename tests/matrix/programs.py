"""Drivers for what supervises the programs of a configuration file, and for none: the test itself.

supervisord and circusd are asked in their own protocols: their control programs take a second to start.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import ServerProxy, Transport

import zmq

from tests.matrix.driver import Driver
from tests.support.command import BRIDGE, PATH
from tests.support.containers import PROJECT
from tests.support.upstart import reap
from tests.support.waiting import until

BIN = Path(sys.executable).parent
LONGEST_S = 30
SUPERVISORD = """
[supervisord]
nodaemon=true
logfile=HERE/log
pidfile=HERE/supervisord.pid
[unix_http_server]
file=HERE/control
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:web]
command=COMMAND
autostart=false
autorestart=false
startsecs=0
"""
CIRCUS = """
[circus]
check_delay = 0.2
endpoint = ipc://HERE/endpoint
pubsub_endpoint = ipc://HERE/pubsub
[watcher:web]
cmd = COMMAND
autostart = False
graceful_timeout = 10
"""


class Program(Driver):
    """A supervisor of ours, in the foreground."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.here = str(folder)
        self.bridge, self.project = str(BRIDGE), str(PROJECT)
        self.process: subprocess.Popen[bytes] | None = None

    def spawn(self, *words: str) -> None:
        """Start the supervisor, or the service."""
        with (self.folder / "output").open("ab") as log:
            self.process = subprocess.Popen(
                words, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    @abstractmethod
    def close(self) -> None:
        """End all that was started."""


class Supervised(Program):
    """text: the configuration file's."""

    waits = False
    text: str

    def install(self, words: list[str]) -> None:
        file = self.folder / "configuration"
        file.write_text(self.text.replace("COMMAND", " ".join(words)).replace("HERE", self.here))
        self.start(str(file))

    @abstractmethod
    def start(self, file: str) -> None:
        """Start the supervisor; return when it can be told something."""

    def is_ready(self) -> bool:
        return False

    def close(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(LONGEST_S)
            finally:
                self.process.kill()
                self.process.wait()


class Unix(Transport):
    """XML-RPC over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=LONGEST_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        return connection


class Supervisord(Supervised):
    text = SUPERVISORD

    def start(self, file: str) -> None:
        self.spawn(f"{BIN}/supervisord", "-c", file)
        until(self._answers, "supervisord is up", 20)

    def _answers(self) -> bool:
        """Whether it listens: the path is there before."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(f"{self.here}/control") == 0

    def ask(self, method: str, *words: Any) -> Any:
        """Call supervisord; see https://supervisord.org/api.html."""
        with ServerProxy("http://localhost", Unix(f"{self.here}/control")) as server:
            return getattr(server.supervisor, method)("web", *words)

    def begin(self) -> None:
        self.ask("startProcess", False)

    def main_pid(self) -> int:
        return int(self.ask("getProcessInfo")["pid"])

    def is_down(self) -> bool:
        return self.ask("getProcessInfo")["statename"] in ("EXITED", "STOPPED")

    def stop(self) -> None:
        self.ask("stopProcess")


class Circus(Supervised):
    text = CIRCUS
    restarts = True

    def start(self, file: str) -> None:
        self.spawn(f"{BIN}/circusd", file)
        until(Path(self.here, "endpoint").exists, "circusd is up", 20)

    def ask(self, command: str) -> dict[str, Any]:
        """Send circusd a command about the watcher; see its documentation, "Commands"."""
        # Its threads end with it: tests fork.
        with zmq.Context() as context, context.socket(zmq.DEALER) as asking:
            asking.setsockopt(zmq.LINGER, 0)
            asking.connect(f"ipc://{self.here}/endpoint")
            asking.send_json({"id": "1", "command": command, "properties": {"name": "web"}})
            assert asking.poll(LONGEST_S * 1000), f"circusd does not answer {command}"
            answer: dict[str, Any] = json.loads(asking.recv())
            return answer

    def begin(self) -> None:
        self.ask("start")

    def main_pid(self) -> int:
        (pid,) = self.ask("list")["pids"]
        return int(pid)

    def is_down(self) -> bool:
        return bool(self.ask("status")["status"] == "stopped")

    def stop(self) -> None:
        # While it still starts it, which it does for some time after the daemon has run, it refuses.
        until(lambda: bool(self.ask("stop")["status"] == "ok"), "circusd stops it")
        until(self.is_down, "circusd has stopped it")


class Shell(Program):
    """No init at all: this very process starts the service, and waits for it."""

    def install(self, words: list[str]) -> None:
        self.words = words

    def begin(self) -> None:
        (self.folder / "output").unlink(missing_ok=True)
        self.spawn(*self.words)

    def is_ready(self) -> bool:
        return " is ready after " in (self.folder / "output").read_text()

    def main_pid(self) -> int:
        assert self.process
        return self.process.pid

    def is_down(self) -> bool:
        assert self.process
        return self.process.poll() is not None

    def stop(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LONGEST_S)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def program(kind: Callable[[Path], Program], folder: Path) -> Iterator[Driver]:
    """A program's supervisor; it ends with the service."""
    reap(True)
    driver = kind(folder)
    try:
        yield driver
    finally:
        driver.close()
        reap(False)
