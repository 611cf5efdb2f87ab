"""What is written as a unit is what is read of it again, whatever a definition has in it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cross_init.definitions.definition import INFINITY, Bind, Command, Definition, Directory, Listen, Socket
from cross_init.definitions.directives import everything
from cross_init.definitions.units import read_unit
from cross_init.errors import Failure
from cross_init.writers.systemd import APART, write
from cross_init.writers.unit_values import FORMS

NAME = "written.service"
AT = ("x", 1)
UNSAFE = {"'", '"', "\\"}  # which no program of a unit may have in its name


def chosen(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


letters = chosen(*"aZ09 .,:;-_=+/\\\"'%$&|<>(){}[]#!?*~@^`\t\né")
texts = st.text(letters, max_size=12)
lines = st.text(chosen(*"aZ0 .,:;-_=+/\\\"'%$#é"), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and not text.endswith("\\")
)
plain = st.text(chosen(*"abcZ019_"), min_size=1, max_size=6).map(lambda text: f"a{text}")
part = st.text(chosen(*"abZ0 -_.%:'\"\\é"), min_size=1, max_size=8).filter(
    lambda text: text == text.strip(" \\") and set(text) - {"."}
)
paths = st.lists(part, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
simple_path = st.lists(plain, min_size=1, max_size=3).map("/".join)
times = st.one_of(st.integers(1, 1 << 50), chosen(10_000_000, 1000, 60_000_000))
codes = st.tuples(
    st.sets(st.integers(0, 255), max_size=3).map(lambda found: tuple(sorted(found))),
    st.sets(st.integers(1, 31), max_size=3).map(lambda found: tuple(sorted(found))),
)


@st.composite
def commands(draw: st.DrawFn) -> tuple[Command, ...]:
    path = draw(
        st.one_of(simple_path.map(lambda path: f"/{path}"), plain, paths.filter(lambda path: not set(path) & UNSAFE))
    )
    words = draw(st.lists(texts, max_size=4))
    argv0 = draw(st.one_of(st.just(path), texts.filter(bool)))
    found = Command(path, (argv0, *words), AT)
    found.may_fail, found.literal = draw(st.booleans()), draw(st.booleans())
    found.privileges = draw(chosen("", "", "+", "!", "!!"))
    return (found,)


def several(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(one, min_size=1, max_size=3, unique=True).map(tuple)


def by_name(one: st.SearchStrategy[Any], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(one, value, min_size=1, max_size=3).map(lambda found: tuple(found.items()))


# Of each kind that is in the tables: what a field of it may have.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "exec_lines.commands": commands(),
    "string": lines,
    "plain": plain,
    "path": paths,
    "path_or_none": paths,
    "pid_file": paths.map(lambda path: f"/run{path}"),
    "account": plain,
    "accounts": several(plain),
    "names": several(plain.map(lambda name: f"{name}.service")),
    "install_names": several(plain.map(lambda name: f"{name}.target")),
    "strings": several(lines.filter(lambda text: not {"'", '"'} <= set(text) and "\\" not in text)),
    "urls": several(plain.map(lambda name: f"man:{name}")),
    "paths": several(paths),
    "mounts": several(paths),
    "folders.flagged_paths": several(st.builds(str.__add__, chosen("", "-", "+", "-+"), paths)),
    "search_path": several(simple_path.map(lambda path: f"/{path}")),
    "boolean": st.booleans(),
    "tristate": st.booleans(),
    "streams.namespace": plain,
    "unsigned": st.integers(0, 1000),
    "integer": st.integers(0, 1000),
    "size": st.integers(0, 1 << 40),
    "mode": st.integers(0, 0o7777),
    "seconds": times,
    "seconds_not_zero": st.one_of(times, st.just(INFINITY)),
    "seconds_or_none": times,
    "scheduling.nice": st.integers(-20, 19),
    "scheduling.oom_score": st.integers(-1000, 1000),
    "scheduling.affinity": st.sets(st.integers(0, 100), min_size=1, max_size=4).map(lambda found: tuple(sorted(found))),
    "scheduling.coredump_filter": st.integers(1, 511),
    "scheduling.nsec": st.integers(0, 1 << 40),
    "environment.variables": by_name(plain, texts),
    "environment.files": several(st.tuples(paths, st.booleans())),
    "environment.names": several(plain),
    "environment.names_or_variables": several(st.one_of(plain, st.builds("{}={}".format, plain, texts))),
    "signals.signal": st.integers(1, 64).filter(lambda number: number not in (32, 33)),
    "signals.statuses": codes,
    "folders.directories": several(simple_path).map(
        lambda found: tuple(Directory(each) for each in sorted(found, key=lambda path: path.split("/")))
    ),
    "folders.binds": st.builds(Bind, paths, paths, st.booleans(), st.booleans(), st.booleans()).map(lambda one: (one,)),
    "folders.file_systems": several(st.tuples(simple_path.map(lambda path: f"/{path}"), chosen("", "size=1%", "ro"))),
    "restrictions.capabilities": st.one_of(st.integers(1, (1 << 41) - 1), st.just(INFINITY & ~0b1010)),
    "restrictions.secure_bits": st.integers(1, 63),
    "restrictions.namespaces": chosen((), ("ipc", "net"), ("user",)),
    "restrictions.system_calls": several(
        st.tuples(st.booleans(), chosen(("@system-service",), ("read:EPERM", "write")))
    ),
    "restrictions.architectures": several(chosen("native", "x86", "arm")),
    "restrictions.error_number": st.integers(1, 100),
    "streams.standard_input": st.one_of(chosen("tty", "socket", "fd:a"), paths.map(lambda path: f"file:{path}")),
    "streams.standard_output": st.one_of(chosen("null", "kmsg", "fd:a"), paths.map(lambda path: f"append:{path}")),
    "streams.facility": chosen("local3", "mail"),
    "streams.level": chosen("debug", "err"),
    "streams.level_or_none": chosen("debug", "err"),
    "streams.load_credential": by_name(plain, simple_path.map(lambda path: f"/{path}")),
    "streams.import_credential": by_name(plain, plain),
    "streams.set_credential": by_name(plain, st.binary(min_size=1, max_size=6)),
    "streams.set_credential_encrypted": by_name(plain, st.binary(min_size=1, max_size=6)),
    "streams.input_data": st.binary(min_size=1, max_size=9),
    "streams.open_file": several(
        st.tuples(simple_path.map(lambda path: f"/{path}"), plain, chosen((), ("read-only",), ("append", "graceful")))
    ),
    "hostname": chosen("yes", "private", "private:a", "yes:b"),
}
# What one of them sets besides itself, or refuses of the others: tried by themselves.
ALONE = ("context.dynamic_user", "readiness.type", "readiness.bus_name", "context.pam_name", "readiness.exit_type")
TABLES = [rows for title, rows in everything().items() if title.startswith("[")]


def rows(tables: list[Any]) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """The fields that one of our values can be given, with the kind of each."""
    found: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for table in tables:
        for key, (kind, field, _, _) in table.items():
            name, more = (kind, ()) if isinstance(kind, str) else (str(kind[0]), kind[1:])
            if field and key not in APART and field not in ALONE and (name in VALUES or name.startswith("choice")):
                found.setdefault(field, (name, more))
    return found


FIELDS = rows(TABLES[:-1])
SOCKET_FIELDS = rows(TABLES[-1:])
IMPLIED = (
    "notify_access",
    "standard_output",
    "capability_bounding_set",
    "cpu_scheduling_priority",
    "io_scheduling_class",
    "io_scheduling_priority",
)


def value_of(field: str, kinds: dict[str, tuple[str, tuple[Any, ...]]]) -> st.SearchStrategy[Any]:
    name, more = kinds[field]
    said = (*(each for each in more if each), *(("yes", "no") if name == "choice_or_truth" else ()))
    return VALUES[name] if name in VALUES else chosen(*said)


@st.composite
def definitions(draw: st.DrawFn) -> tuple[Definition, dict[str, Any]]:
    """A definition, and the fields that were set."""
    found = Definition(NAME)
    found.commands.start = draw(commands())
    found.readiness.type = draw(chosen("simple", "exec", "forking", "notify", "notify-reload", "idle"))
    said: dict[str, Any] = {"commands.start": found.commands.start, "readiness.type": found.readiness.type}
    for field in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=8, unique=True)):
        said[field] = draw(value_of(field, FIELDS))
    for field, value in said.items():
        group, _, name = field.rpartition(".")
        setattr(getattr(found, group), name, value)
    found.context.limits = draw(
        st.dictionaries(
            chosen("NOFILE", "CORE", "CPU", "NPROC"), st.tuples(st.integers(0, 9), chosen(9, 1 << 40, INFINITY))
        )
    )
    return found, said


def read_back(folder: Path, definition: Definition) -> Definition:
    for name, text in write(definition).items():
        (folder / name).write_text(text)
    found, remarks = read_unit(str(folder / definition.name))
    assert remarks == []
    return found


def flat(value: Any) -> Any:
    """A value that can be compared."""
    if isinstance(value, tuple | list):
        return [flat(each) for each in value]
    slots = getattr(type(value), "__slots__", None)
    return {slot: flat(getattr(value, slot)) for slot in slots if slot != "origin"} if slots else value


@settings(max_examples=150, deadline=None)
@given(definitions())
def test_a_service_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, drawn: Any) -> None:
    definition, said = drawn
    try:
        found = read_back(tmp_path_factory.mktemp("units"), definition)
    except Failure as failure:  # a path that no unit can name
        event("refused")
        if "a unit cannot have" not in str(failure) and "program" not in str(failure):
            raise
        return
    assert found.context.limits == definition.context.limits
    for field, value in said.items():
        group, _, name = field.rpartition(".")
        if name not in IMPLIED:
            assert flat(getattr(getattr(found, group), name)) == flat(value), field


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_socket_is_read_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    socket = Socket()
    socket.name = "written.socket"
    addresses = data.draw(
        st.lists(chosen("/run/a b%", "0.0.0.0:80", "[::1]:81", "@x", "[::]:82"), min_size=1, unique=True)
    )
    socket.listen = tuple(Listen(data.draw(chosen("Stream", "Datagram")), each, AT) for each in addresses)
    names = sorted(
        set(SOCKET_FIELDS) - {"accept", "symlinks", "service", "start_pre", "start_post", "stop_pre", "stop_post"}
    )
    said = {name: data.draw(value_of(name, SOCKET_FIELDS)) for name in data.draw(st.lists(chosen(*names), unique=True))}
    for name, value in said.items():
        setattr(socket, name, value)
    definition = Definition(NAME)
    definition.commands.start = (Command("/bin/true", ("/bin/true",), AT),)
    definition.sockets = (socket,)
    (found,) = read_back(tmp_path_factory.mktemp("units"), definition).sockets
    assert flat(found.listen) == flat(socket.listen)
    assert {name: getattr(found, name) for name in said} == said


def test_every_kind_of_the_tables_has_a_way_back() -> None:
    kinds = {
        kind if isinstance(kind, str) else str(kind[0])
        for table in TABLES
        for key, (kind, field, _, _) in table.items()
        if (field or kind == "raw") and key not in APART
    }
    assert kinds - set(FORMS) == {"sockets.listen", "sockets.check"}


def test_what_cannot_be_said_is_refused() -> None:
    definition = Definition(NAME)
    definition.commands.start = (Command("/bin/true", ("/bin/true",), AT),)
    definition.relations.description = "two\nlines"
    with pytest.raises(Failure, match="two\nlines: a unit cannot have this"):
        write(definition)
