"""Numbers that are too large, in the whole program: the daemon lives on, what is wrong is said, what was meant works.

What the parsers make of them is in test_bounds.py and test_parsers.py.
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.command import BRIDGE, PATH, run
from tests.support.observed import PUPPET, PYTHON, Place, Reader
from tests.support.puppet import Puppet
from tests.support.waiting import lives_through

SYSTEMD = ("-t", "systemd", "-N")
LONGEST = "999999999"  # the longest time that the command line takes
# 18 digits and 20, of which the second is not of 64 bits any more.
LONG, TOO_LONG = "999999999999999999", "18446744073709551616"
NO_PID = ("2147483648", "99999999999", "4194305", "0", "-1", "1" * 5000)


@pytest.mark.parametrize(
    "options",
    [
        *(("--ready-timeout", "2147490"), ("--ready-timeout", LONGEST), ("--watchdog", "99999999")),
        *(("--watchdog", f"{LONGEST}:{LONGEST}"), ("--watchdog", "0.0000001:1", "--ready-timeout", "99999999")),
    ],
)
def test_a_time_of_many_years_is_waited_for(place: Place, shape: tuple[str, ...], options: tuple[str, ...]) -> None:
    running = place.begin(*SYSTEMD, *shape, *options)
    if "0.0000001:1" in options:  # a microsecond
        assert running.puppet.environ["WATCHDOG_USEC"] == "1"
    else:
        running.puppet.send(repr(b"STATUS=at work"))
        running.puppet.send(repr(b"READY=1"))
        running.becomes_ready()
        running.puppet.send(repr(b"WATCHDOG=1"))
    ends_well(place, running.puppet)


def ends_well(place: Place, puppet: Puppet) -> str:
    """The daemon ends, and we as it does. Returns what was said."""
    (running,) = place.runs
    puppet.tell("exit 7")
    assert running.ends() == 7
    place.nothing_remains()
    said = running.err.rest()
    assert "mistake" not in said
    return said


def test_a_start_that_is_handed_over_may_take_as_long(place: Place) -> None:
    front = place.begin("-t", "upstart", "--daemonize", "--ready-timeout", LONGEST)
    daemon = os.pidfd_open(front.puppet.pid)
    front.puppet.get_ready()
    assert front.ends() == 0
    signal.pidfd_send_signal(daemon, 0)
    os.close(daemon)
    front.puppet.tell("exit 0")
    place.nothing_remains()
    assert "mistake" not in front.err.rest()


def test_a_server_of_many_clients_may_take_as_long(place: Place) -> None:
    options = ("-t", "inetd:nowait:9999", "-N", "--ready-timeout", LONGEST, "--listen", "tcp:127.0.0.1:0")
    server = place.spawn(*options, command=(*PYTHON, PUPPET, str(place.folder / "stage")))
    server.becomes_ready()
    (line,) = (line for line in server.err.text.decode().splitlines() if "listening on" in line)
    with socket.create_connection(("127.0.0.1", int(line.rpartition(":")[2]))):
        place.stage.puppet().tell("exit 0")
    server.process.terminate()
    assert server.ends() == 0
    assert "mistake" not in server.err.rest()


@pytest.mark.parametrize("number", [LONG, TOO_LONG])
def test_a_daemon_may_ask_for_any_time_to_start(place: Place, shape: tuple[str, ...], number: str) -> None:
    running = place.begin(*SYSTEMD, *shape, "--ready-timeout", "1000")
    running.puppet.send(repr(f"EXTEND_TIMEOUT_USEC={number}".encode()))
    running.puppet.send(repr(b"READY=1"))
    running.becomes_ready()
    said = ends_well(place, running.puppet)
    assert (f"EXTEND_TIMEOUT_USEC={number}, which is ignored" in said) == (number == TOO_LONG)


def test_a_start_that_asked_for_many_years_gets_them(place: Place, shape: tuple[str, ...]) -> None:
    running = place.begin(*SYSTEMD, *shape, "--ready-timeout", "1")
    running.puppet.send(repr(f"EXTEND_TIMEOUT_USEC={LONG}".encode()))
    assert lives_through(running.puppet.pid, 1.2)
    ends_well(place, running.puppet)


@pytest.mark.parametrize("number", [LONG, TOO_LONG, "-1", "²"])
def test_a_daemon_may_set_its_watchdog_to_any_time(place: Place, shape: tuple[str, ...], number: str) -> None:
    running = place.begin(*SYSTEMD, *shape, "--watchdog", "1000")
    running.puppet.send(repr(f"WATCHDOG_USEC={number}".encode()))
    running.puppet.send(repr(b"READY=1"))
    running.becomes_ready()
    running.puppet.send(repr(b"WATCHDOG=1"))
    said = ends_well(place, running.puppet)
    if number == LONG:
        assert "sets its watchdog to 1e+09 s" in said
    else:
        assert f"WATCHDOG_USEC={number}, which is ignored" in said


@pytest.mark.parametrize("number", NO_PID)
def test_a_main_process_that_none_can_be_is_said_and_not_followed(
    place: Place, shape: tuple[str, ...], number: str
) -> None:
    running = place.begin(*SYSTEMD, *shape)
    running.puppet.send(repr(f"MAINPID={number}\nREADY=1".encode()))
    running.becomes_ready()
    said = ends_well(place, running.puppet)
    assert f"MAINPID={number[:900]}" in said
    if len(number) < 900:
        assert "is no number of a process, 1 to 4194304" in said


@pytest.mark.parametrize("identity", [TOO_LONG, "0", "x"])
def test_who_is_named_by_an_identity_that_none_can_have_is_not_followed(place: Place, identity: str) -> None:
    running = place.begin(*SYSTEMD, "--supervise")
    running.puppet.do("child = os.fork()\nif not child: signal.set_wakeup_fd(-1); signal.pause(); os._exit(0)")
    running.puppet.do(f"send(repr(f'MAINPID={{child}}\\nMAINPIDFDID={identity}'.encode()))")
    running.puppet.do("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)")
    assert f"MAINPIDFDID={identity} is no number of a pidfd" in ends_well(place, running.puppet)


@pytest.mark.parametrize("number", NO_PID)
def test_a_pid_file_in_which_somebody_wrote_a_number_is_waited_for_on(place: Place, number: str) -> None:
    path = place.folder / "pid"
    command = ("/bin/sh", "-c", '"$@" &', "sh", *PYTHON, PUPPET, str(place.folder / "stage"))
    running = place.spawn("-t", "sysv", "-N", "--pid-file", str(path), command=command)
    puppet = place.stage.puppet()
    path.write_text(f"{number}\n")
    running.err.hears(f"ignored the PID file {path}: {number[:33]}")
    running.err.hears("is no number of a process, 1 to 4194304")
    path.write_text(f"{puppet.pid}\n")
    running.becomes_ready()
    assert ends_well(place, puppet).count("ignored the PID file") == 1


@pytest.mark.parametrize("number", NO_PID)
def test_so_is_one_that_is_a_condition(place: Place, shape: tuple[str, ...], number: str) -> None:
    path = place.folder / "pid"
    running = place.begin("-t", "plain", "--ready-when", f"pid-file:{path}", *shape)
    path.write_text(f"{number}\n")
    running.err.hears(f"ignored the PID file {path}: {number[:33]}")
    path.write_text(f"{running.puppet.pid}\n")
    running.becomes_ready()
    ends_well(place, running.puppet)


@pytest.mark.parametrize("number", NO_PID)
def test_one_that_is_left_over_is_written_anew(place: Place, number: str) -> None:
    path = place.folder / "pid"
    path.write_text(f"{number}\n")
    front = place.begin(*SYSTEMD, "--daemonize", "--pid-file", str(path))
    front.puppet.send(repr(b"READY=1"))
    assert front.ends() == 0
    assert path.read_text() == f"{front.puppet.pid}\n"
    front.puppet.tell("exit 0")
    place.nothing_remains()


# Becomes the command with descriptors that are said to be for it.
BECOME = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"
FOR_US = (*PYTHON, "-c", BECOME)


@pytest.mark.parametrize(
    ("number", "passed_on"),
    [(LONG, LONG), ("18446744073709551614", "18446744073709551614"), ("18446744073709551615", ""), (TOO_LONG, "")],
)
def test_the_inits_watchdog_is_passed_on_as_long_as_it_is_one(place: Place, number: str, passed_on: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place.folder / "notify"))
        environ = {"NOTIFY_SOCKET": str(place.folder / "notify"), "WATCHDOG_USEC": number, "FDSTORE": "4294967295"}
        running = place.begin(*SYSTEMD, "--init", "systemd", "--supervise", environ=environ)
        assert running.puppet.environ.get("WATCHDOG_USEC", "") == passed_on
        assert running.puppet.environ["FDSTORE"] == "4294967295"
        running.puppet.tell("exit 7")
        assert running.ends() == 7


@pytest.mark.parametrize(
    ("init", "variable", "number"),
    [
        *(("systemd", "LISTEN_FDS", number) for number in ("1000000", "4294967297", "1_0", "²", "-1", "9" * 5000)),
        *(("upstart", "UPSTART_FDS", number) for number in ("2147483648", "4294967297", "1_0", "²", "-1", "9" * 5000)),
        *(("s6", "S6_FD_0", number) for number in ("2147483648", "4294967297", "1_0", "²", "-1", "9" * 5000)),
    ],
)
def test_sockets_that_cannot_have_been_passed_are_one_line(init: str, variable: str, number: str) -> None:
    environ = {"PATH": PATH, variable: number, "S6_FD#": "1", "UPSTART_JOB": "x"}
    result = run("-t", "plain", "--init", init, "--", "/bin/true", environ=environ, wrapper=FOR_US)
    assert result.status == 125
    assert f"{variable}={number[:500]}" in result.line


# argv: a descriptor that it closes when it has said that it is ready.
CLOSES = """
import os, signal, socket, sys
where = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect("\\0" + where[1:] if where[0] == "@" else where)
    sender.send(b"READY=1")
