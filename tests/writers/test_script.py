"""What a unit says is what a shell reads of the script without it, whatever words are in it; shellcheck agrees."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cross_init.commands.exec_line import parse
from cross_init.definitions.definition import Command, Definition, Directory
from cross_init.definitions.load import load
from cross_init.errors import Failure
from cross_init.running.command import words_of
from cross_init.running.environment import read_file
from cross_init.shapes.control import expand
from cross_init.writers.command_words import in_shell, one_word
from cross_init.writers.lost import lost
from cross_init.writers.names import WRITERS
from cross_init.writers.quoting import execline
from cross_init.writers.script import run
from tests.support.corpus import units
from tests.support.packages import need

AT = ("x", 1)
VARIABLES = {"A": "b c", "B": "$x `y` 'z'", "C": "", "D_1": 'q"u\\o;t*e'}
letters = st.sampled_from(
    [*"aZ09 .,:;-_=+/\\\"'%$&|<>(){}[]#!?*~@^`\t\né", "$A", "${A}", "${B}x", "$$", "${C}", "$D_1", "${-}"]
)
texts = st.text(st.sampled_from([*"aZ0 .;-=/\\\"'%$&|<>(){}[]#!?*~`\t\né"]), max_size=12)
words = st.lists(st.lists(letters, max_size=6).map("".join), min_size=1, max_size=8)
PRINTS = "/usr/bin/printf"
RUN_S = 60
LEAST = 300  # scripts


def service(said: list[str], *, literal: bool = False) -> Definition:
    """One that prints these words."""
    found = Definition("web.service")
    found.files = ("/nowhere/web.service",)
    command = Command(PRINTS, (PRINTS, "%s\\0", *said), AT)
    command.literal = literal
    found.commands.start = (command,)
    found.context.environment = tuple(VARIABLES.items())
    return found


def printed(script: str) -> list[str]:
    read = subprocess.run(["/bin/sh"], input=script.encode(), capture_output=True, check=True, timeout=RUN_S)
    assert not read.stderr
    return read.stdout.decode().split("\0")[:-1]


def wanted(definition: Definition) -> list[str]:
    environ = {name.encode(): value.encode() for name, value in VARIABLES.items()}
    return words_of(definition.commands.start[0], environ)[2:]


@settings(max_examples=150, deadline=None)
@given(words, st.booleans())
def test_a_run_script_has_the_words_of_the_unit(said: list[str], literal: bool) -> None:
    definition = service(said, literal=literal)
    assume(wanted(definition))  # printf(1) prints something where there is no word
    assert printed(run(definition, [], True, "exit")) == wanted(definition)


@settings(max_examples=150, deadline=None)
@given(words, st.booleans())
def test_a_command_for_a_stop_has_them_as_well(said: list[str], literal: bool) -> None:
    definition = service(said, literal=literal)
    environ = {name.encode(): value.encode() for name, value in VARIABLES.items()}
    definition.commands.stop = (stop := service(said, literal=literal).commands.start)
    one = one_word(stop, definition, [])
    assert expand(parse("--stop-command", one), environ) == [PRINTS, "%s\\0", *wanted(definition)]
    several = one_word(stop * 2, definition, [])
    environ_words = [f"{name}={value}" for name, value in VARIABLES.items()]
    shell = expand(parse("--stop-command", several), environ)
    read = subprocess.run(["/usr/bin/env", *environ_words, *shell], capture_output=True, check=True, timeout=RUN_S)
    assume(wanted(definition))
    assert read.stdout.decode().split("\0")[:-1] == wanted(definition) * 2


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["A", "B_2", "PATH", "LD_X", "LANG"]), texts, max_size=4), texts, texts)
def test_variables_folders_and_remarks_break_out_of_nothing(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str], folder: str, remark: str
) -> None:
    assume("/" not in folder and folder not in (".", "..") and "PATH" not in variables)
    made = tmp_path_factory.mktemp("made")
    definition = service(["end"])
    definition.commands.start = (Command("/usr/bin/env", ("/usr/bin/env", "-0"), AT),)
    definition.context.environment = tuple(variables.items())
    definition.context.working_directory = f"{made}/{folder}"
    (made / folder).mkdir(exist_ok=True)
    found = dict(each.split("=", 1) for each in printed(run(definition, [remark], True, "exit")))
    assert {name: found.get(name) for name in variables} == variables
    assert list(made.iterdir()) == ([made / folder] if folder else [])


NAMES = st.sampled_from(["A", "B_2", "export A", "2A", "A B", "", "A-", " A", "# A", ";A"])
VALUES = st.text(st.sampled_from([*"aZ0 .;-=/$%&|<>(){}[]#!?*~`é"]), max_size=8)
MARKS = st.sampled_from([("", ""), ("", ""), ('"', '"'), ("'", "'")])


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line of an environment file, without what a remark says is not read (a backslash, marks in the middle)."""
    before, after = draw(MARKS)
    value = draw(VALUES)
    sign = draw(st.sampled_from(["=", "=", "=", ""]))
    return f"{draw(NAMES)}{sign}{before}{value}{after}"


