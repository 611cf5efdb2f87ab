"""The sandbox of a unit, from a shell: what its commands share, what goes with it, and where it cannot be had."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.definitions.table_exec import EXEC, OF_SANDBOX
from cross_init.running.verdicts import ENCLOSED
from cross_init.sandbox.devices import OPTIONAL, SHARED
from tests.support.command import FRONT_DOOR, run_unit
from tests.support.unit_folder import Folder, unit_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces of mounts")
WEAKER = "weaker, as no such namespace can be had here (Operation not permitted: this process lacks CAP_SYS_ADMIN): "


_numbers = itertools.count(1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with unit_folder(tmp_path, f"box{os.getpid()}x{next(_numbers)}") as made:
        yield made
    for each in left(made):
        shutil.rmtree(each)


def left(folder: Folder) -> list[Path]:
    """What stands for /tmp and /var/tmp of the folder's unit."""
    pattern = f"systemd-private-*-cross-init.{folder.name}.service-*"
    return [path for place in ("/tmp", "/var/tmp") for path in Path(place).glob(pattern)]


def test_each_directive_of_the_sandbox_is_looked_for() -> None:
    fields = {EXEC[key][1].removeprefix("context.") for key in OF_SANDBOX}
    assert fields | {"dynamic_user", "root_directory"} == ENCLOSED


def without_rights(folder: Folder, lines: str, *words: str) -> tuple[int, str]:
    """Run it as a root who may make no namespaces, as in most containers."""
    unit = folder.path / f"{folder.name}.service"
    unit.write_text(f"[Service]\n{lines}\n")
    return run_unit(unit, *words, before=("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"))


def test_all_commands_have_one_tmp_which_goes_with_the_service(folder: Folder) -> None:
    code, said = folder.run(
        "PrivateTmp=yes\nExecStartPre=/bin/sh -c 'echo 1 >/tmp/shared; echo 2 >/var/tmp/shared'\n"
        "ExecStart=/bin/sh -c 'cat /tmp/shared /var/tmp/shared; echo 3 >>/tmp/shared'\n"
        "ExecStopPost=/bin/cat /tmp/shared"
    )
    assert (code, said.split()) == (0, ["1", "2", "1", "3"])
    assert not Path("/tmp/shared").exists()
    assert left(folder) == []


def test_what_was_left_of_tmp_goes_with_the_next_start(folder: Folder) -> None:
    lines = "PrivateTmp=yes\nExecStart=/bin/sh -c 'echo >/tmp/written'"
    assert folder.run(lines) == (0, "")
    first = left(folder)
    assert len(first) == 2, "nobody stays to remove them"
    assert folder.run(lines) == (0, "")
    second = left(folder)
    assert len(second) == 2
    assert not {*first} & {*second}
    assert folder.run(f"{lines}\nExecStopPost=/bin/true") == (0, "")
    assert left(folder) == []


def test_nobody_s_tmp_is_taken_from_who_uses_it(folder: Folder) -> None:
    running = folder.begin("PrivateTmp=yes\nExecStart=/bin/sh -c 'echo >/tmp/mine; echo begun; exec sleep 600'")
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    used = left(folder)
    assert folder.run("PrivateTmp=yes\nExecStart=/bin/true\nExecStopPost=/bin/true") == (0, "")
    assert {*used} <= {*left(folder)}
    running.kill()
    running.wait()
    assert folder.run("PrivateTmp=yes\nExecStart=/bin/true\nExecStopPost=/bin/true") == (0, "")
    assert left(folder) == []


def test_all_commands_have_one_network(folder: Folder) -> None:
    show = "/usr/bin/readlink /proc/self/ns/net /proc/self/ns/ipc"
    code, said = folder.run(
        f"PrivateNetwork=yes\nPrivateIPC=yes\nExecStartPre={show}\nExecStart={show}\nExecStopPost={show}\n"
        f"ExecStartPre=+{show}"
    )
    assert code == 0, said
    spaces = [tuple(said.split()[at : at + 2]) for at in range(0, 8, 2)]
    own = (os.readlink("/proc/self/ns/net"), os.readlink("/proc/self/ns/ipc"))
    assert spaces == [spaces[0]] * 4, "one with all privileges has them as well, as under systemd"
    assert not {*spaces[0]} & {*own}


def test_each_command_has_mounts_of_its_own_but_one_with_all_privileges(folder: Folder) -> None:
    try_it = f"/bin/sh -c 'touch {folder.path}/it 2>/dev/null && echo written || echo not'"
    code, said = folder.run(
        f"ReadOnlyPaths={folder.path}\nExecStartPre={try_it}\nExecStartPre=+{try_it}\nExecStart={try_it}\nExecStopPost={try_it}"
    )
    assert (code, said.split()) == (0, ["not", "written", "not", "not"])


def test_where_something_is_bound_is_made(folder: Folder) -> None:
    (folder.path / "there").mkdir()
    (folder.path / "file").write_text("content\n")
    code, said = folder.run(
        f"BindPaths={folder.path}/there:{folder.path}/new/below\nBindReadOnlyPaths={folder.path}/file:{folder.path}/new/file\n"
        f"ExecStart=/bin/sh -c 'touch {folder.path}/new/below/written; cat {folder.path}/new/file'"
    )
    assert (code, said) == (0, "content\n")
    assert (folder.path / "there/written").exists()


