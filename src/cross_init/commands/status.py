"""cross-init status: the services that bridges look after, as their watching processes answer. Root sees all."""

import posix

from cross_init.bounds import PID_MAX
from cross_init.commands.front_door import remark
from cross_init.commands.status_client import OTHER_FORM, OTHERS, USER_MAX, Left, ask_all, in_words
from cross_init.errors import Failure, printable
from cross_init.model import READY, RELOADING, STARTING, STOPPING
from cross_init.resident.places import is_away
from cross_init.watch.wire import Malformed, Value, decode, split

STATES = (STARTING, READY, RELOADING, STOPPING)
AWAY = (
    "cross-init serve is away: what it has to look after is kept, and is seen again when it was started anew, as its "
    "init should do"
)
LONG_AGO_S = 1e10
NUMBERS = {"pid": range(1, PID_MAX + 1), "daemon_user": range(USER_MAX + 1)}
NOT_HERE = (
    "a bridge that has nothing more to do is not there to be asked: one that has handed its daemon over (on systemd, "
    "as for -t upstart), one whose daemon is ready and says no more, one with --end-after-ready, one without -N; "
    "such a service is the init's alone: ask that, as with systemctl status"
)
CELL_MAX = 200  # characters of a cell of the table
# What an answer has to say, and what it may say; anything else is news from a later version.
SAID: dict[str, type] = {
    **dict.fromkeys(("service", "init", "target", "shape"), str),
    "pid": int,
    "state": str,
    **dict.fromkeys(("since", "age"), float),
    **dict.fromkeys(("waits_for", "status"), str),
}
WATCHDOG: dict[str, type] = {"watchdog_age": float, "watchdog_limit": float}  # both, or neither
MAY_BE_SAID: dict[str, type] = {"daemon_user": int, **WATCHDOG}
COLUMNS = ("SERVICE", "USER", "INIT", "TARGET", "PID", "STATE", "SINCE", "WATCHDOG", "STATUS")

Facts = dict[str, Value]


def run(words: list[str]) -> tuple[int, str]:
    """The exit code (1 if services were named and one is not there) and the answer. Raises Failure."""
    unknown = [word for word in words if word.startswith("-") and word not in ("--json", "--watch")]
    if unknown:
        raise Failure(f"status {unknown[0]}: no such option; there are --json and --watch")
    if "--watch" not in words:
        code, text, remarks = answer(words)
        for each in remarks:
            remark(each)
        return code, text
    if "--json" in words:
        raise Failure("status --watch: it is for people, --json is for programs: leave one of them out")
    from cross_init.commands.status_watch import watch

    return watch(lambda: answer(words))


def answer(words: list[str]) -> tuple[int, str, list[str]]:
    """The exit code, what there is to say now, and what people should know of it beside that. Raises Failure."""
    names = [word for word in words if not word.startswith("-")]
    found, left = everything(with_strangers=posix.geteuid() == 0)
    left = {(why, user): pids for (why, user), pids in left.items() if why != OTHERS}  # nobody expects those here
    remarks = [in_words(left)] if left else []
    try:
        remarks += [AWAY] * is_away()
    except OSError:
        pass  # it is there and has no time, or nobody knows
    services = [facts for facts in found if not names or facts["service"] in names]
    services.sort(key=lambda facts: (str(facts["service"]), facts["pid"]))
    code = 1 if set(names) - {facts["service"] for facts in services} else 0
    if posix.geteuid() and (code or not services):
        remarks.append(f"services of other users are not seen by user {posix.geteuid()}: ask as root, or as their user")
    if "--json" in words:
        from cross_init.as_json import as_json

        return code, as_json(services), remarks
    if not services:
        text = "no service of that name is looked after" if names else "no service is looked after"
        return code, text, [*remarks, NOT_HERE]
    if code:
        missing = ", ".join(sorted(set(names) - {str(facts["service"]) for facts in services}))
        remarks.append(f"not looked after: {missing}; {NOT_HERE}")
    return code, table(services), remarks


def everything(with_strangers: bool) -> tuple[list[Facts], Left]:
    """What the watching processes say of their services, and what is left out. Raises Failure.

    Whose process it is, and which one, is the kernel's word. Only root has daemons of other users.
    """
    answers, left = ask_all(with_strangers)
    services: list[Facts] = []
    for bridge, user, said in answers:
        try:
            parts = split(said)  # who watches many services says it of each; of one who has ended there is nothing
        except Malformed:
            parts = [said]
        for part in parts:
            facts = understand(part)
            if facts is not None:
                runs_as = facts.get("daemon_user", user) if user == 0 else user
                services.append(facts | {"bridge": bridge, "user": user, "daemon_user": runs_as})
            else:
                left.setdefault((OTHER_FORM, user), []).append(bridge)
    return services, left


def understand(said: bytes) -> Facts | None:
    """What has been said of a service; None if it is no answer of a bridge that speaks as we do."""
    try:
        facts = decode(said)
    except Malformed:
        return None
    optional = {key: kind for key, kind in MAY_BE_SAID.items() if key in facts}
    kinds = SAID | optional
    halved = len(optional.keys() & WATCHDOG.keys()) == 1
    if not facts.keys() >= SAID.keys() or halved or facts["state"] not in STATES:
        return None
    facts = {key: facts[key] for key in kinds}
    if any(type(facts[key]) is not kind for key, kind in kinds.items()):
        return None
    for key, value in facts.items():
        if isinstance(value, float) and not 0 <= value < LONG_AGO_S:
            return None
        if isinstance(value, int) and value not in NUMBERS[key]:
            return None
    return facts


def user_name(user: Value) -> str:
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
        *(facts["service"], user_name(facts["daemon_user"]), facts["init"], facts["target"], facts["pid"]),
        *(state, duration(facts["since"]), watchdog),
    )
    return tuple(printable(str(word)[:CELL_MAX]) for word in (*words, text))


def duration(seconds: Value) -> str:
    """A time for people: the two largest units of it."""
    assert isinstance(seconds, float)
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])
