"""Daemons for inetd under other inits: wait gets the socket, nowait a connection, each client's from a new daemon."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.sockets.connection import plain
from tests.matrix.directories import S6, Runit, directory
from tests.support.command import PATH, command, run
from tests.support.packages import need
from tests.support.processes import children
from tests.support.puppet import Puppet, Stage, stage
from tests.support.show import Show
from tests.support.waiting import lives_through, until

PUPPET = str(Path(__file__).resolve().parents[1] / "daemons" / "puppet.py")
LONGEST_S = 20
FAMILIES = {"inet": "tcp:127.0.0.1:0", "inet6": "tcp:[::1]:0", "both": "tcp::0", "unix": "unix:HERE/served"}


class Bridge:
    """The bridge from a shell, whose daemons are puppets. where: what it said that it listens on."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, where: Stage, listen: str) -> None:
        self.process = process
        self.folder = folder
        self.stage = where
        until(lambda: " is ready after " in self.said, "it is ready")
        lines = [line for line in self.said.splitlines() if "listening on" in line]
        self.where = lines[0].rpartition(" ")[2] if lines else listen

    @property
    def said(self) -> str:
        """What it, and its daemons, have said on standard error."""
        return (self.folder / "said").read_text()

    def client(self) -> socket.socket:
        """A client, connected."""
        kind, _, rest = self.where.partition(":")
        if kind == "unix":
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(LONGEST_S)
            made.connect(rest)
            return made
        host, _, port = rest.rpartition(":")
        host = "127.0.0.1" if host == "[::]" else host
        return socket.create_connection((host.strip("[]"), int(port)), LONGEST_S)

    def children(self) -> list[int]:
        """Its processes."""
        return children(self.process.pid)


@contextmanager
def bridge(
    folder: Path,
    *options: str,
    target: str = "inetd:nowait",
    listen: str = FAMILIES["inet"],
    daemon: tuple[str, ...] = (),
) -> Iterator[Bridge]:
    """The bridge, ready, with these daemons, or else puppets; it and they end with this."""
    listen = listen.replace("HERE", str(folder))
    words = command("--init", "none", "-t", target, "-N", "--listen", listen, *options, "--")
    with stage(folder / "stage") as where, (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [*words, *(daemon or ("/usr/bin/python3", "-IS", PUPPET, str(folder / "stage")))],
            env={"PATH": PATH, "TCPREMOTEHOST": "stale"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield Bridge(process, folder, where, listen)
        finally:
            process.kill()
            process.wait()


def answer(puppet: Puppet, client: socket.socket, text: bytes = b"hello") -> None:
    """Have it answer its client and end; the client sees both."""
    puppet.do(f"import os; os.write(1, {text!r})")
    puppet.tell("exit 0")
    assert client.makefile("rb").read() == text


def stopped(made: Bridge, number: int = signal.SIGTERM) -> int:
    """Stop it; returns how it ended."""
    made.process.send_signal(number)
    return made.process.wait(LONGEST_S)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_client_gets_a_daemon_and_the_daemon_is_told_who_it_is(family: str, tmp_path: Path) -> None:
    with bridge(tmp_path, listen=FAMILIES[family]) as made, made.client() as first, made.client() as second:
        first.sendall(b"first")
        second.sendall(b"second")
        for _ in range(2):
            puppet = made.stage.puppet()
            assert puppet.hello["parent"] == made.process.pid
            assert os.getsid(puppet.pid) == puppet.pid
            fds, environ = puppet.hello["fds"], puppet.environ
            assert fds["0"] == fds["1"]
            assert fds["2"] == str(tmp_path / "said")
            assert [fd for fd, what in fds.items() if what.startswith("socket:")] == ["0", "1"]
            assert "TCPREMOTEHOST" not in environ
            if family == "unix":
                described = {"PROTO": "IPC", "IPCREMOTEEUID": "0", "IPCREMOTEEGID": "0", "IPCREMOTEPATH": ""}
            else:
                host = "::1" if family == "inet6" else "127.0.0.1"
                port = made.where.rpartition(":")[2]
                described = {"PROTO": "TCP", "TCPLOCALIP": host, "TCPREMOTEIP": host, "TCPLOCALPORT": port}
            assert {key: environ.get(key) for key in described} == described
            puppet.do("import os; os.write(1, b'hello ' + os.read(0, 100))")
            puppet.tell("exit 0")
        assert first.makefile("rb").read() == b"hello first"
        assert second.makefile("rb").read() == b"hello second"
        until(lambda: len(made.children()) == 1, "its children are reaped, and the guard stays")
        assert stopped(made) == 0


def test_there_are_so_many_at_a_time_and_others_wait(tmp_path: Path) -> None:
    with (
        bridge(tmp_path, target="inetd:nowait:2") as made,
        made.client() as first,
        made.client() as second,
        made.client() as third,
    ):
        puppets = [made.stage.puppet(), made.stage.puppet()]
        assert lives_through(made.process.pid, 0.1)
        assert made.stage.is_empty()
        at_port = {puppet.environ["TCPREMOTEPORT"]: puppet for puppet in puppets}
        answer(at_port[str(first.getsockname()[1])], first)
        last = made.stage.puppet()
        assert last.environ["TCPREMOTEPORT"] == str(third.getsockname()[1])
        answer(last, third)
        answer(at_port[str(second.getsockname()[1])], second)


def test_a_stop_ends_the_accepting_at_once_and_the_daemons_as_they_wish(tmp_path: Path) -> None:
    with bridge(tmp_path) as made, made.client() as client:
        puppet = made.stage.puppet()
        made.process.send_signal(signal.SIGTERM)
        puppet.hear_signal(signal.SIGTERM)
        with made.client():  # the kernel takes it in; we do not
            assert lives_through(made.process.pid, 0.1)
            assert made.stage.is_empty()
            answer(puppet, client)
            assert made.process.wait(LONGEST_S) == 0
        assert puppet.last_words() == []  # one signal, not two


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGQUIT])
def test_other_stops_are_passed_on_as_they_are(sent: int, tmp_path: Path) -> None:
    with bridge(tmp_path, "--stop-signal=USR1") as made, made.client():
        puppet = made.stage.puppet()
        made.process.send_signal(sent)
        puppet.hear_signal(sent)
        made.process.send_signal(signal.SIGTERM)
        puppet.hear_signal(signal.SIGUSR1)
        puppet.tell("exit 1")
        assert made.process.wait(LONGEST_S) == 0


