"""What a value needs to know while it is read: whose unit it is, where it stands; and what can be wrong with it.

A value that systemd does not take is a ValueError: the line counts for nothing, and a remark says so. Where systemd
would not load the whole unit for it, it is Refused.
"""

from cross_init.definitions.definition import Definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Origin, Socket

MOST = 1 << 20  # letters of a value with its specifiers put in


class Refused(Exception):
    """systemd would not load the unit for this value, and nothing is started for it here."""


class Reading:
    """One unit being read. subject: whose fields are set."""

    def __init__(self, subject: "Definition | Socket", name: str, instance: str, of_user: bool, fragment: str) -> None:
        self.subject = subject
        self.context = subject.context
        self.name = name
        self.instance = instance
        self.of_user = of_user
        self.fragment = fragment  # the file of the unit itself, without drop-ins
        self.origin: Origin = (fragment, 0)  # of the line that is being read
        self.section = self.key = ""
        self.remarks: list[tuple[Origin, str]] = []

    def remark(self, text: str, origin: "Origin | None" = None) -> None:
        """Note something that is wrong and ignored."""
        self.remarks.append((origin or self.origin, text))

    def put(self, field: str, value: object) -> None:
        """Set a field, as "context.user"."""
        group, _, name = field.rpartition(".")
        setattr(getattr(self.subject, group) if group else self.subject, name, value)
        self.subject.origins[name] = self.origin

    def expand(self, text: str, of_name: bool = False) -> str:
        """The text with its specifiers put in. Raises ValueError."""
        if "%" not in text:
            return text
        from cross_init.definitions.specifiers import expand

        found = expand(text, self, of_name)
        if len(found) > MOST:
            raise ValueError("it becomes too long")
        return found
