"""A unit's command as it is run: its words with their variables put in, and where its program is."""

from cross_init.errors import Failure
from cross_init.launch import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Command, Definition
    from cross_init.kernel.linux import Environment


def words_of(command: "Command", environ: "Environment") -> list[str]:
    """Its arguments with their variables."""
    words = list(command.argv)
    if command.literal or all("$" not in word for word in words):
        return words
    from cross_init.shapes.control import expand

    return [words[0], *expand(words[1:], environ)]


def programs(command: "Command", environ: "Environment", definition: "Definition") -> list[bytes]:
    """Where its program may be. Raises Failure if nowhere."""
    context = definition.context
    path = command.path.encode("utf-8", "surrogateescape")
    if context.root_directory not in ("", "/"):
        return [path]
    try:
        return find_program(command.path, environ)
    except Failure as failure:
        if b"/" in path and (context.binds or context.temporary_file_system):
            return [path]  # it may be there for the service
        raise Failure(f"{command.origin[0]}:{command.origin[1]}: {failure}", failure.code) from None
