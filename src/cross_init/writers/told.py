"""What a service's definition says that its init itself has to do: order, restarts, times, the log. Pure.

Each writer has words for these. What is of systemd alone (its targets, its own services) is none, or a facility.
"""

from cross_init.definitions.definition import INFINITY, SECOND
from cross_init.errors import Failure
from cross_init.writers.script import CHECKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
DEFAULT_START_S = 90  # DefaultTimeoutStartSec=
# What stands for something that other inits have a name of their own for.
FACILITIES = {
    "network-pre.target": "",
    "network.target": "network",
    "network-online.target": "network",
    "nss-lookup.target": "names",
    "nss-user-lookup.target": "",
    "remote-fs-pre.target": "",
    "remote-fs.target": "remote files",
    "local-fs-pre.target": "",
    "local-fs.target": "local files",
    "syslog.target": "log",
    "syslog.socket": "log",
    "syslog.service": "log",
    "rsyslog.service": "log",
    "time-set.target": "time",
    "time-sync.target": "time",
    "rpcbind.target": "rpc",
}
# Where every init has a service anyway, or what no other has.
UNSAID = ("basic", "sysinit", "multi-user", "graphical", "default", "paths", "sockets", "timers", "slices", "shutdown")
UNSAID_TARGETS = frozenset(f"{each}.target" for each in (*UNSAID, "umount", "final"))
# Restart=: always, or only after a failure, and what is not so exact of it.
RESTARTS = {
    "no": ("no", ""),
    "always": ("always", ""),
    "on-success": ("always", "it is started anew after a failure as well"),
    "on-failure": ("on-failure", ""),
    "on-abnormal": ("on-failure", "it is started anew after an exit code that is a failure as well"),
    "on-abort": ("on-failure", "it is started anew after every failure"),
    "on-watchdog": ("on-failure", "it is started anew after every failure"),
}
# The keys that every writer says in its init's words, or remarks upon by itself (writers/lost.py).
WRITES = (
    *("After", "Before", "Wants", "Requires", "RequiresOverridable", "Requisite", "RequisiteOverridable"),
    *("BindsTo", "BindTo", "Upholds", "Conflicts"),
    *("Restart", "RestartSec", "StartLimitBurst", "StartLimitInterval", "StartLimitIntervalSec"),
    *CHECKS,
)
TO_A_LOG = ("inherit", "journal", "kmsg", "journal+console", "kmsg+console")


def name_of(unit: str) -> str:
    """A unit's name as one of a service of another init, in which no letter has a meaning. Raises Failure."""
    stem = unit.rpartition(".")[0]
    if stem.endswith("@"):
        raise Failure(f"{unit}: a template: name an instance of it, as {stem}NAME.service")
    return "".join(letter if letter in LETTERS else "-" for letter in stem).lstrip("-.")


