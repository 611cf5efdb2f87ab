"""runit: sv(8) asks ./check whether a service is ready; a state file in the service directory knows the answer."""

import posix

from cross_init.kernel.linux import Environment
from cross_init.model import ANYONE, ASKED, Claim, Service
from cross_init.model import Init as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.kernel.evidence import Evidence
    from cross_init.store.wanted_state import WantedState

FOLDER = "supervise"  # runsv(8)'s own: it can be written to even where the service directory cannot
SCRIPT = "check"
UNSEEN = (
    "its service directory cannot be seen: the run script has left it, and has become a user who may not look at "
    "runsv; change the user behind cross-init-bridge (-- chpst -u USER ...), not before it"
)


class Init(Base):
    """We run as a service of runsv, which starts us in the service directory."""

    name = "runit"
    hears = ASKED
    from_whom = ANYONE
    carried = ()
    seen_from_beside = True
    shares_session = True
    job_type = "exec cross-init check, in the executable file check of the service directory"

    def recognise(self, evidence: "Evidence") -> Claim | None:
        """By the parent's name."""
        if evidence.parent_name == "runsv":
            return Claim(f"the parent process {evidence.parent} is runsv", True)
        return None

    def service(self, evidence: "Evidence", command: str) -> Service:
        """Named as its directory is."""
        from cross_init.systems.service_directory import service_directory

        self.folder, name = service_directory(evidence, "runsv")
        return Service(name)

    def why_unnotified(self, environ: Environment) -> str | None:
        """Without ./check nobody would ask (sv(8), start); and the state has to be writable for us."""
        folder = self.folder
        if not folder:
            return UNSEEN
        # What sv cannot run counts as success, as if the file were not there.
        if not posix.access(f"{folder}/{SCRIPT}", posix.X_OK):
            return (
                f"there is no executable file {SCRIPT} in the service directory {folder}, so sv start would not wait: "
                f"printf '#!/bin/sh\\nexec cross-init check\\n' >{folder}/{SCRIPT}; chmod +x {folder}/{SCRIPT}"
            )
        if not posix.access(f"{folder}/{FOLDER}", posix.W_OK | posix.X_OK, effective_ids=True):
            return (
                f"the state file has to be made in {folder}/{FOLDER}, where we may not write or which is not there: "
                "in the run script, change the user behind cross-init-bridge (-- chpst -u USER ...), not before it"
            )
        from cross_init.watch.state_file import FILE

        self.state_file = f"{folder}/{FILE}"
        return None

    def reach(self, evidence: "Evidence") -> str:
        """By the state file, where runsv keeps its own: in a folder of its user's, and so of ours."""
        from cross_init.errors import why
        from cross_init.kernel.folders import open_folder
        from cross_init.kernel.linux import is_private
        from cross_init.watch.state_file import FILE

        where = f"{self.folder}/{FOLDER}"
        try:
            folder = open_folder(where)
        except OSError as error:
            return f"looking at {where}: {why(error)}"
        try:
            if not is_private(folder, posix.geteuid()):
                return f"{where} is not this user's alone"
            cwd = f"/proc/{evidence.parent}/cwd"
            theirs = posix.stat(f"{cwd}{self.folder.removeprefix(posix.readlink(cwd))}/{FOLDER}")
            ours = posix.fstat(folder)
            if (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino):
                return f"{where} is another folder to runsv than to us"
        except OSError as error:
            return f"looking at where runsv is: {why(error)}"
        finally:
            posix.close(folder)
        self.state_file = f"{self.folder}/{FILE}"
        return ""

    def stays_down(self, service: Service, environ: Environment) -> "WantedState":
        """As runsv notes it."""
        from cross_init.store.wanted_state import WantedState, wants_up

        return WantedState(f"{self.folder}/{FOLDER}", wants_up)

    def ready(self, service: Service, pid: int, pidfd: int, seconds: float) -> None:
        """Nobody is told; whoever asks from now on is."""
