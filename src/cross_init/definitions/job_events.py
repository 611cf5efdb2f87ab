"""The events of "start on" and "stop on" (init(5)): a tree of events, each with its name and what it must have with it,
joined by "and" and "or". Read as Upstart's parse_job.c does.
"""

from cross_init.definitions.job_syntax import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Stack = list["Node | None"]

MATCH = ""


class Node:
    """An event with its words, or two sides. kind: MATCH, "and", "or"."""

    __slots__ = ("kind", "left", "name", "right", "words")

    def __init__(self, kind: str, name: str = "") -> None:
        self.kind = kind
        self.name = name
        self.words: tuple[str, ...] = ()
        self.left: Node | None = None
        self.right: Node | None = None

    def events(self) -> "Iterator[Node]":
        """All events in it, from left to right."""
        for side in (self.left, self.right):
            if side is not None:
                yield from side.events()
        if self.kind == MATCH:
            yield self

    def values(self) -> dict[str, str]:
        """What an event must have with it, by name; without those that must not be, and those of no name."""
        pairs = [word.partition("=") for word in self.words]
        return {name: value for name, equals, value in pairs if equals and not name.endswith("!")}

    def __str__(self) -> str:
        """As it may be written."""
        if self.kind == MATCH:
            return " ".join((self.name, *self.words))
        sides = [
            f"({side})" if side is not None and side.kind not in (MATCH, self.kind) else str(side)
            for side in (self.left, self.right)
        ]
        return f" {self.kind} ".join(sides)


def parse(text: Text) -> Node:
    """The tree that stands behind "on". It may go on in the next line where a parenthesis is open. Raises Malformed."""
    stack: Stack = []
    root: Node | None = None
    depth = 0
    while True:
        text.skip_blanks()
        while True:
            if text.here() in ("(", ")") and text.here():
                depth += 1 if text.here() == "(" else -1
                root = _parenthesis(text, stack, root)
            else:
                root = _word(text, stack, root)
            if not text.has_word():
                break
        text.end_stanza()
        if text.is_at_end or not depth:
            break
    root = _collected(text, stack, root)
    if stack:
        raise text.fail("a parenthesis is not closed")
    return root


def _parenthesis(text: Text, stack: "Stack", root: Node | None) -> Node | None:
    top = stack[-1] if stack else None
    if text.here() == "(":
        if root is not None or (top is not None and top.kind == MATCH):
            raise text.fail('"and" or "or" is missing before a parenthesis')
        stack.append(None)
    else:
        root = _collected(text, stack, root)
        if not stack:
            raise text.fail("a parenthesis is closed that was not opened")
        stack.pop()
    text.at += 1
    text.skip_blanks()
    return root


def _word(text: Text, stack: "Stack", root: Node | None) -> Node | None:
    """An operator; or an event's name, or what goes with the event before it."""
    at, line = text.at, text.line
    word = text.word("()", unquote=False)
    if word in ("and", "or"):
        joint = Node(word)
        joint.left = _collected(text, stack, root)
        stack.append(joint)
        return None
    text.at, text.line = at, line
    word = text.word("()")
    top = stack[-1] if stack else None
    if top is None or top.kind != MATCH:
        stack.append(Node(MATCH, word))
        return root
    top.words = (*top.words, word)
    named = [each for each in top.words if "=" in each]
    if named and any("=" not in each for each in top.words[top.words.index(named[0]) :]):
        raise text.fail(f"{word}: behind KEY=VALUE there is no value without a key")
    return root


def _collected(text: Text, stack: "Stack", root: Node | None) -> Node:
    """What stands on the stack, down to an open parenthesis, as one tree. Raises Malformed."""
    while stack and (top := stack[-1]) is not None:
        stack.pop()
        if top.kind == MATCH and root is not None:
            raise text.fail('"and" or "or" is missing between events')
        if top.kind != MATCH:
            if root is None:
                raise text.fail(f'there is no event behind "{top.kind}"')
            top.right = root
        root = top
    if root is None:
        raise text.fail("an event is missing")
    return root
