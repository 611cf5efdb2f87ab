"""How this process was started, as far as it can be seen: the parent process, variables, control groups."""

import posix

from cross_init.kernel.linux import Environment, read_for_decision, working_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.between import Between

SHELLS = ("sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "ksh93", "mksh", "posh", "yash", "execlineb")
# What starts a command as another user, in another namespace, for a time, ... and waits for its end.
WRAPPERS = ("sudo", "doas", "su", "runuser", "unshare", "nsenter", "timeout", "flock", "script", "strace")


class Evidence:
    """What can be known of how this process was started; what costs a system call is looked at when it is asked for.

    other: a process to look at instead, its PID and its parent's; environ is that one's then.
    """

    def __init__(self, environ: Environment, other: "tuple[int, int] | None" = None) -> None:
        self.environ = environ
        self.process = "self" if other is None else str(other[0])
        self.pid, self.parent = other or (posix.getpid(), posix.getppid())
        self.lost = ""  # what was in the environment and leads to nobody, for people
        self.between: Between | None = None  # who stands between the init and us; parent is then the init's process
        self._parent_name: str | None = None
        self._parent_words: list[str] | None = None
        self._cgroups: list[str] | None = None

    @property
    def parent_name(self) -> str:
        """The parent's command name, "" if it cannot be read."""
        if self._parent_name is None:
            self._parent_name = read_for_decision(f"/proc/{self.parent}/comm").rstrip("\n")
        return self._parent_name

    @property
    def parent_words(self) -> list[str]:
        """The parent's command line, empty if it cannot be read."""
        if self._parent_words is None:
            self._parent_words = command_line(self.parent)
        return self._parent_words

    def working_directory(self, what: str) -> str:
        """Where it is; "" of another process's that is not to be seen. what: what needs it. Raises Failure."""
        if self.process == "self":
            return working_directory(what)
        try:
            return posix.readlink(f"/proc/{self.process}/cwd")
        except OSError:
            return ""

    def go_beyond(self, between: "Between") -> None:
        """Look on from where that one stands: the init is its parent, and what is said to its PID is said to us."""
        self.between, self.parent, self.pid = between, between.supervisor, between.main
        self._parent_name = self._parent_words = None

    @property
    def cgroups(self) -> list[str]:
        """The paths of its control groups in systemd's hierarchy: the unified one, or the named one of version 1.

        A line feed is all that cannot be in a path.
        """
        if self._cgroups is None:
            lines = [line.split(":", 2) for line in read_for_decision(f"/proc/{self.process}/cgroup").split("\n")]
            wanted = [entry[2] for entry in lines if len(entry) == 3 and entry[1] in ("", "name=systemd")]
            self._cgroups = [path for path in wanted if path != "/"]
        return self._cgroups


def command_line(pid: int) -> list[str]:
    """The words of this process's command line, none if it is gone. Raises OSError."""
    return read_for_decision(f"/proc/{pid}/cmdline").split("\0")[:-1]


def program(words: list[str]) -> str:
    """The name of the program in this command line, "" if it is empty; a login shell's begins with a dash."""
    return words[0].rpartition("/")[2].lstrip("-") if words else ""


def waits_for_command(words: list[str]) -> bool:
    """Whether a process with this command line does nothing but wait for what it has started, and no person types."""
    name = program(words)
    return name in WRAPPERS or (name in SHELLS and any(word[:1] not in ("-", "+") for word in words[1:]))