@settings(max_examples=100, deadline=None)
@given(st.lists(lines(), max_size=6))
def test_an_environment_file_is_read_as_by_cross_init_run(
    tmp_path_factory: pytest.TempPathFactory, said: list[str]
) -> None:
    file = tmp_path_factory.mktemp("made") / "variables"
    file.write_text("\n".join(said))
    definition = service([])
    definition.commands.start = (Command("/usr/bin/env", ("/usr/bin/env", "-0"), AT),)
    definition.context.environment = ()
    definition.context.environment_files = ((str(file), False),)
    found = dict(each.split("=", 1) for each in printed(run(definition, [], True, "exit")))
    wanted = {name.decode(): value.decode() for name, value in read_file(str(file), False, "").items()}
    assert {name: found.get(name) for name in ("A", "B_2")} == {name: wanted.get(name) for name in ("A", "B_2")}


@given(texts)
def test_execline_reads_a_word_as_it_was(said: str) -> None:
    need("execline")
    line = f"/usr/bin/printf {execline('%s')} {execline(said)}"
    read = subprocess.run(["execlineb", "-P", "-c", line], capture_output=True, check=True, timeout=RUN_S)
    assert read.stdout.decode() == said


def test_what_is_split_is_not_what_names_files_have() -> None:
    assert in_shell(service(["$A"]), [], service(["$A"]).commands.start[0]).endswith(" ${A-}")
    assert "\nset -f\n" in run(service(["$A"]), [], True, "exit")


def test_a_folder_in_another_users_folder_is_made_by_that_user() -> None:
    definition = service(["x"])
    definition.context.user = "daemon"
    definition.context.runtime_directory = (Directory("web"), Directory("web/a"))
    lines = run(definition, [], True, "exit").splitlines()
    assert "install -d -m 0755 -o daemon -g daemon /run/web" in lines
    assert "setpriv --reuid=daemon --regid=daemon --clear-groups install -d -m 0755 /run/web/a" in lines


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ("CAP_CHOWN CAP_CHECKPOINT_RESTORE", "--bounding-set=-all,+chown,+checkpoint_restore"),
        ("~CAP_NET_RAW", "--bounding-set=-net_raw"),  # whatever else the kernel has
        ("", "--bounding-set=-all"),
    ],
)
def test_a_bounding_set_has_the_kernels_names(tmp_path: Path, said: str, option: str) -> None:
    unit = tmp_path / "web.service"
    unit.write_text(f"[Service]\nExecStart=/bin/cat\nCapabilityBoundingSet={said}\n")
    read = load(str(unit))
    assert read.remarks == []
    assert f"\nexec setpriv {option} env --ignore-signal=PIPE /bin/cat\n" in run(read.definition, [], True, "exit")


def test_shellcheck_has_nothing_to_say_about_the_units_of_debians_packages(tmp_path: Path) -> None:
    need("shellcheck")
    texts: dict[str, str] = {}  # many are alike
    for name, path in sorted(units().items())[::2]:  # half of them: shellcheck takes its time
        if not name.endswith(".service"):
            continue
        for init, is_expanded in (("s6", True), ("runit", True), ("runit", False), ("daemontools", True)):
            try:
                unit = load(str(path).replace("@.", "@x."))
                module = __import__(f"cross_init.writers.{WRITERS[init]}", fromlist=("write",))
                remarks = [*unit.remarks, *lost(unit, init, module.WRITES, is_expanded)]
                found: dict[str, str] = module.write(unit.definition, remarks, is_expanded)
            except Failure:
                continue
            for file, text in found.items():
                if text.startswith("#!/bin/sh") and not file.endswith("/log/run"):
                    code = "".join(
                        line for line in text.splitlines(keepends=True) if line[:2] != "# " or "shell" in line
                    )
                    texts.setdefault(code, f"{init} {is_expanded} {file}".replace("/", "_"))
    for text, file in texts.items():
        (tmp_path / file).write_text(text)
    assert len(texts) > LEAST
    # SC2174 is about a command of a unit's own: mkdir -p -m.
    words = ("shellcheck", "--norc", "--exclude=SC2174", "--format=gcc", *texts.values())
    checked = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert checked.stdout == ""
