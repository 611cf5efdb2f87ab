"""A start as a resident makes it again from a description: with all that watching it needs, and no more."""

import posix

from cross_init.commands.options import parse
from cross_init.detect import INITS, init_named, target_named
from cross_init.kernel.procfs import now_in_ticks
from cross_init.launch import Start
from cross_init.model import Channel, Init, Service
from cross_init.request import Request
from cross_init.resident.description import (
    CHANNEL,
    ENDPOINT,
    ERRORS,
    INIT,
    LINE,
    ONE,
    PIDFD,
    REMOVAL,
    VERDICT,
    Fields,
    as_attribute,
    listed,
    read,
)
from cross_init.resident.handover import ABSTRACT, OF_INITS, needed
from cross_init.resident.observer import Elsewhere
from cross_init.watch.wire import Malformed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.readiness.condition import Condition
    from cross_init.watch.health import Endpoint

NONE = -2  # -1 is a descriptor that was given up
KIND, REGULAR = 0o170000, 0o100000  # inode(7)


class Handed:
    """A daemon that was handed over. verdict: the file that says whose it is. began: monotonic, since: ticks."""

    def __init__(self, data: bytes, fds: list[int]) -> None:
        """The descriptors stay the caller's. Raises Malformed, Failure if it is nothing that can be watched here."""
        fields = read(data)
        roles = listed(fields["roles"])
        if len(roles) != len(fds):
            raise Malformed("not all of its descriptors have come")
        of = {role: [fd for fd, each in zip(fds, roles, strict=True) if each == role] for role in roles}
        self.data = data
        self.fds = fds
        self.roles = roles
        (self.verdict,), (self.pidfd,), (self.errors,) = of[VERDICT], of[PIDFD], of[ERRORS]
        if self.verdict >= 0 and not is_file(self.verdict):
            raise Malformed("its file for the verdict is none")
        pid, began = fields["pid"], fields["began"]
        assert isinstance(pid, int)
        assert isinstance(began, float)
        self.pid = pid
        self.began = began
        self.since = int(fields["since"])
        self.start = start_of(fields, of)
        self.start.shared = self.pidfd
        try:
            self.channel = channel_of(fields, of.get(CHANNEL, []))
        except BaseException:
            self.start.init.disown()
            raise

    @classmethod
    def of(cls, data: bytes, fds: list[int], start: Start, channel: Channel, began: float) -> "Handed":
        """The same of a start that was made here (instead.py)."""
        handed = cls.__new__(cls)
        handed.data, handed.fds, handed.start, handed.channel, handed.began = data, fds, start, channel, began
        handed.verdict, handed.pidfd, handed.errors = fds[: len(ONE)]
        handed.roles = [*ONE, *(CHANNEL for _ in channel.descriptors), *(INIT for _ in start.init.descriptors)]
        handed.pid, handed.since = start.request.pid, now_in_ticks()
        start.request.environ = start.original = dict(pair.split(b"=", 1) for pair in needed(start))
        start.environ = {}
        start.shared = handed.pidfd
        return handed

    def disown(self) -> None:
        """Its descriptors are closed by somebody else."""
        self.channel.disown()
        self.start.init.disown()


def is_file(fd: int) -> bool:
    """Whether it can be one for the verdict. Raises OSError."""
    return posix.fstat(fd).st_mode & KIND == REGULAR


def start_of(fields: Fields, of: dict[str, list[int]]) -> Start:
    """The start. of: the descriptors of each role. Raises Failure, Malformed."""
    command = listed(fields["command"])
    options = parse([*listed(fields["options"]), "--", *command])
    if options.command != command or not options.target:
        raise Malformed("its options are none")
    if str(fields["init"]).partition(":")[0] not in INITS:
        raise Malformed(f"there is no init {fields['init']}")
    init = init_named(str(fields["init"]))
    take(init, "init.", fields, (*OF_INITS, *(init.carried or ())))
    request = Request(options, init, target_named(options.target))
    for failure in request.refusals:
        raise failure
    request.service = Service(str(fields["service"]), str(fields["instance"]), bool(fields["is_guess"]))
    request.state_file = str(fields["state_file"])
    assert isinstance(fields["pid"], int)
    request.pid = fields["pid"]
    for pair in listed(fields["environ"]):
        name, _, value = pair.encode("latin-1", "replace").partition(b"=")
        if name not in init.variables:
            raise Malformed("a variable is none of its init's")
        request.environ[name] = value
    start = Start(request)
    start.init = told_by(init, fields, [fd for fd in of.get(INIT, []) if fd >= 0])
    if start.init.carried is None:
        raise Malformed(f"{init.called} cannot be told from here")
    try:
        find_again(start, fields, of)
    except BaseException:
        start.init.disown()
        raise
    return start


