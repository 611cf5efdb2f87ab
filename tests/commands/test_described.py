"""One source for the help, the man pages, docs/options.md and the completions: none of them lacks an option."""

import re
import subprocess
from pathlib import Path

import pytest

from cross_init.commands import described, described_commands
from cross_init.commands import help as texts
from cross_init.commands.front_door import COMMANDS
from cross_init.commands.options import CHOICES, OPTIONAL, OPTIONS, SHORT
from cross_init.commands.values import GRACE_S
from cross_init.commands.words import OF_RUN, OF_SHOW, OF_TRANSLATE
from cross_init.detect import INITS, TARGETS
from cross_init.sockets.options import BACKLOG, FOLDER_MODE, MODE
from cross_init.sockets.options import OPTIONS as SOCKET_OPTIONS
from tests.support.command import PATH
from tests.support.packages import need
from tools import make_completions, make_man, make_options

PAGES = make_man.pages()
ENVIRON = {"PATH": PATH, "LC_ALL": "C.UTF-8"}


def test_what_is_described_is_what_is_parsed() -> None:
    assert {option.name: bool(option.argument) for option in described.OPTIONS} == {
        name: takes_value or name in OPTIONAL for name, (_, takes_value) in OPTIONS.items()
    }
    assert {option.short[1:]: option.name for option in described.OPTIONS if option.short} == SHORT
    assert tuple(command.name for command in described_commands.COMMANDS) == COMMANDS
    for name, own in {"run": OF_RUN, "show": OF_SHOW, "translate": OF_TRANSLATE}.items():
        (command,) = (each for each in described_commands.COMMANDS if each.name == name)
        assert {option.name: bool(option.argument) for option in command.options} == {
            option: bool(what) for option, what in own.items()
        }
    for option in described.OPTIONS:
        choices = CHOICES.get(OPTIONS[option.name][0], ())
        told = make_options.names(option) + texts.filled(option.text)
        assert [choice for choice in choices if choice not in told] == [], option.name


def test_the_numbers_that_are_told_are_those_that_count() -> None:
    told = {option.name: str(option) for option in described.OPTIONS}
    assert f"({GRACE_S:.0f} s)" in told["--watchdog"]
    for words in (f"{MODE:04o} if not said", f"made; {FOLDER_MODE:04o}", f"accepted; {BACKLOG}", *SOCKET_OPTIONS):
        assert words in told["--listen"]


def in_roff(option: str) -> str:
    return option.replace("-", "\\-")


def test_every_option_is_in_the_help_the_man_page_and_the_docs() -> None:
    shown, docs = texts.text("all"), make_options.FILE.read_text()
    for option in OPTIONS:
        assert re.search(rf"^  .* {option}(?![\w-])", shown, re.MULTILINE)
        assert f"`{option}`" in docs
        assert re.search(rf"^\.TP\n.*{re.escape(in_roff(option))}\\", PAGES["cross-init-bridge.1"], re.MULTILINE), (
            option
        )
    for command in described_commands.COMMANDS:
        page = PAGES[f"cross-init-{command.name}.1"]
        for own in (*command.options, described.HELP):
            assert in_roff(own.name) in page
            assert own.name in texts.of_command(command.name)
            assert f"`{own.name}`" in docs.partition(f"## `cross-init {command.name}`")[2]
        assert f"cross\\-init\\-{command.name}" in PAGES["cross-init.1"]
    for each in (*INITS, *TARGETS):
        assert re.search(rf"^{each}(:wait)? ", PAGES["cross-init.7"], re.MULTILINE), each


def test_the_document_is_as_the_code_has_it() -> None:
    assert make_options.FILE.read_text() == make_options.text(), "run make docs"


@pytest.mark.parametrize("name", PAGES)
def test_a_man_page_has_no_mistakes_and_fits_a_terminal(name: str, tmp_path: Path) -> None:
    need("mandoc", "groff-base")
    path = tmp_path / name
    path.write_text(PAGES[name])
    lint = ["mandoc", "-Tlint"]
    for words in (lint, ["mandoc", "-Tutf8", "-Owidth=78"], ["groff", "-man", "-ww", "-Tutf8", "-rLL=78n"]):
        ran = subprocess.run([*words, path], env=ENVIRON, capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stderr) == (0, ""), words
        assert bool(ran.stdout) == (words != lint), ran.stdout
        plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", ran.stdout)
        assert max((len(line) for line in plain.splitlines()), default=0) <= 80
        assert "{{" not in plain
        assert "`" not in plain


def test_the_completions_are_always_the_same_and_name_every_command() -> None:
    for made in (make_completions.bash, make_completions.zsh):
        assert made() == made()
        assert all(command in made() for command in COMMANDS)