os.close(int(sys.argv[1]))
signal.pause()
"""
HIDE_PROC = ("unshare", "-m", "/bin/sh", "-c", 'mount -t tmpfs none /proc; ulimit -v 500000; exec "$@"', "sh")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide /proc")
def test_without_proc_the_watcher_lets_go_of_all_that_is_the_daemons_however_many_there_may_be(place: Place) -> None:
    read, write = os.pipe()
    command = (*PYTHON, "-c", CLOSES, str(write))
    running = place.spawn(*SYSTEMD, command=command, wrapper=HIDE_PROC, pass_fds=(write,))
    os.close(write)
    running.becomes_ready()
    with open(read, "rb"):
        assert Reader(read).rest() == ""  # nobody else has it
    running.process.terminate()
    assert running.ends() == -signal.SIGTERM
    place.nothing_remains()


def test_a_signal_by_its_number_reaches_the_daemon(place: Place) -> None:
    running = place.begin(*SYSTEMD, "--supervise", "--stop-signal", str(int(signal.SIGUSR2)))
    running.puppet.send(repr(b"READY=1"))
    running.becomes_ready()
    running.process.send_signal(signal.SIGTERM)
    running.puppet.hear_signal(signal.SIGUSR2)
    ends_well(place, running.puppet)


def test_openrcs_descriptor_that_none_can_be_is_none(tmp_path: Path) -> None:
    """Its number stands in the command line of the parent, which is anybody who is named as OpenRC's program is."""
    parent = tmp_path / "supervise-daemo"
    parent.symlink_to("/bin/sh")
    for number in ("2147483648", "99999999999", "²", "9" * 5000):
        script = 'bridge=$1; shift; "$bridge" -t systemd -N -- /bin/true; exit $?'
        said = subprocess.run(
            [parent, "-c", script, "sh", str(BRIDGE), "--notify", f"fd:{number}"],
            env={"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert said.returncode == 125
        assert "the service does not wait for readiness" in said.stderr
