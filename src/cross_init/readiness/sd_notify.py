"""sd_notify's wire format. Pure: bytes in, assignments out, no process or socket needed.

One datagram holds assignments KEY=VALUE, separated by newlines (sd_notify(3)). What a receiver does with them follows
systemd's manager: a line without "=" is ignored, as is a key that nobody knows; a message that is too long, or has a
NUL in it, is ignored whole; a text (STATUS=) counts where it stands first, a flag (READY=1) wherever it stands.
"""

# One byte more than a message may have shows that it was longer. systemd takes 4096 bytes, a NUL at the end included
# (seen with 252 and 262); a daemon that says more is ignored there and served here.
MESSAGE_MAX = 65536

Assignments = tuple[tuple[str, str], ...]


class Malformed(ValueError):
    """A message that has to be ignored whole; the text says why."""


def parse(message: bytes) -> Assignments:
    """The assignments of one datagram, in their order. Raises Malformed."""
    if len(message) > MESSAGE_MAX:
        raise Malformed(f"it is longer than {MESSAGE_MAX} bytes")
    body = message.removesuffix(b"\0")
    if b"\0" in body:
        raise Malformed("it has a NUL byte in it")
    assignments = []
    for line in body.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
        key, equals, value = line.partition("=")
        if equals and key:
            assignments.append((key, value))
    return tuple(assignments)


def first(assignments: Assignments, key: str) -> str | None:
    """The value that counts for this key."""
    for known, value in assignments:
        if known == key:
            return value
    return None


def has(assignments: Assignments, key: str, value: str) -> bool:
    """Whether exactly this stands somewhere in the message, as READY=1 has to."""
    return (key, value) in assignments
