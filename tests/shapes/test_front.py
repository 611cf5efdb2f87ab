"""--daemonize, --pid-file and --ready-fd, without any init: who waits for the end of the command that was started."""

import os
import select
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.kernel.process_stat import process_state
from cross_init.watch.outcome import FORKS_AWAY
from tests.support.command import PATH, command, run
from tests.support.processes import children as children_of
from tests.support.processes import end, kill, stop, watcher_among
from tests.support.puppet import Puppet, Stage, stage
from tests.support.upstart import reap
from tests.support.waiting import until

PUPPET = str(Path(__file__).parents[1] / "daemons" / "puppet.py")
LONGEST_S = 20
ENVIRON = {"PATH": PATH}
TARGETS = ("systemd", "upstart")
KILLED = "cross-init-bridge: the process that watched the daemon was killed; so the daemon was ended, too\n"


def ended(front: "Front", how: str, advice: str = "") -> str:
    """What is said of a daemon that has ended in this way before it was ready."""
    missing = {"systemd": "READY=1", "upstart": "the daemon to stop itself"}[front.target]
    begins = f"cross-init-bridge: python3 (PID {front.puppet.pid}) ended ({how})"
    return f"{begins} while it still waited for {missing}{advice}\n"


def children() -> set[int]:
    return {int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


class Fronts:
    """Fronts with a puppet as their daemon."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        self.pid_file = folder / "pid"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.others = children()

    def begin(
        self, target: str, *options: str, pass_fds: tuple[int, ...] = (), wrapper: tuple[str, ...] = ()
    ) -> "Front":
        """Start one, and let its puppet come."""
        daemon = ("/usr/bin/python3", "-IS", PUPPET, str(self.folder / "stage"))
        process = subprocess.Popen(
            [*wrapper, *command("-t", target, "--init", "none", *options, "--", *daemon)],
            env=ENVIRON,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            cwd=self.folder,
        )
        self.processes.append(process)
        return Front(target, process, self.stage.puppet())

    def left(self) -> set[int]:
        """What remains of the fronts that have ended."""
        return children() - self.others - {process.pid for process in self.processes}

    def nothing_remains(self) -> None:
        """All of it ends by itself."""
        until(lambda: not [pid for pid in self.left() if not os.waitpid(pid, os.WNOHANG)[0]], "all of it ends")
        assert list(self.folder.iterdir()) == [self.folder / "stage"]


class Front:
    def __init__(self, target: str, process: subprocess.Popen[bytes], puppet: Puppet) -> None:
        self.target = target
        self.process = process
        self.puppet = puppet

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def get_ready(self) -> None:
        if self.target == "upstart":
            self.puppet.get_ready()
        else:
            self.puppet.tell("notify STATUS=nearly\nREADY=1")
            self.puppet.hear("notified")

    def ends(self) -> int:
        return self.process.wait(LONGEST_S)

    def said(self) -> str:
        """What was said on standard error, when all who hold it have ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[Fronts]:
    reap(True)
    with stage(tmp_path / "stage") as where:
        shown = Fronts(tmp_path, where)
        try:
            yield shown
        finally:
            for process in shown.processes:
                process.kill()
                process.wait()
                assert process.stderr is not None
                process.stderr.close()
            end(shown.left())
            reap(False)


@pytest.mark.parametrize("target", TARGETS)
def test_the_command_ends_when_the_daemon_is_ready_and_leaves_it_running(fronts: Fronts, target: str) -> None:
    front = fronts.begin(target, "--daemonize", "--pid-file", "pid")
    assert not front.has_ended
    assert not fronts.pid_file.exists()
    front.get_ready()
    assert front.ends() == 0
    assert fronts.pid_file.read_text() == f"{front.puppet.pid}\n"
    assert stat.S_IMODE(fronts.pid_file.stat().st_mode) == 0o644
    assert os.getsid(front.puppet.pid) not in (os.getsid(0), front.process.pid)
    assert front.puppet.hello["fds"]["0"] == "/dev/null"
    front.puppet.tell("exit 0")
    if target == "upstart":  # nobody has stayed to remove it
        until(
            lambda: front.puppet.pid not in fronts.left() or bool(os.waitpid(front.puppet.pid, os.WNOHANG)[0]), "ends"
        )
        fronts.pid_file.unlink()
    fronts.nothing_remains()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("word", ["exit 7", "die 9", "die 14"])
def test_a_daemon_that_ends_before_it_is_ready_gives_the_command_its_end(
    fronts: Fronts, target: str, word: str
) -> None:
    front = fronts.begin(target, "--daemonize", "--pid-file", "pid")
    front.puppet.tell(word)
    kind, number = word.split()
    assert front.ends() == (int(number) if kind == "exit" else -int(number))
    fronts.nothing_remains()
    how = {"exit 7": "exit code 7", "die 9": "SIGKILL", "die 14": "SIGALRM"}[word]
    assert front.said() == ended(front, how)


@pytest.mark.parametrize("target", TARGETS)
def test_an_end_without_an_error_is_no_readiness(fronts: Fronts, target: str) -> None:
    front = fronts.begin(target, "--daemonize")
    front.puppet.tell("exit 0")
    assert front.ends() == 125
    assert front.said() == ended(front, "exit code 0", FORKS_AWAY)
    fronts.nothing_remains()


@pytest.mark.parametrize("target", TARGETS)
def test_one_whose_time_is_over_gives_the_command_our_exit_code(fronts: Fronts, target: str) -> None:
    front = fronts.begin(target, "--daemonize", "--ready-timeout", "0.5")
    front.puppet.hear_signal(signal.SIGTERM)
    front.puppet.tell("die 15")
    assert front.ends() == 125
    (line,) = front.said().splitlines()
    assert "it still waits for" in line
    fronts.nothing_remains()


def test_a_command_that_cannot_be_run_is_said_once(fronts: Fronts) -> None:
    broken = fronts.folder / "broken"
    broken.write_text("#!/nonexistent/interpreter\n")
    broken.chmod(0o755)
    for options in (("--daemonize",), (), ("--supervise",), ("--daemonize", "--supervise")):
        for target in TARGETS:
            done = run("--init", "none", "-t", target, "-N", *options, "--", str(broken))
            assert done.status == 127
            assert "the interpreter that it names" in done.line
    broken.unlink()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_command_ends_the_daemon_that_is_starting(fronts: Fronts, target: str, number: int) -> None:
    front = fronts.begin(target, "--daemonize", "--pid-file", "pid")
    front.process.send_signal(number)
    front.puppet.hear_signal(signal.SIGTERM)
    if number != signal.SIGKILL:
        assert not front.has_ended
    front.puppet.tell("exit 3")
    assert front.ends() == -number
    fronts.nothing_remains()


@pytest.mark.parametrize("target", TARGETS)
def test_one_that_is_ready_only_when_it_is_ended_is_not_told_as_ready(fronts: Fronts, target: str) -> None:
    front = fronts.begin(target, "--daemonize", "--pid-file", "pid")
    front.process.terminate()
    front.puppet.hear_signal(signal.SIGTERM)
    front.get_ready()
    front.puppet.tell("exit 0")
    assert front.ends() == -signal.SIGTERM
    fronts.nothing_remains()


def test_a_daemon_that_does_not_end_is_killed_in_the_end(fronts: Fronts) -> None:
    front = fronts.begin("systemd", "--daemonize")
    front.process.terminate()
    front.puppet.hear_signal(signal.SIGTERM)
    assert front.ends() == -signal.SIGTERM
    assert front.puppet.last_words() == []
    fronts.nothing_remains()


def test_an_ignored_signal_stays_ignored(fronts: Fronts) -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        front = fronts.begin("systemd", "--daemonize")
    finally:
        signal.signal(signal.SIGHUP, previous)
    front.process.send_signal(signal.SIGHUP)
    front.get_ready()
    assert front.ends() == 0


def test_a_pid_file_that_cannot_be_written_any_more_ends_the_daemon(fronts: Fronts) -> None:
    where = fronts.folder / "where"
    where.mkdir()
    for target in TARGETS:
        where.mkdir(exist_ok=True)
        front = fronts.begin(target, "--daemonize", "--pid-file", "where/pid")
        where.rmdir()
        front.puppet.tell("stop" if target == "upstart" else "notify READY=1")  # which it may not live to confirm
        assert front.ends() == 125
        front.puppet.last_words()
        fronts.nothing_remains()
        assert "No such file or directory" in front.said()


@pytest.mark.parametrize("text", ["", "junk\n", "99999999\n", "OTHER\n", "1\n"])
def test_a_pid_file_of_before_does_not_matter(fronts: Fronts, text: str) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as other:  # of another program, and not of the service
        fronts.others = children()
        fronts.pid_file.write_text(text.replace("OTHER", str(other.pid)))
        front = fronts.begin("systemd", "--daemonize", "--pid-file", "pid")
        front.get_ready()
        assert front.ends() == 0
        assert fronts.pid_file.read_text() == f"{front.puppet.pid}\n"
        assert other.poll() is None


def test_a_second_start_of_the_same_program_is_refused(fronts: Fronts) -> None:
    front = fronts.begin("systemd", "--daemonize", "--pid-file", "pid")
    front.get_ready()
    assert front.ends() == 0
    options = ("-t", "systemd", "--init", "none", "--daemonize", "--pid-file", str(fronts.pid_file))
    result = run(*options, "--", "/usr/bin/python3", "-c", "")
    assert result.status == 125
    assert result.line.endswith(f"the service runs already, as PID {front.puppet.pid}: stop it first")


def test_a_link_in_the_place_of_the_pid_file_is_replaced_and_not_followed(fronts: Fronts) -> None:
    other = fronts.folder / "other"
    other.write_text("precious")
    fronts.pid_file.symlink_to(other)
    front = fronts.begin("systemd", "--daemonize", "--pid-file", str(fronts.pid_file))
    front.get_ready()
    assert front.ends() == 0
    assert other.read_text() == "precious"
    assert not fronts.pid_file.is_symlink()
    assert fronts.pid_file.read_text() == f"{front.puppet.pid}\n"


def test_a_pid_file_that_names_another_by_now_is_left_alone(fronts: Fronts) -> None:
    front = fronts.begin("systemd", "--daemonize", "--pid-file", "pid")
    front.get_ready()
    assert front.ends() == 0
    fronts.pid_file.write_text("4711\n")
    front.puppet.tell("exit 0")
    until(lambda: not [pid for pid in fronts.left() if not os.waitpid(pid, os.WNOHANG)[0]], "all of it ends")
    assert fronts.pid_file.read_text() == "4711\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_newline_on_a_descriptor_says_ready(fronts: Fronts, target: str) -> None:
    read, write = os.pipe()
    front = fronts.begin(target, "-N", "--ready-fd", str(write), pass_fds=(write,))
    os.close(write)
    inode = os.fstat(read).st_ino
    assert f"pipe:[{inode}]" not in front.puppet.hello["fds"].values(), "it is not the daemon's"
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 10)
    os.set_blocking(read, True)
    front.get_ready()
    assert os.read(read, 10) == b"\n"
    assert os.read(read, 10) == b"", "nobody holds it any more"
    os.close(read)
    front.puppet.tell("exit 4")
    assert front.ends() == 4
    fronts.nothing_remains()


