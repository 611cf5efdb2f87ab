"""ipaddress in the static file: as much of it as urllib.parse asks for, whether what stands in brackets is of IPv6."""

from _socket import AF_INET6, inet_pton


class IPv4Address:
    """None is ever made: there are brackets around it."""


def ip_address(text: str) -> None:
    """Raises ValueError if this is no address of IPv6; behind a % may stand an interface."""
    try:
        inet_pton(AF_INET6, text.partition("%")[0])
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r} does not appear to be an IPv6 address") from None
