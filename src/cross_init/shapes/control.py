"""--stop-command, --reload-command: what is run beside the daemon when the init wants it stopped, or reloaded.

As systemd runs ExecStop= and ExecReload= (systemd.service(5)): no shell, the daemon's variables, and MAINPID.
One of a kind runs at a time, in a session of its own, and for as long as a stop may take.
"""

import _signal
import posix

from cross_init.errors import Failure, print_error, print_unexpected, why
from cross_init.kernel.linux import fork, open_null
from cross_init.kernel.pidfds import send
from cross_init.kernel.procfs import pidfd_identity
from cross_init.launch import cannot_run, find_program
from cross_init.model import SUCCESS, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cross_init.around import Step
    from cross_init.kernel.linux import Environment
    from cross_init.shapes.supervisor import Supervisor
    from cross_init.watch.event_loop import Timer


class Words:
    """A command as an option gives it. text: the option. words: as they were written."""

    def __init__(self, text: str, words: list[str]) -> None:
        self.text = text
        self.may_fail = words[0].startswith("-")
        self.words = [words[0].removeprefix("-"), *words[1:]]

    def result(self, status: int) -> str:
        """What its end means for the service, in systemd's word."""
        return SUCCESS if self.may_fail or not status else "exit-code"

    def become(self, environ: "Environment") -> None:
        """Run it in this new process. Does not return; raises Failure, OSError."""
        for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        words = expand(self.words, environ)
        error: OSError | None = None
        for path in find_program(words[0] if words else "", environ):
            try:
                posix.execve(path, words, environ)
            except OSError as each:
                error = each
        if error is not None:
            raise cannot_run(words[0], error)


class Control:
    """What is run for one signal, one command after the other. pid: of the one that runs, 0 if none does.

    left: those that come next. failed: one has failed, so the others were left out; result: what that means for the
    service, in systemd's word. seconds: how long each may take, None for ever; late: what to call when it does not end
    by then, instead of killing it.
    """

    def __init__(
        self,
        supervisor: "Supervisor",
        steps: "Sequence[Step]",
        seconds: float | None,
        late: "Callable[[], None] | None" = None,
    ) -> None:
        self.supervisor = supervisor
        self.steps = steps
        self.seconds = seconds
        self.late = late
        self.left: list[Step] = []
        self.step = steps[0]
        self.failed = False
        self.result = SUCCESS
        self.pid = 0
        self.pidfd = -1
        self.tells_result = False  # whether they see why the service is stopped (SERVICE_RESULT, systemd.exec(5))
        self.timer: Timer | None = None
        self.done: Callable[[], None] | None = None

    def run(self, done: "Callable[[], None]") -> None:
        """Run them, and call back when that has ended, however that was; what runs already will do."""
        self.done = done
        if self.pid:
            return
        self.left, self.failed, self.result = list(self.steps), False, SUCCESS
        self._next()

    def _next(self) -> None:
        watched, loop = self.supervisor.watched, self.supervisor.loop
        self.step = self.left.pop(0)
        environ = dict(self.supervisor.start.environ)
        if self.supervisor.main:
            environ[b"MAINPID"] = str(self.supervisor.main).encode()
            if identity := pidfd_identity(watched.pidfd):
                environ[b"MAINPIDFDID"] = str(identity).encode()
        if self.tells_result:
            environ[b"SERVICE_RESULT"] = (self.supervisor.stopping.result or SUCCESS).encode()
        try:
            self.pid = fork(f"running {self.step.text}")
        except Failure as failure:
            print_error(str(failure), 0)
            self.failed, self.result = True, "resources"
            self._over()
            return
        if self.pid == 0:
            self._become(environ)
        watched.helpers[self.pid] = None
        self.pidfd = posix.pidfd_open(self.pid)  # our child, not waited for
        if self.supervisor.guard is not None:
            self.supervisor.guard.follow(self.pidfd)
        loop.watch(self.pidfd, self._ended)
        if self.seconds is not None:
            self.timer = loop.after(self.seconds, self._is_late)

    def _become(self, environ: "Environment") -> None:
        """In the new process. Does not return."""
        code = 126
        try:
            posix.setsid()
            posix.dup2(open_null(), 0)
            self.step.become(environ)
        except Failure as failure:
            code = print_error(f"{self.step.text}: {failure}", failure.code)
        except OSError as error:
            print_error(f"{self.step.text}: {why(error)}", 0)
        except Exception as error:
            print_unexpected(error)
        finally:
            posix._exit(code)

    def send(self, numbers: "Sequence[int]") -> bool:
        """Send the one that runs these signals; whether there is one."""
        for number in numbers:
            send(self.pidfd, number)
        return self.pid > 0

    def _is_late(self) -> None:
        """It takes too long."""
        self.timer = None
        if self.late is not None:
            self.failed, self.result = True, TIMEOUT
            self.late()
            return
        self.result = TIMEOUT
        print_error(f"{self.supervisor.start.service}: {self.step.text} has not ended in time: sending it SIGKILL", 0)
        try:
            _signal.pidfd_send_signal(self.pidfd, _signal.SIGKILL)
            posix.killpg(self.pid, _signal.SIGKILL)
        except OSError:
            pass  # it has ended meanwhile

    def _ended(self) -> None:
        """It has ended; whoever waits for all children may have been first."""
        watched, loop = self.supervisor.watched, self.supervisor.loop
        try:
            status: int | None = posix.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            status = watched.helpers.get(self.pid)
        watched.helpers.pop(self.pid, None)
        loop.forget(self.pidfd)
        loop.cancel(self.timer)
        posix.close(self.pidfd)
        self.pid, self.pidfd, self.timer = 0, -1, None
        if status and (result := self.step.result(status)) != SUCCESS:
            self.failed = True
            self.result = result if self.result == SUCCESS else self.result
            from cross_init.watch.outcome import in_words

            print_error(f"{self.supervisor.start.service}: {self.step.text} failed ({in_words(status)})", 0)
        if self.left and not self.failed:
            self._next()
        else:
            self._over()

    def _over(self) -> None:
        done, self.done = self.done, None
        if done is not None:
            done()


def expand(words: list[str], environ: "Environment") -> list[str]:
    """The words with their variables, as systemd puts them in (systemd.service(5), "Command lines").

    ${NAME} anywhere in a word; a word that is $NAME becomes as many as its value has; $$ is a dollar sign.
    """
    found: list[str] = []
    for word in words:
        name = word.removeprefix("$")
        if word != name and name and not name[0].isdigit() and all(each.isalnum() or each == "_" for each in name):
            found += value(name, environ).split()
        else:
            found.append(_put_in(word, environ))
    return found


def value(name: str, environ: "Environment") -> str:
    """A variable's value, "" if it is not set."""
    return environ.get(name.encode("utf-8", "surrogateescape"), b"").decode("utf-8", "surrogateescape")


def _put_in(word: str, environ: "Environment") -> str:
    parts = word.split("$$")
    for at, part in enumerate(parts):
        done = ""
        while "${" in part and "}" in part.partition("${")[2]:
            before, _, after = part.partition("${")
            name, _, part = after.partition("}")
            done += before + value(name, environ)
        parts[at] = done + part
    return "$".join(parts)
