"""cross-init check by a service's name or its directory: whoever knows is asked, on real inits; and what status says of
what is not there.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, PATH, ask
from tests.support.containers import BRIDGE as INSIDE_BRIDGE
from tests.support.packages import need
from tests.support.puppet import Puppet
from tests.support.supervised import Supervised, supervised
from tests.support.systemd import Manager
from tests.support.waiting import until

PROGRAMS = {"s6-supervise": "s6", "supervise": "daemontools"}
NOBODY = 65534


@pytest.fixture(params=PROGRAMS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervised]:
    need(PROGRAMS[request.param])
    with supervised(request.param, tmp_path / f"web-{os.getpid()}") as service:
        if request.param == "s6-supervise":
            (service.folder / "notification-fd").write_text("3\n")
        yield service


def start(made: Supervised, *options: str) -> Puppet:
    made.write_run("-t", "systemd", "-N", *options, before="exec")
    made.start()
    return made.stage.puppet()


def say(puppet: Puppet, text: str) -> None:
    puppet.tell(f"notify {text}")
    puppet.hear("notified")


def test_the_directory_and_the_name_have_one_answer(made: Supervised) -> None:
    puppet = start(made)
    ways: tuple[tuple[str, Path | None], ...] = (("", made.folder), (str(made.folder), None), (made.folder.name, None))

    def answers() -> list[tuple[int, str]]:
        return [ask(*([word] if word else []), cwd=where)[:2] for word, where in ways]

    def says_so(code: int, line: str) -> bool:
        waits = f"(PID {puppet.pid}), waits for READY=1\n"
        return code == 1 and line.startswith("starting since ") and line.endswith(waits)

    until(lambda: all(says_so(*each) for each in answers()), "all say it, once the start was noted")
    say(puppet, "READY=1")
    until(lambda: answers() == [(0, f"ready (PID {puppet.pid})\n")] * 3, "all say it")
    say(puppet, "STOPPING=1")
    until(lambda: answers() == [(1, f"stopping (PID {puppet.pid})\n")] * 3, "all say it")
    puppet.tell("exit 0")


def test_where_the_bridge_has_gone_the_init_is_asked_as_far_as_it_knows(made: Supervised) -> None:
    puppet = start(made, "--end-after-ready")
    watcher = made.watcher()
    say(puppet, "READY=1")
    until(lambda: watcher not in made.orphans() or not Path(f"/proc/{watcher}/cmdline").read_bytes(), "it goes")
    if made.program == "s6-supervise":
        said = (0, f"ready (PID {puppet.pid}), as s6 says\n")
        until(lambda: ask(str(made.folder))[:2] == said, "s6 has read the newline")
    else:
        code, line, _ = ask(str(made.folder))
        assert code == 1
        assert line.startswith(f"not known: process {puppet.pid} runs")
    puppet.tell("exit 0")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give the directory to another user")
def test_another_users_directory_is_not_believed(made: Supervised) -> None:
    puppet = start(made)
    say(puppet, "READY=1")
    ready = (0, f"ready (PID {puppet.pid})\n", "")
    until(lambda: ask(str(made.folder)) == ready, "it is noted")
    if made.program == "s6-supervise":
        until(lambda: made.tell("s6-svstat", "-o", "ready") == (0, "true\n"), "s6 writes the file no more")
    for each in ("supervise", "supervise/status"):
        os.chown(made.folder / each, NOBODY, NOBODY)
        code, said, complaint = ask(str(made.folder))
        assert (code, said) == (125, "")
        assert f"it is user {NOBODY}'s, and only root's and this user's own are believed" in complaint
        os.chown(made.folder / each, 0, 0)
    assert ask(str(made.folder))[0] == 0
    puppet.tell("exit 0")


def test_a_service_that_is_down(made: Supervised) -> None:
    (made.folder / "down").touch()
    made.write_run("-t", "systemd", "-N", before="exec")
    made.start()
    code, line, _ = ask(str(made.folder))
    assert (code, line.partition(",")[0]) == (1, "not running")


def test_without_notification_fd_s6_knows_nothing(tmp_path: Path) -> None:
    need("s6")
    with supervised("s6-supervise", tmp_path / "web") as made:
        made.write_run("-t", "systemd", before="exec")
        made.start()
        puppet = made.stage.puppet()
        code, line, _ = ask(str(made.folder))
        assert code == 1
        assert line.startswith("not known: there is no file notification-fd in the service directory")
        puppet.tell("exit 0")


def test_a_unit_whose_daemon_was_handed_over_is_asked_for_by_its_name(system: Manager) -> None:
    front_door = INSIDE_BRIDGE.removesuffix("-bridge")
    with system.unit("Type=notify\nExecStart=BRIDGE -t upstart -N -- PUPPET") as unit:
        name = unit.name.removesuffix(".service")

        def check(word: str) -> tuple[int, str]:
            ran = system.container.run(front_door, "check", word, check=False)
            return ran.returncode, ran.stdout

        starting = unit.begin("start")
        puppet = unit.stage.puppet()
        assert check(name)[0] == 1
        puppet.get_ready()
        assert starting.ends() == 0
        unit.has_only(puppet.pid)
        said = (0, f"ready (PID {puppet.pid}), as systemd says\n")
        assert (check(name), check(unit.name)) == (said, said)
        stopping = unit.begin("stop")
        puppet.hear_signal(signal.SIGTERM)
        assert check(name) == (1, f"stopping (PID {puppet.pid}), as systemd says\n")
        puppet.tell("exit 0")
        assert stopping.ends() == 0
        assert check(name) == (1, "not running, as systemd says\n")
    assert check(name)[0] == 1


def test_a_unit_that_is_not_waited_for_is_not_called_ready(system: Manager) -> None:
    front_door = INSIDE_BRIDGE.removesuffix("-bridge")
    with system.unit("Type=exec\nExecStart=PUPPET") as unit:
        unit.start()
        unit.stage.puppet()
        ran = system.container.run(front_door, "check", unit.name, check=False)
        assert ran.returncode == 1
        assert "no init here says whether it is ready" in ran.stdout


def test_a_folder_that_is_none_of_a_supervisors(tmp_path: Path) -> None:
    code, _, said = ask(str(tmp_path))
    assert code == 125
    assert said.startswith(
        f"cross-init: reading the state file {tmp_path}: it is a folder, and no supervisor's service directory"
    )


def front_door(*words: str, user: int = 0) -> tuple[int, str, str]:
    ran = subprocess.run(
        [FRONT_DOOR, *words], env={"PATH": PATH}, capture_output=True, text=True, timeout=60, user=user
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize("words", ["help", "help check", "check --help", "check -h", "status --help", "help status"])
def test_help_is_given_wherever_it_is_asked_for(words: str) -> None:
    code, said, wrong = front_door(*words.split())
    assert (code, wrong) == (0, "")
    for command in ("status", "check"):
        assert (f"cross-init {command} [" in said) == (words == "help" or command in words)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_is_told_what_it_does_not_see() -> None:
    code, said, beside = front_door("status", "nosuch", user=NOBODY)
    assert (code, said) == (1, "no service of that name is looked after\n")
    assert f"services of other users are not seen by user {NOBODY}" in beside
    assert f"services of other users are not seen by user {NOBODY}" in front_door("status", user=NOBODY)[2]
    assert "services of other users" not in front_door("status", "nosuch")[2]
