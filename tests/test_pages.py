"""What the documents have people write and type is written and typed, on the real inits, and prints what they show."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.matrix.controlled import Finit, Shepherd
from tests.matrix.scripts import OpenRC, Sysvinit
from tests.support.containers import INSIDE, Container, booted
from tests.support.dinit import prefix as dinit_prefix
from tests.support.packages import need, unpacked
from tests.support.pages import Run, play
from tests.support.programs import USUAL
from tests.support.real_upstart import checked_prefix, upstart_booted
from tests.support.roots import rooted
from tests.support.trees import tree
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
INSTALL = f"ln -sf {INSIDE}/bin/cross-init-bridge {INSIDE}/bin/cross-init /usr/bin/"
DAEMONS = ("redis-server", "redis-tools", "procps")


def shell(container: Container, path: str = USUAL) -> Run:
    """Types a command there, as root, in the checkout."""

    def run(command: str) -> "subprocess.CompletedProcess[str]":
        words = ("/usr/bin/env", "-i", f"--chdir={INSIDE}", f"PATH={path}", "HOME=/root", "/bin/sh", "-c", command)
        return container.run(*words, check=False)

    assert run(INSTALL).returncode == 0
    return run


@contextmanager
def systemd() -> Iterator[Run]:
    need(*DAEMONS)
    with booted(Path("/")) as container:
        yield shell(container)


@contextmanager
def on_this_machine(
    *pid_1: str, packages: tuple[str, ...] = (), path: str = USUAL, files: Mapping[str, str] | None = None
) -> Iterator[Run]:
    """A copy of this machine's root, with this as process 1, and these files beside its own."""
    need(*DAEMONS, *packages)
    begin = f"PATH={path}; ip link set lo up; mkdir -p /run/service /etc/service; exec {' '.join(pid_1)}"
    with rooted(Path("/"), ("/bin/sh", "-c", begin), files) as root:
        yield shell(root, path)


@contextmanager
def in_tree(name: str, boots: tuple[str, ...], files: Mapping[str, str], up: str, asks: str = "true") -> Iterator[Run]:
    """A copy of a tree. asks: a command that works as soon as the init can be told something."""
    need("iproute2")
    with rooted(tree(name), boots, files) as root:
        loopback = ("nsenter", "--target", str(root.pid), "--net", "ip", "link", "set", "lo", "up")
        subprocess.run(loopback, check=True, timeout=30)
        until(lambda: root.exists(up), f"{boots[0]} is up", 30)
        run = shell(root)
        until(lambda: run(asks).returncode == 0, f"{boots[0]} can be asked", 30)
        yield run


@contextmanager
def upstart() -> Iterator[Run]:
    prefix = checked_prefix()
    need(*DAEMONS)
    with upstart_booted() as booted_one:

        def run(command: str) -> "subprocess.CompletedProcess[str]":
            return booted_one.run("/usr/bin/env", "--chdir=/", f"PATH={prefix}/sbin:{USUAL}", "/bin/sh", "-c", command)

        assert run(INSTALL).returncode == 0
        yield run


@contextmanager
def dinit() -> Iterator[Run]:
    sbin = dinit_prefix() / "sbin"
    boot = f"mkdir -p /etc/dinit.d; echo type=internal >/etc/dinit.d/boot; exec {sbin}/dinit -o"
    with on_this_machine(f"sh -c '{boot}'", path=f"{sbin}:{USUAL}") as machine:
        yield machine


SUPERVISORD = """[supervisord]
nodaemon=true
user=root
logfile=/run/supervisord.log
pidfile=/run/supervisord.pid
[unix_http_server]
file=/run/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisor.sock
[include]
files = /etc/supervisor/conf.d/*.conf
"""


@contextmanager
def from_pypi(program: str, *pid_1: str, files: Mapping[str, str] | None = None, asks: str = "true") -> Iterator[Run]:
    """A copy of this machine's root, with a program that the tests' own interpreter has."""
    programs = Path(sys.executable).parent
    with on_this_machine(*pid_1, path=f"{programs}:{USUAL}", files=files) as run:
        if run(f"test -x {programs}/{program}").returncode:
            pytest.skip(f"needs {programs}/{program} in a copy of this machine's root: it is on another file system")
        until(lambda: run(asks).returncode == 0, f"{program} can be asked", 30)
        yield run


MACHINES: dict[str, Callable[[], AbstractContextManager[Run]]] = {
    "systems/systemd": systemd,
    "systems/upstart": upstart,
    "systems/s6": lambda: on_this_machine("s6-svscan", "/run/service", packages=("s6",)),
    "systems/runit": lambda: on_this_machine("runsvdir", "-P", "/etc/service", packages=("runit",)),
    "systems/daemontools": lambda: on_this_machine("svscan", "/etc/service", packages=("daemontools",)),
    "systems/dinit": dinit,
    "systems/openrc": lambda: in_tree("sid-inits", OpenRC.boots, OpenRC.files, OpenRC.up),
    "systems/sysvinit": lambda: in_tree("bookworm-sysvinit", Sysvinit.boots, Sysvinit.files, Sysvinit.up),
    "systems/finit": lambda: in_tree("sid-inits", Finit.boots, Finit.files, Finit.up, "initctl reload"),
    "systems/shepherd": lambda: in_tree("sid-inits", Shepherd.boots, Shepherd.files, Shepherd.up),
    "systems/supervisord": lambda: from_pypi(
        "supervisord",
        *("supervisord", "-c", "/etc/supervisor/supervisord.conf"),
        files={"/etc/supervisor/supervisord.conf": SUPERVISORD, "/etc/supervisor/conf.d/none.conf": ""},
        asks="supervisorctl -c /etc/supervisor/supervisord.conf pid",
    ),
    "systems/circus": lambda: from_pypi("circusd", "sleep", "infinity"),
    "systems/inetd": lambda: on_this_machine(
        "sleep", "infinity", path=f"{unpacked('openbsd-inetd')}/usr/sbin:{USUAL}", packages=("procps",)
    ),
    "systems/shell": lambda: on_this_machine("sleep", "infinity"),
}


@pytest.mark.parametrize("page", MACHINES)
def test_a_page_is_right_as_it_is_written(page: str) -> None:
    with MACHINES[page]() as run:
        play(DOCS / f"{page}.md", run)
