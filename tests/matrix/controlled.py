"""Drivers for inits that are told what to do by a control program of theirs: Finit, the GNU Shepherd, dinit."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.matrix.driver import Driver
from tests.matrix.rooted import Rooted
from tests.support.command import BRIDGE
from tests.support.containers import PROJECT
from tests.support.dinit import Dinit, dinit
from tests.support.waiting import until


class Finit(Rooted):
    """A stanza with notify:systemd."""

    boots, up = ("/sbin/finit",), "/run/finit/socket"
    files: ClassVar = {
        "/etc/finit.conf": "runlevel 2\n",
        "/etc/init.d/redis-server": "#!/bin/sh\n",
        "/etc/finit.d/none": "",
    }
    restarts = True

    def install(self, words: list[str]) -> None:
        at = words.index("--")
        line = " ".join((*words[:at], *words[at + 1 :]))  # what follows the first "--" would be a description
        text = f"service [2] manual:yes restart_sec:1 notify:systemd name:{self.name} {line} -- a daemon\n"
        self.root.write(f"/etc/finit.d/{self.name}.conf", text)
        until(lambda: self.ask("initctl", "reload")[0] == 0, "Finit has booted and reads it")
        until(self.is_down, "Finit knows the service")

    def starting(self) -> tuple[str, ...]:
        return ("initctl", "start", self.name)

    def is_ready(self) -> bool:
        return self.ask("initctl", "cond", "get", f"service/{self.name}/ready")[0] == 0

    def main_pid(self) -> int:
        return self.numbered(self.ask("initctl", "status", self.name)[1].partition("PID : ")[2].partition("\n")[0])

    def is_down(self) -> bool:
        return "stopped" in self.ask("initctl", "status", self.name)[1]

    def stop(self) -> None:
        self.ask("initctl", "stop", self.name)


SHEPHERD_SOCKET = "/run/shepherd/socket"
SHEPHERD = """(register-services (list (service '(NAME)
  #:start (make-forkexec-constructor '(WORDS) #:pid-file "HERE/pid" #:pid-file-timeout 20 #:log-file "HERE/log")
  #:stop (make-kill-destructor) #:respawn? #t)))
"""


class Shepherd(Rooted):
    """A service with #:pid-file."""

    boots = ("/usr/bin/shepherd", "--config=/etc/shepherd.scm", "--logfile=/run/shepherd.log")
    up = SHEPHERD_SOCKET
    files: ClassVar = {"/etc/shepherd.scm": "(register-services '())\n"}
    restarts = True
    names_main = True

    def herd(self, *words: str) -> tuple[str, ...]:
        return ("herd", f"--socket={SHEPHERD_SOCKET}", *words)

    def install(self, words: list[str]) -> None:
        text = SHEPHERD.replace("NAME", self.name).replace("WORDS", " ".join(f'"{word}"' for word in words))
        self.root.write(f"{self.here}/service.scm", text.replace("HERE", self.here))
        self.root.run(*self.herd("load", "root", f"{self.here}/service.scm"))

    def starting(self) -> tuple[str, ...]:
        return self.herd("start", self.name)

    def status(self) -> str:
        """What the Shepherd says of it."""
        return self.ask(*self.herd("status", self.name))[1]

    def is_ready(self) -> bool:
        return "It is running" in self.status()

    def main_pid(self) -> int:
        return self.numbered(self.status().partition("Main PID: ")[2].partition("\n")[0])

    def is_down(self) -> bool:
        return "It is stopped" in self.status()

    def stop(self) -> None:
        self.ask(*self.herd("stop", self.name))


class OfDinit(Driver):
    """A service with a readiness pipe."""

    restarts = True

    def __init__(self, folder: Path, init: Dinit) -> None:
        self.folder = folder
        self.here = str(folder)
        self.bridge, self.project = str(BRIDGE), str(PROJECT)
        self.init = init

    def install(self, words: list[str]) -> None:
        lines = ("type = process", f"command = {' '.join(words)}", f"logfile = {self.here}/log", "restart = yes")
        (self.init.services / "web").write_text("\n".join((*lines, "ready-notification = pipefd:4", "")))

    def begin(self) -> None:
        self.init.begin("start", "web")

    def is_ready(self) -> bool:
        return self.init.status()[0] == "STARTED"

    def main_pid(self) -> int:
        return self.init.status()[1]

    def is_down(self) -> bool:
        return self.init.status()[0] == "STOPPED"

    def stop(self) -> None:
        assert self.init.tell("stop", "web")[0] == 0


@contextmanager
def of_dinit(folder: Path) -> Iterator[Driver]:
    """A service of a dinit, which ends with it."""
    with dinit(folder) as init:
        yield OfDinit(folder, init)
