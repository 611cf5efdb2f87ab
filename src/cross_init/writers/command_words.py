"""A command of a unit as words of a shell's, and several as the one word that --stop-command takes. Pure.

systemd puts variables in when it runs a command: ${NAME} anywhere in a word, $NAME as a word of its own, which becomes
as many as its value has; $$ is a dollar sign (systemd.service(5), "Command lines").
"""

from cross_init.writers.quoting import shell
from cross_init.writers.standing import chain, note
from cross_init.writers.unit_words import word as unit_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Command, Definition

SPLIT = "is split at its blanks by the shell, to which quotation marks in it mean nothing"


def in_shell(definition: "Definition", remarks: list[str], command: "Command", target: str = "") -> str:
    """The command with its standing, for a shell that has its variables. target: see standing.chain()."""
    standing = chain(definition, remarks, command, target, in_script=True)
    if not standing and "/" not in command.path and command not in definition.commands.start:
        standing = ["env"]  # it may be called as what the shell does itself
    words = [*map(shell, standing), shell(command.path)]
    if command.argv[:1] not in ((command.path,), (command.path.rpartition("/")[2],)):
        note(remarks, f"{command.path}: it is called by its own name, and not {command.argv[0]} (@)")
    if command.login_shell:
        note(remarks, f"{command.path}: it is not run by a login's shell (|)")
    return " ".join([*words, *(_word(each, command, remarks) for each in command.argv[1:])])


def _word(text: str, command: "Command", remarks: list[str]) -> str:
    if command.literal or "$" not in text:
        return shell(text)
    name = text.removeprefix("$")
    if name == "MAINPID":
        return '"${MAINPID-}"'  # a number
    if name != text and is_name(name):
        note(remarks, f"${name} {SPLIT}")
        return f"${{{name}-}}"
    return _joined(_parts(text))


def splits(definition: "Definition") -> bool:
    """Whether a variable is a word of its own somewhere, which becomes several, but no names of files."""
    commands = (each for kind in vars(definition.commands).values() for each in kind if not each.literal)
    return any(
        word[:1] == "$" and is_name(word[1:]) and word != "$MAINPID" for each in commands for word in each.argv[1:]
    )


def is_name(text: str) -> bool:
    """Whether a variable may be called so."""
    return bool(text) and text.isascii() and text.replace("_", "a").isalnum() and not text[0].isdigit()


def _parts(text: str) -> list[tuple[bool, str]]:
    """Texts, and names of variables (True)."""
    found: list[tuple[bool, str]] = []
    for at, part in enumerate(text.split("$$")):
        found += [(False, "$")] * bool(at)
        while "${" in part and "}" in part.partition("${")[2]:
            before, _, after = part.partition("${")
            name, _, part = after.partition("}")
            found += [(False, before), (True, name)]
        found.append((False, part))
    return found


def _joined(parts: list[tuple[bool, str]]) -> str:
    """One word of a shell's: each text by itself, each variable in quotation marks; one that no shell has is empty."""
    texts = ""
    found: list[str] = []
    for is_variable, text in parts:
        if not is_variable:
            texts += text
        elif is_name(text):
            found += [shell(texts)] * bool(texts) + [f'"${{{text}-}}"']
            texts = ""
    return "".join([*found, *([shell(texts)] if texts or not found else [])])


def line(definition: "Definition", remarks: list[str], command: "Command") -> str:
    """The command as a line of a script that ends where one fails."""
    return in_shell(definition, remarks, command) + (" || :" if command.may_fail else "")


def one_word(commands: "tuple[Command, ...]", definition: "Definition", remarks: list[str]) -> str:
    """They, as the bridge splits them again (commands/exec_line.py), whose limits they have; several are a shell's."""
    if len(commands) == 1:
        command = commands[0]
        standing = [each.replace("$", "$$") for each in chain(definition, remarks, command, in_script=True)]
        own = [each.replace("$", "$$") if command.literal else each for each in command.argv[1:]]
        words = [*standing, command.path.replace("$", "$$"), *own]
        return ("-" if command.may_fail else "") + " ".join(map(unit_word, words))
    lines = "; ".join(line(definition, remarks, each) for each in commands)
    return " ".join(map(unit_word, ("/bin/sh", "-ef", "-c", lines.replace("$", "$$"))))
