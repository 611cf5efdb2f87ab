"""A socket that listens on standard input is one that was passed, on whatever init."""

import os
import socket
from pathlib import Path

import pytest

from cross_init.detect import INITS
from tests.support.command import run
from tests.support.systemd import Manager
from tests.support.waiting import until
from tests.systems.test_supervisord import supervisord

SHOW = ("/bin/sh", "-c", 'echo "$LISTEN_FDS$UPSTART_FDS"; readlink /proc/self/fd/0 >&2')


def stand_in(sock: socket.socket, *more: int, nine: int = -1) -> None:
    """In a new process, put this socket on standard input and on these. nine: what 9 is to be a copy of."""
    for fd in (0, *more):
        os.dup2(sock.fileno(), fd)
    if nine >= 0:
        os.dup2(nine, 9)


@pytest.mark.parametrize("init", list(INITS))
def test_it_is_passed_on_as_the_target_has_it(init: str) -> None:
    for target in ("systemd", "upstart", "s6"):
        if target == init:
            continue
        with socket.create_server(("127.0.0.1", 0)) as sock:
            words = ("-t", target, "--init", init, "--", *SHOW)
            result = run(*words, before=lambda sock=sock: stand_in(sock))  # type: ignore[misc]
            inode = os.fstat(sock.fileno()).st_ino
        assert result.status == 0, result
        if target == "s6":
            assert result.err.decode().endswith(f"socket:[{inode}]\n")
        else:
            assert result.out.strip()
            assert b"/dev/null" in result.err


@pytest.mark.parametrize("kind", ["wait", "nowait"])
def test_a_daemon_for_inetd_gets_it(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        words = ("-t", f"inetd:{kind}", "--init", "runit", "--explain", "--", "/bin/cat")
        result = run(*words, before=lambda: stand_in(sock))
    assert result.status == 0, result
    assert f"fd 0 (tcp:127.0.0.1:{sock_port(result.out)}), passed by runit" in result.out.decode()
    assert ("serve" in result.out.decode()) == (kind == "nowait")


def sock_port(said: bytes) -> str:
    return said.decode().partition("tcp:127.0.0.1:")[2].partition(")")[0]


def test_what_does_not_listen_is_not_taken_for_one() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    streams = socket.socketpair()
    unbound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for sock in (ours, streams[0], unbound):
        result = run("-t", "systemd", "--init", "runit", "--", *SHOW, before=lambda sock=sock: stand_in(sock))  # type: ignore[misc]
        assert result.out == b"\n"
        assert b"socket:[" in result.err
    for sock in (ours, theirs, *streams, unbound):
        sock.close()


def test_a_bound_one_for_datagrams_is_passed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert run("-t", "systemd", "--init", "runit", "--", *SHOW, before=lambda: stand_in(sock)).out == b"1\n"


@pytest.mark.parametrize("words", [("-t", "plain", "--init", "runit"), ("-t", "systemd", "--init", "systemd")])
def test_a_daemon_that_knows_no_sockets_or_its_own_init_has_it_left(words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        inode = os.fstat(sock.fileno()).st_ino
        result = run(*words, "--", *SHOW, before=lambda: stand_in(sock))
    assert (result.out, result.err.decode()) == (b"\n", f"socket:[{inode}]\n")


def test_errors_and_output_that_would_go_to_it_go_where_they_are_read() -> None:
    script = ("/bin/sh", "-c", "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done >/proc/self/fd/9")
    read, write = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        run(
            *("-t", "systemd", "--init", "runit", "--", *script),
            before=lambda: stand_in(sock, 1, 2, nine=write),
            pass_fds=(9,),
        )
        inode = os.fstat(sock.fileno()).st_ino
    os.close(write)
    said = os.read(read, 1000).decode()
    os.close(read)
    assert said.count("\n") == 3
    assert f"socket:[{inode}]" not in said


def test_it_is_a_fcgi_programs_socket(tmp_path: Path) -> None:
    section = (
        f"[fcgi-program:fcgi]\nsocket=unix://{tmp_path}/s\ncommand={daemon()}\nstdout_logfile={tmp_path}/said",
        "startsecs=0\nautorestart=false",
    )
    with supervisord(tmp_path) as init:
        init.start("-t", "systemd", more="\n".join(section))
        said = tmp_path / "said"
        until(lambda: said.exists() and "LISTEN" in said.read_text(), "it has said it")
        assert said.read_text() == f"LISTEN_FDS=1 {tmp_path}/s\n"


def daemon() -> str:
    from tests.support.command import BRIDGE

    code = "import os, socket; print('LISTEN_FDS=' + os.environ['LISTEN_FDS'], socket.socket(fileno=3).getsockname())"
    return f'{BRIDGE} -t systemd -- /usr/bin/python3 -ISc "{code}"'


@pytest.mark.parametrize("target", ["inetd:wait", "upstart", "s6"])
@pytest.mark.parametrize("output", ["", "StandardOutput=journal"])
def test_systemd_passes_one_so(system: Manager, target: str, output: str) -> None:
    """StandardInput=socket; standard output, and errors, are the socket as well if nothing is said."""
    container = system.container
    service = f"StandardInput=socket\n{output}\nExecStart=BRIDGE -t {target} -- PUPPET"
    with system.unit(service, "ListenStream=/run/in/x") as unit:
        system.systemctl("start", unit.socket)
        code = "import socket; socket.socket(socket.AF_UNIX).connect('/run/in/x')"
        container.run("/usr/bin/python3", "-ISc", code)
        puppet = unit.stage.puppet()
        fd = puppet.environ.get("UPSTART_FDS", "0")
        puppet.do(f"import socket; client, _ = socket.socket(fileno=os.dup({fd})).accept()")
        puppet.do("assert os.fstat(2).st_ino != os.fstat(client.fileno()).st_ino")
        puppet.do(f"assert not os.path.sameopenfile(2, {fd})")
        puppet.tell("exit 0")
