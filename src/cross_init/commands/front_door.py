"""The command cross-init, the project's front door: its first word chooses what is done.

It starts as fast as the bridge: a probe may run it every few seconds. A command's module is imported when it is asked
for, and answers with an exit code and the text for standard output.
"""

import posix

from cross_init.errors import FAILED, Failure, printable

NAME = "cross-init"
HELP = ("-h", "--help")
COMMANDS = ("status", "check", "which", "serve", "show", "translate", "run")  # what they are for stands in described.py


def main(argv: list[str]) -> None:
    """Do what the command line says. Does not return."""
    command, *words = argv[1:] or ["--help"]
    try:
        code, text = answer(command, words)
        fd = 1
    except Failure as failure:
        code, text, fd = failure.code, f"{NAME}: {printable(str(failure))}", 2
    except Exception as error:
        code, text, fd = FAILED, f"{NAME}: a mistake in {NAME} itself: {printable(repr(error))}; please report it", 2
    write(fd, text)
    posix._exit(code)


def remark(text: str) -> None:
    """Say beside the answer what people should know of it, in one line."""
    write(2, f"{NAME}: {printable(text)}")


def write(fd: int, text: str) -> None:
    """Write this and end the line."""
    data = f"{text}\n".encode("utf-8", "backslashreplace") if text else b""
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        pass  # sv(8) closes standard output for ./check; the exit code tells


def answer(command: str, words: list[str]) -> tuple[int, str]:
    """The exit code, and what to say. Raises Failure."""
    if command == "help" and words[:1] != ["help"]:
        command, *words = *words[:1], *HELP[-1:]
    if command in HELP:
        from cross_init.commands.help import of_front_door

        return 0, of_front_door()
    if command in ("-V", "--version"):
        from cross_init.version import VERSION

        return 0, f"{NAME} {VERSION}"
    if command not in COMMANDS:
        from cross_init.spelling import nearest

        meant = "cross-init-bridge" if command == "bridge" else nearest(command, COMMANDS)
        hint = f"; did you mean {meant}?" if meant else ""
        raise Failure(f"{command}: no such command; there are {', '.join(COMMANDS)}{hint} (see {NAME} --help)")
    own = words[: words.index("--")] if "--" in words else words  # what is behind it is a daemon's
    if any(word in HELP for word in own):
        from cross_init.commands.help import of_command

        return 0, of_command(command)
    module = __import__(f"cross_init.commands.{command}", fromlist=("run",))
    done: tuple[int, str] = module.run(words)
    return done
