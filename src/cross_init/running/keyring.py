"""The keyring of a service's process: KeyringMode= (systemd.exec(5), keyrings(7)).

Without one of its own it would have that of whoever has started us: a login's, with its keys, while that lasts; or
one that all services of a user have.
"""

import posix

from cross_init.errors import Failure, print_error, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.running.identity import Identity

LEFT = (38, 1, 13, 122)  # ENOSYS, EPERM, EACCES, EDQUOT: what a kernel or container does not give is done without
INVOCATION, INVOCATION_BYTES = b"invocation_id", 16


def join(definition: "Definition", identity: "Identity", invocation: bytes) -> None:
    """Have a new session keyring, that user's, with the start's own number in it. Raises Failure.

    invocation: as it is in its variables.
    """
    from cross_init.kernel.system_calls import add_user_key, join_new_keyring, link_user_keyring

    where = definition.where("keyring_mode")
    real = posix.getuid(), posix.getgid()
    try:
        try:  # the kernel makes it for whom we really are, and looks up that user's
            if not _is_now(identity.user, identity.group):
                return
            join_new_keyring()
            if definition.context.keyring_mode == "shared":
                link_user_keyring()
        finally:
            _is_now(*real)
        if number := _number(invocation):
            add_user_key(INVOCATION, number)
    except Failure as failure:  # Debian's python3-minimal
        if where:
            print_error(f"{where}: KeyringMode=: {failure}; it stays as it is", 0)
    except OSError as error:
        if error.errno not in LEFT:
            raise Failure(f"{where or definition.files[0]}: KeyringMode=: {why(error)}") from None


def _is_now(user: int, group: int) -> bool:
    """Whether we are really that user and group by now, and still allowed all that we are; -1: as it is.

    Who cannot be is told so when he is to become them for good.
    """
    try:
        if group not in (-1, posix.getgid()):
            posix.setregid(group, -1)
        if user not in (-1, posix.getuid()):
            posix.setreuid(user, -1)
    except OSError:
        return False
    return True


def _number(text: bytes) -> bytes:
    """As 16 bytes; none if a unit has made something else of it."""
    try:
        found = bytes.fromhex(text.decode())
    except ValueError:
        return b""
    return found if len(found) == INVOCATION_BYTES else b""
