"""Where the notification socket stands: nobody else's folder is trusted, everybody can reach it, nothing stays behind.

What concerns /run is tested in a mount namespace with a /run of its own.
"""

import json
import os
import subprocess

import pytest

from tests.support.command import BRIDGE

SOURCE = BRIDGE.parents[1] / "src"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace and for other users")
NOBODY = 65534

# Prepares by the code in argv[1], then says what make() made; argv[2]: whether it has to leave no path.
MAKE = """
import json, os, socket, sys, time
sys.path.insert(0, sys.argv[3])
exec(sys.argv[1])
from cross_init.readiness.notify_socket import make, sweep
sock, address = make(bool(int(sys.argv[2])))
path = address.folder
chain = [path and oct(os.lstat(each).st_mode & 0o7777) for each in (os.path.dirname(path), path, path + "/notify")]
sweep(address)
print(json.dumps([address.folder, address.variable.decode(), chain if path else [], os.listdir("/run/cross-init")
    if os.path.isdir("/run/cross-init") else None]))
address.remove()
assert not path or not os.path.exists(path)
"""
OWN_RUN = 'mount -t tmpfs -o mode=755 run /run && exec "$@"'


class Made:
    """What make() made."""

    def __init__(self, text: str) -> None:
        self.folder: str
        self.variable: str
        self.modes: list[str]
        self.left: list[str]
        self.folder, self.variable, self.modes, self.left = json.loads(text)

    @property
    def abstract(self) -> bool:
        return not self.folder and self.variable.startswith("@cross-init/")


def make(prepare: str = "", leaving: bool = False, environ: dict[str, str] | None = None) -> Made:
    words = ["/usr/bin/python3", "-ISc", MAKE, prepare, str(int(leaving)), str(SOURCE)]
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_RUN, "sh", *words],
        stdout=subprocess.PIPE,
        env={"PATH": os.defpath + ":/usr/sbin:/sbin", **(environ or {})},
        timeout=60,
        check=True,
    )
    return Made(ended.stdout.decode())


@NEEDS_ROOT
@pytest.mark.parametrize("umask", ["0o000", "0o022", "0o077", "0o777"])
def test_everybody_can_reach_the_socket_and_nobody_else_can_change_the_folders(umask: str) -> None:
    made = make(f"os.umask({umask})")
    assert made.folder.startswith("/run/cross-init/cross-init-")
    assert made.variable == f"{made.folder}/notify"
    assert made.modes == ["0o711", "0o711", "0o777"]


@NEEDS_ROOT
@pytest.mark.parametrize(
    "prepare",
    [
        f"os.mkdir('/run/cross-init'); os.chown('/run/cross-init', {NOBODY}, {NOBODY})",
        "os.mkdir('/run/cross-init'); os.chmod('/run/cross-init', 0o1777)",
        "os.mkdir('/run/cross-init'); os.chmod('/run/cross-init', 0o775)",
        "os.mkdir('/run/x'); os.symlink('/run/x', '/run/cross-init')",
        "open('/run/cross-init', 'w')",
        "os.system('mount -o remount,ro /run') and sys.exit(1)",
        "os.system('umount /run; mount --bind -o ro /dev/shm /run; mount -o remount,ro,bind /run') and sys.exit(1)",
    ],
)
def test_a_folder_that_is_not_ours_alone_is_not_used(prepare: str) -> None:
    made = make(prepare)
    assert made.abstract
    assert not made.left


@NEEDS_ROOT
def test_when_no_process_of_ours_remains_there_is_no_path() -> None:
    made = make(leaving=True)
    assert made.abstract
    assert made.left is None


AS_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"


def runtime_folder(folder: str, mode: str = "0o700") -> str:
    """Code that makes such a folder for the user nobody, and becomes it."""
    return (
        f"os.makedirs({folder!r}); os.chown({folder!r}, {NOBODY}, {NOBODY}); os.chmod({folder!r}, {mode})\n" + AS_NOBODY
    )


@NEEDS_ROOT
def test_a_user_has_it_in_the_runtime_folder() -> None:
    made = make(runtime_folder("/run/user/x"), environ={"XDG_RUNTIME_DIR": "/run/user/x"})
    assert made.folder.startswith("/run/user/x/cross-init-")
    assert made.modes == ["0o700", "0o711", "0o777"]


@NEEDS_ROOT
@pytest.mark.parametrize(
    ("prepare", "folder"),
    [
        (AS_NOBODY, "/run"),
        (AS_NOBODY, "/tmp"),
        (AS_NOBODY, "/nonexistent"),
        (AS_NOBODY, ""),
        (runtime_folder("/run/user/x", "0o770"), "/run/user/x"),
        (runtime_folder("/run/user/x", "0o1777"), "/run/user/x"),
        ("os.chdir('/run')\n" + runtime_folder("/run/x"), "x"),
        ("os.symlink('/run/x', '/run/y')\n" + runtime_folder("/run/x"), "/run/y"),
        (runtime_folder("/run/" + "x" * 90), "/run/" + "x" * 90),
    ],
)
def test_a_runtime_folder_that_is_not_the_users_alone_is_not_used(prepare: str, folder: str) -> None:
    assert make(prepare, environ={"XDG_RUNTIME_DIR": folder}).abstract


LEFT_BEHIND = """
os.mkdir('/run/cross-init')
os.chmod('/run/cross-init', 0o711)
def folder(name, bound, alive=False, age=0):
    global keep
    os.mkdir('/run/cross-init/' + name)
    if bound:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind('/run/cross-init/' + name + '/notify')
        keep = keep + [sock] if alive else keep
        alive or sock.close()
    os.utime('/run/cross-init/' + name, (time.time() - age,) * 2)
keep = []
folder('cross-init-dead', True)
folder('cross-init-dead-and-old', True, age=1000)
folder('cross-init-alive', True, True)
folder('cross-init-alive-and-old', True, True, age=100000)
folder('cross-init-unfinished', False)
folder('cross-init-never-finished', False, age=1000)
folder('another', True)
open('/run/cross-init/cross-init-file', 'w')
os.mkdir('/run/cross-init/cross-init-strange')
open('/run/cross-init/cross-init-strange/notify', 'w')
open('/run/cross-init/cross-init-strange/precious', 'w')
"""


@NEEDS_ROOT
def test_only_what_the_dead_left_behind_is_swept() -> None:
    made = make(LEFT_BEHIND)
    assert set(made.left) == {
        "cross-init-alive",
        "cross-init-alive-and-old",
        "cross-init-unfinished",
        "another",
        "cross-init-file",
        "cross-init-strange",
        os.path.basename(made.folder),
    }
