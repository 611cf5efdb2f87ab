"""Which init started this process, and by what evidence.

Not "which init is PID 1": a service of a user's manager, or of a supervisor in a container, was started by that one.
A system's file is imported only if its clue, below, is there: whoever runs under systemd does not pay for the others.
"""

import posix

from cross_init.errors import Failure
from cross_init.kernel.evidence import Evidence, waits_for_command
from cross_init.kernel.linux import read_for_decision
from cross_init.model import Claim, Init

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.model import Target

# What has to be there, at the least, for an init to be worth asking: one of these variables, or this name of the
# parent process (proc_pid_comm(5)).
CLUES: tuple[tuple[str, tuple[bytes, ...], tuple[str, ...]], ...] = (
    # Before systemd, whose LISTEN_PID these set. A parent that is outside of our PID namespace has no name.
    (
        "container",
        (),
        (
            *("", "docker-init", "podman-init", "catatonit", "tini", "tini-static", "dumb-init"),
            *("conmon", "containerd-shim"),
        ),
    ),
    ("dinit", (b"DINIT_SERVICE",), ("dinit",)),
    ("shepherd", (), ("shepherd",)),  # as dinit
    ("systemd", (b"NOTIFY_SOCKET", b"LISTEN_PID", b"SYSTEMD_EXEC_PID"), ("systemd",)),
    ("upstart", (b"UPSTART_JOB",), ()),
    ("s6", (), ("s6-supervise",)),
    ("runit", (), ("runsv",)),
    ("daemontools", (), ("supervise",)),
    ("supervisord", (b"SUPERVISOR_ENABLED",), ()),
    ("circus", (), ("circusd",)),
    (
        "inetd",
        (),
        (
            *("inetd", "inetutils-inetd", "xinetd", "rlinetd", "tcpserver", "unixserver", "tcpsvd", "udpsvd"),
            *("s6-ipcserverd", "s6-tcpserverd", "s6-tcpserver4d", "s6-tcpserver6d"),
        ),
    ),
    ("launchd", (b"XPC_SERVICE_NAME",), ()),
    ("finit", (), ("finit", "init")),
    ("openrc", (b"RC_SVCNAME",), ("start-stop-daem", "supervise-daemo", "openrc-run.sh")),
)
# The same for inits that are asked only when none of those is our parent: a part of NOTIFY_SOCKET, or how a word of the
# parent's command line begins, which takes a file more to read.
LATER: tuple[tuple[str, bytes, tuple[str, ...]], ...] = (("sysv", b"/.s-s-d-notify.", ("/etc/init.d/", "/etc/rc")),)
# Inits that a machine is asked for when none of them started us, and the names of process 1 where that is worth it ("":
# it cannot be read).
PRESENT = (("upstart", ("init", "upstart", "")),)
# Inits that hear us from within a PID namespace that was entered before us, where no parent is seen, and the file in
# the working directory that speaks for each.
FROM_OUTSIDE = (("s6", "notification-fd"),)
INITS = (*(name for name, _, _ in (*CLUES, *LATER)), "none")
TARGETS = ("systemd", "upstart", "s6", "dinit", "sysv", "inetd", "plain")
# Those of which the half for the daemon is a file of its own: a start needs one half or the other, and both are large.
IN_TWO = {"systemd": "systemd_target", "upstart": "upstart_target"}


def init_named(words: str) -> Init:
    """The half that runs on an init system: one of INITS, and perhaps a colon and an option. Raises Failure."""
    name, _, option = words.partition(":")
    module = __import__(f"cross_init.systems.{name}", fromlist=("Init",))
    found: Init = module.Init()
    found.configure(option)
    return found


def target_named(words: str) -> "Target":
    """The half that stands in for an init system: one of TARGETS, and perhaps a colon and an option. Raises Failure."""
    name, _, option = words.partition(":")
    module = __import__(f"cross_init.{target_file(name)}", fromlist=("Target",))
    found: Target = module.Target()
    found.configure(option)
    return found


