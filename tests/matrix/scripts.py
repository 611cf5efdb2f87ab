"""Drivers for inits with service scripts: sysvinit with LSB scripts, and OpenRC."""

import os
from abc import abstractmethod
from typing import ClassVar

from tests.matrix.rooted import LONGEST_S, Rooted
from tests.support.containers import BRIDGE


class Script(Rooted):
    """A service script, whose PID file names the main process."""

    def stop(self) -> None:
        assert self.launch(*self.stopping()).wait(LONGEST_S) == 0

    @abstractmethod
    def stopping(self) -> tuple[str, ...]:
        """The command that stops the service."""

    def install(self, words: list[str]) -> None:
        text = self.text.replace(BRIDGE, words[0]).replace("NAME", self.name).replace("HERE", self.here)
        text = text.replace("WORDS", " ".join(words[1:]))
        self.root.write(f"/etc/init.d/{self.name}", text, 0o755)

    text: str
    pid_file = "pid"

    def main_pid(self) -> int:
        return self.numbered((self.folder / self.pid_file).read_text())


LSB = f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: NAME
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case $1 in
start) start-stop-daemon --start START --startas {BRIDGE} -- WORDS 2>> HERE/log || exit; : > HERE/started ;;
stop) start-stop-daemon --stop --pidfile HERE/PIDFILE --retry 10 ;;
status) start-stop-daemon --status --pidfile HERE/PIDFILE ;;
esac
"""


class Sysvinit(Script):
    """A script in which start-stop-daemon waits for its command to end."""

    boots, up = ("/sbin/init",), "/run/initctl"
    files: ClassVar = {"/etc/inittab": "id:2:initdefault:\n"}
    text = LSB.replace("START", "--pidfile HERE/pid").replace("PIDFILE", "pid")
    names_main = True

    def starting(self) -> tuple[str, ...]:
        (self.folder / "started").unlink(missing_ok=True)
        return ("service", self.name, "start")

    def stopping(self) -> tuple[str, ...]:
        return ("service", self.name, "stop")

    def is_ready(self) -> bool:
        return (self.folder / "started").exists()

    def is_down(self) -> bool:
        return self.ask("service", self.name, "status")[0] != 0


class NotifyAwait(Sysvinit):
    """A script in which start-stop-daemon waits for a message."""

    text = LSB.replace("PIDFILE", "main").replace(
        "START", "--background --notify-await --notify-timeout 20 --make-pidfile --pidfile HERE/main"
    )
    pid_file = "main"
    names_main = False


OPENRC = f"""#!/sbin/openrc-run
command={BRIDGE}
command_args="WORDS"
"""


class OpenRC(Script):
    """A service whose command is waited for; with dpkg's start-stop-daemon, which OpenRC itself knows little of."""

    boots, up = ("/sbin/openrc-init",), "/run/booted"
    files: ClassVar = {
        "/etc/init.d/redis-server": "#!/sbin/openrc-run\n",  # nothing that the tree's packages have enabled
        "/etc/init.d/last": "#!/sbin/openrc-run\nstart() { : > /run/booted; }\ndepend() { after *; }\n",
        "/etc/runlevels/default/last": "#!/sbin/openrc-run\nstart() { : > /run/booted; }\ndepend() { after *; }\n",
    }
    text = f"""{OPENRC}pidfile=HERE/pid
stop() {{ start-stop-daemon --stop --pidfile $pidfile --retry 10; }}
status() {{ start-stop-daemon --status --pidfile $pidfile; }}
"""
    names_main = True

    def starting(self) -> tuple[str, ...]:
        # What has crashed counts as started until it is told otherwise.
        return ("/bin/sh", "-c", f"rc-service {self.name} zap; exec rc-service {self.name} start")

    def stopping(self) -> tuple[str, ...]:
        return ("rc-service", self.name, "stop")

    def is_ready(self) -> bool:
        return os.path.lexists(self.runtime / "openrc/started" / self.name)

    def is_down(self) -> bool:
        return self.ask("rc-service", self.name, "status")[0] != 0


class OpenRCNotify(OpenRC):
    """A service in the background that says notify=, with OpenRC's own start-stop-daemon."""

    text = f"{OPENRC}pidfile=HERE/main\ncommand_background=yes\nnotify=fd:3\nerror_log=HERE/log\n"
    pid_file = "main"
    names_main = False
