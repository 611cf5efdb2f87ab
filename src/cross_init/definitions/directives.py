"""The table of directives: of each key of a unit how its value is read, where it goes, and what becomes of it here.

It stands in parts, a file for each of systemd's manual pages (table_*.py), so that a start reads those that it needs.
A row has the kind of the value (a function of values.py, or FILE.FUNCTION; with what it is to know behind it), the
field of the definition ("" if it has none: what was said is kept by its key), the class, and in some words why.

docs/directives.md is made from it. A key is in the class DONE when `cross-init run` does it.
"""

from cross_init.definitions.table_unit import INSTALL, UNIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.classes import Row, Rows


def row(section: str, key: str) -> "Row | None":
    """What there is to know of a key; None if systemd does not know it either."""
    if section == "Unit":
        return UNIT.get(key)
    if section == "Install":
        return INSTALL.get(key)
    if section == "Socket":
        from cross_init.definitions.table_socket import SOCKET, of_commands

        return SOCKET.get(key) or of_commands(key)
    return _of_service(key)


def _of_service(key: str) -> "Row | None":
    from cross_init.definitions.table_exec import EXEC
    from cross_init.definitions.table_service import SERVICE

    found = SERVICE.get(key) or EXEC.get(key)
    if found is None:
        from cross_init.definitions.table_resources import RESOURCES

        found = RESOURCES.get(key)
    return found


def everything() -> "dict[str, Rows]":
    """All of it, by the section and the manual page."""
    from cross_init.definitions.stanzas import rows
    from cross_init.definitions.table_exec import EXEC
    from cross_init.definitions.table_resources import RESOURCES
    from cross_init.definitions.table_service import SERVICE
    from cross_init.definitions.table_socket import SOCKET

    return {
        "[Unit], systemd.unit(5)": UNIT,
        "[Install], systemd.unit(5)": INSTALL,
        "[Service], systemd.service(5) and systemd.kill(5)": SERVICE,
        "[Service], systemd.exec(5)": EXEC,
        "[Service], systemd.resource-control(5)": RESOURCES,
        "[Socket], systemd.socket(5)": SOCKET,
        "An Upstart job, init(5)": rows(),
    }
