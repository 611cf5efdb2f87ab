"""--explain: what was detected and why, what would be done, and what would get lost. Runs nothing."""

from cross_init.bridge import plan_of
from cross_init.commands.beforehand import cautions, refusals
from cross_init.commands.effects import TOLD_BY, effects
from cross_init.commands.mistakes import no_target
from cross_init.errors import FAILED, Failure, printable, write_out
from cross_init.gather import refuse_sockets, select, warnings
from cross_init.kernel.evidence import Evidence
from cross_init.kernel.linux import Environment
from cross_init.model import EXIT
from cross_init.plan import WATCH
from cross_init.request import init_of
from cross_init.resident.handover import why_not

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.commands.options import Options
    from cross_init.request import Request
    from cross_init.sockets.address import Address
    from cross_init.sockets.passed import Passed


def show(request: "Request", as_json: bool) -> int:
    """Print it, as text or as JSON; returns the exit code, FAILED if the start would be refused."""
    return write(collect(request), as_json)


def show_init(options: "Options", environ: Environment) -> int:
    """Print what can be said without -t: which init it is. Returns FAILED, as a start would be refused."""
    evidence = Evidence(environ)
    init, claim = init_of(options, evidence)
    init.probe(evidence)
    refused = [str(no_target(options))]
    sockets: list[str] = []
    try:
        sockets = [f"{each}, passed by {init.called}" for each in init.sockets(environ, evidence.pid)]
    except Failure as failure:
        refused.append(str(failure))
    told_by = TOLD_BY.get(init.hears, "")
    facts: dict[str, object] = {
        "init": init.name,
        "evidence": claim.because,
        "service": str(init.service(evidence, options.command[0] if options.command else "")),
        "target": "",
        "shape": "",
        "reason": "",
        "watcher": "",
        "sockets": sockets,
        "translations": [f"readiness: would become {told_by}"] if told_by else [],
        "losses": [] if told_by else [f"readiness: {init.without_readiness}"],
        "warnings": [f"{evidence.lost}; it is left out"] if evidence.lost else [],
        "refusals": refused,
        "command": options.command,
    }
    return write(facts, options.explain == "json")


def write(facts: dict[str, object], as_json: bool) -> int:
    """Print the facts as they were asked for; returns the exit code."""
    if as_json:
        from cross_init.as_json import as_json as written

        write_out(written(facts) + "\n")
    else:
        write_out(as_text(facts))
    return FAILED if facts["refusals"] else 0


def collect(request: "Request") -> dict[str, object]:
    """All that there is to say."""
    init = request.init
    plan = plan_of(request)
    translations, losses = effects(plan, request)
    refused = [str(failure) for failure in request.refusals]
    described: list[str] = []
    passed: list[Passed] = []
    try:
        passed, _ = select(request)
        described = [f"{each}, passed by {init.called}" for each in passed]
        described += [f"{address.text}, opened by --listen{opened_with(address)}" for address in request.listen]
        adopted = [request.adopt_socket.announced()] if request.adopt_socket and not passed else []
        described += [f"{each.where()}, taken over by --adopt-socket" for each in adopted]
        refuse_sockets(request, passed + adopted)
    except Failure as failure:
        refused.append(str(failure))
    refused += [each for each in refusals(request, plan, passed) if each not in refused]
    return {
        "init": init.name,
        "evidence": request.claim.because,
        "service": str(request.service),
        "target": request.target.name,
        "shape": plan.shape,
        "reason": plan.reason,
        "watcher": who_watches(request) if plan.shape == WATCH else "",
        "sockets": described,
        "translations": translations,
        "losses": losses,
        "warnings": [
            *([f"{request.lost}; it is left out"] if request.lost else []),
            *(warnings(request) if init.name != request.target.name else []),
            *cautions(request, plan),
        ],
        "refusals": refused,
        "command": request.command,
    }


def opened_with(address: "Address") -> str:
    """What a socket of --listen gets. Raises Failure if that is not to be had here."""
    if address.has_path:
        from cross_init.sockets.placing import owner_of

        try:
            owner_of(address.options)
        except Failure as failure:
            raise Failure(f"--listen {address.text}: {failure}") from None
    traits = address.traits()
    return f": {traits}" if traits else ""


def who_watches(request: "Request") -> str:
    """Whether that is a resident, or a watcher beside the daemon, and why."""
    if request.own_watcher:
        return "a watcher of its own: --own-watcher"
    if not request.resident:
        return "a watcher of its own: no resident is there (cross-init serve)"
    is_behind_front = request.init.hears == EXIT and request.waits and not request.ready_fd
    if not is_behind_front and (reason := why_not(request.init)):  # a front is told in its own way
        return f"a watcher of its own: {reason}"
    elsewhere = [condition for condition in request.conditions if not condition.travels]
    how_long = "for as long as it lives" if any(each.lasting for each in elsewhere) else "until it holds"
    beside = f"; a process beside the daemon looks at {' and '.join(each.text for each in elsewhere)}, {how_long}"
    return "the resident" + beside * bool(elsewhere)


HEADINGS = (
    ("sockets", "sockets"),
    ("translations", "translated"),
    ("losses", "gets lost"),
    ("warnings", "beware"),
    ("refusals", "refused"),
)


def as_text(facts: dict[str, object]) -> str:
    """The facts for a person, a heading each; on one screen."""
    lines = [
        f"{'init':<11} {facts['init']}, because {facts['evidence']}",
        f"{'service':<11} {facts['service'] or '(no name)'}",
    ]
    if facts["target"]:
        lines += [f"{'target':<11} {facts['target']}", f"{'shape':<11} {facts['shape']}: {facts['reason']}"]
    if facts["watcher"]:
        lines.append(f"{'watched by':<11} {facts['watcher']}")
    for key, heading in HEADINGS:
        entries = facts[key]
        assert isinstance(entries, list)
        for number, entry in enumerate(entries):
            lines.append(f"{'' if number else heading:<11} {entry}")
    return "".join(f"{printable(line)}\n" for line in lines)
