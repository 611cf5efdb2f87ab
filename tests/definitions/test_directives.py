"""The table of directives: whole, and the document that is made of it."""

from cross_init.definitions.definition import Definition, Socket
from cross_init.definitions.directives import everything
from cross_init.definitions.units import _form
from tests.support.systemd import Manager
from tools import make_directives

ROWS = [(title, key, row) for title, rows in everything().items() for key, row in rows.items()]
SECTIONS = ("Unit", "Service", "Socket", "Install")


def test_the_document_is_made_of_it() -> None:
    assert make_directives.FILE.read_text() == make_directives.text(), "run make docs"


def test_each_row_has_a_reader_and_a_field() -> None:
    for title, key, (kind, field, _, _) in ROWS:
        assert not kind or callable(_form(kind if isinstance(kind, str) else str(kind[0]))), key
        subject = Socket() if title.startswith("[Socket]") else Definition("a.service")
        for name in filter(None, field.split(".")):
            subject = getattr(subject, name)


def test_each_directive_of_systemd_is_in_it(system: Manager) -> None:
    known = {(title[1:].partition("]")[0], key) for title, key, _ in ROWS}
    of_service = {key for section, key in known if section == "Service"}
    section, missing = "", []
    said = system.container.run("/usr/lib/systemd/systemd", "--dump-configuration-items", check=False).stdout
    for line in said.splitlines():
        key, equals, _ = line.partition("=")
        section = line[1:-1] if line.startswith("[") else section
        is_known = (section, key) in known or (section == "Socket" and key in of_service)
        if equals and section in SECTIONS and not is_known:
            missing.append((section, key))
    assert "ExecStart=" in said
    assert missing == []
