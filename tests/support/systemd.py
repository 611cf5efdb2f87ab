"""Units under a real service manager: the system's or a user's, in a container."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.containers import BRIDGE, COMMAND_S, INSIDE, Container
from tests.support.puppet import Stage, stage
from tests.support.waiting import becomes, until

PUPPET = f"/usr/bin/python3 -IS {INSIDE}/tests/daemons/puppet.py"
USER = 1  # "daemon", which every Debian has
STAGES = "/run/puppets"
ENDED_S = 60
USER_MANAGER = "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n"  # where no PAM module says so
# $1: which manager.
CLEAR = """
of=$1; shift
systemctl $of kill --signal=KILL "$@"; systemctl $of stop "$@"; systemctl $of reset-failed "$@"
"""
_numbers = itertools.count(1)


class Manager:
    """A service manager that can be told to run units. user: 0 for the system's."""

    def __init__(self, container: Container, user: int) -> None:
        self.container = container
        self.user = user
        self.words = ("--user",) if user else ()
        self.folder = container.root / (f"run/user/{user}/systemd/user" if user else "run/systemd/system")
        self.folder.mkdir(parents=True, exist_ok=True)

    def systemctl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run systemctl with these words until it ends."""
        return self.container.run("systemctl", *self.words, *words, user=self.user, check=check)

    def have_ended(self, *units: str) -> None:
        """Wait for their ends: a start of Type=oneshot returns before what comes behind its command."""

        def holds() -> bool:
            shown = self.systemctl("show", "--property=ActiveState", "--value", *units).stdout.split()
            return {*shown} <= {"inactive", "failed"}

        until(holds, "the units have ended", ENDED_S)

    @contextmanager
    def unit(self, service: str, socket: str = "", name: str = "", instance: str = "") -> Iterator["Unit"]:
        """A service (with a socket) that has these lines in its sections; not started, and gone afterwards.

        Its name is a new one, which ends like this; so the manager need not be told to read all units anew. PUPPET in a
        line stands for the command of a puppet that comes to the unit's own stage, BRIDGE for cross-init-bridge.
        """
        # Containers of several test runs may stand in one control group, and so would units of one name.
        base = f"t{os.getpid()}x{next(_numbers)}{name}"
        path = f"{STAGES}/{base}"
        texts = {"service": f"[Service]\n{service}", "socket": f"[Socket]\n{socket}" if socket else ""}
        files = [self.folder / f"{base}{'@' if instance else ''}.{kind}" for kind, text in texts.items() if text]
        for file in files:
            text = texts[file.suffix[1:]]
            file.write_text(text.replace("PUPPET", f"{PUPPET} {path}").replace("BRIDGE", BRIDGE) + "\n")
        unit = Unit(self, f"{base}@{instance}" if instance else base, bool(socket))
        with stage(self.container.root / path.lstrip("/")) as unit.stage:
            try:
                yield unit
            except BaseException:
                print(*unit.journal(), sep="\n")
                raise
            finally:
                unit.clear_away()
                for file in files:
                    file.unlink()


class Unit:
    """One service, and the socket of the same name if it has one."""

    stage: Stage

    def __init__(self, manager: Manager, name: str, has_socket: bool) -> None:
        self.manager = manager
        self.name = f"{name}.service"
        self.socket = f"{name}.socket" if has_socket else ""
        self.waiting: list[subprocess.Popen[bytes]] = []

    def start(self, check: bool = True) -> int:
        """Start it; returns systemctl's exit code, when the service is ready or has failed."""
        return self.manager.systemctl("start", self.name, check=check).returncode

    def stop(self) -> None:
        """Stop it, and return when it has stopped."""
        self.manager.systemctl("stop", self.name)

    def begin(self, *words: str) -> "Job":
        """Have systemctl do this with it, without waiting for the end."""
        container = self.manager.container
        command = container.enter("systemctl", *self.manager.words, *words, self.name, user=self.manager.user)
        process = subprocess.Popen(
            command,
            env=container.environment(self.manager.user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.waiting.append(process)
        return Job(process)

    def show(self, key: str) -> str:
        """The value of one of its properties."""
        return self.manager.systemctl("show", "--value", "--property", key, self.name).stdout.rstrip("\n")

    def shows(self, **wanted: str) -> None:
        """Wait for these properties, all read at once: the manager learns of an end when its turn comes."""
        keys = [word for key in wanted for word in ("--property", key)]

        def found() -> dict[str, str]:
            lines = self.manager.systemctl("show", *keys, self.name).stdout.splitlines()
            return dict(line.split("=", 1) for line in lines)

        becomes(found, wanted)

    @property
    def main_pid(self) -> int:
        """Its main process, as the container numbers it."""
        return int(self.show("MainPID"))

    def kill(self, number: int) -> None:
        """Send this signal to its main process."""
        pid = self.main_pid
        assert pid > 1
        self.manager.container.run("kill", f"-{number}", str(pid))

    def processes(self) -> dict[int, str]:
        """The processes in its control group, as the container numbers them, and their command lines."""
        group = self.show("ControlGroup") or f"/system.slice/{self.name}"
        found = {}
        try:
            outside = (self.manager.container.root / f"sys/fs/cgroup{group}/cgroup.procs").read_text().split()
        except OSError:  # the group is gone (ENOENT, ENODEV)
            return {}
        for pid in outside:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            inside = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1]
            found[int(inside)] = b" ".join(words).decode().rstrip()
        return found

    def has_only(self, *pids: int) -> None:
        """Wait for these processes to be all that there are in its control group."""
        until(lambda: set(self.processes()) == set(pids), f"only {pids} in the control group of {self.name}")

    def journal(self) -> list[str]:
        """What the journal has from it and about it."""
        container = self.manager.container
        container.run("journalctl", "--sync")
        if self.manager.user:
            matches = [f"_SYSTEMD_USER_UNIT={self.name}", "+", f"USER_UNIT={self.name}"]
        else:
            matches = [f"_SYSTEMD_UNIT={self.name}", "+", f"UNIT={self.name}"]
        return container.run("journalctl", "--quiet", "--output=cat", *matches).stdout.splitlines()

    def ours(self) -> list[str]:
        """What the bridge has said in the journal."""
        return [line for line in self.journal() if line.startswith("cross-init-bridge:")]

    def clear_away(self) -> None:
        """End all that is left of it."""
        names = filter(None, (self.socket, self.name))
        manager = self.manager
        manager.container.run("sh", "-c", CLEAR, "sh", " ".join(manager.words), *names, user=manager.user, check=False)
        for process in self.waiting:
            if process.poll() is None:
                process.kill()
            process.wait()


class Job:
    """A systemctl that was begun."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ends(self) -> int:
        """Wait for its end; returns its exit code."""
        return self.process.wait(COMMAND_S)

    @property
    def has_ended(self) -> bool:
        """Whether it has ended already."""
        return self.process.poll() is not None


class Host:
    """A container with its managers."""

    def __init__(self, container: Container) -> None:
        self.container = container
        (container.root / STAGES.lstrip("/")).mkdir(mode=0o755)
        self.system = Manager(container, 0)
        self._user: Manager | None = None

    @property
    def user(self) -> Manager:
        """The manager of an unprivileged user, started when it is first asked for."""
        if self._user is None:
            folder = self.system.folder / "user@.service.d"
            folder.mkdir()
            (folder / "runtime.conf").write_text(USER_MANAGER)
            self.system.systemctl("daemon-reload")
            self.system.systemctl("start", f"user@{USER}.service")
            self._user = Manager(self.container, USER)
            for folder in (self._user.folder, self._user.folder.parent):
                os.chown(folder, USER, USER)
        return self._user
