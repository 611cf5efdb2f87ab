"""--ready-when CONDITION: from its words to something that observes the daemon. One file per way of looking."""

from cross_init.model import Failure
from cross_init.readiness.condition import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.cli import Wish

# Kind: (the module with a class Observed, what stands behind the colon).
KINDS: dict[str, tuple[str, str]] = {
    "tcp": ("reachable", "HOST:PORT"),
    "unix": ("reachable", "PATH"),
    "http": ("http", "URL"),
    "file": ("files", "PATH"),
    "pid-file": ("files", "PATH"),
    "dbus": ("bus", "NAME"),
    "log": ("output", "REGEX"),
    "exec": ("command", "COMMAND"),
    "listening": ("listening", ""),
    "started": ("started", ""),
}
FORMS = ", ".join(f"{kind}:{rest}" if rest else kind for kind, (_, rest) in KINDS.items())


def parse_all(wish: "Wish") -> list[Condition]:
    """The conditions that were asked for, in their order. Raises Failure."""
    return [parse(text, wish) for text in wish.ready_when]


def parse(text: str, wish: "Wish") -> Condition:
    """One condition. Raises Failure."""
    kind, _, rest = text.partition(":")
    if kind == "https" or (kind == "http" and rest.startswith("//")):
        kind, rest = "http", text  # http://... alone says it as well
    if kind not in KINDS:
        raise Failure(f"--ready-when {text}: {kind or 'an empty word'} is no condition; there are {FORMS}")
    module, what = KINDS[kind]
    if bool(rest) != bool(what):
        needs = f"write {kind}:{what}" if what else "nothing stands behind it"
        raise Failure(f"--ready-when {text}: {needs}")
    found = __import__(f"cross_init.readiness.{module}", fromlist=("make",))
    made: Condition = found.make(kind, rest, text, wish)
    return made
