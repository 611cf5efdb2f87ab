"""What stands behind the address of --listen: the syntax, and what the socket then is, for real users and clients."""

import errno
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cross_init.errors import Failure
from cross_init.sockets import address as address_of
from cross_init.sockets import options as socket_options
from tests.sockets.test_listen import NEEDS_IPV6
from tests.support.command import PATH, run
from tests.support.observed import PYTHON, Place, observed
from tests.support.own import free_port, open_to_others
from tests.support.processes import children, named
from tests.support.waiting import until
from tests.test_parsers import failure_of

NOBODY = pwd.getpwnam("nobody")
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a socket to others")
SHOW = ("/bin/sh", "-c", 'stat -c "%a %U %G %F" "$1"; stat -c "%a %U" "${1%/*}"', "sh")
TEXT = st.text(st.sampled_from("ab/,\\=:@ é"), max_size=8)
WORDS = st.lists(
    st.builds(
        lambda name, value: f"{name}{value}",
        st.sampled_from([*socket_options.OPTIONS, "mod", ""]),
        st.sampled_from(["", "=", "=0660", "=0999", "=07777", "=web", "=-1", "=8", "=²", "=" + "1" * 5000]),
    ),
    max_size=4,
)


@given(TEXT, st.lists(TEXT, max_size=3))
@example("\\", ["a"])
@example("\\,", [])
def test_an_escaped_address_is_found_whole(address: str, words: list[str]) -> None:
    written = ",".join(map(socket_options.escape, (address, *words)))
    assert socket_options.split(written) == (address, words)


@given(TEXT)
def test_without_a_comma_nothing_but_backslashes_before_one_another_change(text: str) -> None:
    text = text.replace(",", "")
    assert socket_options.split(text) == (text.replace("\\\\", "\\"), [])


@given(st.sampled_from(list(address_of.KINDS)), st.sampled_from(["/run/x", "@x", "[::]:80", ":80"]), WORDS)
def test_options_are_taken_or_refused_in_words(kind: str, where: str, words: list[str]) -> None:
    text = ",".join((f"{kind}:{where}", *words))
    address = failure_of(lambda: address_of.parse(text))
    if isinstance(address, Failure):
        assert str(address).startswith(f"--listen {text}: ")
        return
    assert isinstance(address, address_of.Address)
    options = address.options
    assert options.given == [word.partition("=")[0] for word in words]
    assert 0 <= options.mode <= 0o777
    assert 0 <= options.folder_mode <= 0o777
    assert 1 <= options.backlog < 1 << 31
    assert "mode" not in options.given or address.has_path
    assert "backlog" not in options.given or address.accepts
    assert "keep-alive" not in options.settings or kind == "tcp"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("unix:/run/x,", "an empty word is no option; there are mode=, user=,"),
        ("unix:/run/x,colour=red", "colour=red is no option"),
        ("unix:/run/x,mode=rw", "mode=rw: write mode= and an octal number"),
        ("unix:/run/x,mode", "mode: write mode= and an octal number"),
        ("unix:/run/x,mode=1777", "mode=1777: write mode="),
        ("unix:/run/x,mode=0666,mode=0600", "mode stands there twice"),
        ("unix:@x,mode=0600", "mode is for a path"),
        ("tcp::80,user=root", "user is for a path"),
        ("udp::80,backlog=5", "backlog is for a socket that accepts connections"),
        ("unix:/run/x,backlog=0", "backlog=0: write backlog= and a number, 1 to"),
        ("unix:/run/x,keep-alive", "keep-alive is for tcp:"),
        ("tcp::80,keep-alive=yes", "keep-alive takes no value"),
        ("unix:/run/x,user=no-such-user", "there is no user no-such-user"),
        ("unix:/run/x,group=no-such-group", "there is no group no-such-group"),
        ("unix:/run/x,user=4123456789", "there is no user 4123456789"),
        ("fifo:@x", "@x is no absolute path; write"),
        ("fifo:/proc/x", "cannot listen there"),
    ],
)
def test_what_is_wrong_with_an_option_is_one_line(form: str, words: str) -> None:
    result = run("-t", "systemd", "--listen", form, "--", "/bin/true")
    assert result.status == 125
    assert result.line.startswith(f"--listen {form}: {words}")


@pytest.mark.parametrize(
    ("option", "form"),
    [("--adopt-socket", "unix:/run/x,mode=0600"), ("--health-listen", "unix:/run/x,remove-on-stop")],
)
def test_where_an_option_says_nothing_it_is_refused(option: str, form: str) -> None:
    result = run("-t", "systemd", "-N", option, form, "--", "/bin/true")
    assert result.status == 125
    assert "leave" in result.line


