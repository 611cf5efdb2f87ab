"""cross-init translate: a systemd unit or an Upstart job as another init's own definition, printed or as files.

A writer is a file in writers/ with a function write(definition, remarks), which returns texts by the names of files.
"""

import posix

from cross_init.commands.front_door import remark
from cross_init.definitions.definition import Definition
from cross_init.definitions.load import load
from cross_init.errors import Failure, why
from cross_init.kernel.atomic_file import write_whole

WRITERS = ("systemd",)


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, and the answer. Raises Failure."""
    said, init, folder = _asked(words)
    definition, remarks = _read(said)
    writer = __import__(f"cross_init.writers.{init}", fromlist=("write",))
    texts: dict[str, str] = writer.write(definition, remarks)
    for each in remarks:
        remark(f"translate: {each}")
    if not folder:
        return 0, "\n".join(f"# {name}\n{text}" for name, text in texts.items()).rstrip("\n")
    for name, text in texts.items():
        _put(f"{folder}/{name}", text)
    return 0, "\n".join(f"{folder}/{name}" for name in texts)


def _asked(words: list[str]) -> tuple[str, str, str]:
    """The unit or job, the init, and the folder to write to. Raises Failure."""
    names: list[str] = []
    values = {"--to": "", "-o": ""}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if option in values:
            if not equals and not rest:
                raise Failure(f"translate {option}: {'an init' if option == '--to' else 'a folder'} is missing")
            values[option] = value if equals else rest.pop(0)
        elif word.startswith("-"):
            raise Failure(f"translate {word}: no such option; there are --to INIT and -o DIR")
        else:
            names.append(word)
    if len(names) != 1:
        raise Failure("translate takes one unit or job: its name, or the path of its file")
    if values["--to"] not in WRITERS:
        from cross_init.spelling import nearest

        meant = nearest(values["--to"], WRITERS)
        hint = f"; did you mean {meant}?" if meant else ""
        raise Failure(f"translate --to {values['--to'] or 'INIT'}: INIT may be {', '.join(WRITERS)}{hint}")
    return names[0], values["--to"], values["-o"].rstrip("/") or values["-o"]


def _read(said: str) -> tuple[Definition, list[str]]:
    """Raises Failure."""
    unit = load(said)
    return unit.definition, unit.remarks


def _put(path: str, text: str) -> None:
    """Have a file with this text, in the place of one that is there. Raises Failure."""
    umask = posix.umask(0)
    posix.umask(umask)
    whole = path if path.startswith("/") else f"{posix.getcwd()}/{path}"
    try:
        write_whole(whole, text.encode("utf-8", "surrogateescape"), 0o666 & ~umask)
    except OSError as error:
        raise Failure(f"writing {path}: {why(error)}") from None
