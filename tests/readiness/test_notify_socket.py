"""Where the notification socket stands: nobody else's folder is trusted, everybody can reach it, nothing stays behind.

What concerns /run is tested in a mount namespace with a /run of its own.
"""

import json
import os
import subprocess

import pytest

from tests.support.command import PATH, ROOT

SOURCE = ROOT / "src"
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace and for other users")
NOBODY = 65534

# Prepares by the code in argv[1], then says where bind() put a socket; argv[2]: whether it has to leave no path.
BIND = """
import json, os, socket, sys, time
sys.path.insert(0, sys.argv[3])
exec(sys.argv[1])
from cross_init.readiness.notify_socket import bind
from cross_init.readiness.sweeping import sweep
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
path, variable = bind(sock, bool(int(sys.argv[2])))
modes = [oct(os.lstat(each).st_mode & 0o7777) for each in (os.path.dirname(path), path)] if path else []
if path:
    sweep(os.path.dirname(path))
print(json.dumps([path, variable.decode(), modes, os.listdir("/run/cross-init")
    if os.path.isdir("/run/cross-init") else None]))
"""
OWN_RUN = 'mount -t tmpfs -o mode=755 run /run && exec "$@"'


class Bound:
    """Where the socket is: a path ("" if it has none), the variable, the modes of the folder and the socket, and what
    was in the folder after a sweep (None: no folder).
    """

    def __init__(self, text: str) -> None:
        self.path: str
        self.variable: str
        self.modes: list[str]
        self.left: list[str] | None
        self.path, self.variable, self.modes, self.left = json.loads(text)

    @property
    def abstract(self) -> bool:
        return not self.path and self.variable.startswith("@cross-init/")


def bind(prepare: str = "", leaving: bool = False, environ: dict[str, str] | None = None) -> Bound:
    words = ["/usr/bin/python3", "-ISc", BIND, prepare, str(int(leaving)), str(SOURCE)]
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_RUN, "sh", *words],
        stdout=subprocess.PIPE,
        env={"PATH": PATH, **(environ or {})},
        timeout=60,
        check=True,
    )
    return Bound(ended.stdout.decode())


@NEEDS_ROOT
@pytest.mark.parametrize("umask", ["0o000", "0o022", "0o077", "0o777"])
def test_everybody_can_reach_the_socket_and_nobody_else_can_change_the_folders(umask: str) -> None:
    bound = bind(f"os.umask({umask})")
    assert bound.path.startswith("/run/cross-init/cross-init-")
    assert bound.variable == bound.path
    assert bound.modes == ["0o711", "0o777"]


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
    bound = bind(prepare)
    assert bound.abstract
    assert not bound.left


@NEEDS_ROOT
def test_when_no_process_of_ours_remains_there_is_no_path() -> None:
    bound = bind(leaving=True)
    assert bound.abstract
    assert bound.left is None


AS_NOBODY = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"


def runtime_folder(folder: str, mode: str = "0o700") -> str:
    """Code that makes such a folder for the user nobody, and becomes it."""
    return (
        f"os.makedirs({folder!r}); os.chown({folder!r}, {NOBODY}, {NOBODY}); os.chmod({folder!r}, {mode})\n" + AS_NOBODY
    )


@NEEDS_ROOT
@pytest.mark.parametrize("folder", ["/run/user/x", "/run/" + "x" * 59])
def test_a_user_has_it_in_the_runtime_folder(folder: str) -> None:
    bound = bind(runtime_folder(folder), environ={"XDG_RUNTIME_DIR": folder})
    assert bound.path.startswith(f"{folder}/cross-init-")
    assert bound.modes == ["0o700", "0o777"]


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
        *((runtime_folder("/run/" + "x" * length), "/run/" + "x" * length) for length in (60, 62, 66, 67, 90)),
    ],
)
def test_a_runtime_folder_that_is_not_the_users_alone_is_not_used(prepare: str, folder: str) -> None:
    assert bind(prepare, environ={"XDG_RUNTIME_DIR": folder}).abstract


LEFT_BEHIND = """
os.mkdir('/run/cross-init')
os.chmod('/run/cross-init', 0o711)
keep = []
def left(name, kind, alive=False, age=1000):
    path = '/run/cross-init/' + name
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(path)
    if alive:
        if kind == socket.SOCK_SEQPACKET:
            sock.listen()
        keep.append(sock)
    else:
        sock.close()
    os.utime(path, (time.time() - age,) * 2)
left('cross-init-dead.notify', socket.SOCK_DGRAM)
left('cross-init-alive.notify', socket.SOCK_DGRAM, True)
left('cross-init-just-dead.notify', socket.SOCK_DGRAM, age=0)
left('cross-init-unfinished.socket', socket.SOCK_DGRAM, age=0)
left('cross-init-never-finished.socket', socket.SOCK_DGRAM)
left('cross-init.dead', socket.SOCK_SEQPACKET)
left('cross-init.alive', socket.SOCK_SEQPACKET, True)
left('cross-init.new', socket.SOCK_SEQPACKET, age=0)
left('another', socket.SOCK_DGRAM)
open('/run/cross-init/cross-init-file', 'w')
os.utime('/run/cross-init/cross-init-file', (0, 0))
os.mkdir('/run/cross-init/cross-init-folder')
os.utime('/run/cross-init/cross-init-folder', (0, 0))
"""


@NEEDS_ROOT
def test_only_what_the_dead_left_behind_is_swept() -> None:
    bound = bind(LEFT_BEHIND)
    assert set(bound.left or ()) == {
        *("cross-init-alive.notify", "cross-init-unfinished.socket", "cross-init.alive", "cross-init.new"),
        *("another", "cross-init-folder", "cross-init-file"),
        os.path.basename(bound.path),
    }
