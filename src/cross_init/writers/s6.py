"""A service as an s6 service directory (servicedir of s6's documentation)."""

from cross_init.definitions.definition import Definition
from cross_init.writers.invocation import is_awaited, of_unit
from cross_init.writers.quoting import shell
from cross_init.writers.script import before, head, main_line, oneshot, streams

WRITES = ("Restart",)


def write(definition: Definition, remarks: list[str], expand: bool) -> dict[str, str]:
    """The service directory's files. Raises Failure."""
    name = definition.name.rpartition(".")[0]
    if expand:
        lines = [
            streams(definition, remarks),
            "set -e",
            *before(definition, remarks, "exec s6-svc -O ."),
            *(oneshot(definition, remarks) if definition.readiness.type == "oneshot" else ()),
            f"exec {main_line(definition, remarks)}",
        ]
    else:
        lines = ["exec 2>&1", f"exec {' '.join(map(shell, of_unit(definition)))}"]
    found = {f"{name}/run": head(remarks) + "".join(f"{line}\n" for line in lines)}
    if is_awaited(definition):
        found[f"{name}/notification-fd"] = "3\n"
    return found
