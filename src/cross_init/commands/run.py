"""cross-init run: a systemd unit's service under whatever init there is, with the bridge's engine (bridge.py)."""

import posix
import sys
from _signal import SIGTERM

from cross_init.commands.words import OF_RUN, take_apart
from cross_init.errors import FAILED, Failure, Stopped, print_error, print_unexpected, why
from cross_init.model import ASKED, EXIT, FILE, NOTHING, TEXT, UNBOUND_S, Service
from cross_init.running.kept import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.commands.words import Words
    from cross_init.definitions.definition import Definition
    from cross_init.kernel.linux import Environment
    from cross_init.request import Request
    from cross_init.running.unit import Unit
    from cross_init.watch.stages import Manner

RESTART = "--restart"
AGAIN = ("container", "none")  # the inits that start nothing anew


def run(words: list[str]) -> tuple[int, str]:
    """Run it: returns only if this process does not become the daemon. Raises Failure."""
    from cross_init.start import (
        HOLDER,
        bury_holder,
        clean_environment,
        isolate,
        occupy_standard_descriptors,
    )

    isolate(sys.argv)
    asked = take_apart("run", words, OF_RUN, True)
    occupy_standard_descriptors()
    if HOLDER:
        bury_holder()
    try:
        return start(asked, clean_environment()), ""
    except Failure as failure:
        posix._exit(print_error(str(failure), failure.code))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        posix._exit(print_error(f"a system call failed{where}: {why(error)}", FAILED))
    except Stopped as stopped:
        from cross_init.shapes.stops import end_by

        end_by(stopped.number)
    except Exception as error:
        posix._exit(print_unexpected(error))


def start(asked: "Words", environ: dict[bytes, bytes]) -> int:
    """Returns an exit code. Raises Failure, OSError."""
    from cross_init.running.verdicts import is_enclosed, judge

    read = load(asked.name, "--user" in asked.flags, asked.folders, bring_readers)
    for remark in read.remarks:
        print_error(remark, 0)
    judge(read, "--strict" in asked.flags, asked.values["--ignore"], RESTART in asked.flags)
    definition = read.definition
    enclosure = None
    if is_enclosed(definition):
        from cross_init.running.enclosure import Enclosure
        from cross_init.sandbox.allowed import judge as judge_sandbox

        enclosure = Enclosure(definition, judge_sandbox(read, "--strict" in asked.flags, asked.values["--ignore"]))
    from cross_init.running.unit import Unit

    unit = Unit(definition, environ, asked.more)
    unit.enclosure = enclosure
    ends_by_itself = unit.is_oneshot and not definition.readiness.remain_after_exit and not asked.says("--explain")
    if ends_by_itself and RESTART not in asked.flags:
        return unit.run_alone()
    clients, sockets = 0, dict[str, str]()
    if definition.sockets:
        from cross_init.running.sockets import clients_at_a_time, listen

        clients, sockets = clients_at_a_time(definition), listen(definition)
    try:
        return as_bridge(asked, unit, clients, sockets, environ, ends_by_itself)
    except Failure as failure:
        raise located(failure, sockets) from None


def bring_readers() -> None:
    """Import what reading a unit takes, in the short way."""
    from cross_init.start import OF_READING
    from cross_init.start import load as load_modules

    load_modules(*OF_READING)


def located(failure: Failure, sockets: dict[str, str]) -> Failure:
    """A failure with the line of the unit that asks for this socket, if it is about one."""
    text = str(failure)
    for words, where in sockets.items():
        if text.startswith(f"--listen {words}: "):
            return Failure(f"{where}: {text.removeprefix(f'--listen {words}: ')}", failure.code)
    return failure