def test_sockets_do_not_take_the_descriptors_place(fronts: Fronts) -> None:
    said = fronts.folder / "said"
    options = ("-N", "--ready-fd", "3", "--listen", f"unix:{fronts.folder}/served")
    front = fronts.begin("systemd", *options, wrapper=("sh", "-c", 'exec "$@" 3>said', "sh"))
    assert front.puppet.environ["LISTEN_FDS"] == "1"
    front.get_ready()
    until(lambda: said.read_bytes() == b"\n", "the newline is written")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--daemonize", "--pid-file", "/nonexistent/pid"), "cannot make a file in /nonexistent"),
        (("--daemonize", "--pid-file", "/tmp/"), "this is a folder"),
        (("-N", "--pid-file", "/tmp/pid"), "a shell does not ask for a PID file: use it with --daemonize"),
        (("--pid-file", "/tmp/pid"), "a shell does not ask for a PID file"),
        (("--ready-fd", "3"), "--ready-fd is about readiness"),
        (("-N", "--ready-fd", "77"), "--ready-fd 77: this is no number of a descriptor"),
        (("-N", "--ready-fd", "0"), "--ready-fd 0: this is no number of a descriptor"),
        (("-N", "--ready-fd", "x"), "--ready-fd x: this is no number of a descriptor"),
        (("--daemonize", "--ready-fd", "3"), "one way to say"),
        (("--init", "upstart", "--daemonize"), "--daemonize: upstart follows the process that it starts"),
        (("--init", "systemd", "-N", "--ready-fd", "3"), "systemd is what the daemon was written for: leave out"),
    ],
)
def test_what_does_not_go_is_refused_in_one_line(words: tuple[str, ...], says: str) -> None:
    if "--init" not in words:
        words = ("--init", "none", *words)
    result = run("-t", "systemd", *words, "--", "/bin/true")
    assert result.status == 125
    assert says in result.line


