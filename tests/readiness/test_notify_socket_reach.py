"""--notify-socket path|abstract: daemons that change their root or a namespace; and that who cannot speak is seen."""

import os
import re
import socket
from pathlib import Path

import pytest

from cross_init.readiness.out_of_reach import place, why_not
from tests.support.command import run
from tests.support.observed import PYTHON, Place
from tests.support.own import free_port
from tests.support.packages import need

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for chroot and namespaces")
SAY = "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(where); s.send(b'READY=1')"
WHERE = "import ctypes; where = os.environ['NOTIFY_SOCKET']; where = '\\0' + where[1:] if where[0] == '@' else where"
LEAVES = {
    "chroot": ("os.chroot('{folder}')", "path", "its root directory is {folder}", "abstract"),
    "network": (
        "assert ctypes.CDLL(None).unshare(0x40000000) == 0",
        "abstract",
        "it is in another network namespace, where our abstract names are not found",
        "path",
    ),
    "mounts": (
        "assert ctypes.CDLL(None).unshare(0x20000) == 0\n"
        "assert ctypes.CDLL(None).mount(b'none', b'/', None, 0x44000, None) == 0\n"
        "assert ctypes.CDLL(None).mount(b'none', b'/run', b'tmpfs', 0, None) == 0",
        "path",
        "it is in another mount namespace, without that folder",
        "abstract",
    ),
}


@NEEDS_ROOT
@pytest.mark.parametrize("kind", list(LEAVES))
def test_a_daemon_that_cannot_reach_it_is_seen_and_the_other_name_helps(
    place: Place, tmp_path: Path, shape: tuple[str, ...], kind: str
) -> None:
    leave, here, reason, other = (word.format(folder=tmp_path) for word in LEAVES[kind])
    options = ("-t", "systemd", "-N", *shape, "--notify-socket")
    lost = place.begin(*options, here)
    lost.puppet.do(WHERE)
    lost.puppet.do(leave)
    lost.err.hears(f"{reason}: use --notify-socket {other}")
    assert "cannot reach its notification socket" in lost.err.text.decode()
    assert not lost.is_ready()
    found = place.begin(*options, other)
    found.puppet.do(WHERE)
    found.puppet.do(leave)
    found.puppet.do(SAY)
    found.becomes_ready()
    found.puppet.tell("exit 0")
    assert found.ends() == 0
    assert "cannot reach" not in found.err.rest()