def as_bridge(
    asked: "Words", unit: "Unit", clients: int, sockets: dict[str, str], environ: "Environment", ends_by_itself: bool
) -> int:
    """Run it with the bridge's engine. clients, sockets: of running/sockets.py. Raises Failure, OSError."""
    from cross_init.bridge import run as run_bridge
    from cross_init.start import load as load_modules
    from cross_init.start import resident

    request = request_of(asked, unit, clients, [word for each in sockets for word in ("--listen", each)], environ)
    for address in request.listen:
        address.at = sockets.get(address.text, "")
    if request.listen:
        unit.listen()
    request.stays = unit.stays
    request.resident = resident()
    if "--explain" in request.given:
        from cross_init.commands.explain import show

        return show(request, request.given["--explain"] == "json")
    if RESTART in asked.flags:
        begin_again(request, unit)
        if ends_by_itself:
            return unit.run_alone()
        request.resident = resident()  # as it is at this start
    if request.init.name == request.target.name:
        from cross_init.systems.systemd_target import PROTOCOL

        unit.environ |= {name: environ[name] for name in PROTOCOL if name in environ}
    return run_bridge(request, load_modules, unit)


def begin_again(request: "Request", unit: "Unit") -> None:
    """Fork who starts it anew; returns in each child. Raises Failure."""
    ending = unit.definition.ending
    if request.init.name not in AGAIN:
        raise Failure(f"{RESTART}: {request.init.called} starts a service anew itself: leave it out")
    if ending.restart == "no" and not any(ending.restart_force_exit_status):
        print_error(f"{RESTART}: {unit.definition.name} has no Restart=, so it is run once", 0)
        return
    from cross_init.running.again import stay
    from cross_init.shapes.pid1 import end_others

    def rest() -> None:
        unit.end_restarts()
        if request.pid == 1 and request.ends_rest:
            end_others(request)

    unit.tell = stay(unit.definition, rest)
    request.pid = posix.getpid()
    request.stays = request.stays or f"somebody has to stay and say how the service has ended ({RESTART})"


def request_of(asked: "Words", unit: "Unit", clients: int, sockets: list[str], environ: "Environment") -> "Request":
    """The bridge's own request. sockets: as it is told of them. Raises Failure."""
    from cross_init.commands.options import parse
    from cross_init.request import resolve
    from cross_init.running.words import STARTED, ending, is_heard, readiness, signals

    definition = unit.definition
    own = readiness(definition, environ) if not clients else ["-t", "systemd", "-N"]
    at = own.index("--ready-when") if "--ready-when" in own else len(own)
    is_started = own[at:] == list(STARTED)
    if asked.says("-t", "--target"):
        own, is_started = [], False  # the person knows better
    elif asked.says("--ready-when"):
        own, is_started = own[:at], False
    elif is_started and not (asked.others or is_heard(definition)):
        own = own[:at]  # that costs, and few want to know
    said = [*own, *signals(definition, unit.taken), *ending(definition), *sockets]
    options = parse([*without(said, asked), *asked.others, "--", *unit.words])
    request = resolve(options, environ)
    is_inits = request.pid_file not in ("", definition.readiness.pid_file) and request.init.hears in (EXIT, FILE)
    if is_inits and request.target.forks:
        request.followed = definition.readiness.pid_file
        if request.init.hears == FILE:
            from cross_init.notify.pid_file import place

            request.init.pid_file = place(request.pid_file, [])
    if request.service.is_guess:  # the init has no name for it, and its unit has
        name, _, instance = definition.name.rpartition(".")[0].partition("@")
        request.service = Service(name, instance)
    request.of_unit = True
    request.target.clients_at_a_time = clients
    if clients:
        from cross_init.running.sockets import clients_per_source

        request.target.clients_per_source = clients_per_source(definition)
    request.target.ignores_sigpipe = definition.context.ignore_sigpipe
    if not (request.init.signals_all or clients):
        take_ending(request, definition)
    take_manner(request, unit)
    if is_started:
        is_wanted = bool(definition.commands.start_post) or is_heard(definition) or is_awaited(request)
        if not is_wanted:
            request.ready_when, request.conditions = [], []
            request.ready_timeout = 0.0
        elif not request.ready_when:
            from cross_init.readiness.conditions import parse_all

            request.ready_when = ["started"]
            request.conditions = parse_all(request.ready_when, "system", False)
    if request.fd_store:
        from cross_init.store.client import refuse

        try:
            refuse(request.init, request.target)
        except Failure as failure:
            print_error(f"{definition.where('file_descriptor_store_max')}: {failure}", 0)
            request.fd_store = 0
    if request.init.passes and request.listen and request.init.sockets(environ, request.pid):
        request.listen = []  # the init has opened them
    return request


