"""Drivers for what supervises the programs of a configuration file, and for none: the test itself."""

import signal
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

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
[supervisorctl]
serverurl=unix://HERE/control
[program:web]
command=COMMAND
autostart=false
autorestart=false
startsecs=0
"""
CIRCUS = """
[circus]
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

    def run(self, *words: str) -> str:
        """Run a command of the supervisor's; what it says."""
        ran = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, timeout=LONGEST_S)
        return ran.stdout

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


class Supervisord(Supervised):
    text = SUPERVISORD

    def start(self, file: str) -> None:
        self.control = (f"{BIN}/supervisorctl", "-c", file)
        self.spawn(f"{BIN}/supervisord", "-c", file)
        until(lambda: "STOPPED" in self.run(*self.control, "status", "web"), "supervisord is up")

    def begin(self) -> None:
        self.run(*self.control, "start", "web")

    def main_pid(self) -> int:
        return int(self.run(*self.control, "pid", "web"))

    def is_down(self) -> bool:
        return any(word in self.run(*self.control, "status", "web") for word in ("EXITED", "STOPPED"))

    def stop(self) -> None:
        self.run(*self.control, "stop", "web")


class Circus(Supervised):
    text = CIRCUS
    restarts = True

    def start(self, file: str) -> None:
        self.control = (f"{BIN}/circusctl", "--endpoint", f"ipc://{self.here}/endpoint")
        self.spawn(f"{BIN}/circusd", file)
        until(lambda: "stopped" in self.run(*self.control, "status", "web"), "circusd is up", 20)

    def begin(self) -> None:
        self.run(*self.control, "start", "web")

    def main_pid(self) -> int:
        return int(self.run(*self.control, "list", "web"))

    def is_down(self) -> bool:
        return "stopped" in self.run(*self.control, "status", "web")

    def stop(self) -> None:
        self.run(*self.control, "stop", "web")
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
