"""When a service is started, started anew and in what order, in the words of s6, s6-rc, runit and daemontools."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.puppet import Puppet
from tests.support.waiting import until
from tests.support.written import HERE, INITS, LONGEST_S, Written, written

FORMS = ["", "--expand"]


@pytest.fixture(params=INITS)
def init(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Written]:
    with written(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return (request.param,) if request.param else ()


def ready(init: Written) -> Puppet:
    """The next puppet, which has said that it is ready."""
    puppet = init.stage.puppet()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    return puppet


def said(init: Written) -> str:
    log = init.folder / "said"
    return log.read_text() if log.exists() else ""


@pytest.mark.parametrize("lines", ["ConditionPathExists=/nowhere", "ConditionPathExists=!/run", "ExecCondition"])
def test_a_condition_that_does_not_hold_starts_nothing(init: Written, form: tuple[str, ...], lines: str) -> None:
    if init.init == "s6-rc":
        pytest.skip("to s6-rc such a service has not started, and it waits for that")
    unit, more = ("", "ExecCondition=/bin/false\n") if lines == "ExecCondition" else (lines, "Restart=on-failure\n")
    if more.startswith("Exec") and not form and init.init == "daemontools":
        pytest.skip("it starts anew whatever ends")
    init.translate_text("web.service", f"[Unit]\n{unit}\n[Service]\nExecStart=PUPPET\n{more}", *form)
    init.up("web")
    init.once("web").wait(LONGEST_S) if init.init != "s6" else init.run("s6-svc", "-u", init.directory("web"))
    init.stays_down("web")
    assert init.stage.is_empty()
    init.is_empty()


def test_what_prevents_that_it_is_started_anew(init: Written, form: tuple[str, ...]) -> None:
    if init.init == "daemontools":
        pytest.skip("it starts anew whatever ends")
    lines = "Restart=always\nRestartPreventExitStatus=3 SIGUSR1\nRestartSec=2s\n"
    init.translate_text("web.service", f"[Service]\nType=notify\nExecStart=PUPPET\n{lines}", *form)
    init.up("web")
    starting = init.start("web")
    puppet = ready(init)
    assert starting.wait(LONGEST_S) == 0
    for how in ("exit 0", "exit 1", "die 9"):
        puppet.tell(how)
        puppet = ready(init)
    puppet.tell("do import signal; signal.signal(signal.SIGUSR1, signal.SIG_DFL)")
    puppet.hear("done")
    puppet.tell(f"die {signal.SIGUSR1}")
    init.stays_down("web")


@pytest.mark.parametrize("form", FORMS)
def test_too_many_starts_are_enough_for_s6(tmp_path: Path, form: str) -> None:
    with written("s6", tmp_path) as init:
        unit = "[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=1min\n[Service]\nRestart=always\nExecStart=PUPPET\n"
        init.translate_text("web.service", unit, *filter(None, [form]))
        init.up("web")
        init.start("web")
        for _ in range(2):
            init.stage.puppet().tell("exit 1")
        init.stays_down("web")
        assert init.stage.is_empty()


@pytest.mark.parametrize("form", FORMS)
def test_sv_restart_starts_anew_what_ends_well(tmp_path: Path, form: str) -> None:
    with written("runit", tmp_path) as init:
        unit = "[Service]\nType=notify\nKillSignal=SIGQUIT\nRestart=on-failure\nExecStart=PUPPET\n"
        init.translate_text("web.service", unit, *filter(None, [form]))
        init.up("web")
        init.start("web")
        puppet = ready(init)
        restarting = init.begin("sv", "-w", str(LONGEST_S), "restart", init.directory("web"))
        puppet.hear_signal(signal.SIGQUIT)
        puppet.tell("exit 0")
        second = ready(init)
        assert restarting.wait(LONGEST_S) == 0
        stopping = init.stop("web")
        second.hear_signal(signal.SIGQUIT)
        second.tell("exit 0")
        assert stopping.wait(LONGEST_S) == 0
        init.start("web")
        ready(init).tell("exit 0")
        init.stays_down("web")


@pytest.mark.parametrize("form", FORMS)
def test_s6_rc_starts_what_is_required_first(tmp_path: Path, form: str) -> None:
    with written("s6-rc", tmp_path) as init:
        options = tuple(filter(None, [form]))
        says = "/bin/sh -c 'echo $$0 >>HERE/said'"
        text = f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={says} first\nExecStop={says} last\n"
        init.translate_text("first.service", text, *options)
        unit = "[Unit]\nRequires=first.service\nAfter=first.service network.target\n"
        text = f"{unit}[Service]\nType=notify\nExecStartPre={says} second\nExecStart=PUPPET\n"
        remarks = init.translate_text("web.service", f"{text}[Install]\nWantedBy=multi-user.target\n", *options)
        assert "needs in the same source: first" in remarks
        assert "it comes after network.target" in remarks
        init.up("web")
        starting = init.begin("s6-rc", "-u", "-t", "30000", "change", "multi-user")
        puppet = init.stage.puppet()
        assert said(init) == "first\nsecond\n"
        assert starting.poll() is None
        puppet.tell("notify READY=1")
        puppet.hear("notified")
        assert starting.wait(LONGEST_S) == 0
        stopping = init.begin("s6-rc", "-d", "-t", "30000", "change", "first")
        puppet.hear_signal(signal.SIGTERM)
        assert said(init) == "first\nsecond\n"
        puppet.tell("exit 0")
        assert stopping.wait(LONGEST_S) == 0
        assert said(init) == "first\nsecond\nlast\n"


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_a_service_for_each_client(init: Written, form: tuple[str, ...]) -> None:
    (init.folder / "web.socket").write_text(f"[Socket]\nListenStream={HERE}/web.sock\nAccept=yes\n")
    text = "[Service]\nStandardInput=socket\nExecStart=/bin/sed -u s/^/hello-/\n"
    (init.folder / "web@.service").write_text(text)
    init.translate(f"{HERE}/web.socket", *form)
    name = "web@0"
    init.up(name)
    starting = init.start(name)
    if init.init == "daemontools":
        until(lambda: listens(init.folder / "web.sock"), "it listens")
    else:
        assert starting.wait(LONGEST_S) == 0
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LONGEST_S)
            client.connect(str(init.folder / "web.sock"))
            client.sendall(b"world\n")
            assert client.recv(100) == b"hello-world\n"
    assert init.stop(name).wait(LONGEST_S) == 0
    init.is_empty()


def test_an_upstart_job(init: Written, form: tuple[str, ...]) -> None:
    init.translate_text("web.conf", "expect stop\nrespawn\nenv A='b c'\nexec PUPPET\n", *form)
    init.up("web")
    starting = init.start("web")
    puppet = init.stage.puppet()
    assert puppet.environ["A"] == "b c"
    puppet.get_ready()
    assert starting.wait(LONGEST_S) == 0
    stopping = init.stop("web")
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 0")
    assert stopping.wait(LONGEST_S) == 0
    init.is_empty()
