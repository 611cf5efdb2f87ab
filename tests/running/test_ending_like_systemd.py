"""How a service is ended, by the same units under real systemds and under cross-init run: who gets which signals, when.

Each process writes down what it is sent (tests/support/signals_seen.py). All units run at once, as they mostly wait.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from cross_init.kernel.control_group import own_folder
from cross_init.kernel.process_stat import process_state
from tests.definitions.test_against_systemd import version_of
from tests.support.command import FRONT_DOOR, PATH, ROOT
from tests.support.containers import INSIDE, Container
from tests.support.own_groups import is_removed
from tests.support.processes import stands_for_it
from tests.support.systemd import Host
from tests.support.waiting import becomes, until

STOP_S, ABORT_S = 1.0, 1.3
LATE_S = 0.2  # by which a process of a busy machine writes down later what it was sent
# A start takes its time where others are made as well; these units are started when the others are up.
TIMES = "TimeoutStopSec=1s\nTimeoutAbortSec=1300ms\nTimeoutStartSec=START\n"
START, LATE_START = "1min", "2500ms"
AT_ONCE = 8
TERM, INT, HUP, ABRT, USR1, USR2 = (
    int(number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGUSR1, signal.SIGUSR2)
)
STOP, RELOAD, NOTHING = "stop", "reload", ""
WITH_CHILD = "child=DIR/child"
# Notes whether the child of the main process is there by then.
LIVES = "/bin/sh -c 'kill -0 $$(sed -n s/here.//p DIR/child) && echo lives >>DIR/said || echo gone >>DIR/said'"
# What a command leaves is there before that ends, however busy the machine is.
UP = "until test -s DIR/command; do sleep 0.02; done"
SLOW = "TimeoutStopSec=3s\\n"  # what comes up within it is not late
NEVER_UP = "stopped before it is ready"
STOPPED_LATER = "stopped while it ends"
# What is done to it, the words for its main process (behind a -, if its failure is none), and what its unit says.
# SEEN NAME: a command that writes down what it is sent; SAY: one that notes its words.
CASES: dict[str, tuple[str, str, str]] = {
    "stopped": (STOP, f"ends={TERM} {WITH_CHILD} child-ends={TERM}", ""),
    "stopped, in time": (STOP, WITH_CHILD, "TimeoutSec=1s"),
    "its children stay": (STOP, f"ends={TERM} {WITH_CHILD}", ""),
    "other signal": (STOP, f"ends={INT} {WITH_CHILD}", "KillSignal=SIGINT"),
    "mixed": (STOP, f"ends={TERM} {WITH_CHILD}", "KillMode=mixed\nKillSignal=SIGTERM"),
    "final": (STOP, f"ends={USR1} {WITH_CHILD} child-ends={USR1}", "FinalKillSignal=SIGUSR1"),
    "final, mixed": (STOP, f"ends={TERM} {WITH_CHILD} child-ends={USR1}", "FinalKillSignal=SIGUSR1\nKillMode=mixed"),
    "final, in vain": (STOP, WITH_CHILD, "FinalKillSignal=SIGUSR1"),
    "final, process": (STOP, f"ends={USR1} {WITH_CHILD}", "FinalKillSignal=SIGUSR1\nKillMode=process"),
    "none final": (STOP, f"ends={TERM} {WITH_CHILD}", "SendSIGKILL=no"),
    "hung up": (STOP, WITH_CHILD, "SendSIGHUP=yes"),
    "hung up, by that": (STOP, f"ends={HUP} {WITH_CHILD}", "SendSIGHUP=yes\nKillSignal=SIGHUP"),
    "hung up, its children stay": (STOP, f"ends={TERM} {WITH_CHILD}", "SendSIGHUP=yes"),
    "hung up, mixed": (STOP, f"ends={TERM} {WITH_CHILD}", "SendSIGHUP=yes\nKillMode=mixed"),
    "hung up, process": (STOP, f"ends={TERM} {WITH_CHILD}", "SendSIGHUP=yes\nKillMode=process"),
    "aborted": (STOP, f"ends={ABRT} {WITH_CHILD} child-ends={ABRT}", "TimeoutStopFailureMode=abort"),
    "aborted in vain": (STOP, WITH_CHILD, "TimeoutStopFailureMode=abort"),
    "aborted, its children": (STOP, f"ends={TERM} {WITH_CHILD}", "TimeoutStopFailureMode=abort"),
    "slow command": (STOP, f"ends={TERM} {WITH_CHILD}", f"ExecStop=SEEN command ends={TERM}\nWatchdogSignal=SIGABRT"),
    "slow command, aborted": (
        STOP,
        f"ends={ABRT} {WITH_CHILD}",
        f"ExecStop=SEEN command ends={ABRT}\nTimeoutStopFailureMode=abort",
    ),
    "slow command, killed": (STOP, WITH_CHILD, "ExecStop=SEEN command\nTimeoutStopFailureMode=kill"),
    "late start": (NOTHING, WITH_CHILD, "Type=notify\nTimeoutStartFailureMode=terminate\nFinalKillSignal=SIGKILL"),
    "late start, aborted": (NOTHING, f"ends={ABRT} {WITH_CHILD}", "Type=notify\nTimeoutStartFailureMode=abort"),
    "late start, killed": (NOTHING, WITH_CHILD, "Type=notify\nTimeoutStartFailureMode=kill"),
    "late before": (NOTHING, "", f"ExecStartPre=SEEN command ends={TERM}"),
    "late before, aborted": (NOTHING, "", "ExecStartPre=SEEN command\nTimeoutStartFailureMode=abort"),
    "late before, killed": (NOTHING, "", "ExecStartPre=SEEN command\nTimeoutStartFailureMode=kill"),
    "late behind": (NOTHING, f"ends={TERM} {WITH_CHILD}", f"ExecStartPost=SEEN command ends={TERM}\nSendSIGHUP=yes"),
    "late behind, aborted": (
        NOTHING,
        WITH_CHILD,
        f"ExecStartPost=SEEN command ends={ABRT}\nTimeoutStartFailureMode=abort",
    ),
    "silent, usual": (NOTHING, f"ends={ABRT} ready {WITH_CHILD}", "Type=notify\nWatchdogSec=300ms"),
    "silent": (NOTHING, f"ends={USR2} ready {WITH_CHILD}", "Type=notify\nWatchdogSec=300ms\nWatchdogSignal=SIGUSR2"),
    "silent, started": (NOTHING, f"ends={ABRT} {WITH_CHILD}", "WatchdogSec=2s\nWatchdogSignal=SIGABRT"),
    "silent, in vain": (NOTHING, f"ready {WITH_CHILD}", "Type=notify\nWatchdogSec=300ms\nWatchdogSignal=SIGUSR2"),
    "too long": (NOTHING, f"ends={TERM} ready {WITH_CHILD}", "Type=notify\nRuntimeMaxSec=300ms\nExecStop=SAY stops"),
    "too long, ready": (
        NOTHING,
        "ready",
        "Type=notify\nRuntimeMaxSec=300ms\nRuntimeRandomizedExtraSec=100ms\nTimeoutStopFailureMode=kill",
    ),
    "last process": (NOTHING, f"exits=0 {WITH_CHILD} lives=0.6", "ExitType=cgroup"),
    "last process, failed": (NOTHING, f"exits=3 {WITH_CHILD} lives=0.6", "ExitType=cgroup"),
    "last process, stopped": (STOP, f"exits=0 {WITH_CHILD} child-ends={TERM}", "ExitType=cgroup"),
    "last process, stopped in vain": (STOP, f"exits=0 {WITH_CHILD}", "ExitType=cgroup"),
    "last process, both": (STOP, f"ends={TERM} {WITH_CHILD}", "ExitType=cgroup"),
    "last process, mixed": (STOP, f"ends={TERM} {WITH_CHILD}", "ExitType=cgroup\nKillMode=mixed"),
    "last process, process": (STOP, f"exits=0 {WITH_CHILD}", "ExitType=cgroup\nKillMode=process"),
    "reloaded": (
        RELOAD,
        f"ends={TERM}",
        "ExecReload=SAY reload\nExecReloadPost=SAY first\nExecReloadPost=SAY second ${MAINPID}",
    ),
    "reloaded by a signal": (RELOAD, f"ends={TERM}", "ExecReload=/bin/kill -HUP $MAINPID\nExecReloadPost=SAY behind"),
    "reloaded, and says so": (
        RELOAD,
        f"ends={TERM} ready reloads=DIR/said",
        "Type=notify-reload\nExecReloadPost=SAY behind",
    ),
    "reloaded by another signal": (
        RELOAD,
        f"ends={TERM} ready reloads=DIR/said by={USR1}",
        "Type=notify-reload\nReloadSignal=SIGUSR1\nExecReloadPost=SAY behind",
    ),
    "reloaded by both": (
        RELOAD,
        f"ends={TERM} ready reloads=DIR/said by={USR1}",
        "Type=notify-reload\nReloadSignal=SIGUSR1\nExecReload=SAY one\nExecReload=SAY two\nExecReloadPost=SAY behind",
    ),
    "reload by both fails": (
        RELOAD,
        f"ends={TERM} ready reloads=DIR/said by={USR1}",
        "Type=notify-reload\nReloadSignal=SIGUSR1\nExecReload=/bin/false\nExecReloadPost=SAY not",
    ),
    "leaves something at its end": (
        STOP,
        f"ends={TERM}",
        f"{SLOW}ExecStopPost=/bin/sh -c 'SEEN command ends={TERM} & {UP}'",
    ),
    "leaves something at its end, in vain": (
        STOP,
        f"ends={TERM}",
        f"{SLOW}ExecStopPost=/bin/sh -c 'SEEN command & {UP}'",
    ),
    "leaves something at its end, process": (
        STOP,
        f"ends={TERM}",
        f"{SLOW}KillMode=process\nExecStopPost=/bin/sh -c 'SEEN command & {UP}'",
    ),
    "leaves something at its end, mixed": (
        STOP,
        f"ends={TERM}",
        f"{SLOW}KillMode=mixed\nExecStopPost=/bin/sh -c 'SEEN command & {UP}'",
    ),
    "its end is not waited for": (STOP, f"ends={TERM} {WITH_CHILD}", f"ExecStopPost={LIVES}"),
    "its end is waited for": (
        NOTHING,
        f"exits=0 {WITH_CHILD} child-ends={TERM}",
        f"ExecStop={LIVES}\nExecStopPost={LIVES}",
    ),
    "its end is waited for, failed": (NOTHING, f"exits=3 {WITH_CHILD}", f"ExecStop={LIVES}\nExecStopPost={LIVES}"),
    STOPPED_LATER: (
        STOP,
        "exits=3",
        "TimeoutStopSec=30s\nExecStopPost=SAY begins\nExecStopPost=/bin/sh -c 'sleep 2; echo whole >>DIR/said'",
    ),
    "left when it ended": (NOTHING, f"exits=0 {WITH_CHILD} child-ends={TERM}", ""),
    "left when it ended, in vain": (NOTHING, f"exits=0 {WITH_CHILD}", ""),
    "left when it ended, mixed": (NOTHING, f"exits=0 {WITH_CHILD}", "KillMode=mixed"),
    "left when it ended, process": (NOTHING, f"exits=0 {WITH_CHILD}", "KillMode=process"),
    "left before it": (
        STOP,
        f"ends={TERM}",
        f"ExecStartPre=/bin/sh -c 'SEEN command ends={TERM} lingers=0 & {UP}'",
    ),
    "left behind it": (
        STOP,
        f"ends={TERM}",
        f"ExecStartPost=/bin/sh -c 'SEEN command ends={TERM} lingers=0 & {UP}'\nExecStartPost=SAY up",
    ),
    "left by a reload": (
        RELOAD,
        f"ends={TERM}",
        f"ExecReload=/bin/sh -c 'SEEN command ends={TERM} lingers=0 & {UP}'\nExecReload=SAY behind",
    ),
    "left by a oneshot": (
        NOTHING,
        "exits=0",
        f"Type=oneshot\nExecStart=/bin/sh -c 'SEEN command ends={TERM} & {UP}'",
    ),
    "left by a failed one": (
        NOTHING,
        "exits=3",
        f"Type=oneshot\nExecStart=/bin/sh -c 'SEEN command ends={TERM} & {UP}'",
    ),
    "left by a oneshot that remains": (
        STOP,
        "exits=0",
        "Type=oneshot\nRemainAfterExit=yes\nExecStartPost=SAY up\n"
        f"ExecStart=/bin/sh -c 'SEEN command ends={TERM} lingers=0 & {UP}'",
    ),
    "left by a condition": (
        NOTHING,
        "",
        f"ExecStartPre=/bin/sh -c 'SEEN command ends={TERM} & {UP}'\nExecStartPre=/bin/false",
    ),
    "forked away": (STOP, f"exits=0 {WITH_CHILD} child-ends={TERM}", "Type=forking"),
    "forked away, nobody knows": (STOP, f"exits=0 {WITH_CHILD} child-ends={TERM}", "Type=forking\nGuessMainPID=no"),
    "forked away, to its end": (NOTHING, f"exits=0 {WITH_CHILD} lives=0.6", "Type=forking\nGuessMainPID=no"),
    "forked away, silent": (NOTHING, f"exits=0 {WITH_CHILD} child-ends={ABRT}", "Type=forking\nWatchdogSec=300ms"),
    "forked away, silent, all count": (
        NOTHING,
        f"exits=0 {WITH_CHILD} child-ends={ABRT}",
        "Type=forking\nWatchdogSec=300ms\nNotifyAccess=all\nGuessMainPID=no",
    ),
    "forked away, to a failure nobody knows": (
        NOTHING,
        f"exits=0 {WITH_CHILD} lives=0.6 child-exits=3",
        "Type=forking\nGuessMainPID=no",
    ),
    "state": (STOP, "exits=0", "Type=oneshot\nRemainAfterExit=yes\nExecStop=SAY stops"),
    "state, not left": (STOP, "exits=0", "Type=oneshot\nRemainAfterExit=yes\nExecStop=/bin/false"),
    "state, that fails": (NOTHING, "exits=3", "Type=oneshot\nRemainAfterExit=yes\nExecStop=SAY not"),
    "command fails": (STOP, f"ends={TERM}", "ExecStop=SAY stops\nExecStop=/bin/false\nExecStop=SAY not"),
    "command may fail": (STOP, f"ends={TERM}", "ExecStop=-/bin/false\nExecStop=SAY stops"),
    "command is late": (STOP, f"ends={TERM}", "ExecStop=SEEN command"),
    "failure that is none": (NOTHING, "-exits=3", "ExecStop=SAY stops"),
    "failure that is none, of one that forks": (NOTHING, "-exits=3", "Type=forking\nExecStop=SAY not"),
    "command fails, by itself": (NOTHING, "lives=0.6", "ExecStop=/bin/false\nExecStop=SAY not"),
    "command fails, after a failure": (NOTHING, f"{WITH_CHILD} exits=3", "ExecStop=SAY not"),
    "behind fails": (
        NOTHING,
        f"ends={TERM}",
        "ExecStartPost=/bin/sh -c 'until test -s DIR/main; do sleep 0.02; done; exit 1'\nExecStop=SAY not",
    ),
    "behind ends by a signal": (
        NOTHING,
        f"ends={TERM}",
        "ExecStartPost=/bin/sh -c 'until test -s DIR/main; do sleep 0.02; done; kill $$$$'\nExecStop=SAY not",
    ),
    "behind does not count": (
        STOP,
        f"ends={TERM}",
        "SuccessExitStatus=3\nExecStartPost=/bin/sh -c 'exit 3'\nExecStop=SAY stops",
    ),
    "gone before it is ready": (NOTHING, "lives=0.6", "Type=notify\nExecStop=SAY not"),
    "failed before it is ready": (NOTHING, "exits=3", "Type=notify\nExecStop=SAY not"),
    NEVER_UP: (STOP, f"ends={TERM}", "Type=notify\nExecStop=SAY not"),
    "never forks": (NOTHING, "exits=3", "Type=forking\nExecStop=SAY not"),
    "behind it all fails": (NOTHING, "lives=0.6", "ExecStopPost=/bin/false"),
    "first fails": (NOTHING, "", "ExecStartPre=/bin/false\nExecStop=SAY not"),
    "first does not count": (STOP, f"ends={TERM}", "SuccessExitStatus=3\nExecStartPre=/bin/sh -c 'exit 3'"),
    "does not count": (NOTHING, "exits=3", "SuccessExitStatus=3\nExecStop=SAY stops"),
    "reload fails": (RELOAD, f"ends={TERM}", "ExecReload=/bin/false\nExecReloadPost=SAY not"),
    "never reloaded": (STOP, f"ends={TERM}", "ExecReloadPost=SAY not"),
}
SINCE = {"reloaded": 262, "reloaded by a signal": 262, "reloaded, and says so": 262}
SINCE["reloaded by another signal"] = SINCE["reloaded by both"] = SINCE["reload by both fails"] = 262
Seen = dict[str, object]


class Place:
    """Where all these units are, and what they have written. inside: how they name it. program: the probe."""

    def __init__(self, outside: Path, inside: str, program: str, cases: list[str]) -> None:
        self.outside, self.inside, self.cases = outside, inside, cases
        self.program = f"/usr/bin/python3 -IS {program}"
        for case in cases:
            self.folder(case).mkdir()

    def folder(self, case: str) -> Path:
        """Of one case."""
        return self.outside / name_of(case)

    def text(self, case: str) -> str:
        """Its unit."""
        _, words, lines = CASES[case]
        folder = f"{self.inside}/{name_of(case)}"
        sign, words = ("-", words[1:]) if words.startswith("-") else ("", words)
        text = (
            f"[Service]\nLimitCORE=0\n{TIMES}{lines}\nExecStart={sign}SEEN main {words}\n"
            "ExecStopPost=SAY $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS\n"
        )
        text = text.replace("Sec=START", f"Sec={LATE_START if is_late(case) else START}")
        text = text.replace("SEEN ", f"{self.program} {folder}/").replace("DIR", folder)
        return text.replace("SAY", f"/bin/sh -c 'echo \"$$@\" >>{folder}/said' sh")

    def here(self, case: str, who: str) -> int:
        """The PID of one of its processes; 0 if it was not there."""
        file = self.folder(case) / who
        first = file.read_text().partition("\n")[0] if file.exists() else ""
        return int(first.split()[1]) if first.startswith("here ") and first.split()[1:] else 0

    def is_up(self, case: str, lives: Callable[[int], bool]) -> bool:
        """Whether its main process, or what comes before, is there; or has gone, if it does that by itself."""
        said = self.folder(case) / "said"
        for word in ("up", "begins"):
            if f"SAY {word}" in CASES[case][2] and not (said.exists() and word in said.read_text()):
                return False
        if "exits=" in CASES[case][1]:
            return bool(main := self.here(case, "main")) and not lives(main)
        if CASES[case][0] in (STOP, RELOAD):
            return bool(self.here(case, "main"))
        return any(self.here(case, who) for who in ("main", "command")) or said.exists()

    def pids(self) -> list[int]:
        """Of all."""
        return [pid for case in self.cases for who in ("main", "child", "command") if (pid := self.here(case, who))]

    def seen(self, case: str, lives: Callable[[int], bool]) -> Seen:
        """What is compared: in which order each got which signals, how often, who is left, and what was noted."""
        found: Seen = {}
        beside = {HUP, USR1} if "by=" in CASES[case][1] else {HUP}  # what is no part of its end
        for who in ("main", "child", "command"):
            file = self.folder(case) / who
            lines = [line.split() for line in file.read_text().splitlines()[1:]] if file.exists() else []
            numbers = [int(line[0]) for line in lines]
            order = [number for number in numbers if number not in beside]
            times = [float(line[1]) for line in lines if int(line[0]) not in beside]
            gaps = [after - before for before, after in pairwise(times)]
            late = [ABORT_S if number in (ABRT, USR2) else STOP_S for number in order]
            found[who] = order, dict(Counter(numbers))
            found[f"{who} is there"] = file.exists()
            found[f"{who} lives"] = bool(self.here(case, who)) and lives(self.here(case, who))
            # A child's next one comes with the end of its main process.
            is_timed = all(gap > most - LATE_S for gap, most in zip(gaps, late, strict=False))
            found[f"{who} is given its time"] = is_timed or who == "child"
        said = self.folder(case) / "said"
        main = str(self.here(case, "main"))
        found["said"] = said.read_text().replace(main, "MAIN").splitlines() if said.exists() else []
        return found


def batched(names: list[str], size: int) -> list[list[str]]:
    """All of them, so many at a time."""
    return [names[at : at + size] for at in range(0, len(names), size)]


def is_late(case: str) -> bool:
    """Whether its start is to take too long."""
    return case.startswith("late")


def name_of(case: str) -> str:
    """Two workers may have these at once, and services of one name would wait for each other."""
    return f"ending{os.getpid()}-" + case.replace(" ", "-").replace(",", "")


class Ours:
    """All of them under cross-init run, with nobody who starts it; some at a time, as each looks at all processes."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder, str(folder), f"{ROOT}/tests/support/signals_seen.py", [*CASES])
        self.running: list[subprocess.Popen[bytes]] = []

    def run(self, case: str) -> Seen:
        """One of them, to its end."""
        place = self.place
        unit = place.outside / f"{name_of(case)}.service"
        unit.write_text(place.text(case))
        words = [str(FRONT_DOOR), "run", "--init", "none", str(unit)]
        with (place.folder(case) / "err").open("wb") as err:
            process = subprocess.Popen(words, env={"PATH": PATH}, stdin=subprocess.DEVNULL, stderr=err)
        self.running.append(process)
        until(lambda: place.is_up(case, is_here), f"{case}: it is there", 30)
        if case.startswith("state") and CASES[case][0] == STOP:
            until(lambda: stands_for_it(process.pid), f"{case}: somebody stands for it", 30)
        if CASES[case][0] == RELOAD:
            process.send_signal(signal.SIGHUP)
            until(lambda: has_reloaded(place, case), f"{case}: it has")
        if CASES[case][0] in (STOP, RELOAD):
            process.send_signal(signal.SIGTERM)
        process.wait(30)
        return place.seen(case, is_here)

    def close(self) -> None:
        """What is left is ended."""
        for process in self.running:
            process.kill()
            process.wait()
        for pid in self.place.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if place := own_folder():  # those that could not be ended have kept their control groups
            left = [*Path(place[0]).glob(f"cross-init.{name_of('')}*")]
            until(lambda: not [group for group in left if not is_removed(group)], "they are empty")


