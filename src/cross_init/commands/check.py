"""cross-init check: whether a service is ready; for runit's ./check and containers' probes.

Whoever knows is asked. A state file tells it, FILE or that of the service directory that we are in; where there is
none, the bridge that looks after the service, by its name or by the process that the directory's supervisor has; and
where the bridge has nothing more to do, the init. In a container the bridges are asked themselves, if nothing is named.
"""

import posix

from cross_init.errors import Failure, printable, why
from cross_init.model import READY, RELOADING, STARTING
from cross_init.watch.state_file import FILE, read

NOT_READY = 1
OWN = FILE.partition("/")[0]  # what a service directory's supervisor keeps in it
CONTAINER = "container"  # the init whose services are meant where there is no service directory


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, 0 if the service is ready, and the answer as a line, or in JSON. Raises Failure."""
    if "--json" in words:
        from cross_init.as_json import as_json

        code, line = run([word for word in words if word != "--json"])
        return code, as_json({"ready": code == 0, "reason": line})
    if len(words) > 1 or (words and words[0].startswith("-")):
        raise Failure(
            "check takes one service's name, its directory or its state file, or nothing in a service directory or in "
            "a container"
        )
    word = words[0] if words else ""
    if not word and _exists(OWN):
        word = "."
    if not word:
        return by_asking()
    if not _exists(word):
        return by_file(word) if "/" in word else by_name(word)
    if not _exists(f"{word}/."):
        return by_file(word)
    if _exists(f"{word}/{OWN}"):
        from cross_init.commands.check_elsewhere import by_directory

        return by_directory(word)
    raise Failure(
        f"reading the state file {word}: it is a folder, and no supervisor's service directory (no {OWN} in "
        "it): name the service, its state file (--state-file), or its directory"
    )


def by_name(name: str) -> tuple[int, str]:
    """What is known of the service of this name. Raises Failure."""
    from cross_init.commands.check_elsewhere import by_name as ask

    return ask(name)


def left_nothing(path: str) -> str:
    """That there is no state file."""
    where = path.removeprefix("./")
    try:
        where = where if where.startswith("/") else f"{posix.getcwd()}/{where}"
    except OSError:
        pass  # the folder that we are in was removed
    return f"no such service: no start of cross-init-bridge -N has left {where}"


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def by_file(path: str) -> tuple[int, str]:
    """What the state file says. Raises Failure."""
    try:
        state = read(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOT_READY, left_nothing(path)
    except OSError as error:
        raise Failure(f"reading the state file {path}: {why(error)}; ask as the user that may") from None
    if not state.is_alive:
        return NOT_READY, f"not running: process {state.pid}, which was {state.word}, has ended"
    return answer(state.word, state.pid, state.seconds)


def by_asking() -> tuple[int, str]:
    """What the bridges in this container say; if there are several, the first whose service is not ready.

    Only root's, this user's and, for root, those of the user whose container it is are asked. Raises Failure.
    """
    from cross_init.commands.status import everything
    from cross_init.commands.status_client import in_words

    services, left = everything(with_strangers=False)
    # A bridge in another PID namespace, as another container of a Kubernetes pod has it, has no number in this one.
    others = sorted({str(facts["service"]) for facts in services if facts["init"] != CONTAINER})
    services = [facts for facts in services if facts["init"] == CONTAINER and facts["bridge"]]
    found = [answer(str(facts["state"]), facts["pid"], facts["age"], facts.get("waits_for")) for facts in services]
    if found:
        code, line = max(found, key=lambda each: each[0])
    else:
        hint = f"; others do, so name one of them: {', '.join(others)}" if others else ""
        code, line = (
            NOT_READY,
            (
                "no such service: this is no service directory, and no cross-init-bridge -N answers that runs in a "
                f"container and is this user's{hint}"
            ),
        )
    if code and left:
        from cross_init.commands.front_door import remark

        remark(in_words(left))
    return code, printable(line)


def answer(word: str, pid: object, seconds: object, waits_for: object = "") -> tuple[int, str]:
    """The exit code and the line for a service in this state, whose process was started seconds ago."""
    if word in (READY, RELOADING):
        return 0, f"{word} (PID {pid})"
    since = f" since {seconds:.0f} s" if word == STARTING and isinstance(seconds, float) else ""
    return NOT_READY, f"{word}{since} (PID {pid}){f', waits for {waits_for}' if waits_for else ''}"
