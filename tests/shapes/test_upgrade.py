"""A main process that changes while the service runs: nginx, which upgrades its program file in flight.

On USR2 it starts a new master, whose number it has in its PID file; on QUIT the old one lets go and ends. nginx has to
fork away for that (daemon on): one whose parent is still there ignores USR2.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.matrix.foreground import Foreground, foreground
from tests.support.classic import DAEMONS, WITH_PID_FILE, install, remains, serves, starts
from tests.support.processes import children, descendants, end
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the inits")
NGINX = DAEMONS["nginx"]
INITS = ("s6", "runit", "supervisord", "upstart", "real upstart")


class Client:
    """One that asks again and again. failures: what went wrong; served: the workers that have answered, answers: how
    often.
    """

    def __init__(self, driver: Foreground) -> None:
        self.driver = driver
        self.failures: list[str] = []
        self.served: set[int] = set()
        self.answers = 0
        self.is_over = Event()

    def ask(self) -> None:
        while not self.is_over.is_set():
            try:
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(10)
                    connection.connect(str(self.driver.folder / "socket"))
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    with connection.makefile("rb") as answer:
                        worker = int(answer.read().rpartition(b"\r\n\r\n")[2])
                self.served.add(self.driver.here_as(worker))
                self.answers += 1
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))


@contextmanager
def client(driver: Foreground) -> Iterator[Client]:
    """A client that asks all the time, and must never fail."""
    asking = Client(driver)
    thread = Thread(target=asking.ask)
    thread.start()
    try:
        yield asking
    finally:
        asking.is_over.set()
        thread.join()
    assert asking.failures == []


def named(driver: Foreground) -> int:
    try:
        return driver.here_as(int((driver.folder / "pid").read_text() or 0))
    except FileNotFoundError:
        return 0  # just being renamed


def begin_upgrade(driver: Foreground, old: int) -> int:
    """Have the init's main process sent USR2; the new master, when it serves beside the old one."""
    os.kill(driver.main_pid(), signal.SIGUSR2)
    until(lambda: named(driver) not in (0, old), "the new master has its PID file")
    until(lambda: children(named(driver)) != [], "it has a worker")
    return named(driver)


def upgrade(driver: Foreground, old: int) -> int:
    """A whole upgrade under the eyes of a client; the new master."""
    main = driver.main_pid()
    with client(driver) as asking:
        until(lambda: asking.served != set(), "the old one serves")
        new = begin_upgrade(driver, old)
        until(lambda: not asking.served.isdisjoint(children(new)), "the new one serves")
        os.kill(main, signal.SIGQUIT)
        until(lambda: not Path(f"/proc/{old}").exists(), "the old one lets go and ends")
        until(lambda: new in children(main), "the new one is a child of the main process")
        so_far = asking.answers
        until(lambda: asking.answers > so_far + 10, "the new one goes on alone")
    assert driver.main_pid() == main
    assert not driver.is_down()
    assert driver.is_ready() or not driver.waits
    return new


@pytest.mark.parametrize("init", INITS)
def test_the_service_stays_up_and_the_new_main_process_counts(init: str, tmp_path: Path) -> None:
    with foreground(init, tmp_path / "here") as driver:
        port = install(driver, NGINX, WITH_PID_FILE)
        before = descendants(os.getpid())
        first = starts(driver, port)
        second = upgrade(driver, first)
        third = upgrade(driver, second)
        workers = descendants(third)
        os.kill(third, signal.SIGSEGV)
        assert driver.ended_with() == -signal.SIGSEGV
        end(workers)
        until(lambda: remains(before) == [], "nothing is left")

        upgrade(driver, starts(driver, port))
        driver.stop()
        assert driver.stopped_with() in (0, None)
        until(lambda: remains(before) == [], "nothing is left")
        assert not serves(driver, port)


@pytest.mark.parametrize("init", ["s6", "upstart", "real upstart"])
def test_a_stop_in_the_middle_of_it_ends_both(init: str, tmp_path: Path) -> None:
    with foreground(init, tmp_path / "here") as driver:
        port = install(driver, NGINX, WITH_PID_FILE)
        before = descendants(os.getpid())
        begin_upgrade(driver, starts(driver, port))
        driver.stop()
        assert driver.stopped_with() in (0, None)
        until(lambda: remains(before) == [], "nothing is left")
        assert not serves(driver, port)


def test_an_upgrade_that_is_taken_back(tmp_path: Path) -> None:
    with foreground("s6", tmp_path / "here") as driver:
        port = install(driver, NGINX, WITH_PID_FILE)
        old = starts(driver, port)
        with client(driver) as asking:
            new = begin_upgrade(driver, old)
            until(lambda: not asking.served.isdisjoint(children(new)), "the new one serves")
            os.kill(new, signal.SIGQUIT)
            until(lambda: named(driver) == old, "the old one is in its PID file again")
        assert not driver.is_down()
        driver.stop()
        assert driver.stopped_with() in (0, None)