def is_here(pid: int) -> bool:
    """Whether a process lives."""
    return process_state(pid) not in ("Z", "")


def is_in(container: Container, pid: int) -> bool:
    """Whether a process lives in there."""
    try:
        return (container.root / f"proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def waits_for_all(place: Place, late: bool, lives: Callable[[int], bool]) -> None:
    """Those that are late, or the others."""
    until(lambda: all(place.is_up(case, lives) for case in place.cases if is_late(case) == late), "all are there", 30)


def has_reloaded(place: Place, case: str) -> bool:
    """Whether all was noted that comes of a reload."""
    if "fails" in case:
        return True
    said = place.folder(case) / "said"
    return said.exists() and any(word in said.read_text() for word in ("second", "behind"))


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """What has come of them here."""
    made = Ours(tmp_path_factory.mktemp("ours"))
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            cases = sorted(CASES, key=is_late, reverse=True)  # they mostly wait
            return dict(zip(cases, pool.map(made.run, cases), strict=True))
    finally:
        made.close()


@pytest.fixture
def theirs(host: Host) -> Iterator[dict[str, Seen]]:
    """The same under this systemd."""
    container, system = host.system.container, host.system
    cases = [case for case in CASES if version_of(system) >= SINCE.get(case, 0)]
    outside = container.root / "run/endings"
    outside.mkdir()
    place = Place(outside, "/run/endings", f"{INSIDE}/tests/support/signals_seen.py", cases)
    files = {case: system.folder / f"{name_of(case)}.service" for case in cases}
    lives = partial(is_in, container)
    stays = [case for case in cases if CASES[case][0] in (STOP, RELOAD) and case not in (NEVER_UP, STOPPED_LATER)]

    def shown(*which: str) -> set[str]:
        said = system.systemctl("show", "--property", "ActiveState", *(files[case].name for case in which))
        return set(said.stdout.split())

    try:
        for case, file in files.items():
            file.write_text(place.text(case))
        system.systemctl("daemon-reload")
        for late in (False, True):
            names = [file.name for case, file in files.items() if is_late(case) == late]
            system.systemctl("start", "--no-block", *names)
            waits_for_all(place, late, lives)
        becomes(lambda: shown(*stays), {"ActiveState=active"})
        done = {kind: [file.name for case, file in files.items() if CASES[case][0] == kind] for kind in (STOP, RELOAD)}
        system.systemctl("reload", *done[RELOAD], check=False)
        # Some at a time: who is late to hear the first signal has the less time until the next.
        for names in batched([*done[STOP], *done[RELOAD]], AT_ONCE):
            system.systemctl("stop", *names, check=False)
        until(lambda: shown(*files) <= {"ActiveState=inactive", "ActiveState=failed"}, "all have ended", 30)
        yield {case: place.seen(case, lives) for case in cases}
    finally:
        for pid in place.pids():
            container.run("kill", "-9", str(pid), check=False)
        for file in files.values():
            file.unlink(missing_ok=True)
        system.systemctl("daemon-reload")
        system.systemctl("reset-failed", check=False)
        container.run("rm", "-r", "/run/endings")


def test_who_is_ended_gets_the_same_signals(theirs: dict[str, Seen], ours: dict[str, Seen]) -> None:
    different = [
        f"{case}, {what}: systemd {found[what]!r}, here {ours[case][what]!r}"
        for case, found in theirs.items()
        for what in found
        if found[what] != ours[case][what]
    ]
    assert not different, "\n".join(different)
