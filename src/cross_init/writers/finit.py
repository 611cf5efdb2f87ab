"""A service as a stanza of Finit's: a file for /etc/finit.d (finit.conf(5)), and a script if there is to be no unit.

A stanza has no quotation marks, and what follows its first "--" is a description: so without a unit a script beside it
has all that the unit says.
"""

from cross_init.errors import Failure
from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.quoting import BARE, comments
from cross_init.writers.script import WIDTH, run
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
FOLDER = "/etc/finit.d"
KILL_MOST_S = 60
RESTARTS_MOST = 255


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The stanza's file, and the script. Raises Failure."""
    service = Told(definition, remarks)
    files: dict[str, str] = {}
    if expand:
        words = [f"{FOLDER}/{service.name}.run"]
        files[f"{service.name}.run"] = run(definition, remarks, True, "exit 0")
        if definition.commands.stop_post:
            service.lose("ExecStopPost=", "it is not run: nobody is there when the service has ended")
    else:
        service.no_checks()
        words = absolute(of_unit(definition))
    if odd := next((each for each in words if not BARE.issuperset(each)), ""):
        raise Failure(f"{odd}: a stanza of Finit's has no way to say such a word")
    text = " ".join([*_head(service), *words, "--", service.description])
    return {f"{service.name}.conf": comments(remarks, WIDTH) + text + "\n", **files}


def _head(service: Told) -> list[str]:
    """What stands before the command."""
    for each in (*service.wants, *service.after):
        service.lose(f"After={each}", "Finit cannot wait for what may not come")
    for each in service.before:
        service.lose(f"Before={each}", f"say in its stanza: <service/{service.name}/ready>")
    service.no_facilities("Finit")
    needs = ",".join(f"service/{each}/ready" for each in service.needs)
    condition = f"<{'!' * (not service.reloads)}{needs}>"  # "!": it takes no SIGHUP
    kind = "task" if service.is_task else "service"
    found = [kind, "[2345]", *([condition] if condition != "<>" and kind == "service" else [])]
    found += [f"name:{service.name}"] + ["manual:yes"] * (not service.is_enabled)
    if kind == "service":
        found += [f"notify:{'systemd' if is_awaited(service.definition) else 'none'}", *_policy(service)]
    found += [f"conflict:{','.join(service.conflicts)}"] * bool(service.conflicts)
    return [*found, *(["log"] * service.is_logged)]


def _policy(service: Told) -> list[str]:
    found: list[str] = []
    if service.restart == "no":
        found.append("norestart")
    elif service.limit is None or not service.limit[0]:
        found.append("restart:always")
    else:
        found.append(f"restart:{min(service.limit[0], RESTARTS_MOST)}")
        service.lose("StartLimitIntervalSec=", "Finit counts all, however long they take")
    if service.restart == "on-failure":
        service.lose("Restart=on-failure", "Finit starts it anew after a success as well")
    if service.delay and service.restart != "no":
        found.append(f"restart_sec:{at_least(service.delay)}")
    stop_s = KILL_MOST_S + 1 if service.stop_s is None else at_least(service.stop_s)
    if stop_s > KILL_MOST_S and "timeout_stop" in service.definition.origins:
        service.lose("TimeoutStopSec=", f"Finit waits for {KILL_MOST_S} s at most")
    return [*found, f"kill:{max(1, min(stop_s, KILL_MOST_S))}"]
