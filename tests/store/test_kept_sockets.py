"""--listen ...,keep on real supervisors, under load: no client is refused over a restart, as with systemd's sockets."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.test_fd_store import INITS
from tests.support.command import run
from tests.support.kept import holders
from tests.support.own import free_port
from tests.support.packages import need
from tests.support.supervised import Supervised, supervised
from tests.support.systemd import Manager
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have /run/cross-init")
ECHO = Path(__file__).resolve().parents[1] / "daemons" / "echo.py"
COMMAND = ("/usr/bin/python3", "-IS", str(ECHO))
RESTARTS = 3
CLIENTS = 4


class Load:
    """Clients, each of which asks again and again. failed: what became of those that were not answered."""

    def __init__(self, family: int, where: object) -> None:
        self.family = family
        self.where = where
        self.answered = 0
        self.failed: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        while not self.over.is_set():
            try:
                with socket.socket(self.family) as client:
                    client.settimeout(20)
                    client.connect(self.where)  # type: ignore[arg-type]
                    client.sendall(b"hello")
                    assert client.recv(100) == b"hello"
                    self.answered += 1
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))
                self.over.wait(0.01)

    def is_served(self) -> None:
        """Some more clients are answered."""
        before = self.answered
        until(lambda: self.answered > before + 2 * CLIENTS, "clients are served")


@contextmanager
def load(family: int, where: object) -> Iterator[Load]:
    made = Load(family, where)
    for thread in made.threads:
        thread.start()
    try:
        yield made
    finally:
        made.over.set()
        for thread in made.threads:
            thread.join(60)


@pytest.fixture(params=list(INITS))
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervised]:
    need(INITS[request.param][0])
    with supervised(request.param, tmp_path / "web") as made:
        yield made
        made.tell(*INITS[request.param][2])
        until(lambda: holders() == [], "no holder is left")


def pid_of(service: Supervised) -> int:
    """The daemon's, which is the supervisor's child."""
    found = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
    return int(found[0]) if found else 0


def echoes(pid: int) -> bool:
    try:
        return str(ECHO).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]
    except OSError:
        return False


def restart(service: Supervised) -> None:
    before = pid_of(service)
    service.begin(*INITS[service.program][1])
    until(lambda: pid_of(service) not in (0, before), "it is started anew")


PLACES: dict[str, tuple[Callable[[Path], str], int]] = {
    "tcp": (lambda folder: f"tcp:127.0.0.1:{free_port()}", socket.AF_INET),
    "unix": (lambda folder: f"unix:{folder}/made/socket", socket.AF_UNIX),
}


def client_of(form: str) -> object:
    host, _, port = form.removeprefix("tcp:").rpartition(":")
    return (host, int(port)) if form.startswith("tcp:") else form.removeprefix("unix:")


@pytest.mark.parametrize(("kind", "options"), [*zip(PLACES, ("", "--supervise"), strict=True)])
def test_no_client_is_refused_over_restarts(service: Supervised, kind: str, options: str, tmp_path: Path) -> None:
    make, family = PLACES[kind]
    form = make(tmp_path)
    service.write_run("-t", "systemd", options, "--listen", f"{form},keep", before="exec", command=COMMAND)
    service.start()
    until(lambda: bool(holders()), "it is kept")
    with load(family, client_of(form)) as clients:
        clients.is_served()
        clients.failed.clear()  # who came before it listened for the first time
        for _ in range(RESTARTS):
            restart(service)
            clients.is_served()
    assert clients.failed == []
    service.tell(*INITS[service.program][2])
    until(lambda: holders() == [], "what was stopped for good is let go")
    with socket.socket(family) as late, pytest.raises(OSError, match="refused"):
        late.connect(client_of(form))  # type: ignore[arg-type]


def test_without_it_some_are_refused(service: Supervised) -> None:
    """So the load is one that sees it."""
    form = PLACES["tcp"][0](service.folder)
    service.write_run("-t", "systemd", "--listen", form, before="exec", command=COMMAND)
    service.start()
    with load(socket.AF_INET, client_of(form)) as clients:
        clients.is_served()
        clients.failed.clear()
        restart(service)
        clients.is_served()
    assert clients.failed


def test_systemds_own_sockets_refuse_none_either(system: Manager) -> None:
    """The same daemon, and the same load, with a socket unit."""
    container = system.container
    path = container.root / "run" / "kept-socket"
    with system.unit(
        "ExecStart=/usr/bin/python3 -IS /mnt/project/tests/daemons/echo.py", "ListenStream=/run/kept-socket"
    ) as unit:
        system.systemctl("start", unit.socket)
        unit.start()
        with load(socket.AF_UNIX, str(path)) as clients:
            clients.is_served()
            for _ in range(RESTARTS):
                system.systemctl("restart", unit.name)
                clients.is_served()
    assert clients.failed == []


def test_a_crash_keeps_it_and_another_address_lets_it_go(service: Supervised, tmp_path: Path) -> None:
    first, second = (PLACES["tcp"][0](tmp_path) for _ in range(2))
    service.write_run("-t", "systemd", "--listen", f"{first},keep", before="exec", command=COMMAND)
    service.start()
    with load(socket.AF_INET, client_of(first)) as clients:
        clients.is_served()
        clients.failed.clear()
        before = pid_of(service)
        until(lambda: echoes(before), "the daemon runs")
        os.kill(before, 9)  # whoever it serves just now loses it
        until(lambda: pid_of(service) not in (0, before), "it is started anew")
        clients.is_served()
    assert not [each for each in clients.failed if "refused" in each]
    service.write_run("-t", "systemd", "--listen", f"{second},keep", before="exec", command=COMMAND)
    restart(service)
    with load(socket.AF_INET, client_of(second)) as others:
        others.is_served()
    with socket.socket() as late, pytest.raises(OSError, match="refused"):
        late.connect(client_of(first))  # type: ignore[arg-type]


def test_a_path_that_was_taken_away_is_made_anew(service: Supervised, tmp_path: Path) -> None:
    form = PLACES["unix"][0](tmp_path)
    service.write_run("-t", "systemd", "--listen", f"{form},keep", before="exec", command=COMMAND)
    service.start()
    with load(socket.AF_UNIX, client_of(form)) as clients:
        clients.is_served()
    Path(str(client_of(form))).unlink()
    restart(service)
    with load(socket.AF_UNIX, client_of(form)) as clients:
        clients.is_served()


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("systemd", "systemd keeps sockets itself: give the service a socket unit"),
        ("container", "a container ends with its service, and with it who keeps it"),
    ],
)
@pytest.mark.parametrize("explain", [[], ["--explain"]])
def test_where_it_cannot_be_kept_it_is_refused(init: str, words: str, explain: list[str]) -> None:
    result = run("-t", "upstart", "--init", init, "--listen", "tcp:127.0.0.1:0,keep", *explain, "--", "/bin/true")
    assert result.status == 125
    assert words in (result.out + result.err).decode()


def test_what_is_kept_is_not_removed() -> None:
    result = run("-t", "systemd", "--listen", "unix:/run/x,keep,remove-on-stop", "--", "/bin/true")
    assert result.status == 125
    assert "leave out one of the two" in result.line
