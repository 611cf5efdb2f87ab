"""What can be observed of a daemon and has to hold before it counts as ready: the form of each way of looking."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.linux import Environment
    from cross_init.readiness.subject import Subject


class Condition:
    """One --ready-when.

    text: as it was asked for. descriptors: what the watching process needs.
    """

    descriptors: tuple[int, ...] = ()
    lasting: bool = False  # we have to stay when it holds
    travels: bool = False  # a resident looks at it itself, see carry()

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def pid_file(self) -> str:
        """The path of a file that names the service's main process, if it is such a file that is waited for."""
        return ""

    def join(self, before: "list[Condition]") -> None:
        """These stand before it in the same start: what it shares with them."""

    def prepare(self, environ: "Environment") -> None:
        """Before anything is started: check it, and remember what was there before. Raises Failure, OSError."""

    def expose(self) -> None:
        """In the process that becomes the daemon: give it what has to be observed. Raises OSError."""

    def attach(self, watched: "Subject") -> None:
        """Begin to observe, in the process that watches; the condition is expected there."""
        raise NotImplementedError

    def carry(self) -> "tuple[str, ...]":
        """What prepare() has found out, in words, for a resident, if it travels."""
        return ()

    def resume(self, words: list[str]) -> None:
        """Be as carry() said, in a resident, instead of prepare(). Raises ValueError if these are no such words."""

    def stop(self) -> None:
        """Observe no longer: the daemon is ready, or gone. Harmless if it was never attached."""

    def time_is_over(self) -> None:
        """The daemon has not got ready in time, and is about to be ended: say why that may be, if it is known."""

    def outlive(self) -> None:
        """This process is about to end, as the daemon has, or as it cannot watch that: leave what is needed then."""
