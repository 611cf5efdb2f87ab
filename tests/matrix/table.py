"""The inits of the matrix: who runs the service, how it is had, and whom of the daemons we have to stay with."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.matrix import beside
from tests.matrix.beside import Serve
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
        self.served: Serve | None = None  # how the resident that is there was started

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
        self.key, self.served = "", None
        self.stack.close()

    def serve(self, serve: Serve) -> None:
        """Have a resident on the machine that is up."""
        if self.served is not serve:
            serve(self.machine)
            self.served = serve


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


def system(host: Host) -> Manager:
    """The system's manager."""
    return host.system


def user(host: Host) -> Manager:
    """That of an unprivileged user."""
    return host.user


STOPS, FORKS = "upstart", "sysv"  # only a parent sees the one, and keeps hold of the other
HEARD = tuple(kind for kind in KINDS if kind not in (STOPS, FORKS))  # from beside them
HEARD_BY_S6 = tuple(kind for kind in HEARD if kind != "s6")  # which tells it by itself
BY_SYSTEM, BY_USER = beside.in_systemd(system), beside.in_systemd(user)


class Row:
    """One init. name: as detect.INITS has it. stays_for: the kinds of daemons whose parent we have to stay.

    All others are the main process themselves: a daemon that can be heard from beside it keeps the PID that its init
    started, wherever that is. serve: how a resident is started beside it; it runs in the test's own namespaces if there
    is none. hands_over: the kinds that it then watches.
    """

    def __init__(
        self, name: str, make: Make, *stays_for: str, serve: Serve | None = None, hands_over: tuple[str, ...] = HEARD
    ) -> None:
        self.name = name
        self.make = make
        self.stays_for = stays_for
        self.serve = serve
        self.hands_over = hands_over


ROWS: dict[str, Row] = {
    "s6": Row("s6", in_folder(lambda folder: directory(S6, folder)), STOPS, FORKS, hands_over=HEARD_BY_S6),
    "runit": Row("runit", in_folder(lambda folder: directory(Runit, folder)), STOPS, FORKS),
    "daemontools": Row("daemontools", in_folder(lambda folder: directory(Daemontools, folder)), STOPS, FORKS),
    "dinit": Row("dinit", in_folder(of_dinit), STOPS, FORKS),
    "supervisord": Row("supervisord", in_folder(lambda folder: program(Supervisord, folder)), STOPS, FORKS),
    "circus": Row("circus", in_folder(lambda folder: program(Circus, folder)), STOPS, FORKS),
    "inetd": Row("inetd", in_folder(inetd), STOPS, FORKS),
    "none": Row("none", in_folder(lambda folder: program(Shell, folder)), STOPS, FORKS),
    "container": Row("container", in_folder(lambda folder: program(Container, folder)), *KINDS, hands_over=()),
    "upstart, stand-in": Row("upstart", in_folder(stand_in), FORKS),
    "upstart": Row("upstart", in_upstart, FORKS, serve=beside.in_upstart),
    "systemd": Row("systemd", in_systemd(lambda: Path("/"), system), FORKS, serve=BY_SYSTEM, hands_over=()),
    "systemd, user": Row("systemd", in_systemd(lambda: Path("/"), user), FORKS, serve=BY_USER, hands_over=()),
    "systemd, sid": Row("systemd", in_systemd(lambda: tree("sid"), system), FORKS, serve=BY_SYSTEM, hands_over=()),
    "sysvinit": Row("sysv", in_root(Sysvinit, "bookworm-sysvinit"), serve=beside.IN_SYSV),
    "sysvinit, --notify-await": Row(
        "sysv", in_root(NotifyAwait, "bookworm-sysvinit"), STOPS, FORKS, serve=beside.IN_SYSV
    ),
    "OpenRC, Debian 12": Row("openrc", in_root(OpenRC, "bookworm-openrc"), serve=beside.IN_OPENRC),
    "OpenRC, notify=": Row("openrc", in_root(OpenRCNotify, "sid-inits"), STOPS, FORKS, serve=beside.IN_OPENRC),
    "Finit, Debian 13": Row("finit", in_root(Finit, "trixie"), STOPS, FORKS, serve=beside.IN_FINIT),
    "Finit, sid": Row("finit", in_root(Finit, "sid-inits"), STOPS, FORKS, serve=beside.IN_FINIT),
    "Shepherd": Row("shepherd", in_root(Shepherd, "sid-inits"), serve=beside.IN_SHEPHERD),
}
# What has no row, or no kind of daemon: why it cannot be run by these tests.
NOT_RUN: dict[str, str] = {"launchd": "it runs on macOS only, and is written to its manuals"}
