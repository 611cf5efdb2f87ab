"""--explain: what was detected and why, what would be done, and what would get lost. Runs nothing."""

from cross_init.bridge import plan_of
from cross_init.commands.effects import effects
from cross_init.errors import FAILED, Failure, printable, write_out
from cross_init.gather import hearing, refuse, refuse_sockets, select
from cross_init.launch import find_program
from cross_init.plan import EXEC, keeps
from cross_init.store.client import refuse as refuse_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.request import Request
    from cross_init.sockets.listen import Address


def show(request: "Request", form: str) -> int:
    """Print it, as text or as JSON; returns the exit code, 125 if the start would be refused. Raises Failure."""
    facts = collect(request)
    if form == "json":
        from json import dumps

        write_out(dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        write_out(as_text(facts))
    return FAILED if facts["refusals"] else 0


def collect(request: "Request") -> dict[str, object]:
    """All that there is to say. Raises Failure."""
    init, target = request.init, request.target
    plan = plan_of(request)
    translations, losses = effects(plan, request)
    refusals: list[str] = []
    described: list[str] = []
    try:
        passed, _ = select(request)
        described = [f"{each}, passed by {init.called}" for each in passed]
        described += [f"{address.text}, opened by --listen{opened_with(address)}" for address in request.listen]
        if request.adopt_socket and not passed:
            adopted = request.adopt_socket.announced()
            described.append(f"{adopted.where()}, taken over by --adopt-socket")
            passed = [adopted]
        refuse_sockets(request, passed)
        if request.wait_for_client and not described:
            refusals.append("--wait-for-client: there is no socket to wait on")
    except Failure as failure:
        refusals.append(str(failure))
    checks: list[Callable[[], object]] = [lambda: refuse(request, plan)]
    if request.fd_store:
        checks.append(lambda: refuse_store(init, target))
    if keeps(request):
        from cross_init.store.kept_sockets import refuse as refuse_keeping

        checks.append(lambda: refuse_keeping(init))
    if request.waits and plan.shape != EXEC:
        checks.append(lambda: hearing(request))
    if request.command:
        checks.append(lambda: find_program(request.command[0], request.environ))
    for check in checks:
        try:
            check()
        except Failure as failure:
            refusals.append(str(failure))
    return {
        "init": init.name,
        "evidence": request.claim.because,
        "service": str(request.service),
        "target": target.name,
        "shape": plan.shape,
        "reason": plan.reason,
        "sockets": described,
        "translations": translations,
        "losses": losses,
        "warnings": init.warnings(request.environ) if init.name != target.name else [],
        "refusals": refusals,
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
        f"{'target':<11} {facts['target']}",
        f"{'shape':<11} {facts['shape']}: {facts['reason']}",
    ]
    for key, heading in HEADINGS:
        entries = facts[key]
        assert isinstance(entries, list)
        for number, entry in enumerate(entries):
            lines.append(f"{'' if number else heading:<11} {entry}")
    return "".join(f"{printable(line)}\n" for line in lines)