def without(said: list[str], asked: "Words") -> list[str]:
    """What the unit says but for what the command line says otherwise."""
    found: list[str] = []
    rest = iter(said)
    for word in rest:
        value = [] if word == "-N" else [next(rest)]
        if word in ("--listen", "--ready-when", "-N") or not asked.says(word):
            found += [word, *value]
    return found


def take_ending(request: "Request", definition: "Definition") -> None:
    """How the service is ended, as its unit says it, where the init does not do that itself."""
    from cross_init.definitions.definition import INFINITY, SECOND

    ending = definition.ending
    if "--kill-mode" not in request.given:
        request.kill_mode = ending.kill_mode
        if "kill_mode" in definition.origins:
            request.given["--kill-mode"] = ending.kill_mode
    if "--stop-timeout" not in request.given:
        is_bound = ending.timeout_stop != INFINITY and ending.send_sigkill
        request.stop_timeout = ending.timeout_stop / SECOND if is_bound else UNBOUND_S
        if "timeout_stop" in definition.origins and is_bound and request.kill_mode != "none":
            request.given["--stop-timeout"] = f"{request.stop_timeout:g}"


def take_manner(request: "Request", unit: "Unit") -> None:
    """The same, where it takes more than these words: only a unit has any for that."""
    from cross_init.running.words import OF_MANNER, OF_NEED, unlike

    definition = unit.definition
    own = unlike(definition, unit.taken)
    is_reloaded_by_both = definition.readiness.type == "notify-reload" and "reload" in own
    has_limit = bool(definition.commands.start_post) and "timeout_start" in definition.origins
    says_more = is_reloaded_by_both or has_limit or "stop" in own
    is_usual = OF_MANNER.isdisjoint(definition.origins) and not says_more
    if definition.target == "upstart" or is_usual:
        return

    def made() -> "Manner":
        from cross_init.running.manner import manner_of

        manner = manner_of(definition)
        manner.stop = request.instead.get(SIGTERM) or manner.stop
        if request.stop_timeout < UNBOUND_S:
            manner.stop_s = request.stop_timeout
        return manner

    manner = None if OF_NEED.keys().isdisjoint(definition.origins) else made()
    needs = manner.needs if manner is not None else ()
    if request.init.signals_all or request.target.clients_at_a_time:
        if needs:
            who = "each client's daemon" if request.target.clients_at_a_time else f"a unit of {request.init.called}"
            said = ", ".join(f"{key}=" for key in needs)
            print_error(f"{definition.name}: weaker, as {who} is ended without these: {said}", 0)
        return
    unit.make_manner = made
    if manner is None or not needs:
        return
    unit.made_manner, request.ends_as_unit = manner, True
    if manner.stop_s is not None:
        request.given.setdefault("--stop-timeout", f"{manner.stop_s:g}")


def is_awaited(request: "Request") -> bool:
    """Whether anybody wants to know that the service is ready."""
    init = request.init
    given = ("--health-listen", "--state-file", "--ready-fd", "--daemonize", "--ready-timeout", "--pid-file")
    if any(option in request.given for option in given):
        return True
    if init.hears in (TEXT, NOTHING):
        return False
    if init.hears == ASKED:
        return init.why_unnotified(request.environ) is None
    return bool(init.waits_for_it(request.environ)) or init.hears not in ("descriptor", "message")
