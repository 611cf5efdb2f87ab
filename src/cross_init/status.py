"""cross-init status: the services that bridges look after, as their watching processes answer. Root sees all."""

import _socket
import posix

from cross_init.cli import printable
from cross_init.linux import read
from cross_init.model import Failure
from cross_init.status_socket import ABSTRACT, USER_FOLDER, is_private, own_folder, peer

PATIENCE_S = 2.0  # a watching process that was stopped does not answer
LONGEST = 1 << 20
NUMBERS = ("pid", "bridge", "user")
TIMES = ("since", "age", "watchdog_age", "watchdog_limit")
COLUMNS = ("SERVICE", "INIT", "TARGET", "PID", "STATE", "SINCE", "WATCHDOG", "STATUS")

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
    """What every watching process that can be reached answers."""
    return [facts for facts in map(ask, addresses()) if facts]


def addresses() -> list[str | bytes]:
    """Where watching processes listen: in our own folder, for root in all users', and under abstract names."""
    folders = [own_folder(make=False)]
    if posix.geteuid() == 0:
        for name in _names("/run/user"):
            folder = f"/run/user/{name}/{USER_FOLDER}"
            if name.isdigit() and is_private(folder, int(name)):
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


def ask(address: str | bytes) -> Facts | None:
    """What the process that listens there says of its service; None if it says nothing."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(address)
        except ConnectionRefusedError:  # left behind by one that was killed
            if isinstance(address, str):
                posix.unlink(address)
            return None
        bridge, user = peer(sock)
        said = b""
        while len(said) < LONGEST and (part := sock.recv(65536)):
            said += part
    except OSError:
        return None
    finally:
        sock.close()
    pairs = [line.partition("=") for line in said.decode("utf-8", "replace").splitlines()]
    facts: Facts = {"bridge": bridge, "user": user} | {key: value for key, equals, value in pairs if equals}
    try:
        for key in NUMBERS:
            facts[key] = int(str(facts[key]))
        for key in TIMES:
            if key in facts:
                facts[key] = float(str(facts[key]))
        return facts if facts.keys() >= {"service", "init", "target", "state", "since"} else None
    except (KeyError, ValueError):
        return None  # none of ours, whatever its name says


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
    words = (facts["service"], facts["init"], facts["target"], facts["pid"], state, duration(facts["since"]), watchdog)
    return (*(printable(str(word)) for word in words), printable(text))


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
