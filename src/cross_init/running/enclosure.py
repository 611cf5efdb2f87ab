"""The sandbox around the commands of a service: what they share is made before the first, and each enters it by itself.

As with systemd each has mounts of its own, and all have one network, one /tmp. Mounts and namespaces: sandbox/.
"""

import posix

from cross_init.errors import Failure, why
from cross_init.kernel.system_calls import CLONE_NEWCGROUP, CLONE_NEWUTS, enter, leave
from cross_init.running.directories import HIDDEN, KINDS, are_hidden, base_of, directories, paths
from cross_init.running.environment import has_credentials
from cross_init.sandbox.allowed import wanted
from cross_init.sandbox.entries import TMP_PLACES, Given, entries, is_tmp_alone
from cross_init.sandbox.spaces import OF_USERS, PATHS, PRIVATE, SHARED, OtherUsers, Users, maps, shared, take_own_users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from cross_init.definitions.definition import Definition
    from cross_init.running.identity import Identity
    from cross_init.sandbox.entries import Entry

    T = TypeVar("T")


APART = {place: place[1:].replace("/", "-") for place in TMP_PLACES}  # what they are called in OWN_TMP


class Enclosure:
    """That of one service. denied: kinds of namespaces that cannot be had here."""

    def __init__(self, definition: "Definition", denied: set[str]) -> None:
        self.definition = definition
        self.denied = denied
        self.kinds = set(wanted(definition)) - denied
        self.spaces: dict[str, int] = {}
        self.tmp: dict[str, str] = {}
        # Where it has no view of its own, it could not reach them there.
        definition.hides_folders = definition.context.dynamic_user and self.has_mounts and not definition.of_user

    @property
    def has_mounts(self) -> bool:
        """Whether each command has mounts of its own, and its root with them."""
        return "mnt" in self.kinds

    def prepare(self) -> None:
        """Make what all its commands share. Raises Failure."""
        definition = self.definition
        if self.kinds & {*SHARED} and not self.spaces:
            self.spaces = shared(definition, self.denied)
        if definition.context.private_tmp == "yes" and "mnt" in self.kinds:
            from cross_init.sandbox.temporary import make

            try:
                self.tmp = make(definition.name)
            except OSError as error:
                where = definition.where("private_tmp") or definition.files[0]
                raise Failure(
                    f"{where}: PrivateTmp=: making its folders in {' and '.join(TMP_PLACES)}: {why(error)}"
                ) from None

    def remove(self) -> None:
        """The service has ended, or has not begun."""
        if self.tmp:
            from cross_init.sandbox.temporary import remove_all

            remove_all(self.tmp)
            self.tmp = {}

    def enter(
        self, root: str, is_full: bool, notify_socket: bytes, identity: "Identity"
    ) -> "Users | OtherUsers | None":
        """Be in it: returns the namespace of users that is still to be entered. Raises Failure.

        root: the root directory, "" for the machine's. is_full: the command keeps all privileges.
        """
        context = self.definition.context
        # What is imported later may be out of reach in there, and so may /proc.
        from cross_init.running import capabilities

        capabilities.look()
        users: Users | OtherUsers | None = None
        if self.kinds and posix.geteuid():
            self._try("private_users", take_own_users)
        elif "user" in self.kinds and not is_full:
            both = maps(context, (posix.geteuid(), posix.getegid()), (identity.user, identity.group))
            users = self._try("private_users", lambda: Users(*both, context.private_users == "full"))
        for name, fd in self.spaces.items():
            if name != OF_USERS:
                self._join(name, fd)
            elif not is_full:
                users = OtherUsers(fd)
        if "cgroup" in self.kinds and not is_full:
            self._try("protect_control_groups", lambda: leave(CLONE_NEWCGROUP))
        if "mnt" in self.kinds:
            self._mount(root, is_full, notify_socket)
        if "uts" in self.kinds and not is_full:
            self._try("protect_hostname", self._name_host)
        return users

    def _mount(self, root: str, is_full: bool, notify_socket: bytes) -> None:
        from cross_init.sandbox.mounting import OWN_TMP, NotMounted, View

        definition, context = self.definition, self.definition.context
        given = Given(self.denied)
        given.folders, given.hidden = _folders(definition, root), _hidden(definition, root)
        given.notify_socket = notify_socket.decode("utf-8", "surrogateescape") if notify_socket.startswith(b"/") else ""
        if has_credentials(definition):
            from cross_init.running.credentials import folder_of

            given.credentials = folder_of(definition)
        is_apart = context.private_tmp == "disconnected" and not is_full and not is_tmp_alone(definition)
        given.tmp = {place: f"{OWN_TMP}/{name}" for place, name in APART.items()} if is_apart else self.tmp
        proc = _proc(definition) if not is_full else ""
        try:
            view = View(root, proc, [*APART.values()] if is_apart else [])
            view.build(
                entries(definition, given, is_full, root),
                context.mount_flags,
                context.no_new_privileges and not is_full,
            )
        except NotMounted as error:
            raise self._failed(error.entry.field, error.entry, why(error.error)) from None
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise Failure(f"{definition.name}: making its mount namespace{where}: {why(error)}") from None

    def _join(self, name: str, fd: int) -> None:
        context = self.definition.context
        field = PATHS[name] if getattr(context, PATHS[name]) else PRIVATE[name]
        self._try(field, lambda: enter(fd, SHARED[name]))

    def _name_host(self) -> None:
        leave(CLONE_NEWUTS)
        name = self.definition.context.protect_hostname.partition(":")[2]
        if name:
            from _socket import sethostname

            sethostname(name)

    def _try(self, field: str, act: "Callable[[], T]") -> "T":
        try:
            return act()
        except OSError as error:
            raise self._failed(field, None, why(error)) from None

    def _failed(self, field: str, entry: "Entry | None", reason: str) -> Failure:
        """With the line of the unit that asked for it."""
        from cross_init.definitions.table_exec import EXEC

        key = next((key for key, row in EXEC.items() if field and row[1] == f"context.{field}"), "mounts")
        if entry is not None and field == "binds" and entry.read_only:
            key = "BindReadOnlyPaths"
        where = self.definition.where(field) or self.definition.files[0]
        return Failure(f"{where}: {key}=: {f'{entry.path}: ' if entry is not None else ''}{reason}")


def _folders(definition: "Definition", root: str) -> list[tuple[str, str, bool, str]]:
    """Its own, but what is in one of them: path, where it is on the machine, whether it may not write there, field."""
    found = []
    for kind in KINDS:
        each = list(zip(paths(definition, kind), directories(definition, kind), strict=True))
        for path, directory in each:
            if not any(path.startswith(f"{other}/") for other, _ in each):
                there = f"{base_of(definition, kind)}/{directory.path}" if root else path  # a root has no such link
                found.append((there, path, directory.read_only, f"{kind}_directory"))
    return found


def _hidden(definition: "Definition", root: str) -> list[tuple[str, str]]:
    """The folders in which others' are as well, of which it is to see none: path, field."""
    return [
        (f"{base_of(definition, kind)}/{HIDDEN}", f"{kind}_directory")
        for kind in KINDS
        if not root and are_hidden(definition, kind) and directories(definition, kind)
    ]


def _proc(definition: "Definition") -> str:
    """The options of its /proc (proc(5))."""
    protect, subset = definition.context.protect_proc, definition.context.proc_subset
    if (protect, subset) == ("default", "all"):
        return ""
    hidden = f"hidepid={'off' if protect == 'default' else protect}"
    return hidden if subset == "all" else f"{hidden},subset={subset}"
