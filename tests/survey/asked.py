"""How an init is asked by the survey: shell lines, and what all of them have in common."""

from collections.abc import Mapping
from typing import NamedTuple

from tests.support.containers import FRONT_DOOR

READY_S, STOP_S = 20, 15
RUN = f"{FRONT_DOOR} run"
CHECK = f"{FRONT_DOOR} check"


class Init(NamedTuple):
    """How an init is asked: shell lines. BRIDGE: the bridge's command line, PID: the daemon's main process, inside.

    options: of the bridge's, beside the daemon's own. pid_1: becomes process 1. up: returns when the init can be asked.
    start, again, stop: return when it is so, or fail. shown: prints the PID that the init shows.
    """

    files: Mapping[str, str]
    pid_1: str
    up: str = ""
    start: str = ""
    shown: str = ""
    again: str = ""
    stop: str = ""
    options: str = ""
