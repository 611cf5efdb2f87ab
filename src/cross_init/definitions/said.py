"""What a reader has read: the definition, and each line that was said, with what there is to know of it."""

from cross_init.definitions.definition import Definition, Origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.classes import Row


class Said:
    """One line of a unit. row: of its key, None if systemd does not know it. ignored: why, or ""."""

    __slots__ = ("ignored", "key", "origin", "row", "section", "value")

    def __init__(self, section: str, key: str, value: str, origin: Origin, row: "Row | None") -> None:
        self.section = section
        self.key = key
        self.value = value
        self.origin = origin
        self.row = row
        self.ignored = ""


class Unit:
    """All that was read: the definition, each line, and what was remarked.

    looked_at: the folders and files on which it depends, if it depends on nothing else.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.lines: list[Said] = []
        self.remarks: list[str] = []
        self.looked_at: list[str] = []
