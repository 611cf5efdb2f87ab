"""The stanzas of an Upstart job's file (init(5)): words, commands and script blocks, as its library nih parts them."""

from cross_init.definitions.syntax import Malformed

BLANKS = " \t\r"
OF_LINE = "#\n"
COMMANDS = ("exec", "script")
PROCESSES = ("pre-start", "post-start", "pre-stop", "post-stop")
EVENTS = ("start", "stop")


class Stanza:
    """One. name: with the second word where there is one, as "pre-start exec". text: a command, a script, or events."""

    __slots__ = ("line", "name", "text", "words")

    def __init__(self, line: int, name: str, words: tuple[str, ...], text: str = "") -> None:
        self.line = line
        self.name = name
        self.words = words
        self.text = text


def read(text: str) -> list[Stanza]:
    """All stanzas. Raises Malformed."""
    found: list[Stanza] = []
    at = 0
    while True:
        at = _behind_blanks(text, at, "\n")
        if at == len(text):
            return found
        if text[at] == "#":
            at = _next_line(text, at)
            continue
        line = _line(text, at)
        name, at = _token(text, at, BLANKS + OF_LINE)
        at = _behind_blanks(text, at)
        if name in PROCESSES:
            second, at = _token(text, at, BLANKS + OF_LINE)
            at = _behind_blanks(text, at)
            if second not in COMMANDS:
                raise Malformed(line, f"{name}: it is followed by exec or script")
            said, at = _command(text, at, second)
            found.append(Stanza(line, f"{name} {second}", (), said))
        elif name in COMMANDS:
            said, at = _command(text, at, name)
            found.append(Stanza(line, name, (), said))
        elif name in EVENTS:
            second, at = _token(text, at, BLANKS + OF_LINE)
            if second != "on":
                raise Malformed(line, f"{name}: it is followed by on")
            said, at = _events(text, at, line)
            found.append(Stanza(line, f"{name} on", (), said))
        else:
            words, at = _words(text, at)
            found.append(Stanza(line, name, words))


def _command(text: str, at: int, kind: str) -> tuple[str, int]:
    """What follows exec on its line, or script up to its end; and where it goes on. Raises Malformed."""
    line = _line(text, at)
    if kind == "exec":
        said, at = _token(text, at, OF_LINE, dequotes=False)
        if not said:
            raise Malformed(line, "exec: a command is missing")
        return said, _next_line(text, at)
    if at < len(text) and text[at] not in OF_LINE:
        raise Malformed(line, "script: it stands alone on its line")
    at = _next_line(text, at)
    lines: list[str] = []
    while at < len(text):
        end = _next_line(text, at)
        each = text[at:end].rstrip("\n")
        at = end
        if each.partition("#")[0].split() == ["end", "script"]:
            return _dedented(lines), at
        lines.append(each)
    raise Malformed(line, "script: there is no end script")


def _dedented(lines: list[str]) -> str:
    """Without the blanks that all of them begin with."""
    common = next(iter(lines), "")
    common = common[: len(common) - len(common.lstrip(BLANKS))]
    for each in lines:
        while not each.startswith(common) and each.strip(BLANKS):
            common = common[:-1]
    return "".join(f"{each[len(common) :]}\n" for each in lines)


def _events(text: str, at: int, line: int) -> tuple[str, int]:
    """An expression of events, whose parentheses hold it together over lines. Raises Malformed."""
    words: list[str] = []
    depth = 0
    while True:
        at = _behind_blanks(text, at, "\n" if depth else "")
        if at == len(text) or (text[at] in OF_LINE and not depth):
            break
        if text[at] == "#":
            at = _next_line(text, at)
        elif text[at] in "()":
            depth += 1 if text[at] == "(" else -1
            words.append(text[at])
            at += 1
        else:
            word, at = _token(text, at, f"{BLANKS}{OF_LINE}()")
            words.append(word)
    if depth or not words:
        raise Malformed(line, "the parentheses do not match" if depth else "the events are missing")
    return " ".join(words), _next_line(text, at)


def _words(text: str, at: int) -> tuple[tuple[str, ...], int]:
    """Those up to the line's end; and where the next line begins. Raises Malformed."""
    words: list[str] = []
    while at < len(text) and text[at] not in OF_LINE:
        word, at = _token(text, at, BLANKS + OF_LINE)
        words.append(word)
        at = _behind_blanks(text, at)
    return tuple(words), _next_line(text, at)


def _token(text: str, at: int, ends: str, dequotes: bool = True) -> tuple[str, int]:
    """What stands up to one of these letters; and where that is. A line's end in it is one blank. Raises Malformed."""
    said, blanks, quote = "", "", ""
    begin = at
    is_new = is_escaped = False
    while at < len(text):
        letter = text[at]
        kept = letter
        if is_escaped:
            is_escaped = False
            if letter == "\n":
                is_new = True
                at += 1
                continue
            kept = letter if (letter == "\\" or letter in BLANKS) and dequotes else f"\\{letter}"
        elif letter == "\\":
            is_escaped = True
            at += 1
            continue
        elif quote and letter == quote:
            quote, kept = "", "" if dequotes else letter
        elif not quote and letter in "\"'":
            quote, kept = letter, "" if dequotes else letter
        elif not quote and letter in ends:
            break
        elif quote and letter == "\n":
            is_new = True
            at += 1
            continue
        elif letter in BLANKS:
            blanks += letter
            at += 1
            continue
        said += f"{' ' if is_new else blanks}{kept}"
        blanks, is_new = "", False
        at += 1
    if is_escaped or quote:
        raise Malformed(_line(text, begin), f"the quotation mark {quote} has no end" if quote else "it ends with \\")
    return said, at


def _behind_blanks(text: str, at: int, more: str = "") -> int:
    """Behind blanks, and lines' ends that a backslash stands before."""
    while at < len(text):
        if text[at : at + 2] == "\\\n":
            at += 2
        elif text[at] in BLANKS or text[at] in more:
            at += 1
        else:
            break
    return at


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
