"""A service of a unit's as the bridge's engine runs it: what is done before its main process, in it, and afterwards.

The engine (launch.py, shapes/) knows it as an around.Around.
"""

import _signal
import posix

from cross_init.definitions.definition import INFINITY, Command
from cross_init.errors import FAILED, Failure, Stopped
from cross_init.model import STOPS, SUCCESS, TIMEOUT
from cross_init.running.command import programs, words_of
from cross_init.running.entering import Process
from cross_init.running.environment import has_credentials, variables
from cross_init.running.identity import identity_of
from cross_init.running.result import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.definitions.definition import Definition
    from cross_init.kernel.control_group import Group
    from cross_init.kernel.linux import Environment
    from cross_init.launch import Start
    from cross_init.running.enclosure import Enclosure
    from cross_init.running.socket_commands import SocketCommands
    from cross_init.running.steps import Step
    from cross_init.sockets.passed import Passed
    from cross_init.watch.stages import Manner

KEYS = {
    "condition": "ExecCondition",
    "start_pre": "ExecStartPre",
    "start": "ExecStart",
    "start_post": "ExecStartPost",
    "reload": "ExecReload",
    "reload_post": "ExecReloadPost",
    "stop": "ExecStop",
    "stop_post": "ExecStopPost",
}
OF_JOB = {  # the stanzas of Upstart's that say the same
    "ExecCondition": "pre-start",
    "ExecStartPre": "pre-start",
    "ExecStart": "exec",
    "ExecStartPost": "post-start",
    "ExecReload": "reload",
    "ExecStop": "pre-stop",
    "ExecStopPost": "post-stop",
}
CONTAINED = ("condition", "start_pre", "start", "start_post")  # what leaves processes that are the service's
EXEC = 203  # the exit code of who could not become its program (systemd.exec(5))
SKIPS = range(1, 255)  # exit codes of ExecCondition= that are no failure (systemd.service(5))


