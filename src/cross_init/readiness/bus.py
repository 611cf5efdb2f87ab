"""--ready-when dbus:NAME: the name has an owner on the bus, and that owner belongs to the service.

What systemd does for Type=dbus. The change of owners is subscribed to before the present owner is asked for, on one
connection, so no change can be lost in between (D-Bus specification, "org.freedesktop.DBus.NameOwnerChanged"). Until
there is a bus at all, and when it goes, we try again in steps that grow.
"""

import _socket
from select import POLLIN, POLLOUT

from cross_init.bounds import as_pid
from cross_init.errors import Failure, why
from cross_init.kernel.linux import Environment
from cross_init.readiness.condition import Condition
from cross_init.readiness.libraries import find_library
from cross_init.readiness.repeated import Connecting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jeepney.low_level import Message

    from cross_init.bounds import Pid

SYSTEM = "unix:path=/run/dbus/system_bus_socket"  # D-Bus specification, "Well-known Message Bus Instances"
NAME_MAX = 255


class BusName(Connecting):
    """A name on a bus. where: system, session, or an address as D-Bus has it."""

    def __init__(self, text: str, name: str, where: str) -> None:
        super().__init__(text)
        self.name = name
        self.where = where
        self.places: list[str] = []
        self.complaint = ""
        self.place = ""  # where it was found, and whether its processes have other numbers
        self.is_elsewhere = False

    def prepare(self, environ: Environment) -> None:
        """Find the library, and the bus. Raises Failure."""
        find_library("jeepney", f"--ready-when {self.text}")
        from jeepney.bus import get_connectable_addresses

        address = bus_address(self.where, environ)
        if not address:
            raise Failure(
                f"--ready-when {self.text}: --bus session, but neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is "
                "set: give the address with --bus unix:path=..."
            )
        try:
            self.places = list(get_connectable_addresses(address))
            if any("\0" in place[1:] for place in self.places):
                raise ValueError("a path ends at the first NUL")
        except (ValueError, RuntimeError):
            raise Failure(
                f"--ready-when {self.text}: {address} is no address of a bus on this machine: write unix:path=..."
            ) from None
        from cross_init.readiness.bus_owner import refuse_without_pidfd

        refuse_without_pidfd(self.places, f"--ready-when {self.text}")

    def ask(self) -> None:
        """Connect, and say who we are."""
        from jeepney.auth import Authenticator
        from jeepney.low_level import Parser

        # A bus that accepts nobody just now must not hold us up.
        kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        self.socket = _socket.socket(_socket.AF_UNIX, kind)
        try:
            self._connect()
        except OSError as error:
            self._lost(why(error))
            return
        self.authenticator: Authenticator | None = Authenticator()
        self.parser = Parser()
        self.waiting: dict[int, str] = {}
        self.serial = 0
        self.unsent = b""
        self._authenticate()

    def _connect(self) -> None:
        assert self.socket is not None
        reason: OSError = ConnectionRefusedError()
        for place in self.places:
            try:
                self.socket.connect(place)
            except OSError as error:
                reason = error
            else:
                from cross_init.readiness.bus_owner import is_elsewhere

                self.place = place
                self.is_elsewhere = is_elsewhere(self.socket.fileno())
                return
        raise reason

    def _authenticate(self) -> None:
        assert self.authenticator is not None
        self._send(self.authenticator.data_to_send() or b"")
        if self.authenticator.authenticated:
            from jeepney import DBus, MatchRule
            from jeepney.auth import BEGIN

            self.authenticator = None
            self._send(BEGIN)  # the authenticator leaves it to us; without it the bus waits, and answers nothing
            bus = DBus()
            change = MatchRule(type="signal", interface=bus.interface, member="NameOwnerChanged")
            change.add_arg_condition(0, self.name)
            self._call("Hello", bus.Hello())
            self._call("AddMatch", bus.AddMatch(change))
            self._call("GetNameOwner", bus.GetNameOwner(self.name))

    def _call(self, what: str, message: "Message") -> None:
        self.serial += 1
        self.waiting[self.serial] = what
        self._send(message.serialise(self.serial))

    def _send(self, data: bytes) -> None:
        if self.socket is None:
            return  # lost with the message before this one
        self.unsent += data
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent, _socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._lost(why(error))
            return
        self.watched.loop.forget(self.socket.fileno())
        self.watched.loop.watch(self.socket.fileno(), self._hear, POLLIN | (POLLOUT if self.unsent else 0))

    def _hear(self) -> None:
        assert self.socket is not None
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            self._send(b"")
            return
        except OSError as error:
            self._lost(why(error))
            return
        if not data:
            self._lost("the bus has closed the connection")
            return
        if self.authenticator is not None:
            try:
                self.authenticator.feed(data)
            except Exception:  # AuthenticationError, or of another kind where what answers is no bus at all
                self._lost("the bus does not let us in: is it another user's?")
                return
            self._authenticate()
            return
        try:
            messages = self.parser.feed(data)
        except Exception as error:  # of any kind: the library takes what it reads for well-formed
            self._lost(f"what it says is no message of D-Bus ({type(error).__name__})")
            return
        for message in messages:
            self._take(message)
            if self.over or self.socket is None:
                return

    def _take(self, message: "Message") -> None:
        from jeepney import HeaderFields, MessageType

        kind, fields, body = message.header.message_type, message.header.fields, message.body
        if kind is MessageType.signal and fields.get(HeaderFields.member) == "NameOwnerChanged":
            if len(body) == 3 and body[0] == self.name and body[2] and isinstance(body[2], str):
                self._find(body[2])
            return
        serial, said = fields.get(HeaderFields.reply_serial), body[0] if len(body) == 1 else None
        what = self.waiting.pop(serial, "") if isinstance(serial, int) else ""
        if kind is not MessageType.method_return:
            return  # no owner yet, or one that has gone already: a signal tells of the next
        if what == "GetNameOwner" and isinstance(said, str):
            self._find(said)
        elif what == "GetConnectionUnixProcessID":
            self._compare(as_pid(str(said)), str(said))

    def _find(self, owner: str) -> None:
        """Ask which process owns this connection."""
        if self.is_elsewhere:
            from cross_init.readiness.bus_owner import Owner
            from cross_init.readiness.worker import workers_of

            workers_of(self.watched).send(Owner(self.place, owner, self._found))
        else:
            from jeepney import DBus

            self._call("GetConnectionUnixProcessID", DBus().GetConnectionUnixProcessID(owner))

    def _found(self, said: str, failed: str) -> None:
        """What a worker has found on a bus that is in another PID namespace."""
        from cross_init.kernel.procfs import start_time
        from cross_init.readiness.bus_owner import INSTEAD, NO_PIDFD, NOBODY, NOT_HERE, NOT_SAID

        if self.over or self.socket is None:
            return
        if failed:
            self._lost(failed)
        elif said == NOT_SAID:
            self._explain(f"{NO_PIDFD}: {INSTEAD}")
        elif said == NOT_HERE:
            self._explain(f"{self.name} belongs to a process of another PID namespace, which is not of this service")
        elif said != NOBODY:
            text, _, started = said.partition(" ")
            pid = as_pid(text)
            self._compare(pid if pid is not None and start_time(pid) == started else None, text)

    def _compare(self, pid: "Pid | None", said: str) -> None:
        """See whether this process, which owns the name, is of the service."""
        if pid is not None and self.watched.belongs(pid):
            self.close()
            self.answer(True)
        else:
            self._explain(f"{self.name} belongs to process {said}, which is not of this service")

    def _lost(self, reason: str) -> None:
        """Try again, some time."""
        self._explain(f"talking to the bus ({self.where}): {reason}")
        self.close()
        self.answer(False)

    def _explain(self, text: str) -> None:
        if text != self.complaint:
            self.complaint = text
            self.watched.reporter.say(f"--ready-when {self.text}: {text}; waiting on")


def bus_address(where: str, environ: Environment) -> str:
    """The address of this bus, for a service with these variables; "" if there is nothing to be found it by."""

    def value(name: bytes) -> str:
        return environ.get(name, b"").decode("utf-8", "surrogateescape")

    if where == "system":
        return value(b"DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM
    if where == "session":
        folder = value(b"XDG_RUNTIME_DIR")
        return value(b"DBUS_SESSION_BUS_ADDRESS") or (f"unix:path={folder}/bus" if folder else "")
    return where


def make(kind: str, rest: str, text: str, bus: str) -> Condition:
    """Raises Failure."""
    parts = rest.split(".")
    good = all(part and (part.replace("_", "a").replace("-", "a").isalnum()) and part.isascii() for part in parts)
    if len(parts) < 2 or not good or len(rest) > NAME_MAX or rest[0].isdigit():
        raise Failure(f"--ready-when {text}: {rest} is no bus name, as org.example.Name is")
    return BusName(text, rest, bus)
