"""The one line on a daemon that ended before it was ready, which a test's daemon often does that has no need to be."""

import re

LINE = re.compile(r"^cross-init-bridge: [^\n]* ended \([^\n]*\) while it still waited for [^\n]*\n", re.MULTILINE)


def without_early_end(said: str) -> str:
    """What was said beside that."""
    return LINE.sub("", said)