class Unit:
    """One service. environ: its variables. words, programs: of its main command. taken: kinds of steps done."""

    not_run = EXEC

    def __init__(self, definition: "Definition", given: "Environment", more: list[str]) -> None:
        """given: the variables that we were started with. more: further arguments. Raises Failure."""
        self.definition = definition
        self.identity = identity_of(definition)
        self.given = given
        self.environ = variables(definition, self.identity, given)
        self.taken: set[str] = set()
        # What is there of a Type=oneshot, once all of it was run (RemainAfterExit=yes): somebody to be stopped.
        self.is_oneshot = definition.readiness.type == "oneshot"
        command = Command("/bin/sleep", ("sleep", "infinity"), ("", 0))
        is_state = self.is_oneshot and (definition.readiness.remain_after_exit or not definition.commands.start)
        self.command = command if is_state else definition.commands.start[-1]
        self.words = [*words_of(self.command, self.environ), *more]
        self.programs: list[bytes] = []
        try:
            self._find_programs()
        except Failure:
            if not (self.command.may_fail or definition.commands.condition or definition.commands.start_pre):
                raise  # else it is looked for once more when these have been run
        self.outcome = Outcome()
        self.has_begun = False
        self.group: Group | None = None
        self.make_manner: Callable[[], Manner] | None = None
        self.made_manner: Manner | None = None
        self.passed = 0  # so many sockets, before what else is passed
        self.enclosure: Enclosure | None = None  # the sandbox, if it is to be in one
        self.of_sockets: SocketCommands | None = None  # what is run around the sockets that we open
        self.began = 0  # in ticks since boot: what is started from then on by commands that have run is the service's
        self.adopts = False  # whether this process stays, and can be the parent of what they leave
        self.tell = -1  # a descriptor: who starts it anew is told by it how it has ended (again.py)

    def _find_programs(self) -> None:
        """Raises Failure if its main program is nowhere."""
        self.programs = programs(self.command, self.environ, self.definition)

    def steps(self, kind: str) -> "list[Step]":
        """Those of a kind, as start_pre; what comes after a Type=oneshot has been run before anybody asks."""
        if kind in self.taken or (kind == "reload_post" and not self.can_reload):
            return []
        commands = getattr(self.definition.commands, kind)
        if not commands:
            return []
        from cross_init.running.steps import Step

        made = [Step(KEYS[kind], command, self.definition, self.identity) for command in commands]
        for step in made:
            if self.definition.target == "upstart":
                file, line = step.command.origin
                step.text = f"{file}:{line}: {OF_JOB[step.key]} {step.command.path}"
            step.group = self.group if kind in CONTAINED else None
            step.enclosure = self.enclosure
        return made

    @property
    def manner(self) -> "Manner | None":
        """How it is ended, if that takes more than the bridge's options; made when it is wanted first."""
        if self.made_manner is None and self.make_manner is not None:
            self.made_manner = self.make_manner()
        return self.made_manner

    @property
    def any_end_is_good(self) -> bool:
        """Whether it is no failure if its main process fails: "-" before its command, or it is there to be stopped."""
        return self.command.may_fail or self.is_oneshot

    @property
    def can_reload(self) -> bool:
        """Whether there is a reload, by a command or a signal, after which anything could come."""
        return bool(self.definition.commands.reload) or self.definition.readiness.type == "notify-reload"

    def stay(self) -> None:
        """This process is there to the service's end, which has a control group of its own, if there can be one."""
        from cross_init.kernel.control_group import make

        self.group, self.adopts = make(self.definition.name), True

    def has_started(self) -> None:
        """Its main process was forked: import what its end takes, which an upgrade of the program may remove later."""
        import cross_init.running.at_end  # noqa: F401

    @property
    def stays(self) -> str:
        """Why somebody has to stay, in words; "" if nobody has to."""
        kinds = [
            kind
            for kind in (*(("start_post",) * (not self.is_oneshot)), "reload", "reload_post", "stop", "stop_post")
            if self.steps(kind)
        ]
        if kinds:
            return f"somebody has to stay and run what the unit says ({KEYS[kinds[0]]}=)"
        if self.of_sockets is not None and self.of_sockets.stays:
            return f"somebody has to stay and run what its socket's unit says ({self.of_sockets.stays}=)"
        if self.made_manner is not None and self.made_manner.needs:
            return f"somebody has to stay and end it as the unit says ({self.made_manner.needs[0]}=)"
        return "somebody has to stay and remove its credentials" if has_credentials(self.definition) else ""

    def listen(self) -> None:
        """We open the sockets: their own commands are run. Raises Failure."""
        if any(socket.has_commands for socket in self.definition.sockets):
            from cross_init.running.socket_commands import commands_of

            self.of_sockets = commands_of(self.definition, self.given)

    def listening(self, start: "Start", open_sockets: "Callable[[Start], None]") -> None:
        """Open the sockets, with what their units have run around that. Raises Failure."""
        if self.of_sockets is None:
            open_sockets(start)
        else:
            self.of_sockets.around(start, open_sockets)
        self.passed = len(start.sockets)

    def before(self, start: "Start") -> None:
        """Run what comes before the main process. Raises Failure, Stopped, and then ExecStopPost= has been run."""
        self.has_begun = True
        self._make_folders()
        self._run_first(("condition", "start_pre", *(("start", "start_post") * self.is_oneshot)))
        if not self.programs:
            try:
                self._find_programs()
            except Failure as failure:
                self.outcome.status = EXEC << 8
                self._after_nothing(SUCCESS if self.command.may_fail else "exit-code")
                raise Failure(str(failure), 0 if self.command.may_fail else failure.code) from None
            start.program = self.programs
        if start.mask is not None and _signal.sigpending():
            self._heed_stop()

    def opened(self) -> "list[Passed]":
        """The files of OpenFile=. Raises Failure."""
        if not self.definition.context.open_file:
            return []
        from cross_init.running.open_files import opened

        return opened(self.definition)

    def _make_folders(self) -> None:
        """So that one that cannot be made is told once, and before anything is run. Raises Failure."""
        try:
            if self.definition.context.has_folders:
                from cross_init.running.directories import make_all

                make_all(self.definition, self.identity.owner)
            if self.enclosure is not None:
                self.enclosure.prepare()
        except Failure:  # ExecStopPost= would fail of it as well
            self.has_begun = False
            self._remove_folders()
            raise
        if has_credentials(self.definition):
            self._provide_credentials()

    def _provide_credentials(self) -> None:
        """Raises Failure, Stopped; what comes behind the start has none, and is run all the same."""
        from cross_init.running.credentials import provide

        try:
            provide(self.definition, self.identity.owner, self.given)
        except Failure as failure:
            if not (self.definition.commands.condition or self.definition.commands.start_pre):
                self.outcome.status = failure.code << 8
            self._after_nothing("exit-code")
            raise
        except Stopped:
            self._after_nothing(SUCCESS)
            raise

    def _heed_stop(self) -> None:
        """One that has been held till now is heard: there is no main process to be told. Raises Stopped."""
        from cross_init.shapes.stops import heed

        try:
            heed()
        except Stopped:
            self._after_nothing(SUCCESS)
            raise

    def _run_first(self, kinds: tuple[str, ...]) -> None:
        """Raises Failure, Stopped."""
        steps = [step for kind in kinds for step in self.steps(kind)]
        if not steps:
            return
        from cross_init.running.steps import run_all
        from cross_init.shapes.stops import block

        ending = self.definition.ending
        limit = INFINITY if ending.timeout_start is None else ending.timeout_start
        self._adopt()
        before = block()
        try:
            failed = run_all(steps, self.environ, limit, ending.timeout_stop)
        except Stopped:
            self._note_main(steps)
            self._after_nothing(SUCCESS)
            raise
        except Failure:
            self._note_main(steps)
            self._after_nothing(TIMEOUT)
            raise
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        self._note_main(steps)
        self.taken.update(kinds)
        if failed is not None:
            self._failed(*failed)

    def _note_main(self, steps: "list[Step]") -> None:
        """These have been run: what has become of those that are the main ones of a Type=oneshot."""
        for step in steps:
            if step.key == "ExecStart" and step.status is not None:
                self.outcome.status = step.status

    def _adopt(self) -> None:
        """From now on it is known what commands leave, where this process is there to the service's end."""
        if not self.adopts or self.began:
            return
        from cross_init.kernel.orphans import adopt_orphans
        from cross_init.kernel.procfs import now_in_ticks

        try:
            adopt_orphans()
            self.began = now_in_ticks()
        except (Failure, OSError, ImportError):
            pass  # what is adopted here is not known then

    def run_alone(self) -> int:
        """All of a Type=oneshot that does not remain; returns the exit code. Raises Failure."""
        self.adopts = self.has_begun = True
        _signal.pthread_sigmask(_signal.SIG_BLOCK, STOPS)  # each process of the service's begins with none blocked
        self._make_folders()
        self._run_first(("condition", "start_pre", "start", "start_post"))
        return 0 if self.after(0, False) == SUCCESS else FAILED

    def _failed(self, step: "Step", status: int) -> None:
        """Raises Failure."""
        from cross_init.watch.outcome import in_words

        code = posix.WEXITSTATUS(status) if posix.WIFEXITED(status) else FAILED
        if step.key == "ExecCondition" and posix.WIFEXITED(status) and code in SKIPS:
            self._after_nothing("exec-condition")
            raise Failure(f"{step.text}: it says that the service is not to run ({in_words(status)})", 0)
        self._after_nothing(step.result(status))
        raise Failure(f"{step.text}: it failed ({in_words(status)}), so the service is not started", code)

    def enter(self, start: "Start") -> "Callable[[], None]":
        """In the process that becomes the main one; returns what is to be done as the last. Raises Failure."""
        process = Process(self.definition, self.identity, self.command.privileges, True)
        process.group, process.enclosure = self.group, self.enclosure
        if self.definition.context.non_blocking:
            for passed in start.sockets[: self.passed]:
                posix.set_blocking(passed.fd, False)
        process.sockets = {passed.name: passed.fd for passed in start.sockets}
        process.enter(start.environ, [passed.fd for passed in start.sockets])
        return process.confine

    def after(
        self,
        status: int | None,
        told: bool,
        cause: str = "",
        end_rest: "Callable[[bool], bool] | None" = None,
        had_main: bool = True,
        was_ready: bool = True,
    ) -> str:
        """The main process has ended with this wait status, None if there was none. told: it was told to.

        cause: why we have ended it ourselves, as systemd has it: watchdog, timeout. end_rest: Supervisor.end_rest().
        had_main: it was that of the service, and not of a command that was to leave one. was_ready: or was not waited
        for. Returns what has become of the service, in systemd's word.
        """
        from cross_init.running.at_end import after

        return after(self, status, told, cause, end_rest, had_main, was_ready)

    def end_restarts(self) -> None:
        """It is not started anew any more: remove what was kept for that."""
        if self.definition.context.runtime_directory_preserve == "restart":
            self.definition.context.runtime_directory_preserve = "no"
            self._remove_folders()

    def _remove_folders(self) -> None:
        from cross_init.running.at_end import remove_folders

        remove_folders(self)

    def _after_nothing(self, why: str) -> None:
        """The service was not started, or not all of a Type=oneshot."""
        from cross_init.running.at_end import after_nothing

        after_nothing(self, why)
