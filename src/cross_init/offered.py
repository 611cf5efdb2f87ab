"""What an init can offer beside what it does itself (model.py): as types alone, which nobody imports at run time."""

from typing import Protocol


class Cancellation(Protocol):
    """An init's news, without a signal, that a start is cancelled or that a service is to stay down."""

    def fileno(self) -> int:
        """What is readable when there is news."""

    def is_stop(self) -> bool:
        """Take in the news: whether it says so. Raises BlockingIOError (nothing new) and OSError (no more news)."""

    def close(self) -> None:
        """Listen no longer."""


class DescriptorHolder(Protocol):
    """A place of the init's own for descriptors, which keeps each under a text that names it."""

    room: int  # how long such a text may be, in bytes

    def names(self) -> list[str]:
        """All that it has of this service. Raises OSError."""

    def take(self, name: str) -> int:
        """A copy of the descriptor of this name. Raises OSError."""

    def put(self, name: str, fd: int) -> None:
        """Keep this one as well. Raises OSError."""

    def drop(self, name: str) -> None:
        """Keep it no longer. Raises OSError."""