@pytest.mark.parametrize("program", ["/nonexistent/daemon", "/etc/passwd"])
def test_a_command_that_cannot_run_says_so_to_who_waits(program: str) -> None:
    result = run("-t", "systemd", "--init", "none", "--daemonize", "--", program)
    assert result.status == (127 if "nonexistent" in program else 126)
    assert program in result.line


def test_nothing_of_ours_stays_where_that_is_asked_for(fronts: Fronts) -> None:
    front = fronts.begin("systemd", "--daemonize", "--end-after-ready")
    front.get_ready()
    assert front.ends() == 0
    until(
        lambda: not [pid for pid in fronts.left() if not os.waitpid(pid, os.WNOHANG)[0]][1:], "only the daemon is left"
    )
    assert fronts.left() == {front.puppet.pid}


def test_nothing_remains_of_a_killed_start_although_the_daemon_gets_ready_just_then(fronts: Fronts) -> None:
    front = fronts.begin("upstart", "--daemonize")
    keeper = front.puppet.hello["parent"]
    (bridge,) = Path(f"/proc/{front.process.pid}/task/{front.process.pid}/children").read_text().split()
    os.kill(keeper, signal.SIGSTOP)  # so that it hears of both at once
    os.kill(int(bridge), signal.SIGKILL)
    front.puppet.tell("stop")
    until(lambda: process_state(front.puppet.pid) == "T", "the daemon has stopped itself")
    os.kill(keeper, signal.SIGCONT)
    front.ends()
    fronts.nothing_remains()
    assert "a mistake in" not in front.said()


