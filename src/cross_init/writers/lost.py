"""What of a unit another init does not hear of, as remarks: by the class of each directive (definitions/classes.py)."""

from cross_init.definitions.classes import CANNOT, INITS, NOT_YET, OFF, WEAKER
from cross_init.definitions.table_exec import OF_SANDBOX
from cross_init.running.words import OF_NEED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.definitions.said import Said, Unit

# What is for people, and what says whether it is enabled at all.
QUIET = (
    *("Description", "Documentation", "SourcePath", "DefaultDependencies"),
    *("description", "author", "version", "usage", "emits", "export", "manual", "debug"),
)
# What no program does for --expand, and cross-init run does itself.
OF_RUN_ALONE = (
    *("LoadCredential", "SetCredential", "ImportCredential", "OpenFile", "NUMAPolicy", "NUMAMask"),
    *("KeyringMode", "MemoryKSM", "MemoryTHP", "RemoveIPC", "TTYReset", "TTYVHangup", "TTYVTDisallocate"),
    *("TTYRows", "TTYColumns"),
    *OF_SANDBOX,
    *("SystemCallFilter", "SystemCallErrorNumber", "SystemCallLog", "SystemCallArchitectures", "RestrictNamespaces"),
    *("RestrictAddressFamilies", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute"),
)
# The same of how a service is ended; said with the value that holds anyway, there is nothing to do.
OF_ENDING = (
    *OF_NEED.values(),
    *("TimeoutStartFailureMode", "RuntimeRandomizedExtraSec", "ExecReloadPost", "NonBlocking"),
)
OFF_COUNTS = ("NUMAMask", "GuessMainPID")  # where 0 is a number, and where no is not what holds anyway
OF_SOCKETS = ("ExecStartPre", "ExecStartPost", "ExecStopPre", "ExecStopPost", "MaxConnectionsPerSource")


def lost(unit: "Unit", init: str, writes: tuple[str, ...], expand: bool) -> list[str]:
    """Remarks. init: its name. writes: the keys that its writer says in its own words, or remarks upon by itself."""
    inits: list[str] = []
    weaker: list[str] = []
    found: list[str] = []
    alone: list[str] = []
    own = {each.name for each in unit.definition.sockets}
    for said in unit.lines:
        if said.section == "Socket" and expand and said.value and said.key in OF_SOCKETS and not said.ignored:
            alone.append(f"[Socket] {said.key}=")
        if said.row is None or said.ignored or said.section in ("Install", "Socket") or said.key in (*QUIET, *writes):
            continue
        kind = said.row[2]
        is_off = said.value.strip().lower() in OFF and said.key not in OFF_COUNTS
        if is_off or own.issuperset(said.value.split()):
            continue
        is_of_ending = said.key in OF_ENDING and not _is_usual(unit.definition, said.row[1])
        if expand and (said.key in OF_RUN_ALONE or is_of_ending or (said.key, said.value) == ("CPUAffinity", "numa")):
            alone.append(said.key)
        elif kind == INITS:
            inits.append(said.key)
        elif kind == WEAKER:
            weaker.append(said.key)
        elif kind in (CANNOT, NOT_YET):
            found.append(_refused(said, expand))
    if expand and unit.definition.context.dynamic_user:
        alone += ["RestrictSUIDSGID", "RemoveIPC"]  # which that implies
    if alone:
        found.append(f"only cross-init run does these, so they are left out: {_listed(alone)}")
    if weaker:
        found.append(f"without what these protect or bound: {_listed(weaker)}")
    if inits:
        found.append(f"nothing tells {init} of these: {_listed(inits)}")
    return found


def _is_usual(definition: "Definition", place: str) -> bool:
    """Whether a field has the value that it has if nobody says it."""
    group, _, field = place.partition(".")
    holder = getattr(definition, group)
    return bool(getattr(holder, field) == getattr(type(holder), field))


def _refused(said: "Said", expand: bool) -> str:
    file, line = said.origin
    reason = said.row[3] if said.row and said.row[3] else "that is not built yet"
    rest = "left out" if expand else f"cross-init run refuses to start it, but with --ignore {said.key}"
    return f"{file}:{line}: {said.key}={said.value}: {reason}: {rest}"


def _listed(keys: list[str]) -> str:
    return ", ".join(f"{key}=" if key[0].isupper() else key for key in dict.fromkeys(keys))
