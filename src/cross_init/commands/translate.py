"""cross-init translate: a systemd unit or an Upstart job as another init's own definition, printed or as files.

A writer is a file in writers/ (its names.py) with a function write(definition, remarks, expand), which returns texts by
the paths of files below the folder; what is lost it adds to the remarks, and has as comments on top of the main text.
A text that begins with "#!" is a program. WRITES: the keys that are the init's, and that it says or remarks upon.
"""

import posix

from cross_init.commands.front_door import remark
from cross_init.commands.words import OF_TRANSLATE, take_apart
from cross_init.definitions.load import load
from cross_init.errors import Failure, why
from cross_init.kernel.atomic_file import write_whole
from cross_init.writers.names import WRITERS


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, and the answer. Raises Failure."""
    asked = take_apart("translate", words, OF_TRANSLATE, False)
    init = _known("".join(asked.values["--to"][-1:]))
    folder = "".join(asked.values["-o"][-1:])
    folder = folder.rstrip("/") or folder
    expand = "--expand" in asked.flags
    unit = load(asked.name, "--user" in asked.flags, asked.folders)
    remarks = unit.remarks
    writer = __import__(f"cross_init.writers.{WRITERS[init]}", fromlist=("write",))
    if init != unit.definition.target and init != "systemd":
        from cross_init.writers.lost import lost

        remarks += lost(unit, init, writer.WRITES, expand)
    texts: dict[str, str] = writer.write(unit.definition, remarks, expand)
    for each in remarks:
        remark(f"translate: {each}")
    if not folder:
        return 0, "\n".join(f"# {name}\n{text}" for name, text in texts.items()).rstrip("\n")
    for name, text in texts.items():
        _put(folder, name, text)
    return 0, "\n".join(f"{folder}/{name}" for name in texts)


def _known(init: str) -> str:
    """Raises Failure if nobody writes for this one."""
    if init in WRITERS:
        return init
    from cross_init.spelling import nearest

    meant = nearest(init, WRITERS)
    hint = f"; did you mean {meant}?" if meant else ""
    raise Failure(f"translate --to {init or 'INIT'}: INIT may be {', '.join(WRITERS)}{hint}")


def _put(folder: str, name: str, text: str) -> None:
    """Have a file with this text there, in the place of one of this name, and the folders to it. Raises Failure."""
    umask = posix.umask(0)
    posix.umask(umask)
    base = folder if folder.startswith("/") else f"{posix.getcwd()}/{folder}"
    mode = 0o777 if text.startswith("#!") else 0o666
    parts = name.split("/")
    try:
        for count in range(1, len(parts)):
            _have_folder(f"{base}/{'/'.join(parts[:count])}")
        write_whole(f"{base}/{name}", text.encode("utf-8", "surrogateescape"), mode & ~umask)
    except OSError as error:
        raise Failure(f"writing {folder}/{name}: {why(error)}") from None


def _have_folder(path: str) -> None:
    try:
        posix.mkdir(path)
    except FileExistsError:
        pass
