"""The inits of the matrix: who runs the service, how it is had, and whom of the daemons we have to stay with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.matrix.controlled import Finit, Shepherd, of_dinit
from tests.matrix.directories import S6, Daemontools, Runit, directory
from tests.matrix.driver import Driver
from tests.matrix.jobs import real_job, stand_in
from tests.matrix.kinds import KINDS
from tests.matrix.machines import unit
from tests.matrix.namespaces import Container
from tests.matrix.programs import Circus, Shell, Supervisord, program
from tests.matrix.rooted import Rooted, service
from tests.matrix.scripts import NotifyAwait, OpenRC, OpenRCNotify, Sysvinit
from tests.matrix.superserver import inetd
from tests.support.containers import booted
from tests.support.real_upstart import upstart_booted
from tests.support.roots import Root, rooted
from tests.support.systemd import Host, Manager
from tests.support.trees import tree
from tests.support.waiting import until

BOOT_S = 30
T = TypeVar("T")


class Machines:
    """What has booted: one machine at a time, for all the tests that want the same one after each other."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.key = ""
        self.machine: Any = None

    def get(self, key: str, boot: Callable[[], AbstractContextManager[T]]) -> T:
        """The machine of this name, booted in this way if it is not up."""
        if key != self.key:
            self.close()
            machine = self.stack.enter_context(boot())
            self.key, self.machine = key, machine
        found: T = self.machine
        return found

    def close(self) -> None:
        """End the machine."""
        self.key = ""
        self.stack.close()


Make = Callable[[Path, Machines], AbstractContextManager[Driver]]


def in_folder(make: Callable[[Path], AbstractContextManager[Driver]]) -> Make:
    """An init that is a process of the test's, with a folder to itself."""
    return lambda folder, machines: make(folder)


def in_root(kind: type[Rooted], name: str) -> Make:
    """An init that is PID 1 of a root, made from this tree."""

    @contextmanager
    def boot() -> Iterator[Root]:
        with rooted(tree(name), kind.boots, kind.files) as root:
            until(lambda: root.exists(kind.up), f"{kind.boots[0]} is up", BOOT_S)
            yield root

    return lambda folder, machines: service(kind, machines.get(f"{name} {kind.boots}", boot))


def in_systemd(folder_of_tree: Callable[[], Path], manager_of: Callable[[Host], Manager]) -> Make:
    """A manager of a systemd, booted from this tree."""

    @contextmanager
    def boot() -> Iterator[Host]:
        with booted(folder_of_tree()) as container:
            yield Host(container)

    return lambda folder, machines: unit(manager_of(machines.get(f"systemd {folder_of_tree()}", boot)))


def in_upstart(folder: Path, machines: Machines) -> AbstractContextManager[Driver]:
    """A real Upstart, where there is one."""
    return real_job(machines.get("upstart", upstart_booted))


class Row:
    """One init. name: as detect.INITS has it. stays_for: the kinds of daemons whose parent we have to stay.

    All others are the main process themselves: a daemon that can be heard from beside it keeps the PID that its init
    started, wherever that is. is_local: it runs in the test's own namespaces, where a resident of the test's is seen.
    """

    def __init__(self, name: str, make: Make, *stays_for: str, is_local: bool = False) -> None:
        self.name = name
        self.make = make
        self.stays_for = stays_for
        self.is_local = is_local


STOPS, FORKS = "upstart", "sysv"  # only a parent sees the one, and keeps hold of the other
ROWS: dict[str, Row] = {
    "s6": Row("s6", in_folder(lambda folder: directory(S6, folder)), STOPS, FORKS, is_local=True),
    "runit": Row("runit", in_folder(lambda folder: directory(Runit, folder)), STOPS, FORKS, is_local=True),
    "daemontools": Row(
        "daemontools", in_folder(lambda folder: directory(Daemontools, folder)), STOPS, FORKS, is_local=True
    ),
    "dinit": Row("dinit", in_folder(of_dinit), STOPS, FORKS, is_local=True),
    "supervisord": Row(
        "supervisord", in_folder(lambda folder: program(Supervisord, folder)), STOPS, FORKS, is_local=True
    ),
    "circus": Row("circus", in_folder(lambda folder: program(Circus, folder)), STOPS, FORKS, is_local=True),
    "inetd": Row("inetd", in_folder(inetd), STOPS, FORKS, is_local=True),
    "none": Row("none", in_folder(lambda folder: program(Shell, folder)), STOPS, FORKS, is_local=True),
    "container": Row("container", in_folder(lambda folder: program(Container, folder)), *KINDS),
    "upstart, stand-in": Row("upstart", in_folder(stand_in), FORKS, is_local=True),
    "upstart": Row("upstart", in_upstart, FORKS),
    "systemd": Row("systemd", in_systemd(lambda: Path("/"), lambda host: host.system), FORKS),
    "systemd, user": Row("systemd", in_systemd(lambda: Path("/"), lambda host: host.user), FORKS),
    "systemd, sid": Row("systemd", in_systemd(lambda: tree("sid"), lambda host: host.system), FORKS),
    "sysvinit": Row("sysv", in_root(Sysvinit, "bookworm-sysvinit")),
    "sysvinit, --notify-await": Row("sysv", in_root(NotifyAwait, "bookworm-sysvinit"), STOPS, FORKS),
    "OpenRC, Debian 12": Row("openrc", in_root(OpenRC, "bookworm-openrc")),
    "OpenRC, notify=": Row("openrc", in_root(OpenRCNotify, "sid-inits"), STOPS, FORKS),
    "Finit, Debian 13": Row("finit", in_root(Finit, "trixie"), STOPS, FORKS),
    "Finit, sid": Row("finit", in_root(Finit, "sid-inits"), STOPS, FORKS),
    "Shepherd": Row("shepherd", in_root(Shepherd, "sid-inits")),
}
# What has no row, or no kind of daemon: why it cannot be run by these tests.
NOT_RUN: dict[str, str] = {"launchd": "it runs on macOS only, and is written to its manuals"}
