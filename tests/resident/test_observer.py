"""Conditions that a resident does not look at itself: a process beside the daemon does, until they hold."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jeepney
import pytest

from cross_init.kernel.process_stat import process_stat
from tests.support.command import BRIDGE, FRONT_DOOR
from tests.support.packages import need
from tests.support.processes import kill, named
from tests.support.puppet import Puppet, Stage
from tests.support.resident import PUPPET, Machine, machine
from tests.support.waiting import until

ALONE = ["cross-init-all", "cross-init-kept"]
LOOKED_AT = [*ALONE, "cross-init-see"]
NAME = "org.example.Handed"
LISTEN = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 4001)); s.listen()"
TAKE = f"""
import sys
sys.path.append({str(Path(jeepney.__file__).resolve().parent.parent)!r})
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection('unix:path={{folder}}/bus')
connection.send_and_get_reply(message_bus.RequestName({NAME!r}))
"""
ANSWER = """
import http.server, threading
class Yes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(('127.0.0.1', 4002), Yes)
threading.Thread(target=server.serve_forever, daemon=True).start()
"""
# What is waited for, and what the daemon does that it holds.
CONDITIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "listening": (("listening",), LISTEN),
    "exec": (("exec:test -e {folder}/mark",), "open('{folder}/mark', 'w').close()"),
    "http": (("http://127.0.0.1:4002/",), ANSWER),
    "dbus": ((f"dbus:{NAME}", "--bus", "unix:path={folder}/bus"), TAKE),
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    need("iproute2")
    with machine(tmp_path) as made:
        assert made.private.run("ip", "link", "set", "lo", "up").code == 0
        made.serve()
        yield made


def begin(
    here: Machine, *options: str, user: int = 0, log: Path | None = None
) -> tuple[subprocess.Popen[bytes], Puppet]:
    """A bridge with a puppet, and how it is seen from the machine."""
    opened = Stage(here.folder / "stage")
    here.stages.append(opened)
    words = (str(BRIDGE), "--init", "none", "-t", "plain", "--need-resident", *options)
    process = here.spawn(*words, "--", "/usr/bin/python3", "-IS", PUPPET, str(here.folder / "stage"), log=log)
    return process, opened.puppet()


def observer(here: Machine) -> int:
    """The process that looks, as we see it."""
    named_so = [pid for pid in here.in_there() if named(pid) == "cross-init-see"]
    (found,) = (pid for pid in named_so if int(process_stat(pid)[1]) not in named_so)  # else a command that begins
    return found


def is_ready(here: Machine) -> bool:
    return " ready " in here.status()


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
@pytest.mark.parametrize("kind", CONDITIONS)
def test_it_is_ready_when_it_holds_and_nobody_looks_then(here: Machine, kind: str, killed: bool) -> None:
    (condition, *rest), act = CONDITIONS[kind]
    words = [word.format(folder=here.folder) for word in (condition, *rest)]
    if kind == "dbus":
        need("dbus-daemon")
        here.spawn("dbus-daemon", "--session", "--nofork", f"--address={words[2]}")
        until(lambda: (here.folder / "bus").is_socket(), "the bus listens")
    _, puppet = begin(here, "--ready-when", *words)
    assert f"waits for {words[0]}" in here.status()
    until(lambda: here.ours() == LOOKED_AT, "one process looks, but for a moment at the start of a command")
    if killed:
        here.kill_resident()
        puppet.do(act.replace("{folder}", str(here.folder)))
        until(lambda: here.ours() == ["cross-init-kept"], "it was seen, and is said when somebody hears it")
        here.serve()
    else:
        puppet.do(act.replace("{folder}", str(here.folder)))
    until(lambda: is_ready(here), "it is ready")
    until(lambda: here.ours() == ALONE, "nobody looks any more")
    here.kill_resident()
    here.serve()
    assert is_ready(here), "it stays so"


def test_all_have_to_hold_and_the_resident_looks_at_those_that_it_can(here: Machine) -> None:
    folder = here.folder
    conditions = [f"exec:test -e {folder}/one", f"file:{folder}/two", f"exec:test -e {folder}/three"]
    _, puppet = begin(here, *(word for each in conditions for word in ("--ready-when", each)))
    puppet.do(f"open('{folder}/three', 'w').close()")
    puppet.do(f"open('{folder}/two', 'w').close()")
    until(lambda: f"waits for {conditions[0]}\n" in here.status(), "two of them hold")
    here.kill_resident()
    here.serve()
    until(lambda: f"waits for {conditions[0]}\n" in here.status(), "as before")
    puppet.do(f"open('{folder}/one', 'w').close()")
    until(lambda: is_ready(here), "all hold")
    until(lambda: here.ours() == ALONE, "nobody looks any more")


def test_a_command_is_run_as_the_service_is(here: Machine, tmp_path: Path) -> None:
    here.folder.chmod(0o777)
    place = here.folder / "place"
    place.mkdir()
    said = "{ pwd; echo $GREETING; ulimit -n; umask; id -u; } > "
    run = f"cd {place} && GREETING=hello && export GREETING && ulimit -n 77 && umask 027 && exec"
    bridge = f"{BRIDGE} --init none -t plain --need-resident --ready-when"
    here.spawn("/bin/sh", "-c", f"{run} {bridge} 'exec:{said}{tmp_path}/said' -- /bin/sleep 1000")
    until(lambda: is_ready(here), "it has ended with 0")
    assert (tmp_path / "said").read_text() == f"{place}\nhello\n77\n0027\n0\n"


def test_a_command_that_never_ends_is_ended_with_the_daemon(here: Machine) -> None:
    process, puppet = begin(here, "--ready-when", "exec:exec sleep 7891")
    sleeps = f"/proc/{observer(here)}/task/{observer(here)}/children"
    until(lambda: bool(Path(sleeps).read_text()), "it has begun")
    puppet.tell("exit 3")
    assert process.wait(20) == 3
    until(lambda: here.ours() == ALONE, "nobody looks any more")
    assert "7891" not in here.private.run("ps", "-eo", "args").out


def test_an_end_of_the_daemon_is_no_end_of_who_looks(here: Machine) -> None:
    said = here.folder / "said"
    process, puppet = begin(here, "--ready-when", "exec:false", log=said)
    os.kill(here.resident, signal.SIGSTOP)  # it sees both ends at once, whichever comes first
    puppet.tell("exit 3")
    assert process.wait(20) == 3
    until(lambda: here.ours() == ALONE, "nobody looks any more")
    os.kill(here.resident, signal.SIGCONT)
    until(lambda: here.status() == "no service is looked after\n", "it is buried")
    assert "was killed" not in said.read_text()


def test_who_looks_is_killed_and_the_start_fails(here: Machine) -> None:
    said = here.folder / "said"
    process, puppet = begin(here, "--ready-when", "exec:false", log=said)
    kill(observer(here))
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 4")
    assert process.wait(20) == 4
    assert "the process that looks at --ready-when exec:false was killed" in said.read_text()
    until(lambda: here.ours() == ALONE, "all is over")


def test_a_start_that_takes_too_long_is_ended(here: Machine) -> None:
    process, puppet = begin(here, "--daemonize", "--ready-when", "exec:false", "--ready-timeout", "0.5")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 3")
    assert process.wait(20) == 125
    until(lambda: here.ours() == ALONE, "nobody looks any more")


def test_what_a_daemon_writes_goes_through_a_process_of_its_own(here: Machine) -> None:
    said = here.folder / "said"
    _, puppet = begin(here, "--ready-when", "log:^serving$", log=said)
    puppet.do("import os; os.write(2, b'one\\nserving\\n')")
    until(lambda: is_ready(here), "the line was seen")
    here.kill_resident()
    here.serve()
    assert here.ours() == LOOKED_AT, "somebody has to read it"
    puppet.do("os.write(2, b'two\\n')")
    until(lambda: said.read_text().endswith("\ntwo\n"), "all is passed on")
    assert said.read_text().startswith("one\nserving\n")
    puppet.tell("exit 0")
    until(lambda: here.ours() == ALONE, "it goes with the daemon")


def test_a_resident_that_refuses_leaves_nobody_who_looks(here: Machine) -> None:
    os.kill(here.resident, signal.SIGSTOP)
    opened = Stage(here.folder / "stage")
    here.stages.append(opened)
    words = (str(BRIDGE), "--init", "none", "-t", "plain", "--ready-when", "exec:true", "--kill-mode", "none", "--")
    here.spawn(*words, "/usr/bin/python3", "-IS", PUPPET, str(here.folder / "stage"))
    opened.puppet()
    assert "cross-init-see" not in here.ours()
    os.kill(here.resident, signal.SIGCONT)


def test_explain_says_who_looks_and_for_how_long(here: Machine) -> None:
    def explained(condition: str) -> str:
        words = ("--init", "none", "-t", "plain", "--ready-when", condition, "--explain", "--", "/bin/true")
        return here.private.run(str(BRIDGE), *words).out

    beside = "watched by  the resident; a process beside the daemon looks at"
    assert f"{beside} exec:true, until it holds\n" in explained("exec:true")
    assert f"{beside} log:x, for as long as it lives\n" in explained("log:x")
    assert "watched by  the resident\n" in explained("file:/x")


def test_status_and_check_know_it(here: Machine) -> None:
    begin(here, "--ready-when", "exec:false")
    said = here.private.run(str(FRONT_DOOR), "check", "python3")
    assert (said.code, "waits for exec:false" in said.out) == (1, True)
