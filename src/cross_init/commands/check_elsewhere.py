"""cross-init check where there is no state file: by a service's name, or by the directory that its supervisor has.

The bridge that looks after it is asked; it knows more than the init (what it waits for, that the daemon says that it
stops). One that has nothing more to do is not there, and then the init is asked. Only bridges of root's, this user's
and, for root, of the user whose container it is count.
"""

import posix

from cross_init.bounds import PID_MAX
from cross_init.commands.check import NOT_READY, OWN, answer, by_file, left_nothing
from cross_init.commands.status import Facts, everything
from cross_init.commands.status_client import in_words
from cross_init.detect import init_named
from cross_init.errors import Failure, printable
from cross_init.kernel.procfs import own_users
from cross_init.model import DOWN
from cross_init.watch.state_file import FILE

STATUS = "supervise/status"
PID_AT = slice(12, 16)  # where daemontools and runit note the main process there (supervise.c, runsv.c)
LARGEST = 20  # bytes of that file of theirs; s6-supervise's is longer, and its form is its own affair
WITH_NAMES = ("systemd", "upstart")  # inits that know their services by names


def by_directory(folder: str) -> tuple[int, str]:
    """Of the service whose supervisor stands in this directory. Raises Failure."""
    if posix.access(f"{folder}/{FILE}", posix.F_OK):
        return by_file(f"{folder}/{FILE}")
    try:
        fd = posix.open(f"{folder}/{STATUS}", posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK | posix.O_NOCTTY)
    except FileNotFoundError:
        return NOT_READY, left_nothing(f"{folder}/{FILE}")
    except OSError as error:
        return NOT_READY, f"not known: looking at {folder}/{STATUS}: {error.strerror}; ask as the user that may"
    try:
        status = posix.read(fd, 64)
        owners = {posix.fstat(fd).st_uid, posix.stat(f"{folder}/{OWN}").st_uid}
    finally:
        posix.close(fd)
    if strangers := owners - {0, *own_users()}:
        raise Failure(
            f"looking at {folder}/{OWN}: it is user {min(strangers)}'s, and only root's and this user's own are "
            "believed; ask as that user"
        )
    if len(status) <= LARGEST:
        pid = int.from_bytes(status[PID_AT], "little")
        return asked(pid) or without_bridge(pid)
    try:
        known = init_named("s6").state_of(folder)
    except OSError as error:
        return NOT_READY, f"not known: asking s6-svstat: {error.strerror or error}"
    if known is None:
        return NOT_READY, "not known: there is no file notification-fd in the service directory, so s6 is not told"
    return asked(known[1]) or said_by("s6", *known)


def without_bridge(pid: int) -> tuple[int, str]:
    """Of a service of which its supervisor does not know whether it is ready, and no bridge answers."""
    if not pid:
        return NOT_READY, f"{DOWN}, as its supervisor has noted"
    return NOT_READY, (
        f"not known: process {pid} runs, no cross-init-bridge of this user's answers for it, and its supervisor does "
        "not ask whether it is ready"
    )


def by_name(name: str) -> tuple[int, str]:
    """Of the service of this name. Raises Failure."""
    services, left = everything(with_strangers=False)
    found = [of(facts) for facts in services if facts["service"] == name]
    if found:
        return max(found, key=lambda each: each[0])
    for init in WITH_NAMES:
        try:
            known = init_named(init).state_of(name)
        except OSError:
            continue
        if known is not None:
            return said_by(init, *known)
    if left:
        from cross_init.commands.front_door import remark

        remark(in_words(left))
    return NOT_READY, printable(
        f"{left_nothing(name)}, no cross-init-bridge of this user's answers for a service {name}, and no init here "
        "says whether it is ready; if it has a directory under a supervisor, name that"
    )


def asked(pid: int) -> tuple[int, str] | None:
    """What the bridge says whose daemon, or which itself, is this process; None if there is none."""
    if not 0 < pid <= PID_MAX:
        return None
    services, _ = everything(with_strangers=False)
    return next((of(facts) for facts in services if pid in (facts["pid"], facts["bridge"])), None)


def of(facts: Facts) -> tuple[int, str]:
    """A bridge's answer."""
    code, line = answer(str(facts["state"]), facts["pid"], facts["age"], facts.get("waits_for"))
    return code, printable(line)


def said_by(init: str, word: str, pid: int) -> tuple[int, str]:
    """An init's answer."""
    if not pid:
        return NOT_READY, f"{word}, as {init} says"
    code, line = answer(word, pid, None)
    return code, f"{line}, as {init} says"