@pytest.mark.parametrize(
    "lines",
    ["ReadOnlyPaths=/nowhere/at/all", "InaccessiblePaths=/nowhere/at/all", "BindPaths=/nowhere/at/all:/mnt"],
)
def test_what_is_not_there_is_said_with_its_line(folder: Folder, lines: str) -> None:
    code, said = folder.run(f"{lines}\nExecStart=/bin/true")
    key = lines.partition("=")[0]
    assert code == 125
    assert said.startswith(f"cross-init-bridge: {folder.path}/{folder.name}.service:2: {key}=: /"), said
    assert said.endswith(": No such file or directory\n")


def test_a_namespace_that_is_not_there_is_said_before_anything_is_run(folder: Folder) -> None:
    code, said = folder.run("NetworkNamespacePath=/nowhere\nExecStartPre=LOG not\nExecStart=LOG not")
    where = f"{folder.path}/{folder.name}.service:2: NetworkNamespacePath=/nowhere: No such file or directory"
    assert (code, said, folder.written()) == (125, f"cross-init-bridge: {where}\n", [])


def test_where_no_namespace_can_be_had_it_starts_and_one_line_says_so(folder: Folder) -> None:
    lines = "PrivateTmp=yes\nProtectSystem=strict\nPrivateNetwork=yes\nProtectHome=no\nExecStart=/bin/echo it runs"
    code, said = without_rights(folder, lines)
    line = f"cross-init-bridge: {folder.name}.service: {WEAKER}PrivateTmp=, ProtectSystem=, PrivateNetwork="
    assert (code, said.splitlines()) == (0, [line, "it runs"])
    code, said = without_rights(folder, f"ExecStartPre=/bin/echo not\n{lines}", "--strict")
    assert (code, "--strict: PrivateTmp=, ProtectSystem=, PrivateNetwork=" in said, "runs" in said) == (
        125,
        True,
        False,
    )


def test_other_files_than_were_meant_are_not_served(folder: Folder) -> None:
    lines = "BindPaths=/usr:/mnt\nExecStart=/bin/echo it runs"
    code, said = without_rights(folder, lines)
    assert (code, f"{folder.path}/{folder.name}.service:2: BindPaths=: no mount namespace" in said, "runs" in said) == (
        125,
        True,
        False,
    )
    assert without_rights(folder, lines, "--ignore", "BindPaths")[0] == 0


# $1: the command, $2: the unit. Neither /dev nor /sys is as systemd makes it.
BARE = """
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3
mount -t tmpfs tmpfs /sys
exec "$1" run --init none "$2"
"""


def test_a_machine_that_no_systemd_has_prepared(folder: Folder) -> None:
    unit = folder.path / f"{folder.name}.service"
    unit.write_text(
        "[Service]\nPrivateDevices=yes\nProtectControlGroups=yes\nProtectKernelTunables=yes\nProtectSystem=strict\n"
        "BindReadOnlyPaths=/dev/log:/mnt\nPrivateTmp=yes\nExecStart=/bin/sh -c 'ls -d /dev/*; test ! -e /sys/*'\n"
    )
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", BARE, "sh", FRONT_DOOR, unit],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout
    names = {path.removeprefix("/dev/") for path in ran.stdout.split()}
    assert names - {"core"} == {"char", "fd", "log", "null", *SHARED, *OPTIONAL, "stdin", "stdout", "stderr"}


def test_a_stop_is_in_the_sandbox_as_well(folder: Folder) -> None:
    running = folder.begin(
        "PrivateTmp=yes\nReadOnlyPaths=/mnt\nExecStart=/bin/sh -c 'echo >/tmp/mine; echo begun; exec sleep 600'\n"
        "ExecStop=/bin/sh -c 'ls /tmp; touch /mnt/not 2>/dev/null || echo not'"
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"
    running.terminate()
    assert running.communicate(timeout=60)[0].split() == ["mine", "not"]
    assert left(folder) == []


IN_A_CHROOT = 'mkdir "$1" && mount --rbind / "$1" && root=$1 && shift && exec chroot "$root" "$@"'


def test_users_of_its_own_are_weaker_in_a_chroot(folder: Folder) -> None:
    """The kernel forbids them there, whatever rights there are (unshare(2)); all else is done."""
    unit = folder.path / f"{folder.name}.service"
    unit.write_text("[Service]\nPrivateUsers=yes\nPrivateTmp=yes\nExecStart=/bin/sh -c 'echo runs; ls /tmp'\n")
    root = ("unshare", "--mount", "sh", "-c", IN_A_CHROOT, "sh", str(folder.path / "root"))
    words = [*root, str(FRONT_DOOR), "run", "--init", "none", str(unit)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    weaker = "weaker, as no such namespace can be had here (Operation not permitted): PrivateUsers=\n"
    assert (ran.returncode, ran.stdout, ran.stderr.endswith(weaker)) == (0, "runs\n", True), ran
