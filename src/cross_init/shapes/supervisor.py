"""The parent of a daemon: follows its main process, passes signals on, tells the init, and sees the end (supervise.py).

All that it may need later is imported now.
"""

import _signal
import posix

from cross_init.errors import print_error, why
from cross_init.kernel.pidfds import has_ended, send
from cross_init.kernel.process_stat import process_stat
from cross_init.kernel.procfs import exit_status_of_other, pidfd_identity, start_of_living, start_time
from cross_init.model import READY, STOP
from cross_init.notify.options import followed_file
from cross_init.plan import SUPERVISE
from cross_init.readiness.path_watch import PathWatch
from cross_init.shapes.guard import MARK, UNGUARDED, Guard
from cross_init.shapes.named_main import NamedMain
from cross_init.shapes.passing import Passing
from cross_init.shapes.stopping import Stopping
from cross_init.watch.event_loop import EventLoop, Timer, pause
from cross_init.watch.leftovers import Rest, by_main, end, is_clean, reap_all
from cross_init.watch.watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cross_init.bounds import Identity, Pid
    from cross_init.launch import Start
    from cross_init.model import Channel
    from cross_init.readiness.sd_notify import Assignments
    from cross_init.shapes.control import Control

TERMINAL_STOPS = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)
BETWEEN_S = 0.05  # for the process between the two forks of a daemon to go
SUCCESSOR_S = 5.0  # for the PID file of a service to name another main process; gunicorn takes a second
OTHERS_CHILD_S = 0.1  # for a parent to wait for its child; some never do


