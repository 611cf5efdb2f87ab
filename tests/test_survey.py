"""What `make daemons` goes by: the data, its client, and that the document has a row for each daemon.

The survey itself installs daemons, and takes minutes: it is no part of the suite.
"""

import re
import shlex
import socket
import sys
import threading
from pathlib import Path
from subprocess import run

from tests.survey import client
from tests.survey.table import NOT_ASKED, OF_DAEMONS, RIGHT, as_markdown, daemons
from tests.survey.units import units

ROOT = Path(__file__).resolve().parents[1]
FEWEST = 40


def test_each_daemon_has_its_row_in_the_document() -> None:
    table = (ROOT / "docs/daemons.md").read_text().partition(OF_DAEMONS[0])[2]
    rows = re.findall(r"^\| ([a-z][\w-]+) \| [^|]+ \| `(.+?)` \|", table, re.MULTILINE)
    assert rows == [(each.name, each.bridge) for each in daemons()]
    assert len({package for each in daemons() for package in each.packages}) >= FEWEST


def test_the_data_can_be_used() -> None:
    for each in daemons():
        assert shlex.split(each.bridge)[0] == "-t", each.name
        assert shlex.split(each.command)[0], each.name
    for each in daemons() + units():
        assert re.compile(each.expect.encode(), re.DOTALL).search(b"") is None, f"{each.name}: no answer would do"
        assert re.compile(each.main_pattern)
        assert each.to == "sh" or each.to.partition(":")[0] in client.KINDS, each.name


def test_the_sums_count_what_is_right_of_what_was_asked() -> None:
    first, second, *_ = daemons()
    cells = {
        (first.name, "s6"): RIGHT,
        (first.name, "upstart"): NOT_ASKED,
        (second.name, "s6"): "not ready",
        (second.name, "upstart"): RIGHT,
    }
    last = [line for line in as_markdown(("s6", "upstart"), cells, [first, second]).splitlines() if "**right**" in line]
    assert last == ["| **right** | 2 daemons | | 1 of 2 | 1 of 1 |"]


def asks(port: int, expect: str, *command: str) -> int:
    words = (sys.executable, client.__file__, f"tcp:127.0.0.1:{port}", r"ask\r\n", expect, *command)
    return run(words, capture_output=True).returncode


def test_the_client_is_served_or_says_that_it_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]

        def answer() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    asked = connection.recv(100)
                    connection.sendall(b"answer to " + asked)
                    if asked == b"":
                        return

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            assert asks(port, r"answer to ask\r\n") == 0
            assert asks(port, "something else") == 1
            assert asks(port, "answer", "exit 3") == 2
        finally:
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
    assert asks(port, "answer") == 1