class Told:
    """The facts of one service. Each reader of a fact that its init has no word for says that in the remarks.

    needs, wants, after, before, conflicts: names of services. facilities: what of FACILITIES it is behind. restart: no,
    always or on-failure. Times are in seconds; None: no bound. is_enabled: it is started when the machine is.
    """

    def __init__(self, definition: "Definition", remarks: list[str]) -> None:
        """Adds what no other init could be told. Raises Failure."""
        self.name = name_of(definition.name)
        self.description = one_line(definition.relations.description) or self.name
        self.definition = definition
        self.remarks = remarks
        self._order()
        self._restarts()
        self._times()
        relations = definition.relations
        self.is_enabled = bool(relations.wanted_by or relations.required_by or relations.upheld_by)
        self.is_task = definition.readiness.type == "oneshot" and not definition.readiness.remain_after_exit
        is_kept = definition.readiness.type == "notify-reload" or definition.commands.reload
        self.reloads = bool(is_kept) and not self.is_task
        self.is_logged = definition.context.standard_output in TO_A_LOG

    def lose(self, what: str, why: str) -> None:
        """Say that this of the unit has no counterpart."""
        self.remarks.append(f"{what}: {why}")

    def _order(self) -> None:
        relations = self.definition.relations
        self.facilities: list[str] = []
        self.needs = self._services(*relations.requires, *relations.requisite, *relations.binds_to)
        self.wants = self._services(*relations.wants, *relations.upholds)
        self.after = self._services(*relations.after)
        self.before = self._services(*relations.before)
        self.conflicts = self._services(*relations.conflicts)
        for names in (self.wants, self.after):
            names[:] = [each for each in names if each not in self.needs]

    def _services(self, *units: str) -> list[str]:
        """Their names, without those that are the unit's own or systemd's; facilities are noted."""
        own = {self.definition.name, *(each.name for each in self.definition.sockets)}
        found: list[str] = []
        for unit in units:
            suffix = unit.rpartition(".")[2]
            if unit in own or unit in UNSAID_TARGETS or suffix in ("slice", "scope"):
                continue
            if unit in FACILITIES:
                self.facilities += [FACILITIES[unit]] if FACILITIES[unit] else []
            elif unit.startswith("systemd-") or suffix not in ("service", "socket"):
                text = f"{unit}: only systemd has such a unit, so nothing is said of the order"
                if text not in self.remarks:
                    self.remarks.append(text)
            else:
                found.append(name_of(unit))
        self.facilities = list(dict.fromkeys(self.facilities))
        return list(dict.fromkeys(found))

    def _restarts(self) -> None:
        ending, origins = self.definition.ending, self.definition.origins
        self.restart, inexact = RESTARTS[ending.restart]
        if inexact:
            self.lose(f"Restart={ending.restart}", inexact)
        self.delay = ending.restart_delay / SECOND if "restart_delay" in origins else None
        is_limited = "start_limit_burst" in origins or "start_limit_interval" in origins
        is_bound = ending.start_limit_burst and 0 < ending.start_limit_interval < INFINITY
        # How often, in how many seconds; None: as the init has it; 0 times: as often as may be.
        self.limit: tuple[int, float] | None = None
        if is_limited:
            self.limit = (ending.start_limit_burst, ending.start_limit_interval / SECOND) if is_bound else (0, 0)

    def _times(self) -> None:
        """How long a start and a stop may take, with what is run before and after each counted."""
        ending, commands = self.definition.ending, self.definition.commands
        phases = len(commands.condition) + len(commands.start_pre) + len(commands.start_post) + 1
        is_oneshot = self.definition.readiness.type == "oneshot"
        start = (INFINITY if is_oneshot else DEFAULT_START_S * SECOND) if ending.timeout_start is None else None
        start = start if start is not None else ending.timeout_start
        self.start_s = None if start is None or start >= INFINITY else phases * start / SECOND
        phases = len(commands.stop) + len(commands.stop_post) + 1
        self.stop_s = None if ending.timeout_stop >= INFINITY else phases * ending.timeout_stop / SECOND

    def alone(self, init: str, order: str) -> None:
        """For an init that knows no order by names. order: what it knows instead."""
        others = [*self.needs, *self.wants, *self.after, *self._targets()]
        if others := list(dict.fromkeys(others)):
            self.lose(f"After={' '.join(others)}", f"{init} knows {order}")
        if self.before:
            self.lose(f"Before={' '.join(self.before)}", f"{init} knows {order}")
        for each in self.conflicts:
            self.lose(f"Conflicts={each}", f"{init} stops no service for another one")

    def no_checks(self) -> None:
        """For an init that looks at no conditions, and starts the unit without a shell."""
        if checks := self.definition.relations.checks:
            said = [f"{'Assert' if each.is_assert else 'Condition'}{each.kind}=" for each in checks]
            self.lose(" ".join(dict.fromkeys(said)), "it is started whether that holds or not")

    def no_facilities(self, init: str) -> None:
        """For an init that has no names for these."""
        if self.facilities:
            self.lose(f"After={' '.join(self._targets())}", f"{init} itself has no name for it")

    def _targets(self) -> list[str]:
        relations = self.definition.relations
        said = (*relations.after, *relations.wants)
        return list(dict.fromkeys(each for each in said if FACILITIES.get(each) in self.facilities))


def one_line(text: str) -> str:
    """Without what ends a line or cannot be shown."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def seconds(number: float) -> str:
    """With no more digits than it has."""
    return f"{number:g}"


def at_least(number: float) -> int:
    """Whole seconds, for who takes no others."""
    return int(number) + (number > int(number))


def absolute(words: list[str]) -> list[str]:
    """With the program's path, for inits that look for none."""
    return [words[0] if "/" in words[0] else f"/usr/bin/{words[0]}", *words[1:]]
