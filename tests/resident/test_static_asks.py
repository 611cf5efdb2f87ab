"""What the static file asks a resident before there is an interpreter (tools/static/asking.c): the same as Python."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cross_init.resident.asking import LONGEST
from tests.resident.test_instead import ENVIRON, PARENT_THERE, SAME
from tests.support.command import CHECKOUT, PATH, script
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.static import static
from tests.support.waiting import until

OPTIONS = ("-t", "systemd", "-N", "--need-resident", "--init", "none")
# Becomes the command in its words with variables that only execve(2) can give; "two" is the first's second value.
ODD = """
import ctypes, sys
words = [each.encode() for each in sys.argv[1:]]
variables = [b"TWICE=one", b"=nameless", b"NOTHING", b"TWICE=two", b"EMPTY=", b"A=b=c"]
variables += [b"\\xff=\\xff"]
array = lambda texts: (ctypes.c_char_p * (len(texts) + 1))(*texts, None)
ctypes.CDLL(None).execve(words[0], array(words), array(variables))
"""
# Says how many pages its command has touched, until its end (getrusage(2)).
TOUCHED = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
print(os.wait4(pid, 0)[2].ru_minflt)
"""


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(static(tmp_path_factory.mktemp("made")))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path) as made:
        made.serve()
        yield made


def test_no_interpreter_is_begun(here: Machine, bridge: str) -> None:
    def touched(*words: str) -> int:
        return int(here.private.run("/usr/bin/python3", "-ISc", TOUCHED, *words).out)

    alone = touched("/bin/true")
    assert touched(bridge, *OPTIONS, "--", "/bin/true") < alone + 300
    assert touched(bridge, "-t", "systemd", "--init", "none", "--", "/bin/true") > alone + 600


@pytest.mark.parametrize("program", ["s6-supervise", "runsv"])
def test_a_daemon_finds_all_as_it_does_otherwise(here: Machine, bridge: str, program: str) -> None:
    need("s6" if program == "s6-supervise" else "runit")
    found = []
    for name, form in (("one", str(CHECKOUT)), ("two", bridge)):
        _, puppet = here.puppet(name, "-t", "systemd", "-N", "4<run", "7<run", program=program, bridge=form)
        seen = puppet.hello
        leads = seen["status"]["NSsid"] == seen["status"]["NSpid"]
        environ = [(key, value.replace(name, "NAME")) for key, value in seen["environ"].items()]
        assert environ.pop(0)[1].startswith("/run/cross-init/")
        found.append((environ, sorted(seen["fds"]), {key: seen["status"][key] for key in SAME}, leads))
        puppet.tell("notify READY=1")
    until(lambda: here.status().count(" ready ") == 2, "both are ready")
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "before", [(), ("/usr/bin/python3", "-ISc", ODD), ("/bin/sh", "-c", '"$@" <&- >&- 2>&-; exit', "sh")]
)
def test_it_gets_the_variables_that_it_would_get(here: Machine, bridge: str, before: tuple[str, ...]) -> None:
    """Also of those that are odd; and nothing of ours where there are no standard streams."""
    seen = here.folder / "seen"
    program = script(here.folder, "program", f"#!/bin/sh\nexec >{seen} 2>&1\ncat /proc/$$/environ\nls -l /proc/$$/fd\n")
    said = []
    for form in (str(CHECKOUT), bridge):
        here.private.run(*PARENT_THERE, *before, form, *OPTIONS, "--", str(program), environ=ENVIRON)
        environ, _, fds = seen.read_text("latin-1").rpartition("\0")
        lines = [line.rpartition(":")[2].replace("-> /proc", "") for line in fds.splitlines()[1:]]
        first, *rest = environ.split("\0")
        assert first.startswith("NOTIFY_SOCKET=/run/cross-init/")
        said.append((rest, lines))
    assert said[0] == said[1]
    if before[-1:] == (ODD,):
        assert said[0][0] == ["TWICE=one", "EMPTY=", "A=b=c", "\xff=\xff"]


@pytest.mark.parametrize(
    ("text", "code"), [("#!/nonexistent/interpreter\n", 127), ("no program", 126)], ids=["interpreter", "kind"]
)
def test_what_cannot_be_run_is_said_by_it_alone(here: Machine, bridge: str, text: str, code: int) -> None:
    program = script(here.folder, "program", text)
    ended = [
        here.private.run(*PARENT_THERE, form, *OPTIONS, "--", str(program), "word\udce9", environ=ENVIRON)
        for form in (str(CHECKOUT), bridge)
    ]
    assert ended[0].err == ended[1].err
    assert ended[0].err.startswith(f"cross-init-bridge: running {program}: ")
    assert (ended[0].code, ended[1].code) == (code, code)
    until(lambda: here.status() == "no service is looked after\n", "none of it is left")


def test_on_a_path_the_next_one_is_tried(here: Machine, bridge: str) -> None:
    """The first one of that name wants an interpreter that is not there."""
    (here.folder / "first").mkdir()
    (here.folder / "second").mkdir()
    script(here.folder / "first", "program", "#!/nonexistent/interpreter\n")
    script(here.folder / "second", "program", "#!/bin/sh\necho second\n")
    environ = {"PATH": f"{here.folder}/first:{here.folder}/second:{PATH}"}
    assert here.private.run(*PARENT_THERE, bridge, *OPTIONS, "--", "program", environ=environ).out == "second\n"


@contextmanager
def bound(here: Machine) -> Iterator[socket.socket]:
    """A socket of ours in the resident's place."""
    here.stop_resident()
    place = here.private.root / "run/cross-init/serve"
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.bind(str(place))
        yield made


@contextmanager
def another_users(here: Machine) -> Iterator[socket.socket]:
    """The same, of another user, who is the one that listened first (unix(7), SO_PEERCRED)."""
    with bound(here) as made:
        os.seteuid(1)
        try:
            made.listen()
        finally:
            os.seteuid(0)
        yield made


@contextmanager
def silent(here: Machine) -> Iterator[socket.socket]:
    """One who never answers."""
    with bound(here) as made:
        made.listen()
        yield made


@contextmanager
def crowded(here: Machine) -> Iterator[socket.socket]:
    """As many wait for it as can (listen(2))."""
    with bound(here) as made, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as waits:
        made.listen(0)
        waits.connect(made.getsockname())
        yield made


WHY = {
    "none listens": bound,
    "it does not answer": silent,
    "too many wait for it": crowded,
    "it is user 1's": another_users,
}


@pytest.mark.parametrize("why", WHY)
def test_why_it_was_not_asked_is_said_as_python_does(here: Machine, bridge: str, why: str) -> None:
    said = here.folder / "said"  # no pipe, which who never answers would keep open
    heard = []
    with WHY[why](here):
        for form in (str(CHECKOUT), bridge):
            words = (*PARENT_THERE, "/bin/sh", "-c", f'exec "$@" 2>{said}', "sh", form, *OPTIONS, "--", "/bin/true")
            assert here.private.run(*words).code == 125
            heard.append(said.read_text())
    assert why in heard[0]
    assert heard[0] == heard[1]


def test_a_long_environment_is_pythons(here: Machine, bridge: str) -> None:
    words = (*PARENT_THERE, bridge, *OPTIONS, "--", "/usr/bin/env")
    assert "LONG=xxx" in here.private.run(*words, environ={"LONG": "x" * LONGEST}).out
