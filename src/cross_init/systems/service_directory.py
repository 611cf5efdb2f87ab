"""The directory of a service whose supervisor has one for each: s6-supervise, supervise(8), runsv(8).

It is who the service is, so it comes from the supervisor, which stands in it, and not from where the run script has
gone since. A user who may not look at the supervisor (proc(5), ptrace access) sees its arguments at least.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence

OWN = "supervise"  # what each of these supervisors keeps in there
LOG = "log"  # runsv starts a second one, in here
NAMING = "naming the service by its directory"


def service_directory(evidence: "Evidence", supervisor: str) -> tuple[str, str]:
    """The directory, "" if it cannot be known, and the service's name. supervisor: its name. Raises Failure."""
    here = evidence.working_directory(NAMING)
    if evidence.parent_name != supervisor:  # somebody says that it is this init, and stands between
        return here, last(here)
    try:
        there = posix.readlink(f"/proc/{evidence.parent}/cwd")
    except OSError:
        named = last((evidence.parent_words or [""])[-1].rstrip("/"))
        is_here = posix.access(f"{here}/{OWN}", posix.F_OK) and last(here) in (named, LOG)
        return (here, last(here)) if is_here or not named else ("", named)
    return (here, LOG) if here == f"{there}/{LOG}" else (there, last(there))


def last(path: str) -> str:
    """The path's last component."""
    return path.rpartition("/")[2]
