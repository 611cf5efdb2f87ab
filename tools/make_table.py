"""Write docs/compatibility.md: for every init and target what is brought through, as plan.py and effects.py decide it.

usage: make_table.py [--check]

With --check nothing is written, and the exit code is 1 if the file is not what it should be.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "compatibility.md"
HEAD = """# What is brought through

Made by `make docs` from what the code decides; a test keeps it equal to that. Each row is what `-N` does (for the
targets that say nothing themselves, `--ready-when`), without further options. `--explain` says the same of one start,
with its reasons.

- **shape**: how the processes stand to each other; docs/design.md.
- **readiness**: how the daemon says it → how the init hears it.
- **sockets**: how the init passes them → how the daemon is given them. `--listen` opens some everywhere.
- **status**, **reload**: where the daemon's words about these go.
- **watchdog**: who counts its signs of life. `--watchdog` does it on every init.
- **descriptors to keep** (`FDSTORE=1`) stand in no column: systemd keeps them itself, and `--fd-store` does it on every
  other init, for daemons that are written for systemd.
- **main PID**: the process that the init shows. With `--supervise` it is ours everywhere, and follows `MAINPID=`.
- **exit status**: *mirrored*: our process ends as the daemon did, with its exit code or of its signal.

`inetd:nowait` stands for a socket that listens, except on inetd, which passes a connection.
"""


def rows() -> list[str]:
    """The table's lines, an init after the other."""
    from cross_init.commands.effects import carried
    from cross_init.commands.options import Options
    from cross_init.detect import INITS, TARGETS, init_named, target_named
    from cross_init.model import NOTHING
    from cross_init.plan import choose
    from cross_init.request import Request

    lines: list[str] = []
    for on in INITS:
        init = init_named(on)
        note = " (untested: written to its manual)" if init.untested else ""
        lines += ["", f"## On {on}{note}", ""]
        for number, to in enumerate(name for each in TARGETS for name in VARIANTS.get(each, (each,))):
            target = target_named(OPTIONS.get(to, to))
            options = Options()
            listens = bool(target.clients_at_a_time) and init.name != target.name
            options.notify = target.says != NOTHING or listens
            options.ready_when = [] if options.notify else ["tcp:localhost:80"]
            request = Request(options, init, target)
            cells = {"target": to, **carried(choose(request, listens), request)}
            if not number:
                lines += ["| " + " | ".join(cells) + " |", "|" + "---|" * len(cells)]
            lines.append("| " + " | ".join(cells.values()) + " |")
    return lines


OPTIONS = {"dinit": "dinit:fd=4"}  # what has to stand behind a target's name, and changes nothing here
VARIANTS = {"inetd": ("inetd:wait", "inetd:nowait")}  # targets of which there are several


def inits() -> list[tuple[str, str, str]]:
    """For cross-init(7): each init, how it hears that a service is ready, how it passes sockets."""
    from cross_init.commands.effects import SHORT
    from cross_init.detect import INITS, init_named
    from cross_init.model import NOTHING

    found = [(name, init_named(name)) for name in INITS]
    return [
        (name, "nobody waits" if init.hears == NOTHING else SHORT[init.hears], init.passes or "--listen")
        for name, init in found
    ]


def jobs() -> list[tuple[str, str]]:
    """Each init whose job has to be told to wait for readiness, and how."""
    from cross_init.detect import INITS, init_named

    return [(name, job) for name in INITS if (job := init_named(name).job_type)]


def targets() -> list[tuple[str, str, str]]:
    """Each target, how its daemons say that they are ready, how they are given sockets."""
    from cross_init.commands.effects import SHORT
    from cross_init.detect import TARGETS, target_named
    from cross_init.model import NOTHING

    names = [name for each in TARGETS for name in VARIANTS.get(each, (each,))]
    found = [(name, target_named(OPTIONS.get(name, name))) for name in names]
    return [
        (name, "nothing: --ready-when" if target.says == NOTHING else SHORT[target.says], target.takes or "its own")
        for name, target in found
    ]


def text() -> str:
    """The whole file."""
    return "\n".join([HEAD.rstrip(), *rows()]) + "\n"


def main() -> None:
    """Write it, or check it."""
    sys.path.insert(0, str(ROOT / "src"))
    if sys.argv[1:] == ["--check"]:
        sys.exit(FILE.read_text() != text())
    FILE.write_text(text())


if __name__ == "__main__":
    main()