def test_a_reload_is_for_those_that_come_unless_a_signal_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with bridge(tmp_path / "one") as made, made.client() as client:
        puppet = made.stage.puppet()
        made.process.send_signal(signal.SIGHUP)
        with made.client() as other:
            answer(made.stage.puppet(), other)  # it goes on
        answer(puppet, client)
        assert puppet.last_words() == []
    (tmp_path / "two").mkdir()
    with bridge(tmp_path / "two", "--reload-signal=USR2") as made, made.client():
        puppet = made.stage.puppet()
        made.process.send_signal(signal.SIGHUP)
        puppet.hear_signal(signal.SIGUSR2)


def test_one_that_crashes_is_one_that_crashes(tmp_path: Path) -> None:
    with bridge(tmp_path) as made:
        with made.client() as client:
            made.stage.puppet().tell(f"die {signal.SIGKILL}")
            assert client.makefile("rb").read() == b""
        with made.client() as client:
            answer(made.stage.puppet(), client)
        until(lambda: "was ended by signal 9" in made.said, "it is said")


def test_when_we_are_killed_those_that_serve_are_ended(tmp_path: Path) -> None:
    with bridge(tmp_path) as made, made.client() as first, made.client() as second:
        puppets = [made.stage.puppet() for _ in range(2)]
        made.process.kill()
        made.process.wait()
        for puppet in puppets:
            assert puppet.last_words() == []
        for client in (first, second):
            assert client.makefile("rb").read() == b""
        with pytest.raises(ConnectionRefusedError):
            made.client()


def test_a_daemon_that_cannot_be_run_is_said_at_once_and_one_that_is_gone_for_each_client(tmp_path: Path) -> None:
    result = run("-t", "inetd:nowait", "--init", "none", "--listen", "tcp:127.0.0.1:0", "--", "/nonexistent")
    assert result.status == 127
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    words = command("--init", "none", "-t", "inetd:nowait", "-N", "--listen", f"unix:{tmp_path}/s", "--", str(program))
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(words, env={"PATH": PATH}, stderr=said)
    try:
        until(lambda: " is ready after " in (tmp_path / "said").read_text(), "it is ready")
        program.unlink()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))
            assert client.recv(1) == b""
        until(lambda: f"running {program}: not found" in (tmp_path / "said").read_text(), "it is said")
        process.terminate()
        assert process.wait(LONGEST_S) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            "-t inetd:nowait --listen unix-dgram:@x",
            "has no connections; if the daemon can do with it, say -t inetd:wait",
        ),
        ("-t inetd:nowait --listen tcp::0 --listen tcp::0", "choose one with --socket NAME"),
        ("-t inetd:nowait", "there is no socket for it: let the init pass one, or use --listen"),
        ("-t inetd:wait -N --listen tcp::0", "a daemon for inetd:wait does not say when it is ready"),
        ("-t inetd:nowait --ready-when listening --listen unix:@x", "with -N the service is ready when it listens"),
        ("-t inetd", "behind inetd: has to stand wait"),
        ("-t inetd:wait:3", "behind inetd: has to stand wait"),
        ("-t inetd:nowait:0", "behind inetd: has to stand wait"),
        ("-t inetd:nowait:99999", "behind inetd: has to stand wait"),
    ],
)
def test_what_cannot_be_is_one_line(options: str, says: str) -> None:
    result = run("--init", "none", *options.split(), "--", "/bin/true")
    assert result.status == 125
    assert says in result.err.decode().splitlines()[-1]


