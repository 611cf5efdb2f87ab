"""The bridge's side: have the resident watch the daemon that this process becomes. Nothing is forked for it."""

from cross_init.errors import why
from cross_init.kernel.procfs import now_in_ticks
from cross_init.resident import asking
from cross_init.resident.asking import REFUSED, TAKEN, ask, new_file
from cross_init.resident.description import (
    CHANNEL,
    ENDPOINT,
    INIT,
    LINE,
    ONE,
    REMOVAL,
    as_value,
    join,
    write,
)
from cross_init.watch.wire import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.launch import Start
    from cross_init.model import Channel, Init
    from cross_init.resident.description import Fields

ABSTRACT = "@"  # which no path begins with
OF_INITS = ("folder", "hears", "state_file", "pid_file", "may_miss_readiness", "job_type")  # what each of them may have


def offer(start: "Start", pid: int, pidfd: int, channel: "Channel", began: float, path: bytes) -> str:
    """Have the resident that listens there watch this process; "" if it does, else why not."""
    try:
        if all(condition.travels for condition in start.conditions):
            return _offer(start, pid, pidfd, channel, began, path, [])
        from cross_init.resident.observer import begin, close, lines_of

        lines = lines_of(start)
        try:
            reason = _offer(start, pid, pidfd, channel, began, path, [theirs for _, _, theirs in lines])
            if not reason:
                begin(start, pid, pidfd, lines)
            return reason
        finally:
            close(lines)
    except OSError as error:
        return f"asking it: {why(error)}"
    except Malformed as error:
        return str(error)


def _offer(
    start: "Start", pid: int, pidfd: int, channel: "Channel", began: float, path: bytes, lines: list[int]
) -> str:
    """The same, with who looks at conditions that do not travel. Raises OSError, Malformed."""
    if reason := why_not(start.init) or asking.silence:
        return reason
    file = new_file()
    answer = ask(path, *describe(start, [file, pidfd, 2], pid, channel, began, lines), file)
    return "" if answer.startswith(TAKEN) else answer.removeprefix(REFUSED).decode("utf-8", "replace")


def why_not(told: "Init") -> str:
    """Why a start cannot be handed over, in words; "" if it can. told: the init as it is told. Pure."""
    return f"what {told.called} is told by cannot be handed over" if told.carried is None else ""


def describe(
    start: "Start", first: list[int], pid: int, channel: "Channel", began: float, lines: list[int]
) -> "tuple[bytes, list[int]]":
    """The description, and the descriptors that go with it. Raises OSError, Malformed.

    first: the file for the verdict, the daemon's pidfd and its standard error. lines: to who looks at those of its
    conditions that do not travel.
    """
    request, init = start.request, start.init
    given = [*zip(ONE, first, strict=True)]
    given += [(CHANNEL, fd) for fd in channel.descriptors] + [(INIT, fd) for fd in init.descriptors]
    endpoint = start.endpoint
    if endpoint is not None:
        given += [(ENDPOINT, fd) for fd in endpoint.descriptors if fd >= 0]
    given += [(REMOVAL, removal.folder) for removal in start.removals] + [(LINE, fd) for fd in lines]
    words = request.words[:-1] if request.words[-1:] == ["--"] else request.words
    fields: Fields = {
        "pid": pid,
        "began": began,
        "since": now_in_ticks(),
        "options": join(words),
        "command": join(request.command),
        "init": request.init_words or request.init.name,
        "told": "" if init is request.init else init.how,
        "service": start.service.name,
        "instance": start.service.instance,
        "is_guess": int(start.service.is_guess),
        "state_file": request.state_file,
        "channel": channel.kind,
        "roles": join([role for role, _ in given]),
        "environ": join([pair.decode("latin-1") for pair in needed(start)]),
        "store": "" if start.store is None else address_in_words(start.store.address),
        "endpoint": "" if endpoint is None else join([endpoint.name]),
        "removals": join(["{} {} {}".format(*each.identity, each.name) for each in start.removals]),
    }
    for number, condition in enumerate(start.conditions):
        if condition.travels:
            fields[f"condition.{number}"] = join(condition.carry())
    for beginning, thing, names in (
        ("init", request.init, (*OF_INITS, *(request.init.carried or ()))),
        ("told", init, (init.carried or ()) if init is not request.init else ()),
        ("channel", channel, channel.carried),
    ):
        for name in names:
            value = as_value(getattr(thing, name))
            if value is None:
                raise Malformed(f"{name} of {beginning} cannot be handed over")
            fields[f"{beginning}.{name}"] = value
    return write(fields), [fd for _, fd in given]


def needed(start: "Start") -> list[bytes]:
    """The variables by which the init is reached, as they stand in the environment."""
    given, names = start.original, start.request.init.variables
    return [b"%b=%b" % (name, given[name]) for name in names if name in given]


def address_in_words(address: str | bytes) -> str:
    """Of who keeps descriptors: a path, or a name's beginning."""
    return address if isinstance(address, str) else ABSTRACT + address.decode("latin-1")
