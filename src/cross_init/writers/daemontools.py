"""A service as a service directory of daemontools' (supervise(8), multilog(8)). Nothing is run at a service's end.

In the first second supervise reads nothing that it is told, and starts anew whatever ends. So who wants to stay down
says so and waits to be ended for it.
"""

from cross_init.definitions.definition import Definition
from cross_init.writers.script import CHECKS, run

WRITES = (*CHECKS, "Restart", "respawn")
STAY_DOWN = "svc -d {here}; exec sleep 60"
AT_THE_END = ("here=$PWD", """trap 'svc -d "$here"; exec sleep 60' EXIT""")
LOG = "#!/bin/sh\nexec multilog t ./main\n"


def write(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The service directory's files. Raises Failure."""
    name = definition.name.rpartition(".")[0]
    said, readiness = definition.ending.restart, definition.readiness
    is_over = readiness.type == "oneshot" and not readiness.remain_after_exit
    if not is_over and said != "always":
        remarks.append(f"Restart={said}: it is always started anew, until svc -d")
    if expand and definition.commands.stop_post:
        remarks.append("ExecStopPost=: it is not run")
    first = AT_THE_END if is_over else ()
    stays_down = "exit 0" if is_over else f"{{ {STAY_DOWN}; }}"
    script = run(definition, remarks, expand, stays_down, waits=False, first=first)
    return {f"{name}/run": script, f"{name}/log/run": LOG}
