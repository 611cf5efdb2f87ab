"""As whom a service runs: User=, Group=, SupplementaryGroups=, DynamicUser= (systemd.exec(5), "User/Group Identity").

Everything is looked up before anything is started, and becoming it cannot fail of a name then.
"""

import posix

from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

ID_MAX = (1 << 32) - 2  # the one above means "leave it" (chown(2))
DYNAMIC = (61184, 65519)  # the numbers that systemd takes for DynamicUser= (systemd.exec(5))
NOLOGIN = "/usr/sbin/nologin"


class Identity:
    """Who it is. user, group: numbers, -1: as it is. groups: None: as they are. name: "" if no user was asked for."""

    __slots__ = ("group", "groups", "home", "is_dynamic", "name", "shell", "user")

    def __init__(self) -> None:
        self.user = self.group = -1
        self.groups: tuple[int, ...] | None = None
        self.name = self.home = self.shell = ""
        self.is_dynamic = False

    @property
    def owner(self) -> tuple[int, int]:
        """Whose the service's folders are."""
        return (
            posix.geteuid() if self.user == -1 else self.user,
            posix.getegid() if self.group == -1 else self.group,
        )


def identity_of(definition: "Definition") -> Identity:
    """Who the service is to be. Raises Failure if there is no such user or group, or only root could become that."""
    context = definition.context
    found = Identity()
    if context.user:
        _take_user(found, context.user, context.dynamic_user, definition.where("user"))
    if context.group and not (found.is_dynamic and context.group == context.user):
        found.group = group_number(context.group, definition.where("group"))
    if definition.target == "upstart":
        from cross_init.running.job import groups

        found.groups = groups(definition, found)
    elif found.user > 0 and not found.is_dynamic:
        found.groups = tuple(posix.getgrouplist(found.name, found.group)) if found.name else (found.group,)
    elif found.is_dynamic:
        found.groups = (found.group,)
    if context.supplementary_groups:
        where = definition.where("supplementary_groups")
        more = [group_number(name, where) for name in context.supplementary_groups]
        found.groups = tuple(dict.fromkeys((*(found.groups or ()), *more)))
    if posix.geteuid():
        _check_own(found, definition)
    return found


def _number(name: str) -> int | None:
    """The number that a user or group is called by, if it is."""
    if not name.isdigit():
        return None
    from cross_init.bounds import number

    return number(name, 0, ID_MAX)


def _take_user(found: Identity, name: str, is_dynamic: bool, where: str) -> None:
    from pwd import getpwnam, getpwuid

    said = _number(name)
    try:
        entry = getpwnam(name) if said is None else getpwuid(said)
    except KeyError:
        if said is not None:
            found.user, found.group, found.name = said, said, ""
            return
        if not is_dynamic:
            raise Failure(f"{where}: User={name}: there is no such user: make it first") from None
        found.is_dynamic = True
        found.user = found.group = dynamic_number(name)
        found.name, found.home, found.shell = name, "/", NOLOGIN
        return
    found.user, found.group, found.name = entry.pw_uid, entry.pw_gid, entry.pw_name
    found.home, found.shell = entry.pw_dir, entry.pw_shell


def dynamic_number(name: str) -> int:
    """A number that nobody in the user database has, the same one at each start as far as that goes."""
    from pwd import getpwuid

    first, last = DYNAMIC
    at = 0
    for byte in name.encode("utf-8", "surrogateescape"):
        at = (at * 257 + byte) % (last - first + 1)
    for step in range(last - first + 1):
        user = first + (at + step) % (last - first + 1)
        try:
            getpwuid(user)
        except KeyError:
            return user
    raise Failure(f"DynamicUser=: all numbers from {first} to {last} belong to somebody")


def group_number(name: str, where: str) -> int:
    """The group of this name or number. Raises Failure."""
    said = _number(name)
    if said is not None:
        return said
    from grp import getgrnam

    try:
        return getgrnam(name).gr_gid
    except KeyError:
        raise Failure(f"{where}: there is no group {name}: make it first") from None


def _check_own(found: Identity, definition: "Definition") -> None:
    """Who is not root can only stay who he is. Raises Failure."""
    if found.user not in (-1, posix.geteuid()):
        raise Failure(f"{definition.where('user')}: User={definition.context.user}: only root can become another user")
    if found.group not in (-1, posix.getegid()):
        where = definition.where("group") or definition.where("user")
        raise Failure(f"{where}: Group={definition.context.group}: only root can become another group's")
    if found.groups is not None and not set(found.groups) <= {*posix.getgroups(), posix.getegid()}:
        where = definition.where("supplementary_groups") or definition.where("user")
        raise Failure(f"{where}: only root can give a process other groups")
    found.groups = None
    found.user = found.group = -1


def become(identity: Identity) -> None:
    """Be that user. Raises OSError."""
    if identity.user != -1:
        posix.setresuid(identity.user, identity.user, identity.user)


def take_groups(identity: Identity) -> None:
    """Be that group's alone. Raises OSError."""
    if identity.groups is not None:
        posix.setgroups(identity.groups)
    if identity.group != -1:
        posix.setresgid(identity.group, identity.group, identity.group)
