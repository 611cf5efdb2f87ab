"""Values about a service's variables: Environment=, EnvironmentFile=, PassEnvironment=, UnsetEnvironment=."""

from cross_init.definitions.reading import Reading
from cross_init.definitions.values import simplified
from cross_init.definitions.words import words

Texts = tuple[str, ...]
Pairs = tuple[tuple[str, str], ...]


def variables(text: str, old: Pairs, reading: Reading) -> Pairs:
    """NAME=VALUE, of which a later one replaces an earlier one in its place; an empty line resets them."""
    if not text:
        return ()
    found = dict(old)
    try:
        for word in words(text, escapes=True):
            if each := _valid(word, reading, needs_value=True):
                name, _, value = each.partition("=")
                found[name] = value
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(found.items())


def names(text: str, old: Texts, reading: Reading) -> Texts:
    """Names of variables; an empty line resets them."""
    return _added(text, old, reading, escapes=False)


def names_or_variables(text: str, old: Texts, reading: Reading) -> Texts:
    """Names, or NAME=VALUE; an empty line resets them."""
    return _added(text, old, reading, escapes=True)


def files(text: str, old: tuple[tuple[str, bool], ...], reading: Reading) -> tuple[tuple[str, bool], ...]:
    """A file or pattern, and whether it may be missing; an empty line resets them."""
    if not text:
        return ()
    said = reading.expand(text)
    return (*old, (simplified(said.removeprefix("-")), said.startswith("-")))


def _added(text: str, old: Texts, reading: Reading, escapes: bool) -> Texts:
    if not text:
        return ()
    found = list(old)
    try:
        for word in words(text, escapes=escapes):
            each = _valid(word, reading, needs_value=False)
            if each and (escapes or "=" not in each) and each not in found:
                found.append(each)
    except ValueError as error:
        reading.remark(f"{text}: {error}")
    return tuple(found)


def _valid(word: str, reading: Reading, needs_value: bool) -> str:
    """The word with its specifiers, "" and a remark if it is none for a variable."""
    try:
        said = reading.expand(word)
    except ValueError as error:
        reading.remark(f"{word}: {error}")
        return ""
    name, equals, value = said.partition("=")
    is_name = name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit()
    is_text = value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    if not (is_name and is_text and (equals or not needs_value)):
        reading.remark(f"{said}: it is no {'assignment' if needs_value else 'name'} of a variable")
        return ""
    return said
