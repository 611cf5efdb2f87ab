"""What a start does until its daemon is handed over, done here for a bridge that has asked for it (asking.py).

It is the bridge's own code that looks, chooses and refuses, at that process instead of this one. Whatever could come
out differently here, or has a line to be said, is left to the bridge: an init that is not known from beside, a place
that depends on its working directory, sockets, most options.
"""

import posix
from time import monotonic

from cross_init.commands.options import OPTIONS as KNOWN
from cross_init.commands.options import REPEATED, parse
from cross_init.gather import hearing, refuse, refuse_unused, warnings
from cross_init.kernel.process_stat import process_stat
from cross_init.launch import Start, find_program
from cross_init.model import EXIT, NOTHING
from cross_init.plan import WATCH, choose
from cross_init.readiness.notify_socket import NotifyChannel
from cross_init.request import resolve
from cross_init.resident.asking import AT, BEGINNING, CLOSE, IGNORES, LEADS, PROGRAM, SET, UNSET
from cross_init.resident.description import ONE
from cross_init.resident.handover import describe
from cross_init.resident.rebuilt import Handed, is_file
from cross_init.shapes.watch import TERMINAL, predecessors
from cross_init.watch.wire import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.linux import Environment

TARGET = "systemd"
OPTIONS = {"--target", "--notify", "--init", "--notify-socket", "--need-resident", "--ready-fd", "--ready-timeout"}
OPTIONS |= {"--kill-mode", "--stop-timeout"}
FIRST_FD = 3


class Itself(Malformed):
    """The bridge does this start by itself."""

    def __init__(self) -> None:
        super().__init__("its bridge does that itself")


def begin(data: bytes, fds: list[int], pid: int) -> tuple[Handed, bytes]:
    """The daemon that this process becomes, and what its bridge has to do for that.

    fds: those that have come; those that it is watched by then. Raises Itself, Failure, Malformed, OSError.
    """
    words, environ, parent = read(data)
    options = parse(words)
    is_ours = options.target == TARGET and bool(options.command) and not options.misplaced
    said_often = any(getattr(options, KNOWN[option][0]) for option in REPEATED)  # which are not among those given
    if not is_ours or said_often or not options.given.keys() <= OPTIONS:
        raise Itself
    request = resolve(options, environ, (pid, parent))
    init, target = request.init, request.target
    if not init.seen_from_beside or request.refusals or request.lost or request.between:
        raise Itself
    plan = choose(request, False)
    if plan.shape != WATCH:
        raise Itself
    refuse_unused(request, plan)
    refuse(request, plan)
    start = Start(request)
    start.program = find_program(request.command[0], environ)
    init.inherited = dict(enumerate(fds[len(ONE) :], FIRST_FD))
    start.init = hearing(request)
    if start.init.hears in (EXIT, NOTHING) or warnings(request) or init.sockets(environ, pid):
        raise Itself
    if not all(path.startswith(b"/") for path in start.program):
        raise Itself
    if init.restarts and request.ends_rest and predecessors(start):
        raise Itself
    init.strip(start.environ)
    target.strip(start.environ)
    if not is_file(fds[0]):
        raise Malformed("its file for the verdict is none")
    channel = start.channel(False)
    assert isinstance(channel, NotifyChannel)
    channel.tidies = False
    try:
        channel.expose(start.environ)
        began = monotonic()
        description, given = describe(start, fds[: len(ONE)], pid, channel, began, [])
    except BaseException:
        channel.discard()
        raise
    closed = [number for number in range(FIRST_FD, FIRST_FD + len(fds) - len(ONE)) if number not in init.inherited]
    leads = init.shares_session and request.ends_rest and process_stat(pid)[TERMINAL : TERMINAL + 1] == ["0"]
    changes = [
        AT + b"%d" % (len(words) - len(options.command)),
        *(PROGRAM + path for path in start.program),
        *(CLOSE + b"%d" % number for number in closed),
        *(UNSET + name for name in environ if name not in start.environ),
        *(SET + b"%b=%b" % pair for pair in start.environ.items() if environ.get(pair[0]) != pair[1]),
        *((IGNORES,) if target.ignores_sigpipe else ()),
        *((LEADS,) if leads else ()),
    ]
    for fd in init.inherited.values():
        posix.close(fd)
    init.inherited, fds[:] = None, given
    return Handed.of(description, fds, start, channel, began), b"".join(b"\0" + change for change in changes)


def read(data: bytes) -> "tuple[list[str], Environment, int]":
    """What a bridge says: its words, its variables and its parent. Raises Malformed."""
    beginning, *parts = data.split(b"\0")
    try:
        parent, count = int(parts[0]), int(parts[1])
        words = [word.decode("utf-8", "surrogateescape") for word in parts[2 : 2 + count]]
        pairs = [part.split(b"=", 1) for part in parts[2 + count :]]
        environ = {name: value for name, value in pairs}  # noqa: C416 (dict() is typed for tuples)
    except (ValueError, IndexError):
        raise Malformed("what it asks for is not as it has to be") from None
    if beginning != BEGINNING or parent <= 0 or len(words) != count:
        raise Malformed("it is from another version")
    return words, environ, parent
