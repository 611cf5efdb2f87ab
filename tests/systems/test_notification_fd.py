"""The file notification-fd of a service for s6: what it says has to be what s6-supervise itself makes of it."""

from pathlib import Path

import pytest

from tests.support.packages import need
from tests.support.supervised import supervised
from tests.support.waiting import until

# What stands in it, and what is said; None: there is no such file.
REFUSED = {
    "missing": (None, "there is no file notification-fd in the service directory {folder}: write a number, say 3"),
    "empty": ("", "the file notification-fd in the service directory {folder} is empty: write a number, say 3"),
    "a blank line": ("\n3\n", "{folder} is empty: write a number, say 3, into it"),
    "a word": ("three\n", "{folder} says three: write a number, say 3, into it"),
    "a number and a blank": ("3 \n", "{folder} says 3 : write a number, say 3, into it"),
    "words": ("fd 3\nplease\n", "{folder} says fd 3: write a number, say 3, into it"),
    "a control character": ("\x1b[2J\n", "{folder} says \\x1b[2J: write a number"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_s6_cannot_hear_by_is_said_as_it_is(tmp_path: Path, kind: str) -> None:
    need("s6")
    text, says = REFUSED[kind]
    with supervised("s6-supervise", tmp_path / "web") as service:
        if text is not None:
            (service.folder / "notification-fd").write_text(text)
        service.write_run("-t", "systemd", "-N", before="exec")
        service.start()
        until(lambda: says.format(folder=service.folder) in service.log, "it is said")
        assert service.stage.is_empty()


def test_what_stands_below_the_first_line_is_nothing_to_s6_and_to_us(tmp_path: Path) -> None:
    need("s6")
    with supervised("s6-supervise", tmp_path / "web") as service:
        (service.folder / "notification-fd").write_text("3\nwhich is what most services use\n")
        service.write_run("-t", "systemd", "-N", before="exec")
        service.start()
        puppet = service.stage.puppet()
        puppet.tell("notify READY=1")
        puppet.hear("notified")
        until(lambda: service.tell("s6-svstat", "-o", "ready") == (0, "true\n"), "s6 has heard it")
