"""What a word was probably meant to be, for people who have mistyped it. Imported when something is wrong already."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# What people call it otherwise.
ALIASES = {
    **dict.fromkeys(("docker", "podman", "kubernetes", "k8s", "oci"), "container"),
    **dict.fromkeys(("shell", "bash", "sh", "terminal"), "none"),
    **dict.fromkeys(("lsb", "initd", "init.d", "daemon"), "sysv"),
    **dict.fromkeys(("sdnotify", "notify"), "systemd"),
    "xinetd": "inetd",
}
SHORTEST = 3  # letters that two words have to begin with alike, where one is the other's beginning
LONGEST = 40  # letters; a longer word is no slip


def nearest(word: str, choices: "Iterable[str]") -> str:
    """The choice that is like this word but for case, dashes, its end, a slip or two; or its alias; "" if none is."""
    asked = plain(word)
    choices = tuple(choices)
    if ALIASES.get(asked) in choices:
        return ALIASES[asked]
    best, least = "", max(1, len(asked) // 3) + 1
    for choice in choices if 0 < len(asked) <= LONGEST else ():
        known = plain(choice)
        distance = 0 if known == asked else edits(asked, known)
        if distance and min(len(asked), len(known)) >= SHORTEST and asked.startswith(known):
            distance = 1
        if distance < min(least, len(known)):
            best, least = choice, distance
    return best


def plain(word: str) -> str:
    """Without what people leave out or mistake: dashes, and the case of letters."""
    return word.replace("-", "").replace("_", "").casefold()


def edits(one: str, other: str) -> int:
    """How many letters have to be put in, left out, exchanged or swapped with the next to make one of the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        above, row = row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]