def target_file(name: str) -> str:
    """The module that has this target's half."""
    return f"systems.{IN_TWO.get(name, name)}"


def detect(evidence: Evidence, beyond: bool = True) -> tuple[Init, Claim]:
    """The init that started us. beyond: or that started the shell that has, if there is only such a one between.

    Raises Failure when the evidence contradicts itself.
    """
    claims = first_claims(evidence)
    if not any(claim.direct for _, claim in claims):
        claims = [found for found in claims if not found[0].is_lost(evidence)] + later_claims(evidence)
        if beyond and not any(claim.direct for _, claim in claims) and waits_for_command(evidence.parent_words):
            claims = beyond_shell(evidence) or claims
    elif evidence.parent == 0:
        claims = _from_outside(evidence) or claims
    if not claims:
        return _no_claim(evidence)
    # The nearest one started us: a claim as our own parent beats what came down with the environment.
    nearest, claim = next((found for found in claims if found[1].direct), claims[0])
    if nearest.clean_environment and claim.direct:
        for other, _ in claims:
            marks = [mark.decode() for mark in other.marks if mark in evidence.environ]
            if other is not nearest and marks:
                raise Failure(
                    f"detecting the init: {nearest.name} started this process ({claim.because}), but {marks[0]} is set "
                    f"as only {other.name} does: remove {marks[0]} from the service's environment, or say --init NAME"
                )
    return nearest, claim


def first_claims(evidence: Evidence) -> list[tuple[Init, Claim]]:
    """The inits of CLUES that have one, and whose own look at the evidence agrees."""
    claims: list[tuple[Init, Claim]] = []
    for name, variables, parents in CLUES:
        if any(variable in evidence.environ for variable in variables) or evidence.parent_name in parents:
            init = init_named(name)
            claim = init.recognise(evidence)
            if claim is not None:
                claims.append((init, claim))
    return claims


def later_claims(evidence: Evidence) -> list[tuple[Init, Claim]]:
    """The same for LATER."""
    claims: list[tuple[Init, Claim]] = []
    for name, socket, beginnings in LATER:
        if socket in evidence.environ.get(b"NOTIFY_SOCKET", b"") or any(
            word.startswith(beginnings) for word in evidence.parent_words
        ):
            init = init_named(name)
            claim = init.recognise(evidence)
            if claim is not None:
                claims.append((init, claim))
    return claims


def beyond_shell(evidence: Evidence, only: str = "") -> list[tuple[Init, Claim]]:
    """The init that started the shell that started us; evidence looks on from there. only: if it is this one."""
    from cross_init.kernel.between import find

    found = find(evidence)
    if found is None or only not in ("", found[0]):
        return []
    name, between = found
    evidence.go_beyond(between)
    init = init_named(name)
    claim = init.recognise(evidence)
    because = f"{evidence.parent_name} (process {evidence.parent}) started {between}, which waits for this one"
    return [(init, Claim(because, True))] if claim is not None else []


def _from_outside(evidence: Evidence) -> list[tuple[Init, Claim]]:
    """An init from whose place in the world a PID namespace was entered, by what it has left to us."""
    claims: list[tuple[Init, Claim]] = []
    for name, file in FROM_OUTSIDE:
        if posix.access(file, posix.R_OK):
            init = init_named(name)
            because = init.seen_from_inside(evidence)
            if because:
                claims.append((init, Claim(because, True)))
    return claims


def present() -> list[str]:
    """The inits that process 1 may be, and that a machine is asked for."""
    process_1 = read_for_decision("/proc/1/comm").rstrip("\n")
    return [name for name, names in PRESENT if process_1 in names]


def _no_claim(evidence: Evidence) -> tuple[Init, Claim]:
    for name in present():
        strange = init_named(name).why_not_parent(evidence)
        if strange is not None:
            raise Failure(f"detecting the init: {strange}")
    return init_named("none"), Claim("nothing in the environment says that an init started this process", True)
