"""A control group of a service's own, where a cgroup v2 can be written to: nothing of the service is left, ever."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.kernel.control_group import own_folder
from tests.support.command import FRONT_DOOR, PATH
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(own_folder() is None, reason="needs a cgroup v2 that can be written to, and no systemd")
RUN_S = 60
# Leaves its session, its group, its parent and its variables, and writes down its PID.
AWAY = "(env -i setsid /bin/sh -c 'echo $$ > {file}.new; mv {file}.new {file}; exec sleep 600' > /dev/null 2>&1 &)"
ALONE = ("unshare", "--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child")


class Place:
    """A folder with a unit that has what goes away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"cross-init-test-{os.getpid()}.service"
        self.away = [folder / "before", folder / "main"]

    def write(self, last: str, *lines: str) -> None:
        """last: what the main process does then, in a shell."""
        for file in self.away:
            script = file.with_suffix(".sh")
            script.write_text(f"#!/bin/sh\n{AWAY.format(file=file)}\nuntil test -e {file}; do sleep 0.02; done\n")
            script.chmod(0o755)
        with (self.folder / "main.sh").open("a") as script_file:
            script_file.write(f"{last}\n")
        text = "\n".join((f"ExecStartPre={self.folder}/before.sh", f"ExecStart={self.folder}/main.sh", *lines))
        (self.folder / self.name).write_text(f"[Service]\n{text}\nExecStopPost=/bin/true\n")

    def pid(self, at: int) -> int:
        """Of what has gone away from the command before, or from the main process."""
        until(self.away[at].exists, "it has gone away")
        return int(self.away[at].read_text())

    @property
    def groups(self) -> list[str]:
        """Those of the unit that are there."""
        found = own_folder()
        assert found is not None
        return [name for name in os.listdir(found[0]) if self.name in name]

    def is_cleared(self) -> bool:
        """Remove those that are left, if nothing is in them; whether there is none."""
        found = own_folder()
        assert found is not None
        for name in self.groups:
            try:
                os.rmdir(f"{found[0]}/{name}")
            except OSError:
                return False
        return True


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One."""
    return Place(tmp_path)


@contextmanager
def begun(place: Place, *options: str, wrapper: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[str]"]:
    """cross-init run, which ends with the test."""
    process = subprocess.Popen(
        [*wrapper, str(FRONT_DOOR), "run", *options, str(place.folder / place.name)],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_what_has_gone_away(place: Place, number: signal.Signals) -> None:
    place.write("exec sleep 600", "TimeoutStopSec=20")
    with begun(place, "--init", "none") as process:
        pids = [place.pid(0), place.pid(1)]
        assert len(place.groups) == 1
        process.send_signal(number)
        process.wait(RUN_S)
        until(lambda: not any(map(lives, pids)), "they end")
        until(lambda: place.groups == [], "the group goes")


@pytest.mark.parametrize("mode", ["process", "none"])
def test_what_is_to_stay_stays_and_no_group_does(place: Place, mode: str) -> None:
    place.write("exec sleep 600", f"KillMode={mode}")
    with begun(place, "--init", "none") as process:
        fds = [os.pidfd_open(place.pid(at)) for at in range(2)]
        try:
            assert place.groups == []
            process.terminate()
            process.wait(RUN_S)
            assert lives(place.pid(1))
        finally:
            for fd in fds:
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a PID namespace of its own")
def test_what_a_run_has_left_is_gone_before_the_next_in_a_container(place: Place) -> None:
    seen, file = place.folder / "seen", place.away[0]
    place.write("exit 3", "Restart=on-failure", "RestartSec=0")
    look = f"{{ kill -0 $(cat {file}) && echo there || echo gone; }} > {seen} 2>&1"
    again = f"test -e {place.away[1]} && {look} && exec sleep 600\n"
    for name, first in (("main.sh", again), ("before.sh", f"test -e {file} && exit 0\n")):
        script = place.folder / name
        script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{first}", 1))
    with begun(place, "--restart", wrapper=ALONE):
        until(lambda: seen.exists() and seen.read_text() != "", "it was started anew")
        assert seen.read_text().splitlines()[-1] == "gone"
    until(place.is_cleared, "its group is removed")  # process 1 was killed, with all that could have done so


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
@pytest.mark.parametrize("how", ["read only", "systemd"])
def test_where_there_can_be_none_nothing_is_said(place: Place, how: str) -> None:
    found = own_folder()
    assert found is not None
    mount = next(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup2 " in line)
    prepare = {
        "read only": f"mount -o remount,bind,ro {mount}",
        "systemd": "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system",
    }[how]
    place.write("exec sleep 600")
    wrapper = (*ALONE, "/bin/sh", "-ec", f'{prepare}; exec "$@"', "sh")
    with begun(place, "--init", "none", wrapper=wrapper) as process:
        until(place.away[1].exists, "it runs")
        assert place.groups == []
        process.kill()
        assert process.communicate(timeout=RUN_S)[1] == ""
