"""--explain: what was detected and why, what would be done, and what would get lost. Runs nothing."""

from cross_init.bridge import conditions, refuse_own, select, told
from cross_init.complaints import printable, write_out
from cross_init.effects import effects
from cross_init.launch import find_program
from cross_init.listen import parse
from cross_init.model import Claim, Failure, Init, Target
from cross_init.plan import EXEC, Plan, keeps
from cross_init.store.way import refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.cli import Wish
    from cross_init.detect import Evidence
    from cross_init.listen import Address


def show(wish: "Wish", evidence: "Evidence", init: Init, claim: Claim, target: Target, plan: Plan) -> int:
    """Print it, as text or as JSON; returns the exit code, 125 if the start would be refused."""
    facts = gather(wish, evidence, init, claim, target, plan)
    if wish.explain == "json":
        from json import dumps

        write_out(dumps(facts, indent=2, ensure_ascii=False) + "\n")
    else:
        write_out(as_text(facts))
    return 125 if facts["refusals"] else 0


def gather(
    wish: "Wish", evidence: "Evidence", init: Init, claim: Claim, target: Target, plan: Plan
) -> dict[str, object]:
    """All that there is to say."""
    translations, losses = effects(plan, init, target, wish)
    refusals: list[str] = []
    sockets: list[str] = []
    try:
        passed, _ = select(wish, init, target, evidence.environ, evidence.pid)
        sockets = [f"{each}, passed by {init.called}" for each in passed]
        addresses = [parse(text) for text in wish.listen]
        sockets += [f"{address.text}, opened by --listen{opened_with(address)}" for address in addresses]
        if wish.adopt_socket and not passed:
            adopted = parse(wish.adopt_socket).announced()
            sockets.append(f"{adopted.where()}, taken over by --adopt-socket")
            passed = [adopted]
        announced = passed + [address.announced() for address in addresses]
        target.refuse(announced, wish.all_sockets)
        refuse_own(wish, announced)
        if wish.wait_for_client and not sockets:
            refusals.append("--wait-for-client: there is no socket to wait on")
    except Failure as failure:
        refusals.append(str(failure))
    checks: list[Callable[[], object]] = [lambda: conditions(wish, target, plan)]
    if wish.fd_store:
        checks.append(lambda: refuse(init, target))
    if keeps(wish):
        from cross_init.store.kept_sockets import refuse as refuse_keeping

        checks.append(lambda: refuse_keeping(init))
    if wish.waits and plan.shape != EXEC:
        checks.append(lambda: told(wish, init, evidence.environ))
    if wish.health_listen:
        from cross_init.health import parse_endpoint

        checks.append(lambda: parse_endpoint(wish.health_listen))
    if wish.command:
        checks.append(lambda: find_program(wish.command[0], evidence.environ))
    for check in checks:
        try:
            check()
        except Failure as failure:
            refusals.append(str(failure))
    service = init.service(evidence, wish.command[0] if wish.command else "")
    return {
        "init": init.name,
        "evidence": claim.because,
        "service": str(service),
        "target": target.name,
        "shape": plan.shape,
        "reason": plan.reason,
        "sockets": sockets,
        "translations": translations,
        "losses": losses,
        "warnings": init.warnings(evidence.environ) if init.name != target.name else [],
        "refusals": refusals,
        "command": wish.command,
    }


def opened_with(address: "Address") -> str:
    """What a socket of --listen gets. Raises Failure if that is not to be had here."""
    if address.has_path:
        from cross_init.placing import owner_of

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