@pytest.mark.parametrize("options", [("systemd", "--supervise"), ("upstart",)], ids=["supervise", "hand over"])
def test_a_bridge_that_is_killed_makes_the_command_fail_with_a_word(fronts: Fronts, options: tuple[str, ...]) -> None:
    front = fronts.begin(*options, "--daemonize", "--pid-file", "pid")
    (bridge,) = children_of(front.process.pid)
    os.kill(bridge, signal.SIGKILL)
    assert front.ends() == 125
    assert front.puppet.last_words() == []
    fronts.nothing_remains()
    assert front.said() == KILLED


def test_a_watcher_that_is_killed_makes_the_command_fail_with_a_word(fronts: Fronts) -> None:
    front = fronts.begin("systemd", "--daemonize", "--pid-file", "pid")
    kill(watcher_among(fronts.left))
    assert front.ends() == 125
    assert front.puppet.last_words() == []
    fronts.nothing_remains()
    assert front.said() == KILLED


@pytest.mark.parametrize("options", [("systemd",), ("systemd", "--supervise"), ("upstart",)])
def test_a_daemon_that_has_died_meanwhile_is_no_success(fronts: Fronts, options: tuple[str, ...]) -> None:
    front = fronts.begin(*options, "--daemonize", "--pid-file", "pid")
    watching = watcher_among(fronts.left) if options == ("systemd",) else children_of(front.process.pid)[0]
    stop(watching)
    if front.target == "upstart":
        front.puppet.tell("stop")
        until(lambda: process_state(front.puppet.pid) == "T", "the daemon has stopped itself")
        until(lambda: process_state(front.puppet.hello["parent"]) == "S", "the keeper has seen it")
    else:
        front.get_ready()
    daemon = os.pidfd_open(front.puppet.pid)
    os.kill(front.puppet.pid, signal.SIGKILL)
    select.select([daemon], [], [])
    os.close(daemon)
    os.kill(watching, signal.SIGCONT)
    assert front.ends() in (-signal.SIGKILL, 125)
    fronts.nothing_remains()