class Supervisor:
    """The parent of one daemon.

    main: the main process, 0 while a daemon that forks away is on its way. status: of the one that ended last;
    orphans_status: of what forked away and ended last. succession: the timer of how long another one may take to become
    the main process of a service that is ready. is_guess: nothing but its age says which the main process is,
    and others are those that it was chosen from, with their starts.
    is_started: what comes with its start is over. stop: the signal by which the main process was told to end, 0 if it
    was not. owes: the service got ready when its main process had ended, so the init is told if another one takes its
    place. waits_for_rest: it has ended, and the service goes on until its last process has.
    """

    def __init__(
        self, loop: EventLoop, start: "Start", pid: int, channel: "Channel", began: float, guard: Guard | None
    ) -> None:
        self.loop = loop
        self.start = start
        self.channel = channel
        self.first = self.main = pid
        self.status = self.orphans_status = 0
        self.is_guess = self.was_signalled = self.is_failing = self.is_over = self.owes = False
        self.waits_for_rest = False
        request, unit = start.request, start.unit
        self.is_started = not request.waits or (unit is not None and unit.is_oneshot)
        self.stop = 0
        self.said_in_vain = ""  # why what the daemon said could not be told
        self.guard = guard
        self.watched = watched = Watched(loop, start, pid, posix.pidfd_open(pid), began, self._tell)
        self.stopping: Stopping = Stopping(self)
        self.post = self.next_post = self.control_of("start_post")  # what a unit has run when the daemon is ready
        watched.is_held_back = self.post is not None
        path = followed_file(request)
        leaves = request.waits and start.target.forks  # before that it is not known which process is to be told
        self.pid_file = NamedMain(path, watched, leaves) if path else None
        self.succession: Timer | None = None
        watched.root = posix.getpid()
        watched.follow = self._named
        if start.init.news:
            watched.pass_on = self.pass_on
        if guard is not None:
            watched.helpers[guard.pid] = None
        self.stops = self.forked = None
        self.others: dict[int, str] = {}
        self.news: PathWatch | None = None  # of the PID file, while the daemon is on its way
        if start.request.notify and start.target.says == STOP:
            self.stops = watched.expect("the daemon to stop itself")
        if leaves:
            self.forked = watched.expect("the command that was started to end with 0 and leave a daemon")
        # Of what the main process leaves.
        marks = (channel.mark, MARK + b"=" + start.environ[MARK] if MARK in start.environ else b"")
        group, since = (unit.group, unit.began) if unit is not None else (None, 0)
        has_group = not request.init.shares_groups
        self.rest = Rest(pid, posix.getpid(), group, since, marks, watched.helpers, has_group)
        self._attend(pid)
        watched.is_on_its_way = start.target.forks
        if start.store is not None:
            watched.keep_descriptors(start.store, posix.pidfd_open(posix.getpid()))
        channel.attach(watched)
        watched.observe()
        self.passing = Passing(self)
        if not request.waits:
            self.stopping.count()
        watched.serve_status(SUPERVISE)  # at last: what it makes would be left if something failed behind it

    def control_of(self, kind: str) -> "Control | None":
        """The commands of a unit that are of this kind, if it has any."""
        steps = self.start.unit.steps(kind) if self.start.unit is not None else ()
        if not steps:
            return None
        from cross_init.shapes.control import Control

        return Control(self, steps, *self.stopping.limit_of(kind))

    def send_commands(self, numbers: "Sequence[int]") -> bool:
        """Send what a unit has run beside the daemon these signals; whether there is anything."""
        return sum(control.send(numbers) for control in self.passing.all_controls) > 0

    def _tell(self) -> None:
        """The daemon is ready. What a unit has run then comes first."""
        post, self.next_post = self.next_post, None
        if post is not None:
            post.run(lambda: self._told_after(post))
        else:
            self._tell_init()

    def _told_after(self, post: "Control") -> None:
        if self.is_over:
            self.end()
        elif post.failed and not self.watched.is_told_to_stop:
            self.stopping.note(post.result)
            self.passing.stop_at_once()
        else:
            self._tell_init()

    def _tell_init(self) -> None:
        watched, self.is_started = self.watched, True
        if watched.is_held_back:
            watched.is_held_back = False
            watched.enter(READY)
        self.stopping.count()
        self.owes = has_ended(watched.pidfd)
        if self.owes:
            return
        if watched.init.may_miss_readiness and self.guard is not None:
            self.guard.check_heard()
        try:
            own = posix.pidfd_open(posix.getpid())
            try:
                watched.init.ready(watched.service, self.main, own, watched.seconds)
            finally:
                posix.close(own)
        except OSError as error:
            watched.notify_again(error)

    def pass_on(self, message: "Assignments", descriptors: list[int], speaker: int = 0) -> None:
        """What the daemon says goes on to an init that has an ear for it; that it is ready, when we say so too.

        speaker: the process that the init knows, if it is another one than this.
        """
        watched = self.watched
        watched.init.speaker = speaker
        said = tuple(each for each in message if watched.ready or each != ("READY", "1"))
        try:
            self.watched.init.pass_on(self.start.original, said, descriptors)
        except OSError as error:
            if why(error) != self.said_in_vain:
                self.said_in_vain = why(error)
                called = self.watched.init.called
                self.watched.reporter.say(f"telling {called} what the daemon says failed: {self.said_in_vain}")

    # Who the main process is.

    def _attend(self, pid: int) -> None:
        """This is the main process from now on; watched has its pidfd."""
        self.main = self.watched.pid = pid
        self.loop.cancel(self.succession)
        self.succession = None
        self.watched.note()
        self.watched.is_on_its_way = False
        self.loop.watch(self.watched.pidfd, self._main_ended)
        if self.guard is not None and pid != self.first:  # that one has told the guard itself
            self.guard.follow(self.watched.pidfd)
        if self.owes:
            self._tell_init()

    def _named(self, pid: "Pid | None", identity: "Identity | None", started: str) -> None:
        """The daemon says that this is its main process. See _move()."""
        if pid != self.main and not self._move(pid, identity, started):
            who = "what is no pidfd, or of a process that has ended" if pid is None else pid
            self.watched.reporter.say(f"does not name a process of the service as its main process: {who}")

    def _move(self, pid: "Pid | None", identity: "Identity | None" = None, started: str = "") -> bool:
        """Make this process the main one, if it is the service's and lives.

        identity, started: its pidfd's number, and when it was started, if these are known: another process that has its
        PID now is not meant.
        """
        if pid is None or pid == 1:
            return False
        try:
            mine = posix.pidfd_open(pid)
        except OSError:
            return False
        is_meant = (identity is None or pidfd_identity(mine) in (0, identity)) and started in ("", start_time(pid))
        if not is_meant or not self.watched.belongs(pid):  # looked up by its number only once a pidfd holds that
            posix.close(mine)
            return False
        self.loop.forget(self.watched.pidfd)
        posix.close(self.watched.pidfd)
        self.watched.pidfd = mine
        self._attend(pid)
        if self.stop and not (self.watched.init.signals_all or pid in self.rest.told):
            send(mine, self.stop)  # it was meant for the service, and this one did not get it
        return True

    def _successor(self) -> bool:
        """The main process has gone: whether another one has taken its place, as the PID file says it."""
        if self.pid_file is None:
            return False
        pid = self.pid_file.read()
        if not self._move(pid):
            self.pid_file.is_in_vain(pid)
            return False
        self.pid_file.is_followed()
        return True

    def _forked_away(self) -> None:
        """The main process has ended; find the one that takes its place, or that the started command has left."""
        self.main = 0
        self.watched.is_on_its_way = True
        self.loop.forget(self.watched.pidfd)  # it has ended, and would call us for ever
        if self.guard is not None:  # whichever of them it will be
            self.guard.follow_all(self.watched.family())
        if self.pid_file is not None:
            self.news = PathWatch(self.loop, self.pid_file.path, self._find)
            if self.forked is not None:
                self.forked()
            self._find_again(0)
        else:
            # A daemon that forks twice: the process between the two is about to go.
            self.loop.after(BETWEEN_S, lambda: self._find_again(0))

    def _find_again(self, tries: int) -> None:
        """Look for it until it is found: a moment ago the kernel may have had no descriptor or no memory for that."""
        self._find()
        if not self.main and not self.is_failing:
            self.loop.after(pause(tries + 1), lambda: self._find_again(tries + 1))

    def _find(self) -> None:
        """Take what the PID file names for the daemon; without one, the newest of those that became our children."""
        if self.main:
            return
        if self.pid_file is not None:
            found = self._successor()
        else:
            children = [pid for pid in self.watched.family() if process_stat(pid)[1:2] == [str(posix.getpid())]]
            newest = max(children, key=lambda pid: (int(start_time(pid) or 0), pid), default=None)
            found = self.is_guess = self._move(newest)
            self.others = {pid: start_time(pid) for pid in children if pid != newest}
        if found:
            if self.news is not None:
                self.news.close()
                self.news = None
            if self.forked is not None:
                self.forked()

    # Who has ended.

    def _main_ended(self) -> None:
        """The main process's pidfd says that it has ended."""
        main = self.main
        self.reap()
        if self.main == main and not self.loop.stopped and main:
            # Not our child: its own parent is still there, and gets the status. When it has that, the pidfd hangs up.
            self.loop.watch(self.watched.pidfd, lambda: self._other_ended(main), 0)
            self.loop.after(OTHERS_CHILD_S, lambda: self._other_ended(main))

    def _other_ended(self, main: int) -> None:
        if self.main == main:
            self.loop.forget(self.watched.pidfd)
            self.status = exit_status_of_other(self.watched.pidfd)
            self._end(main)

    def reap(self) -> None:
        """Wait for what has ended."""
        while not self.loop.stopped:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG | posix.WUNTRACED)
            except ChildProcessError:
                pid = 0
            if not pid:
                break
            if pid in self.watched.helpers:
                if not posix.WIFSTOPPED(status):
                    self.watched.helpers[pid] = status
                    if self.guard is not None and pid == self.guard.pid:
                        self.watched.reporter.say(UNGUARDED)
            elif posix.WIFSTOPPED(status):
                if pid == self.first:
                    self._stopped(status)
            else:
                self.watched.note_reaped(pid)
                if pid in (self.main, self.first):
                    self.status = status
                else:
                    self.orphans_status = status
                    if self.watched.is_on_its_way and self.guard is not None:
                        self.guard.follow_all(self.watched.family())  # what it has left is ours only now
                if pid == self.main:
                    self._end(pid)
        if not self.main and not self.loop.stopped and not self.watched.family():
            if not self.is_failing and self.succession is None and not self.waits_for_rest:
                self.status = self.orphans_status
            self.end()  # it has forked away, and died there

    def _end(self, pid: int) -> None:
        """The main process has ended, with self.status."""
        try:
            self.channel.catch_up()
        except OSError:
            pass  # its last words cannot be had
        if self.main != pid:
            return  # its last words named another one
        if self.status == 0 and (self._was_in_between() if self.is_guess else self._has_forked_away(pid)):
            self._forked_away()
        elif self._successor():
            pass
        elif self._is_awaited(pid) or self._is_one_of_several():
            self._forked_away()
        elif self.stopping.waits_for_all and self.watched.family():
            self.main, self.waits_for_rest = 0, True
            self.loop.forget(self.watched.pidfd)  # it would call us for ever
            if self.guard is not None:
                self.guard.follow_all(self.watched.family())
        else:
            self._failed()

    def _failed(self) -> None:
        """The service has ended. What is left of a daemon that was on its way ends with the process that it left."""
        if self.watched.is_on_its_way and self.watched.family():
            self.main, self.is_failing = 0, True
            self.loop.forget(self.watched.pidfd)  # it would call us for ever
            self.watched.terminate()
        else:
            self.end()

    def _has_forked_away(self, pid: int) -> bool:
        return pid == self.first and self.start.target.forks

    def _was_in_between(self) -> bool:
        """Whether the process that we took for the daemon was only on the way to it."""
        return not self.was_signalled and bool(self.watched.family())

    def _is_one_of_several(self) -> bool:
        """Whether a unit's daemon has left others beside this one, which is no more the main process than they are.

        As with systemd, which knows no main process then (unit_search_main_pid()): it goes on until all have ended.
        """
        if not self.is_guess or self.was_signalled or not self.start.request.of_unit:
            return False
        return any(
            start_of_living(pid) == started and self.watched.belongs(pid) for pid, started in self.others.items()
        )

    def _is_awaited(self, pid: int) -> bool:
        """Whether another one is about to take this one's place, as its PID file names nobody yet: for every target.

        The first process of a service that is not ready may have forked away: that takes its time. One that is ready
        gets SUCCESSOR_S: an upgrade may leave the file missing for a moment. A crash leaves it with the dead one's PID.
        """
        if self.pid_file is None or self.watched.is_told_to_stop or self.pid_file.read() == pid:
            return False
        if not self.watched.family():
            return False
        if self.start.request.waits and not self.watched.ready:
            return pid == self.first and self.status == 0
        self.succession = self.loop.after(SUCCESSOR_S, self._nobody_succeeds)
        self.watched.reporter.say(
            f"its main process (PID {pid}) has ended, and the PID file {self.pid_file.path} names no other yet; this "
            f"is waited for, for {SUCCESSOR_S:g} s at most"
        )
        return True

    def _nobody_succeeds(self) -> None:
        """Nothing has become the main process in time: the service ends as the last one did."""
        assert self.pid_file is not None
        print_error(
            f"following {self.start.service}: its main process has ended, and after {SUCCESSOR_S:g} s the PID file "
            f"{self.pid_file.path} names no other; so the service ends, though it has left processes",
            0,
        )
        self.end()

    def _stopped(self, status: int) -> None:
        if posix.WSTOPSIG(status) in TERMINAL_STOPS:
            _signal.raise_signal(_signal.SIGSTOP)  # for the shell's job control; its "fg" continues both
            send(self.watched.pidfd, _signal.SIGCONT)
        elif self.stops is not None:
            stops, self.stops = self.stops, None
            stops()
            send(self.watched.pidfd, _signal.SIGCONT)

    def end(self) -> None:
        """The service has ended: stop, as soon as no command for it runs any more."""
        self.is_over = True
        if self.passing.is_busy:
            self.main, self.is_failing = 0, True
            self.loop.forget(self.watched.pidfd)  # it would call us for ever
        else:
            self.loop.stop()

    def guard_rest(self) -> None:
        """Have what the main process has left end if we are killed meanwhile, unless it is to stay."""
        if self.guard is not None and self.start.request.ends_rest:
            self.guard.follow_all(self.rest.find())

    def end_rest(self, is_last: bool) -> bool:
        """The service has ended: end what its main process has left, unless that is to stay; whether it took too long.

        is_last: they were told once, or what there is was started when that one had ended.
        """
        if not self.start.request.ends_rest or self.stopping.is_left:
            return False
        self.guard_rest()
        crashed = not (self.watched.is_told_to_stop or is_clean(self.status))
        stages = self.stopping.of_rest(crashed, is_last)
        return end(self.rest, self.watched.service, by_main(self.watched.pid), stages, reap_all)
