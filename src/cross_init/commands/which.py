"""cross-init which: the init that started whoever asks, by what evidence, and what else spoke for others.

Who asks is this process itself, if an init has started it, or else who has started it: a script, or a daemon, perhaps
by way of a shell. It is the same detection that a start of the bridge goes by (detect.py).
"""

import posix

from cross_init.detect import CLUES, INITS, detect, first_claims, later_claims
from cross_init.errors import Failure
from cross_init.kernel.between import FAR, Between, parent_of
from cross_init.kernel.evidence import Evidence, command_line, waits_for_command
from cross_init.model import Claim, Init

NONE = "none"
NOBODYS = 1  # the exit code if no init has started it, or not the one that was named


def run(words: list[str]) -> tuple[int, str]:
    """The exit code, and the answer. Raises Failure."""
    names = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-") and word != "--json"]
    if unknown:
        raise Failure(f"which {unknown[0]}: no such option; there is --json")
    for name in names:
        if name not in INITS:
            raise Failure(f"which {name}: not known; there are {', '.join(INITS)}")
    facts = look()
    code = NOBODYS * (facts["init"] not in names if names else facts["init"] == NONE)
    if "--json" in words:
        from cross_init.as_json import as_json

        return code, as_json(facts)
    return code, "" if names else as_text(facts)


def look() -> dict[str, object]:
    """All that there is to say. Raises Failure."""
    found: tuple[Init, Claim] | None = None
    evidence = Evidence(dict(posix.environ))
    others: dict[str, str] = {}
    for here in _asking():
        for init, claim in (*first_claims(here), *later_claims(here)):
            others.setdefault(init.name, claim.because)
        for name, variables, _ in CLUES:
            for variable in variables:
                if variable in here.environ and name not in others:
                    others[name] = f"{variable.decode()} is set, and means another process"
    for here in _asking():
        init, claim = detect(here, beyond=False)
        if found is None or (init.name != NONE and (found[0].name == NONE or (claim.direct and not found[1].direct))):
            found, evidence = (init, claim), here
    assert found is not None
    init, claim = found
    service = init.service(evidence, "")
    if evidence.lost:
        others["systemd"] = evidence.lost
    return {
        "init": init.name,
        "evidence": claim.because,
        "direct": claim.direct and init.name != NONE,
        "service": service.name if init.name != NONE else "",
        "instance": service.instance,
        "process": evidence.pid if init.name != NONE else 0,
        "others": [
            {"init": name, "evidence": because} for name, because in others.items() if name not in (init.name, NONE)
        ],
    }


def _asking() -> list[Evidence]:
    """Who may be meant: this process, the one that has started it and, where that is only a shell, those above."""
    found = [Evidence(dict(posix.environ))]
    while len(found) < FAR and (pid := found[-1].parent) > 0:
        words = command_line(pid)
        found.append(Evidence(dict(posix.environ)))
        found[-1].go_beyond(Between(parent_of(pid), pid, words))
        found[-1].between = None  # it is who asks, and in nobody's way
        if not waits_for_command(words):
            break
    return found


def as_text(facts: dict[str, object]) -> str:
    """For people, and for scripts that read one line."""
    others = facts["others"]
    assert isinstance(others, list)
    named = f", service {facts['service']}" if facts["service"] else ""
    lines = [str(facts["init"]), f"  because {facts['evidence']}{named}"]
    lines += [f"  not {other['init']}, though {other['evidence']}" for other in others]
    return "\n".join(lines)