def shown(form: str, path: Path, umask: int = 0o077) -> tuple[str, str]:
    """The socket's mode, user, group and kind; the folder's mode and user."""
    result = run("-t", "systemd", "--listen", form, "--", *SHOW, str(path), before=lambda: void(os.umask(umask)))
    assert (result.status, result.err) == (0, b"")
    of_socket, of_folder = result.out.decode().splitlines()
    return of_socket, of_folder


def void(_: object) -> None:
    """A function that has no value."""


USER, GROUP = pwd.getpwuid(os.geteuid()).pw_name, os.popen("id -gn").read().strip()


@pytest.mark.parametrize("kind", ["unix", "unix-dgram", "unix-seqpacket", "fifo"])
def test_the_mode_is_what_systemd_gives_whatever_the_umask_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "made" / "for" / "socket"
    file = "fifo" if kind == "fifo" else "socket"
    assert shown(f"{kind}:{path}", path) == (f"666 {USER} {GROUP} {file}", f"755 {USER}")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o755
    os.unlink(path)
    own = tmp_path / "other" / "socket"
    assert shown(f"{kind}:{own},mode=0620,folder-mode=711", own, 0)[0].startswith("620 ")
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o711


def test_the_daemon_has_the_umask_that_we_were_given(tmp_path: Path) -> None:
    words = ("-t", "systemd", "--listen", f"unix:{tmp_path}/a/b", "--", "/bin/sh", "-c", "umask")
    assert run(*words, before=lambda: void(os.umask(0o027))).out == b"0027\n"