@NEEDS_ROOT
def test_it_is_said_when_the_time_is_over_as_well(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    words = (*PYTHON, "-c", f"import os, signal; os.chroot({str(tmp_path)!r}); signal.pause()")
    started = place.spawn("-t", "systemd", "-N", "--ready-timeout", "1", *shape, command=words)
    assert started.ends() in (125, -15)
    said = started.err.rest()
    assert said.count(f"its root directory is {tmp_path}: use --notify-socket abstract") == 1
    assert re.search(r"after \d+\.\d s it still waits for READY=1", said)


@NEEDS_ROOT
def test_a_child_that_may_speak_is_looked_at_as_well(place: Place, tmp_path: Path) -> None:
    started = place.begin("-t", "systemd", "-N", "--notify-access", "all")
    started.puppet.do(f"child = os.fork() or (os.chroot('{tmp_path}'), os.read(os.pipe()[0], 1))")
    started.err.hears("cannot reach its notification socket /run/cross-init/")
    assert re.search(r"its process \d+ cannot reach .*: use --notify-socket abstract", started.err.text.decode())
    started.puppet.do("os.kill(child, 9)")


@NEEDS_ROOT
def test_one_that_was_bound_into_the_new_root_is_reached(place: Place, tmp_path: Path) -> None:
    """As Debian's helper for unbound does it."""
    started = place.begin("-t", "systemd", "-N", "--notify-socket", "path")
    started.puppet.do(WHERE)
    started.puppet.do(
        f"inside = '{tmp_path}/new' + os.path.dirname(where)\nos.makedirs(inside)\n"
        "bind = lambda: ctypes.CDLL(None).mount(os.path.dirname(where).encode(), inside.encode(), None, 0x1000, None)\n"
        "assert ctypes.CDLL(None).unshare(0x20000) == 0\n"
        "assert ctypes.CDLL(None).mount(b'none', b'/', None, 0x44000, None) == 0\n"
        f"assert bind() == 0\nos.chroot('{tmp_path}/new')"
    )
    pid, path = started.puppet.pid, started.puppet.environ["NOTIFY_SOCKET"]
    assert why_not(pid, path) == ""
    assert why_not(pid, "/run/elsewhere/socket") == f"its root directory is {tmp_path}/new"
    started.puppet.do(SAY)
    started.becomes_ready()


def test_the_place_of_a_path_is_where_its_innermost_mount_has_it() -> None:
    mounts = "\n".join((
        "1 0 8:1 / / rw - ext4 /dev/a rw",
        "2 1 0:5 / /run rw - tmpfs x rw",
        "3 1 8:1 /home/a/run /mnt rw - ext4 /dev/a rw",
        "4 2 0:6 / /run/user/1 rw - tmpfs x rw",
        "5 4 0:7 / /run/user/1 rw - tmpfs x rw",
        "6 2 8:2 /file /run/file rw - ext4 /dev/b rw",
        "7 1 0:8 / /srv rw - tmpfs x rw",
        "8 7 0:9 / /srv/a/b rw - tmpfs x rw",
        "9 7 0:10 / /srv/a rw - tmpfs x rw",  # later, and above: it hides that
        "short",
        "",
    ))  # fmt: skip
    assert place(mounts, "/etc/x") == ("8:1", "/etc/x")
    assert place(mounts, "/run/x") == ("0:5", "/x")
    assert place(mounts, "/runx") == ("8:1", "/runx")
    assert place(mounts, "/mnt/x") == ("8:1", "/home/a/run/x")
    assert place(mounts, "/run/user/1/x") == ("0:7", "/x")
    assert place(mounts, "/run/file") == ("8:2", "/file")
    assert place(mounts, "/srv/a/b/x") == ("0:10", "/b/x")
    assert place(mounts, "/srv/b") == ("0:8", "/b")
    assert place("", "/x") is None
    assert place("1 0 8:1 / /a rw - x x x", "/ab") is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-t systemd --notify-socket path", "--notify-socket is about what a daemon says of itself.*with -N"),
        ("-t systemd -N --notify-socket file", "choose one of path, abstract"),
        ("-t upstart -N --notify-socket path", "a daemon for upstart is given no notification socket"),
        ("-t systemd -N --end-after-ready --notify-socket path", "nobody of ours stays to remove the path"),
    ],
)
def test_where_there_is_no_choice_it_is_said(options: str, words: str) -> None:
    result = run(*options.split(), "--", "/bin/true")
    assert result.status == 125
    assert re.search(words, result.line)


def test_a_path_needs_a_folder(tmp_path: Path) -> None:
    """A user without one of his own."""
    before = (lambda: os.setuid(65534)) if os.geteuid() == 0 else (lambda: None)
    result = run("-t", "systemd", "-N", "--notify-socket", "path", "--", "/bin/true", before=before)
    assert result.status == 125
    assert "it needs a folder in which nobody else may write, this user's own XDG_RUNTIME_DIR" in result.line


@NEEDS_ROOT
def test_unbound_in_a_chroot_of_its_own_is_ready(place: Place, tmp_path: Path) -> None:
    need("unbound")
    port = free_port()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "conf").write_text(
        f'server:\n chroot: "{tmp_path}/root"\n directory: "{tmp_path}/root"\n username: ""\n pidfile: ""\n'
        f" interface: 127.0.0.1\n port: {port}\n use-syslog: no\n do-daemonize: no\n"
    )
    command = ("/usr/sbin/unbound", "-d", "-p", "-c", f"{tmp_path}/root/conf")
    lost = place.spawn("-t", "systemd", "-N", command=command)
    assert lost.ends() == 1
    assert "sd_notify failed /run/cross-init/" in lost.err.rest()  # it says so itself, and ends
    heard = place.spawn("-t", "systemd", "-N", "--notify-socket", "abstract", command=command)
    heard.becomes_ready()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        assert client.send(b"?" * 12) == 12
