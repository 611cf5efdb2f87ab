"""How Upstart runs the commands and scripts of a job (job_process.c, job_process_start()): with a shell or without."""

import _signal

from cross_init.definitions.definition import Command
from cross_init.definitions.job import Job, Process

SHELL = "/bin/sh"
SHELL_LETTERS = "~`!$^&*()=|\\{}[];\"'<>?"
# The command stop(8) without a job's name, in pre-start: the job is not started, which is no failure. systemd's
# ExecCondition= has 1 to 254 for that, and 255 for a failure.
CONDITION = """\
stop() { if [ $# = 0 ]; then stopped=1; else command stop "$@"; fi; }
trap 's=$?; trap - EXIT; [ "$s" = 0 ] || exit 255; [ -z "${stopped-}" ] || exit 1' EXIT
"""
NAMES = ("initctl", "start", "stop", "restart", "reload", "status")  # of initctl(8)
JOINTS = (";", "&", "|", "(", ")", "{", "}", "`", "\n")  # behind which a command may stand
BEFORE = ("then", "else", "do", "if", "elif", "while", "until", "!", "exec", "/sbin/initctl", "time")


def command_of(process: Process) -> Command:
    """The command line that Upstart makes of it."""
    text = process.command
    if process.is_script:
        return _shell(text.rstrip("\n") if text.count("\n") <= 1 else text, process)
    if any(letter in SHELL_LETTERS for letter in text):
        return _shell(f"exec {text}", process)
    words = tuple(text.split())
    return _literal(words, process) if _is_program(words[0]) else _shell(f"exec {text}", process)


def _is_program(name: str) -> bool:
    """Whether a unit may name it; the shell takes any."""
    parts = name.split("/")
    return name.isprintable() and len(name) < 255 and parts[-1] not in ("", ".") and ".." not in parts


def _shell(script: str, process: Process) -> Command:
    return _literal((SHELL, "-e", "-c", script, SHELL), process)


def _literal(words: tuple[str, ...], process: Process) -> Command:
    command = Command(words[0], words, process.origin)
    command.literal = any("$" in word for word in words)  # the shell's, or nobody's
    return command


def condition_of(process: Process) -> Command | None:
    """The same of a pre-start that may say "stop" and so call the start off; None if it does not."""
    if process.is_script and any(words[0] == "stop" and len(words) == 1 for words in simple_commands(process.command)):
        return _shell(CONDITION + process.command, process)
    return None


def tells_upstart(process: Process) -> bool:
    """Whether it calls initctl(8), by that or another of its names, otherwise than to call its start off."""
    return any(
        words[0].rpartition("/")[2] in NAMES and words != ["stop"] and not words[0].startswith("/etc/")
        for words in simple_commands(process.command)
    )


def simple_commands(script: str) -> "list[list[str]]":
    """The commands in a script, roughly: what stands between its line ends, semicolons and the like, in words."""
    text = "\n".join(line for line in script.split("\n") if not line.lstrip().startswith("#"))
    for joint in JOINTS:
        text = text.replace(joint, "\n")
    found = []
    for line in text.split("\n"):
        words = line.split()
        while words and words[0] in BEFORE and len(words) > 1:
            words.pop(0)
        if words:
            found.append(words)
    return found


def kill_command(signal: int, is_elsewhere: bool, job: Job) -> Command:
    """What tells the main process to read its configuration anew. is_elsewhere: in another root, or as another user."""
    name = _names().get(signal, str(signal))
    words = ("/bin/kill", f"-{name}", "$MAINPID")
    command = Command(words[0], words, job.origins.get("reload signal", ("", 0)))
    command.privileges = "+" if is_elsewhere else ""
    return command


def _names() -> dict[int, str]:
    """Signals by their numbers."""
    return {
        int(number): name[3:]
        for name, number in sorted(vars(_signal).items(), reverse=True)
        if name.startswith("SIG") and name[3:].isalnum() and isinstance(number, int)
    }


def mentions(job: Job, variable: str) -> bool:
    """Whether a command or script of the job has this variable's name in it."""
    return any(variable in process.command for process in job.processes.values())