@NEEDS_ROOT
@pytest.mark.parametrize("kind", ["unix", "unix-dgram", "fifo"])
def test_the_owner_is_given_by_name_or_number(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for options, owner in (
        ("user=nobody", "nobody nogroup"),  # with his own group
        ("user=nobody,group=daemon", "nobody daemon"),
        ("group=daemon", "root daemon"),
        ("user=65534,group=1", "nobody daemon"),
    ):
        assert shown(f"{kind}:{path},mode=0660,{options}", path)[0].startswith(f"660 {owner} ")
        os.unlink(path)


@NEEDS_ROOT
def test_another_user_connects_unless_the_mode_says_no(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    connect = (
        "import os, socket\n"
        "os.setgid(65534); os.setgroups([]); os.setuid(65534)\n"
        "print(socket.socket(socket.AF_UNIX).connect_ex('{}'))"
    )
    for options, error in (("", 0), (",mode=0600", errno.EACCES), (",mode=0660,group=nogroup", 0)):
        path = tmp_path / "socket"
        words = ("--listen", f"unix:{path}{options}", "--", *PYTHON, "-c", connect.format(path))
        assert run("-t", "systemd", *words).out == f"{error}\n".encode()
        os.unlink(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_who_is_not_root_gives_nothing_away(tmp_path: Path) -> None:
    refuses_to_give(tmp_path, lambda: None)


def refuses_to_give(folder: Path, before: Callable[[], None]) -> None:
    path = folder / "socket"
    result = run("-t", "systemd", "--listen", f"unix:{path},user=root", "--", "/bin/true", before=before)
    assert result.status == 125
    assert "cannot listen there: Operation not permitted; only root may give a socket to others" in result.line
    assert not path.exists(), "nothing is left"


@NEEDS_ROOT
def test_who_has_become_another_user_gives_nothing_away(tmp_path: Path) -> None:
    def become_nobody() -> None:
        os.setgid(NOBODY.pw_gid)
        os.setgroups([])
        os.setuid(NOBODY.pw_uid)

    open_to_others(tmp_path)
    os.chown(tmp_path, NOBODY.pw_uid, NOBODY.pw_gid)
    refuses_to_give(tmp_path, become_nobody)


@NEEDS_ROOT
def test_a_missing_folder_is_not_made_behind_another_users_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    os.chown(tmp_path / "link", NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    result = run("-t", "systemd", "--listen", f"unix:{tmp_path}/link/a/socket", "--", "/bin/true")
    assert result.status == 125
    assert "no link of another user's is followed" in result.line
    assert not os.listdir(tmp_path / "elsewhere")


@NEEDS_ROOT
@pytest.mark.parametrize("kind", ["fifo", "unix"])
def test_what_somebody_else_has_put_there_is_given_to_nobody(kind: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    os.mkfifo(other, 0o600)
    if kind == "fifo":
        os.link(other, tmp_path / "socket")  # root's own, under a second name
    else:
        os.mkfifo(tmp_path / "socket")
        os.chown(tmp_path / "socket", 1, 1)
    result = run("-t", "systemd", "--listen", f"{kind}:{tmp_path}/socket,user=nobody", "--", "/bin/true")
    assert result.status == 125
    assert "cannot listen there" in result.line
    assert (other.stat().st_uid, stat.S_IMODE(other.stat().st_mode)) == (0, 0o600)


def test_what_takes_a_sockets_place_meanwhile_is_given_to_nobody(tmp_path: Path) -> None:
    """The owner of the folder is as fast as can be."""
    from cross_init.kernel.folders import SOCKET, open_folder
    from cross_init.sockets.placing import _give

    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(tmp_path / "socket"))
        os.link(tmp_path / "socket", tmp_path / "second")
        (tmp_path / "link").symlink_to("socket")
        (tmp_path / "file").touch()
        folder = open_folder(str(tmp_path))
        try:
            for name in ("socket", "link", "file"):
                with pytest.raises(PermissionError, match="something else"):
                    _give(folder, name, SOCKET, (os.geteuid(), os.getegid()))
        finally:
            os.close(folder)


@NEEDS_IPV6
@pytest.mark.parametrize("order", [("0.0.0.0", "[::]"), ("[::]", "0.0.0.0")])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_both_families_may_have_one_port(kind: str, order: tuple[str, str]) -> None:
    port = free_port()
    listened = [word for host in order for word in ("--listen", f"{kind}:{host}:{port}")]
    result = run("-t", "systemd", *listened, "--", "/bin/sh", "-c", "echo $LISTEN_FDS")
    assert (result.out, result.err) == (b"2\n", b"")


@NEEDS_IPV6
def test_no_host_is_both_families() -> None:
    port = free_port()
    ask = f"import socket; socket.create_connection(('127.0.0.1', {port})); socket.create_connection(('::1', {port}))"
    result = run("-t", "systemd", "--listen", f"tcp::{port}", "--", *PYTHON, "-c", ask)
    assert (result.status, result.err) == (0, b"")


def test_the_backlog_and_keep_alive_are_the_sockets() -> None:
    alive = "import socket; print(socket.socket(fileno=3).getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))"
    for options, value in (("", b"0\n"), (",keep-alive", b"1\n")):
        form = f"tcp:127.0.0.1:{free_port()}{options}"
        assert run("-t", "systemd", "--listen", form, "--", *PYTHON, "-c", alive).out == value
    waiting = (
        "import socket\n"
        "def may_wait():\n"
        "    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "    client.setblocking(False)\n"
        "    clients.append(client)\n"
        "    return client.connect_ex('\\0{0}') == 0\n"
        "clients = []\n"
        "print([may_wait() for _ in range(5)].count(True))"
    )
    name = f"cross-init-test-{os.getpid()}"
    form = f"unix-seqpacket:@{name},backlog=2"
    assert run("-t", "systemd", "--listen", form, "--", *PYTHON, "-c", waiting.format(name)).out == b"3\n"


def test_a_path_may_have_commas(tmp_path: Path) -> None:
    path = tmp_path / "a,mode=0,\\,b"
    shown_form = "unix:" + socket_options.escape(str(path)) + ",mode=0640"
    assert shown(shown_form, path)[0].startswith("640 ")


def test_a_fifo_is_open_for_good_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    script = 'test "$LISTEN_FDS" = 1; read one <&3; read two <&3; echo "$one $two"'

    def write() -> None:
        for word in ("one\n", "two\n"):  # each writer is gone before the next one comes
            path.write_text(word)

    for _ in range(2):  # the second time it is there already
        process = subprocess.Popen(
            [*map(str, (listen_command(tmp_path, path))), "/bin/sh", "-c", script],
            env={"PATH": PATH},
            stdout=subprocess.PIPE,
        )
        until(path.exists, "the FIFO is there")
        writer = threading.Thread(target=write)
        writer.start()
        assert process.communicate(timeout=60)[0] == b"one two\n"
        writer.join(60)


def listen_command(folder: Path, path: Path) -> list[str]:
    from tests.support.command import BRIDGE

    return [str(BRIDGE), "-t", "systemd", "--init", "none", "--listen", f"fifo:{path}", "--"]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with observed(tmp_path) as where:
        yield where


SHAPES = {
    "watch": ("-N",),
    "supervise": ("-N", "--supervise"),
    "without readiness": (),
    "the daemon stops": ("-N", "-t", "upstart"),
    "serve": ("-N", "-t", "inetd:nowait"),
}


BLOCKING = (
    "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

BLOCKED = (
    "import os, signal, sys; f = open(sys.argv[1], 'w'); "
    "f.write(str([int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())])); f.close(); "
    "os.rename(*sys.argv[1:]); signal.pause()"
)


def runs(pid: int) -> bool:
    """Whether this process, or a child of its, has become the daemon."""
    return "sleep" in map(named, (pid, *children(pid)))


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_path_goes_with_the_service_if_that_is_asked_for(place: Place, shape: str, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    options = SHAPES[shape] if "-t" in SHAPES[shape] else ("-t", "systemd", *SHAPES[shape])
    started = place.spawn(*options, "--listen", f"unix:{path},remove-on-stop", command=("/bin/sleep", "1000"))
    until(path.exists, "the socket is there")
    if shape == "serve":
        started.becomes_ready()
    else:
        until(lambda: runs(started.process.pid), "the daemon runs")
    started.process.terminate()
    started.ends()
    until(lambda: not path.exists(), "the path is removed")


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "serve"])
def test_so_does_that_of_a_service_that_is_stopped_before_a_client_has_come(
    place: Place, shape: str, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    started = place.spawn(
        *(() if "-t" in SHAPES[shape] else ("-t", "systemd")),
        *SHAPES[shape],
        *("--wait-for-client", "--listen", f"unix:{path},remove-on-stop"),
        command=("/bin/sleep", "1000"),
    )
    until(path.exists, "the socket is there")
    started.process.terminate()
    assert started.ends() == -signal.SIGTERM
    assert not path.exists()


@pytest.mark.parametrize("shape", list(SHAPES))
def test_who_removes_a_path_gives_the_daemon_its_signals_as_they_were(place: Place, shape: str, tmp_path: Path) -> None:
    path, report = tmp_path / "socket", tmp_path / "report"
    options = SHAPES[shape] if "-t" in SHAPES[shape] else ("-t", "systemd", *SHAPES[shape])
    words = (*PYTHON, "-c", BLOCKED, f"{report}.new", str(report))
    wrapper = (*PYTHON, "-c", BLOCKING)
    started = place.spawn(
        *options,
        *("--listen", f"unix:{path},remove-on-stop"),
        command=words,
        wrapper=wrapper,
    )
    until(path.exists, "the socket is there")
    with socket.socket(socket.AF_UNIX) as client:
        until(lambda: client.connect_ex(str(path)) == 0, "it listens")
        until(report.exists, "the daemon runs")
    assert report.read_text() == f"{[signal.SIGUSR1.value]}"
    started.process.terminate()
    started.ends()
    until(lambda: not path.exists(), "the path is removed")


def test_another_one_in_its_place_stays(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    started = place.spawn(
        "-t", "systemd", "-N", "--listen", f"unix:{path},remove-on-stop", command=("/bin/sleep", "1000")
    )
    until(path.exists, "the socket is there")
    until(lambda: runs(started.process.pid), "the daemon runs")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        started.process.terminate()
        started.ends()
        place.nothing_remains()
        assert path.exists()


def test_the_path_of_a_start_that_fails_goes_as_well(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("no program")
    os.chmod(tmp_path / "bad", 0o755)
    path = tmp_path / "socket"
    words = ("-N", "--listen", f"unix:{path},remove-on-stop", "--ready-when", "dbus:x", "--", "/bin/true")
    assert run("-t", "systemd", *words).status == 125
    assert not path.exists()
    words = ("-N", "--listen", f"unix:{path},remove-on-stop", "--health-listen", f"unix:{tmp_path}/bad/x", "--", "true")
    assert "bad/x" in run("-t", "systemd", *words).line
    assert not path.exists()


def test_who_is_to_remove_a_path_cannot_leave(tmp_path: Path) -> None:
    words = ("-N", "--end-after-ready", "--listen", f"unix:{tmp_path}/socket,remove-on-stop", "--", "/bin/true")
    result = run("-t", "systemd", *words)
    assert result.status == 125
    assert "--end-after-ready: somebody has to stay and remove the socket's path" in result.line


def test_explain_says_what_a_socket_gets(tmp_path: Path) -> None:
    forms = {
        "unix:/run/x,mode=0660,user=nobody,group=daemon": "mode 0660, of nobody:daemon, a missing folder is made with "
        "0755, backlog 4096",
        "tcp:[::]:80,keep-alive,backlog=7": "IPv6 only, backlog 7, keep-alive",
        "fifo:/run/f,folder-mode=0700,remove-on-stop": "mode 0666, a missing folder is made with 0700, removed at the "
        "service's end",
    }
    options = [word for form in forms for word in ("--listen", form)]
    result = run("-t", "systemd", *options, "--explain", "--", "/bin/true")
    assert result.status == 0
    for form, said in forms.items():
        assert f"{form}, opened by --listen: {said}\n" in result.out.decode()
    refused = run("-t", "systemd", "--listen", "unix:/run/x,user=no-such-user", "--explain", "--", "/bin/true")
    assert refused.status == 125
    assert re.search("refused +--listen unix:/run/x,user=no-such-user: there is no user", refused.out.decode())