@pytest.mark.parametrize("listen", ["tcp:127.0.0.1:0", "udp:127.0.0.1:0"])
def test_with_wait_the_socket_is_standard_input_and_output(listen: str, tmp_path: Path) -> None:
    words = command("--init", "none", "-t", "inetd:wait", "--listen", listen, "--")
    with stage(tmp_path / "stage") as where, (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [*words, "/usr/bin/python3", "-IS", PUPPET, str(tmp_path / "stage")],
            env={"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            puppet = where.puppet()
            assert puppet.pid == process.pid
            fds = puppet.hello["fds"]
            assert fds["0"] == fds["1"] != fds["2"]
            assert "PROTO" not in puppet.environ
            port = int((tmp_path / "said").read_text().rpartition(":")[2])
            puppet.do("import socket; listening = socket.socket(fileno=0)")
            if listen.startswith("tcp"):
                with socket.create_connection(("127.0.0.1", port), LONGEST_S) as client:
                    puppet.do("client, _ = listening.accept(); client.sendall(b'hello')")
                    assert client.recv(100) == b"hello"
            else:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(LONGEST_S)
                    client.sendto(b"world", ("127.0.0.1", port))
                    puppet.do("text, whence = listening.recvfrom(100); listening.sendto(b'hello ' + text, whence)")
                    assert client.recv(100) == b"hello world"
        finally:
            process.kill()
            process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits")
@pytest.mark.parametrize("kind", [S6, Runit])
def test_a_supervisor_is_told_that_it_listens_and_stops_it_clean(kind: type[S6] | type[Runit], tmp_path: Path) -> None:
    with directory(kind, tmp_path) as driver, stage(tmp_path / "stage") as where:
        options = ["-t", "inetd:nowait", "-N", "--listen", f"unix:{tmp_path}/served"]
        driver.install([driver.bridge, *options, "--", "/usr/bin/python3", "-IS", PUPPET, str(tmp_path / "stage")])
        driver.begin()
        until(driver.is_ready, "it is ready", 20)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LONGEST_S)
            client.connect(str(tmp_path / "served"))
            puppet = where.puppet()
            driver.shows_main(puppet.hello["parent"])
            answer(puppet, client)
        driver.stop()


def test_an_upstart_job_serves_each_client_of_its_socket(show: Show) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        event = {"PROTO": "inet", "PORT": str(listening.getsockname()[1]), "ADDR": "127.0.0.1"}
        job = show.job("-t", "inetd:nowait", "-N")
        job.spawn({14: listening}, event)
        assert job.wait_running()
        with socket.create_connection(listening.getsockname(), LONGEST_S) as client:
            puppet = show.stage.puppet()
            assert puppet.environ["PROTO"] == "TCP"
            assert not [variable for variable in puppet.environ if variable.startswith("UPSTART_")]
            os.killpg(job.pid, signal.SIGTERM)  # as Upstart does it
            puppet.hear_signal(signal.SIGTERM)
            answer(puppet, client)
            assert puppet.last_words() == []
        assert os.waitstatus_to_exitcode(job.ended()) == 0


def test_git_which_is_written_for_inetd_serves_many_at_a_time(tmp_path: Path) -> None:
    need("git")
    environ = {"PATH": PATH, "HOME": str(tmp_path)}

    def git(*words: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["git", *words], env=environ, cwd=tmp_path, stdin=subprocess.DEVNULL)

    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("init", "--quiet", "web"), ("-C", "web", *author, "commit", "--quiet", "--allow-empty", "-m", "x")):
        assert git(*words).wait(LONGEST_S) == 0
    daemon = ("git", "daemon", "--inetd", f"--base-path={tmp_path}", "--export-all")
    with bridge(tmp_path, target="inetd:nowait:2", daemon=daemon) as made:
        port = made.where.rpartition(":")[2]
        clones = [git("clone", "--quiet", f"git://127.0.0.1:{port}/web", f"clone-{number}") for number in range(4)]
        assert [clone.wait(LONGEST_S) for clone in clones] == [0] * 4
        until(lambda: len(made.children()) == 1, "its children are reaped, and the guard stays")
        assert stopped(made) == 0


def test_an_address_is_what_rules_are_written_for() -> None:
    assert plain(("::ffff:192.0.2.1", 80, 0, 0)) == ("192.0.2.1", 80)
    assert plain(("2001:db8::1", 80, 0, 0)) == ("2001:db8::1", 80)
    assert plain(("::ffff:0:1", 80, 0, 0)) == ("::ffff:0:1", 80)
    assert plain(b"\0abstract") == ""
