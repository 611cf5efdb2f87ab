"""Programs of supervisord's and watchers of Circus, as they are written, under the real ones."""

import importlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xmlrpc.client import ServerProxy

import pytest

from cross_init.errors import Failure
from cross_init.writers import circus, supervisord
from tests.matrix.programs import CIRCUS, SUPERVISORD, Circus, Supervisord, Unix, program
from tests.writers.corpus import SCRIPTS_LEAST, written
from tests.writers.lives import KINDS, live, words_arrive
from tests.writers.written import Local

SUPERVISOR = importlib.import_module("supervisor.options")


class Program(Local, Supervisord):
    """One of supervisord's, which waits for nobody."""

    to, restarts = "supervisord", True

    def take(self) -> None:
        (text,) = self.files.values()
        file = self.folder / "supervisord.conf"
        own = text.replace("autostart=true", "autostart=false")  # a test says when
        file.write_text(SUPERVISORD.partition("[program:")[0].replace("HERE", self.here) + own)
        self.start(str(file))

    def reload(self) -> None:
        with ServerProxy("http://localhost", Unix(f"{self.here}/control")) as server:
            server.supervisor.signalProcess("web", "HUP")


class Watcher(Local, Circus):
    """One of Circus's, which waits for nobody."""

    to = "circus"

    def take(self) -> None:
        (text,) = self.files.values()
        file = self.folder / "circus.ini"
        own = text.replace("copy_env", "autostart = False\ncopy_env")
        file.write_text(CIRCUS.partition("[watcher:")[0].replace("HERE", self.here) + own)
        self.start(str(file))

    def reload(self) -> None:
        (pid,) = self.ask("list")["pids"]
        os.kill(pid, signal.SIGHUP)  # as circusctl signal does


KIND = {"supervisord": Program, "circus": Watcher}


@contextmanager
def service(init: str, folder: Path) -> Iterator[Local]:
    with program(KIND[init], folder) as driver:
        assert isinstance(driver, Local)
        yield driver


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("init", KIND)
def test_a_service_lives(init: str, kind: str, expand: bool, tmp_path: Path) -> None:
    with service(init, tmp_path) as driver:
        live(driver, kind, expand)


@pytest.mark.parametrize("init", KIND)
def test_words_arrive_as_they_were(init: str, tmp_path: Path) -> None:
    with service(init, tmp_path) as driver:
        words_arrive(driver)


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_supervisord_reads_debians_units(expand: bool) -> None:
    found = written(supervisord.write, supervisord.WRITES, "supervisord", expand)
    assert len(found) > SCRIPTS_LEAST
    for texts in found.values():
        parser = SUPERVISOR.UnhosedConfigParser()
        parser.read_string(next(iter(texts.values())))
        (section,) = parser.sections()
        assert SUPERVISOR.expand(parser.get(section, "command"), {}, "command").startswith("/")


@pytest.mark.parametrize("word", ["$(circus.wid)", "((ENV.HOME))", "a$WIDb", "a\nb"])
def test_what_circus_would_change_is_refused(word: str) -> None:
    with pytest.raises(Failure, match="Circus takes"):
        circus.line([word])
