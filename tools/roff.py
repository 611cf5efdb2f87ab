"""From a little Markdown to a manual page, in roff with the macros of man(7). Pure.

What it knows: a title "# name(1): what it is", sections (## and ###), paragraphs, examples (lines that begin with four
blanks), and terms with what they mean:

    `--term` *VALUE*
    :   What it means.

        A paragraph more of that.

Within a line `literal` becomes bold and *PLACEHOLDER* italic. Pages are ASCII.
"""

import re
import textwrap

REFERENCE = r"(?<![\w.])([a-z](?:[\w.]|\\-)*)\((\d)\)"  # to another page, as it is when it is escaped
WIDTH = 76  # of the source's lines; mandoc(1) finds more than 80 long


def page(markdown: str, date: str, source: str) -> str:
    """The page. date: as 2026-11-26. source: the program and its version. Raises ValueError."""
    title, _, body = markdown.partition("\n")
    found = re.fullmatch(r"# ([\w-]+)\((\d)\): (.*)", title)
    if not found or not markdown.isascii():
        raise ValueError(f"{title}: a page begins with # name(1): what it is; and all of it is ASCII")
    name, section, what = found.groups()
    kind = {"1": "User Commands", "7": "Miscellanea"}[section]
    lines = [
        '.\\" Made by tools/make_man.py: do not edit.',
        f'.TH {name.upper()} {section} {date} "{source}" "{kind}"',
        ".ad l",
        ".SH NAME",
        f"{name} \\- {what}",
        *blocks(body),
    ]
    return "\n".join(lines) + "\n"


def blocks(text: str, is_first: bool = True) -> list[str]:
    """The lines of roff of these blocks of Markdown, which empty lines part. is_first: nothing stands before them."""
    lines: list[str] = []
    parts = [part for part in re.split(r"\n(?:\s*\n)+", text.strip("\n")) if part.strip()]
    while parts:
        part = parts.pop(0)
        if heading := re.fullmatch(r"(##+) (.*)", part):
            lines.append(f".SH {heading[2].upper()}" if heading[1] == "##" else f".SS {heading[2]}")
            is_first = True
            continue
        if "\n:   " in part or part.startswith("    "):
            while parts and parts[0].startswith("    "):  # all that is indented belongs to it
                part += f"\n\n{parts.pop(0)}"
        if "\n:   " in part:
            lines += term(part)
        elif part.startswith("    "):
            lines += [*([] if is_first else [".PP"]), *example(textwrap.dedent(part))]
        else:
            lines += [*([] if is_first else [".PP"]), *filled(part)]
        is_first = False
    return lines


def term(text: str) -> list[str]:
    """A term, and what is said of it."""
    head, _, meaning = text.partition("\n:   ")
    first, _, rest = textwrap.dedent(f"    {meaning}").partition("\n\n")
    more = [".RS", *blocks(rest, is_first=False), ".RE"] if rest else []
    return [".TP", *filled(head, width=1000), *filled(first), *more]


def example(text: str) -> list[str]:
    """Lines that stay as they are."""
    return [".RS 4", ".EX", *(guarded(escaped(line)) for line in text.split("\n")), ".EE", ".RE"]


def filled(text: str, width: int = WIDTH) -> list[str]:
    """A paragraph's lines."""
    words = fonts(" ".join(text.split()))
    return [guarded(line) for line in textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)]


def fonts(text: str) -> str:
    """The text with its fonts."""
    made = ""
    for part in re.split(r"(`[^`]*`|\*[^*\s][^*]*\*)", text):
        if part.startswith("`"):
            made += f"\\fB{escaped(part[1:-1])}\\fR"
        elif part.startswith("*") and len(part) > 1:
            made += f"\\fI{escaped(part[1:-1])}\\fR"
        else:
            made += re.sub(REFERENCE, r"\\fB\1\\fR(\2)", escaped(part))
    made = made.replace("\\fR\\fB", "\\fB").replace("\\fR\\fI", "\\fI")
    # Nothing that is literal is hyphenated, nor what stands around it.
    return re.sub(r"(?<!\S)(?=\S*\\fB\S{5})", r"\\%", made)


def escaped(text: str) -> str:
    """What roff takes for itself, written so that it is shown (groff_char(7)): a hyphen that can be copied as one."""
    for letter, written in (
        ("\\", "\\e"),
        ("-", "\\-"),
        ("'", "\\(aq"),
        ("`", "\\(ga"),
        ("^", "\\(ha"),
        ("~", "\\(ti"),
    ):
        text = text.replace(letter, written)
    return text


def guarded(line: str) -> str:
    """A line of text that does not count as a request."""
    return f"\\&{line}" if line.startswith((".", "'")) else line
