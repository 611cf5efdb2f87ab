"""cross-init status: the services that bridges look after, as their watching processes answer. Root sees all."""

import _socket
import posix
from select import POLLIN, poll
from time import monotonic

from cross_init.bounds import as_pid, number
from cross_init.complaints import printable
from cross_init.connection import credentials
from cross_init.linux import is_private, read
from cross_init.model import Failure
from cross_init.status_socket import ABSTRACT, USER_FOLDER, own_folder

PATIENCE_S = 2.0  # for all of them: a watching process that was stopped does not answer
LONGEST = 1 << 20
LONG_AGO_S = 1e10
CELL_MAX = 200  # characters of a cell of the table
USER_MAX = (1 << 32) - 2  # uid_t, of which the last number is none
TIMES = ("since", "age", "watchdog_age", "watchdog_limit")
COLUMNS = ("SERVICE", "USER", "INIT", "TARGET", "PID", "STATE", "SINCE", "WATCHDOG", "STATUS")

Facts = dict[str, object]


def run(words: list[str]) -> tuple[int, str]:
    """The exit code (1 if services were named and one is not there) and the answer. Raises Failure."""
    names = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-") and word != "--json"]
    if unknown:
        raise Failure(f"status {unknown[0]}: no such option; there is --json")
    services = [facts for facts in everything() if not names or facts["service"] in names]
    services.sort(key=lambda facts: (str(facts["service"]), facts["pid"]))
    code = 1 if set(names) - {facts["service"] for facts in services} else 0
    if "--json" in words:
        from json import dumps

        return code, dumps(services, indent=2, ensure_ascii=False)
    if not services:
        return code, "no service of that name is looked after" if names else "no service is looked after"
    return code, table(services)


def everything() -> list[Facts]:
    """What every watching process that can be reached answers: all at once, as anybody may have put a socket there."""
    poller, asked = poll(), {}
    for address in addresses():
        sock = connect(address)
        if sock is not None:
            asked[sock.fileno()] = (sock, bytearray())
            poller.register(sock.fileno(), POLLIN)
    end = monotonic() + PATIENCE_S
    done: list[Facts] = []
    while asked and (left_s := end - monotonic()) > 0:
        for fd, _ in poller.poll(left_s * 1000):
            sock, said = asked[fd]
            try:
                part = sock.recv(65536)
            except OSError:
                part, said = b"", bytearray()  # it has gone
            said += part
            if not part or len(said) > LONGEST:
                done += [facts for facts in [understand(*credentials(fd)[:2], bytes(said))] if facts]
                poller.unregister(fd)
                asked.pop(fd)[0].close()
    return done


def addresses() -> list[str | bytes]:
    """Where watching processes listen: in our own folder, for root in all users', and under abstract names."""
    folders = [own_folder(make=False)]
    if posix.geteuid() == 0:
        for name in _names("/run/user"):
            folder = f"/run/user/{name}/{USER_FOLDER}"
            user = number(name, 0, USER_MAX)
            if user is not None and is_private(folder, user):
                folders.append(folder)
    found: list[str | bytes] = [f"{folder}/{name}" for folder in folders if folder for name in _names(folder)]
    shown = "@" + ABSTRACT[1:].decode()
    for line in read("/proc/net/unix", LONGEST).splitlines():
        name = line.rpartition(" ")[2]
        if name.startswith(shown):
            found.append(b"\0" + name[1:].encode())
    return found


def _names(folder: str) -> list[str]:
    try:
        return posix.listdir(folder)
    except OSError:
        return []


def connect(address: str | bytes) -> _socket.socket | None:
    """A connection to who listens there; None if nobody does, or somebody whose word is nothing to us."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        sock.connect(address)
        if posix.geteuid() in (0, credentials(sock.fileno())[1]):
            return sock
    except ConnectionRefusedError:  # left behind by one that was killed
        if isinstance(address, str):
            try:
                posix.unlink(address)
            except OSError:
                pass
    except OSError:
        pass
    sock.close()
    return None


def understand(bridge: int, user: int, said: bytes) -> Facts | None:
    """What this process of this user has said of its service; None if it is no answer of a bridge."""
    pairs = [line.partition("=") for line in said.decode("utf-8", "replace").splitlines()]
    facts: Facts = {key: value for key, equals, value in pairs if equals} | {"bridge": bridge, "user": user}
    try:
        facts["pid"] = as_pid(str(facts["pid"]))
        if facts["pid"] is None:
            return None
        for key in TIMES:
            if key in facts:
                seconds = float(str(facts[key]))
                if not 0 <= seconds < LONG_AGO_S:  # neither a number that is none
                    return None
                facts[key] = seconds
        is_whole = facts.keys() >= {"service", "init", "target", "state", "since"}
        return facts if is_whole and ("watchdog_age" in facts) == ("watchdog_limit" in facts) else None
    except (KeyError, ValueError):
        return None  # none of ours, whatever its name says


def user_name(user: object) -> str:
    """The name of the user with this number, or the number."""
    from pwd import getpwuid

    assert isinstance(user, int)
    try:
        return getpwuid(user).pw_name
    except KeyError:
        return str(user)


def table(services: list[Facts]) -> str:
    """The answers for people, a line each."""
    rows = [COLUMNS, *(row(facts) for facts in services)]
    widths = [max(len(line[at]) for line in rows) for at in range(len(COLUMNS) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in rows
    )


def row(facts: Facts) -> tuple[str, ...]:
    """One service's cells."""
    state, watchdog = str(facts["state"]), ""
    if "watchdog_age" in facts:
        watchdog = f"{facts['watchdog_age']:.1f}/{facts['watchdog_limit']:g} s"
    text = str(facts.get("status", ""))
    if facts.get("waits_for"):
        text = f"waits for {facts['waits_for']}" + (f"; {text}" if text else "")
    words = (
        *(facts["service"], user_name(facts["user"]), facts["init"], facts["target"], facts["pid"]),
        *(state, duration(facts["since"]), watchdog),
    )
    return tuple(printable(str(word)[:CELL_MAX]) for word in (*words, text))


def duration(seconds: object) -> str:
    """A time for people: the two largest units of it."""
    assert isinstance(seconds, float)
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
