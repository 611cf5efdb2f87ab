"""Real daemons of Debian that fork away, unmodified, under inits that want a process in the foreground.

Those are the daemons of init scripts, and of Upstart's "expect fork" and "expect daemon".
"""

import os
import signal
from pathlib import Path

import pytest

from tests.matrix.foreground import FOREGROUND, foreground
from tests.support.classic import DAEMONS, WITH_PID_FILE, WITHOUT, Daemon, install, remains, serves, starts
from tests.support.processes import descendants, end
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as these daemons do")
# supervisord looks at its children once a second, which makes its tests the slowest.
PAIRS = [(init, name) for init in FOREGROUND for name in DAEMONS if init != "supervisord" or name == "nginx"]


@pytest.mark.parametrize(("init", "name"), PAIRS)
def test_a_daemon_with_a_pid_file_lives(init: str, name: str, tmp_path: Path) -> None:
    lives(init, DAEMONS[name], WITH_PID_FILE, tmp_path)


@pytest.mark.parametrize("init", FOREGROUND)
def test_of_a_daemon_without_a_pid_file_the_last_one_that_was_forked_is_followed(init: str, tmp_path: Path) -> None:
    lives(init, DAEMONS["dnsmasq"], WITHOUT, tmp_path)


def lives(init: str, daemon: Daemon, options: tuple[str, ...], tmp_path: Path) -> None:
    with foreground(init, tmp_path / "here") as driver:
        port = install(driver, daemon, options)
        before = descendants(os.getpid())
        main = starts(driver, port)
        if options:
            assert driver.here_as(int((driver.folder / "pid").read_text())) == main
        if daemon.poke:
            number, answer = daemon.poke
            os.kill(driver.main_pid(), number)
            until(lambda: answer in (driver.folder / "log").read_text(), f"the daemon gets signal {number}")

        workers = descendants(main)
        os.kill(main, signal.SIGSEGV)
        assert driver.ended_with() == -signal.SIGSEGV
        end(workers)
        until(lambda: remains(before) == [], "only the daemon's own workers were left")

        assert starts(driver, port) != main
        driver.stop()
        assert driver.stopped_with() in (daemon.stopped, None)
        until(lambda: remains(before) == [], "nothing is left")
        assert not serves(driver, port)
