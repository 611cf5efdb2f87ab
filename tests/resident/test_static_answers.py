"""Whatever a resident answers to the static file (tools/static/asking.c): it is done, said in a line, or Python's.

It is C that runs as root, so it is compiled here with gcc's sanitizers, and a main() that says what Python would get.
"""

import os
import socket
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_init.resident.asking import BEHIND, LONGEST, PASSED_MAX, REFUSED, RESIDENTS, TAKEN
from tests.support.command import PATH
from tests.support.own import open_to_others
from tests.support.packages import need
from tools.make_static import STATIC, asked

MAIN = r"""
#include "asking.h"
#include <stdio.h>

int main(int argc, char **argv)
{
    struct asked said = ask_resident(argc, argv);
    if (said.programs == 0)
        return printf("not: %s", said.silence ? said.silence : "it may be asked again") < 0;
    printf("unstarted %d", said.ignores_sigpipe);
    for (char ***each = (char **[]){said.programs, said.command, said.environ, 0}; *each; each++)
        for (printf(" |"); **each; ++*each)
            printf(" %s", **each);
    return 0;
}
"""
FLAGS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-g",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
)
NOT_UNDERSTOOD = "cross-init-bridge: what cross-init serve has answered is not understood: reload it (SIGHUP)\n"
WORDS = ("-N", "--", "/bin/sh", "-c", 'echo "$#" "$A" "$B" "$C"', "name", "one")
USER = os.geteuid() or 1  # root's resident has its place in /run, where this machine's own may be
LONGEST_S = 20


class Resident:
    """One whose answers are ours. It is this user's that listens (unix(7), SO_PEERCRED)."""

    def __init__(self, folder: Path) -> None:
        (folder / "cross-init").mkdir()
        self.folder = folder
        self.program = folder / "asks"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(LONGEST_S)
        self.listener.bind(str(folder / "cross-init/serve"))
        os.chmod(folder / "cross-init/serve", 0o666)
        ours = os.geteuid()
        os.seteuid(USER)
        try:
            self.listener.listen()
        finally:
            os.seteuid(ours)
        asked(folder)
        (folder / "main.c").write_text(MAIN)
        sources = [folder / "main.c", STATIC / "asking.c"]
        subprocess.run(["gcc", *FLAGS, f"-I{folder}", f"-I{STATIC}", *sources, "-o", self.program], check=True)

    def ask(self, answer: bytes, *words: str, is_told: bool = True, decides: bool = False) -> tuple[int, str, str]:
        """How it ends, and what it writes.

        is_told: else only the file for the verdict has the answer. decides: and has it first that we do it.
        """
        given = {"PATH": PATH, "XDG_RUNTIME_DIR": str(self.folder), "A": "own", "B": "own"}
        with subprocess.Popen(
            [self.program, *(words or WORDS)],
            env=given,
            user=USER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            connection, _ = self.listener.accept()
            with connection:
                _, rights, _, _ = connection.recvmsg(LONGEST, socket.CMSG_SPACE((3 + PASSED_MAX) * 4))
                fds = array("i", rights[0][2])
                if decides:
                    os.write(fds[0], RESIDENTS)
                if not is_told:
                    os.pwrite(fds[0], answer.removeprefix(TAKEN), BEHIND)
                for fd in fds:
                    os.close(fd)
                if is_told:
                    connection.send(answer)
            out, err = process.communicate(timeout=LONGEST_S)
            return process.returncode, out.decode("latin-1"), err.decode("latin-1")


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resident]:
    need("gcc")
    folder = tmp_path_factory.mktemp("resident")
    open_to_others(folder)
    made = Resident(folder)
    with made.listener:
        yield made


RIGHT = TAKEN + b"\0w2\0p/bin/sh\0uA\0sC=set"


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        (RIGHT, (0, "1  own set\n", "")),
        (RIGHT + b"\0sB=other", (0, "1  other set\n", "")),
        (RIGHT + b"\0i\0l\0c9", (0, "1  own set\n", "")),
        (RIGHT + b"\0p/bin/false\0zunheard of\0", (0, "1  own set\n", "")),
        (TAKEN, (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0", (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0p/bin/sh", (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0w2", (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0p/bin/sh\0w-1", (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0p/bin/sh\0w7", (125, "", NOT_UNDERSTOOD)),
        (TAKEN + b"\0p/bin/sh\0w99999999999999999999", (125, "", NOT_UNDERSTOOD)),
        (REFUSED + b"its bridge does that itself", (0, "not: it may be asked again", "")),
        (b"take", (0, "not: it may be asked again", "")),
        (b"", (0, "not: it does not answer", "")),
    ],
)
def test_an_answer_is_done(resident: Resident, answer: bytes, ended: tuple[int, str, str]) -> None:
    assert resident.ask(answer) == ended


def test_what_cannot_be_run_is_pythons_to_say(resident: Resident) -> None:
    answer = TAKEN + b"\0w2\0p/nonexistent/one\0p/bin/sh\0i\0uPATH\0uXDG_RUNTIME_DIR\0sC=set"
    wanted = "unstarted 1 | /nonexistent/one /bin/sh | /bin/sh -c name one | C=set A=own B=own"
    assert resident.ask(answer, "-N", "--", "/bin/sh", "-c", "name", "one") == (0, wanted, "")


def test_what_it_has_decided_counts_if_it_is_killed_then(resident: Resident) -> None:
    assert resident.ask(RIGHT, is_told=False, decides=True) == (0, "1  own set\n", "")
    assert resident.ask(RIGHT, is_told=False) == (0, "not: it does not answer", "")
    assert resident.ask(TAKEN, is_told=False, decides=True) == (125, "", NOT_UNDERSTOOD)


def test_the_longest_of_both(resident: Resident) -> None:
    answer = RIGHT + b"\0sX="
    answer += b"x" * (LONGEST - len(answer))
    assert resident.ask(answer) == (0, "1  own set\n", "")
    many = RIGHT + b"\0s=" * ((LONGEST - len(RIGHT)) // 3)
    assert resident.ask(many)[0] in (0, 126, 127)
    letters = RIGHT + b"\0u" * ((LONGEST - len(RIGHT)) // 2)
    assert resident.ask(letters) == (0, "1  own set\n", "")


CHANGE = st.builds(
    bytes.__add__, st.sampled_from([b"\0" + bytes([each]) for each in b"pcuswilz"]), st.binary(max_size=20)
)


@settings(max_examples=150, deadline=None)
@given(changes=st.lists(CHANGE, max_size=12), beginning=st.sampled_from([TAKEN, TAKEN + b"\0p/bin/sh\0w2", b""]))
def test_of_any_answer_nothing_breaks(resident: Resident, changes: list[bytes], beginning: bytes) -> None:
    code, _, err = resident.ask(beginning + b"".join(changes))
    assert "Sanitizer" not in err
    assert "runtime error" not in err
    assert code in (0, 1, 2, 125, 126, 127)
