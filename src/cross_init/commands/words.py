"""The words of a command about a unit (run, show, translate), taken apart: its own options, the unit, and the rest.

What each option is for stands in described.py, which this does not import: a start has no time for it.
"""

from cross_init.errors import Failure

# Option: what its value is, for people; "" if it takes none. described.py has the same ones.
OF_UNIT = {"--unit-path": "a folder", "--user": ""}
OF_SHOW = {"--json": "", **OF_UNIT}
OF_TRANSLATE = {"--to": "an init", "-o": "a folder", "--expand": "", **OF_UNIT}
OF_RUN = {**OF_UNIT, "--strict": "", "--restart": "", "--ignore": "a directive's name"}


class Words:
    """What was said. name: the unit. flags, values: of the command's own options. more: what stands behind --.

    others: options of the bridge's, with their values.
    """

    def __init__(self, name: str, flags: set[str], values: dict[str, list[str]], others: list[str], more: list[str]):
        self.name = name
        self.flags = flags
        self.values = values
        self.others = others
        self.more = more

    @property
    def folders(self) -> tuple[str, ...]:
        """Those of --unit-path."""
        return tuple(each.rstrip("/") or "/" for each in self.values["--unit-path"])

    def says(self, *options: str) -> bool:
        """Whether one of these options of the bridge's was given."""
        return any(word.partition("=")[0] in options for word in self.others)


def take_apart(command: str, words: list[str], own: dict[str, str], takes_others: bool) -> Words:
    """own: the command's options. takes_others: those of the bridge's go as well, and -- . Raises Failure."""
    flags: set[str] = set()
    values: dict[str, list[str]] = {option: [] for option, what in own.items() if what}
    names: list[str] = []
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word == "--" and takes_others:
            break
        if option in values:
            if not equals and not rest:
                raise Failure(f"{command} {option}: {own[option]} is missing")
            values[option].append(value if equals else rest.pop(0))
        elif word in own:
            flags.add(word)
        elif word.startswith("-") and word != "-":
            if not takes_others:
                raise Failure(f"{command} {word}: no such option; there are {', '.join(own)}")
            others.append(word)
            if rest and _has_value(word):
                others.append(rest.pop(0))
        else:
            names.append(word)
    if len(names) != 1:
        said = f", not {' and '.join(names)}" if names else ": its name, as redis-server.service, or its file's path"
        raise Failure(f"{command} takes one unit{said}{'; more arguments stand behind --' if takes_others else ''}")
    return Words(names[0], flags, values, others, rest)


def _has_value(word: str) -> bool:
    """Whether the word behind this option of the bridge's is its value."""
    from cross_init.commands.options import OPTIONS, whole

    if not word.startswith("--"):
        return word.find("t") == len(word) - 1  # the last one of several letters
    return "=" not in word and OPTIONS[whole(word)][1]
