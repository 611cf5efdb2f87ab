"""The classes of directives: what becomes of each under an init that is not systemd."""

Row = tuple[str | tuple[str | int, ...], str, str, str]  # see directives.py
Rows = dict[str, Row]

DONE = "done"  # by us
INITS = "the init's"  # what `cross-init translate` writes; said once
WEAKER = "weaker without it"  # where this machine, user or container does not allow it: said, and the service starts
CANNOT = "cannot be"  # refused before anything is started
NOT_YET = "not yet"  # refused as well: nobody has built it yet

OFF = ("no", "false", "0", "off", "n", "f", "")  # values by which a directive asks for nothing, in small letters
