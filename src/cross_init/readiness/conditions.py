"""--ready-when CONDITION: from its words to something that observes the daemon. One file per way of looking."""

from cross_init.errors import Failure
from cross_init.readiness.condition import Condition

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


def parse_all(texts: list[str], bus: str, leaves: bool) -> list[Condition]:
    """The conditions that these texts name, in their order. bus: where bus names are looked for.

    leaves: no process of ours is to stay behind a daemon that is ready. Raises Failure.
    """
    found: list[Condition] = []
    for text in texts:
        made = parse(text, bus)
        if made.lasting and leaves:
            raise Failure(
                f"--ready-when {text}: the daemon's output goes through us, so we cannot leave (--end-after-ready)"
            )
        made.join(found)
        found.append(made)
    return found


def probably(text: str) -> str:
    """What a condition of an unknown kind is meant to be, as the end of a sentence."""
    from cross_init.bounds import as_port
    from cross_init.spelling import nearest

    kind, _, rest = text.partition(":")
    host, _, port = text.rpartition(":")
    found = nearest(kind, KINDS)
    meant = f"{found}:{rest}" if rest and found else found
    if text.startswith("/"):
        meant = f"file:{text} or unix:{text}"
    elif not found and as_port(port) is not None:
        meant = f"tcp:{host or 'localhost'}:{port}"
    return f"; did you mean {meant}?" if meant else ""


def parse(text: str, bus: str) -> Condition:
    """One condition. Raises Failure."""
    kind, _, rest = text.partition(":")
    if kind == "https" or (kind == "http" and rest.startswith("//")):
        kind, rest = "http", text  # http://... alone says it as well
    if kind not in KINDS:
        raise Failure(
            f"--ready-when {text}: {kind or 'an empty word'} is no condition; there are {FORMS}{probably(text)}"
        )
    module, what = KINDS[kind]
    if bool(rest) != bool(what):
        needs = f"write {kind}:{what}" if what else "nothing stands behind it"
        raise Failure(f"--ready-when {text}: {needs}")
    found = __import__(f"cross_init.readiness.{module}", fromlist=("make",))
    made: Condition = found.make(kind, rest, text, bus)
    return made
