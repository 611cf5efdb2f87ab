"""A service of the GNU Shepherd's: a file that its configuration loads (the Shepherd's manual, "Services").

The Shepherd takes a service for ready when its PID file is there, which the bridge writes then.
"""

from cross_init.errors import Failure
from cross_init.writers import told
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.one_command import nobody_afterwards, sets_folder, taken, words
from cross_init.writers.script import variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, absolute, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
LONGEST_S = 86400
RELOAD = (
    '#:actions (actions (reload "Have it read its configuration."',
    "                            (lambda (running)",
    "                              (kill (if (process? running) (process-id running) running) SIGHUP))))",
)


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The service's file. Raises Failure."""
    service = Told(definition, remarks)
    pid_file = _pid_file(service)
    options = ("--pid-file", pid_file) if pid_file and pid_file != definition.readiness.pid_file else ()
    more: list[str] = []
    if expand:
        rest = _rest(service, more)
        command = words(rest, remarks, more=options)
    else:
        service.no_checks()
        program, run, *others = absolute(of_unit(definition))
        command = [program, run, *options, *others]
    lines = [f"#:documentation {string(service.description)}", *_order(service)]
    if service.is_task:
        lines += [f"#:start (lambda _ (zero? (apply system* {_list(command)})))", "#:one-shot? #t"]
    else:
        lines += [*_process(service, command, pid_file, more), *_policy(service)]
    text = "\n".join(f"         {line}" for line in lines)
    head = "".join(f";; {told.one_line(each)}\n" for each in remarks)
    return {f"{service.name}.scm": f"{head}(register-services\n (list (service '({service.name})\n{text})))\n"}


def string(text: str) -> str:
    """A string of Scheme's. Raises Failure."""
    if any(letter < " " or "\ud800" <= letter <= "\udfff" for letter in text.replace("\n", "")):
        raise Failure(f"{text!r}: what is loaded by Guile cannot have this (a control character, no UTF-8)")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _list(said: list[str]) -> str:
    return f"'({' '.join(map(string, said))})"


def _pid_file(service: Told) -> str:
    """The file that is there when the service is ready; "" if nobody waits for that."""
    readiness = service.definition.readiness
    if not is_awaited(service.definition) or service.is_task:
        return ""
    if readiness.type != "forking":
        return f"/run/{service.name}.init.pid"  # /run/NAME.pid may be the daemon's own
    if not readiness.pid_file:
        service.lose("its readiness", "the Shepherd looks for a PID file, which this daemon has none of")
    return readiness.pid_file


def _order(service: Told) -> list[str]:
    for each in (*service.wants, *service.after):
        service.lose(f"After={each}", "a requirement of the Shepherd's has to be there: say #:requirement if it is")
    for each in service.before:
        service.lose(f"Before={each}", "say #:requirement there")
    for each in service.conflicts:
        service.lose(f"Conflicts={each}", "the Shepherd stops no service for another one")
    service.no_facilities("the Shepherd")
    return [f"#:requirement '({' '.join(service.needs)})"] if service.needs else []


def _rest(service: Told, more: list[str]) -> "Definition":
    """What is left of the definition when these words of the constructor say the rest."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    if sets_folder(definition) and context.working_directory:
        more.append(f"#:directory {string(context.working_directory)}")
    if said := variables(definition, remarks):
        more.append(f"#:environment-variables (append {_list([f'{name}={value}' for name, value in said])}")
        more.append("                         (default-environment-variables))")
    nobody_afterwards(definition, remarks)
    return taken(definition, environment=tuple(each for each in context.environment if is_daemons_alone(each[0])))


def _process(service: Told, command: list[str], pid_file: str, more: list[str]) -> list[str]:
    found = [_list(command), *more]
    if pid_file:
        limit = LONGEST_S if service.start_s is None else at_least(service.start_s)
        found += [f"#:pid-file {string(pid_file)}", f"#:pid-file-timeout {limit}"]
    found += [f"#:log-file {string(f'/var/log/{service.name}.log')}"] * service.is_logged
    found[-1] += ")"
    return ["#:start (make-forkexec-constructor", *(f"         {each}" for each in found)]


def _policy(service: Told) -> list[str]:
    stop_s = LONGEST_S if service.stop_s is None else at_least(service.stop_s)
    found = [f"#:stop (make-kill-destructor #:grace-period {stop_s})"]
    found += RELOAD if service.reloads else ()
    if service.restart == "no":
        return [*found, "#:respawn? #f"]
    found.append("#:respawn? #t")
    if service.restart == "on-failure":
        service.lose("Restart=on-failure", "the Shepherd starts it anew after a success as well")
    if service.limit is not None and service.limit[0]:
        found.append(f"#:respawn-limit '({service.limit[0]} . {at_least(service.limit[1])})")
    if service.delay is not None:
        found.append(f"#:respawn-delay {told.seconds(service.delay)}")
    return found
