"""What is written for s6, s6-rc, runit and daemontools, run by each: a unit of each Type, with and without --expand."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import jeepney
import pytest

from tests.support.packages import need
from tests.support.puppet import Puppet
from tests.support.waiting import becomes, until
from tests.support.written import HERE, INITS, LONGEST_S, Written, written

NAME = "org.example.Written"
TAKE = f"""
import sys
sys.path.append({str(Path(jeepney.__file__).resolve().parent.parent)!r})
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection("unix:path=/run/dbus/system_bus_socket")
connection.send_and_get_reply(message_bus.RequestName({NAME!r}))
"""
BUS = (
    "mkdir /run/dbus; exec dbus-daemon --session --nofork --print-address "
    "--address=unix:path=/run/dbus/system_bus_socket"
)


@pytest.fixture(params=INITS)
def init(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    """A machine with each of them."""
    with written(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=["", "--expand"])
def form(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options of translate."""
    return (request.param,) if request.param else ()


def begun(init: Written, text: str, form: tuple[str, ...]) -> None:
    """The init is up, with this unit's service, down."""
    init.translate_text("web.service", text, *form)
    init.up("web")


def waits(init: Written) -> bool:
    return init.init != "daemontools"


def stop(init: Written, puppet: Puppet, number: int = signal.SIGTERM) -> None:
    """Stop it, by this signal, and see that nothing is left."""
    stopping = init.stop("web")
    puppet.hear_signal(number)
    puppet.tell("exit 0")
    assert stopping.wait(LONGEST_S) == 0
    init.stays_down("web")
    init.is_empty()


def ends_well(starting: "object") -> None:
    assert starting.wait(LONGEST_S) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["notify", "notify-reload"])
def test_notify(init: Written, form: tuple[str, ...], kind: str) -> None:
    lines = f"Type={kind}\nExecStart=PUPPET\nRestart=on-failure\nRuntimeDirectory=web\nUser=daemon\n"
    begun(init, f"[Service]\n{lines}", form)
    starting = init.start("web")
    puppet = init.stage.puppet()
    assert puppet.hello["status"]["Uid"].split()[1] != "0"
    assert puppet.environ["RUNTIME_DIRECTORY"] == "/run/web"
    if waits(init):
        assert starting.poll() is None
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    ends_well(starting)
    init.reload("web")
    puppet.hear_signal(signal.SIGHUP)
    puppet.tell("die 9")
    second = init.stage.puppet()
    second.tell("notify READY=1")
    second.hear("notified")
    assert (init.machine.root / "run/web").exists()
    stop(init, second)
    if form and waits(init):  # what is run at its end (./finish) sees to that
        assert not (init.machine.root / "run/web").exists()


@pytest.mark.parametrize("kind", ["simple", "exec"])
def test_simple_and_exec(init: Written, form: tuple[str, ...], kind: str) -> None:
    log = init.folder / "said"
    text = f"Type={kind}\nExecStartPre=/bin/sh -c 'echo pre >>HERE/said'\nExecStart=PUPPET one $$two ${{A}} 'x y'\n"
    begun(init, f"[Service]\nEnvironment=A=b;c\n{text}Restart=always\nKillSignal=SIGINT\n", form)
    starting = init.start("web")
    puppet = init.stage.puppet()
    ends_well(starting)
    assert log.read_text() == "pre\n"
    puppet.do("import sys; assert sys.argv[2:] == ['one', '$two', 'b;c', 'x y'], sys.argv")
    puppet.tell("exit 0")
    second = init.stage.puppet()
    assert log.read_text() == "pre\npre\n"
    stop(init, second, signal.SIGINT)


def test_forking_with_a_pid_file(init: Written, form: tuple[str, ...]) -> None:
    start = "/bin/sh -c 'PUPPET & echo $$! >/run/web.pid'"
    begun(init, f"[Service]\nType=forking\nPIDFile=/run/web.pid\nExecStart={start}\nRestart=on-failure\n", form)
    starting = init.start("web")
    puppet = init.stage.puppet()
    ends_well(starting)
    puppet.tell("die 11")
    second = init.stage.puppet()
    until(lambda: (init.machine.root / "run/web.pid").read_text() == f"{second.pid}\n", "it has written its PID")
    init.reload("web")
    second.hear_signal(signal.SIGHUP)
    stop(init, second)


def test_dbus(init: Written, form: tuple[str, ...]) -> None:
    need("dbus-daemon")
    init.machine.begin("sh", "-c", BUS, environ=init.environ)
    bus = init.processes()
    begun(init, f"[Service]\nType=dbus\nBusName={NAME}\nExecStart=PUPPET\n", form)
    starting = init.start("web")
    puppet = init.stage.puppet()
    if waits(init):
        assert starting.poll() is None
    puppet.do(TAKE)
    ends_well(starting)
    stopping = init.stop("web")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(LONGEST_S) == 0
    becomes(init.processes, bus)


def test_a_oneshot_that_remains(init: Written, form: tuple[str, ...]) -> None:
    log = init.folder / "said"
    says = "/bin/sh -c 'echo \"$$0\" >>HERE/said'"
    lines = f"ExecStart={says} one\nExecStart={says} two\nExecStop={says} stop\nExecStopPost={says} after\n"
    begun(init, f"[Service]\nType=oneshot\nRemainAfterExit=yes\n{lines}", form)
    ends_well(init.start("web"))
    until(lambda: log.exists() and log.read_text() == "one\ntwo\n", "both have run")
    ends_well(init.stop("web"))
    after = "" if init.init == "daemontools" and form else "after\n"
    until(lambda: log.read_text() == f"one\ntwo\nstop\n{after}", "it was stopped")
    init.is_empty()


def test_a_oneshot_that_ends(init: Written, form: tuple[str, ...]) -> None:
    log = init.folder / "said"
    begun(init, "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo one >>HERE/said'\n", form)
    ends_well(init.once("web"))
    if init.init != "s6-rc":
        init.stays_down("web")
    until(log.exists, "it has run")
    assert log.read_text() == "one\n"
    init.is_empty()


def test_sockets(init: Written, form: tuple[str, ...]) -> None:
    path = init.folder / "web.sock"
    (init.folder / "web.socket").write_text(f"[Socket]\nListenStream={HERE}/web.sock\nSocketMode=0600\n")
    begun(init, "[Service]\nType=notify\nExecStart=PUPPET\n", form)
    starting = init.start("web")
    puppet = init.stage.puppet()
    assert (puppet.environ["LISTEN_FDS"], puppet.environ["LISTEN_FDNAMES"]) == ("1", "web.socket")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    ends_well(starting)
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        puppet.do("import socket; socket.socket(fileno=3).accept()[0].sendall(b'hello')")
        assert client.recv(10) == b"hello"
    stop(init, puppet)


def test_a_service_that_ends_by_itself_stays_down_where_it_is_to(init: Written, form: tuple[str, ...]) -> None:
    if init.init == "daemontools":
        pytest.skip("it starts anew whatever ends, as the remark has it")
    begun(init, "[Service]\nType=notify\nExecStart=PUPPET\nRestart=on-failure\nSuccessExitStatus=7\n", form)
    for code in (0, 7):
        starting = init.start("web")
        puppet = init.stage.puppet()
        puppet.tell("notify READY=1")
        puppet.hear("notified")
        ends_well(starting)
        puppet.tell(f"exit {code}")
        init.stays_down("web")
        if init.init == "s6-rc":
            ends_well(init.stop("web"))  # s6-rc has not heard of it
    init.is_empty()
