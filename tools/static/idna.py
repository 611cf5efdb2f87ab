"""The codec by which C looks up a host's name, for names in ASCII alone: the full one needs a megabyte of tables.

Any other name has to be written in its ASCII form (xn--...).
"""

import codecs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer


def encode(name: str, errors: str = "strict") -> tuple[bytes, int]:
    """The bytes of the name. Raises UnicodeError."""
    return name.encode("ascii"), len(name)


def decode(name: "Buffer", errors: str = "strict") -> tuple[str, int]:
    """The name of these bytes. Raises UnicodeError."""
    text = bytes(name).decode("ascii")
    return text, len(text)


def getregentry() -> codecs.CodecInfo:
    """As the package encodings asks for a codec."""
    return codecs.CodecInfo(encode, decode, name="idna")
