"""An init that waits for no readiness, where a unit's daemon says it all the same: it is heard, and told nobody."""

from cross_init.errors import print_error
from cross_init.model import ANYONE, NOTHING, Init


class Unheard(Init):
    """Any init, told nothing."""

    hears = NOTHING
    from_whom = ANYONE

    def __init__(self, init: Init, reason: str) -> None:
        """init: what it is without that. reason: why it does not hear."""
        self.name = init.name
        self.in_words = init.in_words
        self.lost = "."  # which was said here
        print_error(f"{init.called} is not told that the service is ready: {reason}", 0)