def find_again(start: Start, fields: Fields, of: dict[str, list[int]]) -> None:
    """What the bridge has found out and opened. Raises Failure, Malformed."""
    request = start.request
    start.target.notify_socket = request.notify_socket
    start.conditions = request.conditions
    try:
        for number, condition in enumerate(start.conditions):
            if condition.travels:
                condition.resume(listed(fields.get(f"condition.{number}", 0)))
        start.conditions = looked_at_elsewhere(start.conditions, of.get(LINE, []))
        add_removals(start, listed(fields["removals"]), of.get(REMOVAL, []))
    except ValueError as error:
        raise Malformed(f"what it has found out is not as it has to be: {error}") from None
    if request.health_listen is not None:
        start.endpoint = endpoint_of(listed(fields["endpoint"]), of.get(ENDPOINT, []))
    if request.fd_store:
        from cross_init.store.client import HolderClient

        words = str(fields["store"])
        found = words[1:].encode("latin-1", "replace") if words.startswith(ABSTRACT) else words
        start.store = HolderClient(request, request.init, found)


def looked_at_elsewhere(conditions: "list[Condition]", lines: list[int]) -> "list[Condition]":
    """The same, but for those that a process beside the daemon looks at. Raises ValueError."""
    left = iter(lines)
    found = [each if each.travels else Elsewhere(each.text, next(left, NONE)) for each in conditions]
    if NONE in [each.fd for each in found if isinstance(each, Elsewhere)] or next(left, NONE) != NONE:
        raise ValueError("not as many lines as conditions")
    return found


def add_removals(start: Start, words: list[str], folders: list[int]) -> None:
    """The paths that go with the service. Raises ValueError."""
    for word, folder in zip(words, folders, strict=True):
        from cross_init.sockets.placing import Removal

        device, inode, name = word.split(" ", 2)
        if "/" in name:
            raise ValueError("a name in a folder is none")
        start.removals.append(Removal.again(folder, name, (int(device), int(inode))))


def endpoint_of(words: list[str], fds: list[int]) -> "Endpoint":
    """Where its health is asked for. Raises Malformed."""
    from cross_init.watch.health import Endpoint

    if len(words) != 1 or "/" in words[0] or len(fds) not in (1, 2):
        raise Malformed("where its health is asked for is not as it has to be")
    return Endpoint.again(fds[0], fds[1] if len(fds) == 2 else -1, words[0])


def told_by(init: Init, fields: Fields, fds: list[int]) -> Init:
    """The init, as it is told. Raises Malformed."""
    told: Init
    if fields["told"] == "":
        init.descriptors = tuple(fds)
        return init
    if fields["told"] == "descriptor":
        from cross_init.notify.descriptor import ByDescriptor

        told = ByDescriptor.again(init, fds)
    elif fields["told"] == "front":
        from cross_init.shapes.front import Answer

        told = Answer.again(init, fds)
    else:
        raise Malformed(f"{fields['told']} is no way to tell an init")
    try:
        take(told, "told.", fields, told.carried or ())
    except Malformed:
        told.disown()
        raise
    return told


def channel_of(fields: Fields, fds: list[int]) -> Channel:
    """The way by which the daemon speaks. Raises Malformed."""
    kind = fields["channel"]
    if kind == Channel.kind and not fds:
        return Channel()
    if len(fds) != 1:
        raise Malformed("the daemon's way to speak is missing")
    made: Channel
    if kind == "notify":
        from cross_init.readiness.notify_socket import NotifyChannel

        made = NotifyChannel.again(fds[0])
    elif kind == "pipe":
        from cross_init.readiness.pipe import PipeChannel

        made = PipeChannel.again(fds[0])
    else:
        raise Malformed(f"{kind} is no way to speak")
    try:
        take(made, "channel.", fields, made.carried)
    except Malformed:
        made.disown()
        raise
    made.resume()
    return made


def take(thing: object, beginning: str, fields: Fields, names: "tuple[str, ...]") -> None:
    """Give it these attributes, each of the kind of the one that it has. Raises Malformed."""
    given = {name.removeprefix(beginning): value for name, value in fields.items() if name.startswith(beginning)}
    if given.keys() != {*names}:
        raise Malformed(f"what is known of the {beginning.rstrip('.')} is not complete")
    for name, value in given.items():
        setattr(thing, name, as_attribute(value, getattr(thing, name)))
