"""The words of an Upstart job's file, as init(5) has them and libnih's config.c reads them: quotation marks,
backslashes, comments, lines that go on, and blocks up to "end script". What a stanza means is not known here.
"""

BLANKS = " \t\r"
ENDS = "#\n"  # of a stanza: a comment, or the line's end
BETWEEN = BLANKS + ENDS


class Malformed(Exception):
    """Upstart would not load this job. line: where, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


class Text:
    """A job's text, and how far it was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1  # of what is read next
        self.stanza_line = 1  # in which the stanza began

    def fail(self, reason: str) -> Malformed:
        """The error that something in the current stanza is."""
        return Malformed(self.stanza_line, reason)

    @property
    def is_at_end(self) -> bool:
        """Whether all was read."""
        return self.at >= len(self.text)

    def here(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at : self.at + 1]

    def has_word(self) -> bool:
        """Whether the stanza goes on."""
        return self.here() not in ("", *ENDS)

    def skip_blanks(self) -> None:
        """Go to the next word of this stanza; a backslash before a line's end is a blank."""
        while (letter := self.here()) and (letter in BLANKS or self.text.startswith("\\\n", self.at)):
            self.line += letter == "\\"
            self.at += 2 if letter == "\\" else 1

    def next_line(self) -> None:
        """Go behind the end of the line."""
        end = self.text.find("\n", self.at)
        self.line += end >= 0
        self.at = end + 1 if end >= 0 else len(self.text)

    def end_stanza(self) -> None:
        """Go to the next stanza. Raises Malformed if there is another word."""
        if self.has_word():
            rest = self.text[self.at :].partition("\n")[0]
            raise self.fail(f"{rest}: nothing more is expected here")
        self.next_line()

    def word(self, more_ends: str = "", *, unquote: bool = True) -> str:
        """The next word. Raises Malformed."""
        found = self._until(BETWEEN + more_ends, unquote)
        if not found:
            raise self.fail("a word is missing")
        self.skip_blanks()
        return found

    def words(self) -> list[str]:
        """All words to the end of the stanza, at least one. Raises Malformed."""
        found = [self.word()]
        while self.has_word():
            found.append(self.word())
        self.end_stanza()
        return found

    def command(self) -> str:
        """All to the end of the stanza, with its quotation marks, in one line. Raises Malformed."""
        found = self._until(ENDS, unquote=False)
        self.end_stanza()
        return found

    def _until(self, ends: str, unquote: bool) -> str:
        """What stands before any of these characters. A line's end within, and the blanks around it, are one blank."""
        parts: list[str] = []
        quote, blanks, is_folded = "", 0, False
        while letter := self.here():
            behind = ""
            if letter == "\\":
                self.at += 1
                letter = self.here()
                if not letter:
                    raise self.fail("there is nothing behind the last backslash")
                if letter == "\\" or letter in BLANKS:
                    behind = "" if unquote else "\\"
                elif letter != "\n":
                    # libnih puts this backslash before the blanks, and has it once more in the place of the last one.
                    parts.append("\\")
            elif not quote and letter in ends:
                break
            elif letter in BLANKS:
                blanks += 1
                self.at += 1
                continue
            elif letter in ("'", '"') and quote in ("", letter):
                quote = "" if quote else letter
                letter = "" if unquote else letter
            if letter == "\n":
                is_folded = True
                self.line += 1
            else:
                end = self.at - len(behind)
                parts += (" " if is_folded else self.text[end - blanks : end], behind, letter)
                blanks, is_folded = 0, False
            self.at += 1
        if quote:
            raise self.fail(f"the quotation mark {quote} has no end")
        return "".join(parts)

    def block(self, kind: str) -> str:
        """The lines up to "end KIND", without the blanks with which all of them begin. Raises Malformed."""
        self.end_stanza()
        lines: list[str] = []
        while True:
            if self.is_at_end:
                raise self.fail(f'there is no "end {kind}"')
            start = self.at
            self.next_line()
            line = self.text[start : self.at]
            if _ends(line, kind):
                break
            lines.append(line)
        common = _blanks(lines[0]) if lines else ""
        for line in lines[1:]:
            while not line.startswith(common):
                common = common[:-1]
        return "".join(line[len(common) :] for line in lines)


def _blanks(line: str) -> str:
    return line[: len(line) - len(line.lstrip(BLANKS))]


def _ends(line: str, kind: str) -> bool:
    """Whether this is the line that ends a block."""
    text = line.rstrip("\n").strip(BLANKS)
    behind = text.removeprefix("end").lstrip(BLANKS)
    rest = behind.removeprefix(kind).lstrip(BLANKS)
    is_one = text.startswith("end") and text[3:4] in tuple(BLANKS) and behind.startswith(kind)
    return is_one and (not rest or rest[0] == "#")
