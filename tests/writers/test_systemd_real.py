"""The units of Debian's packages, read and written anew: to a real systemd they are what they were, 252 and sid's."""

import json

from tests.definitions.test_against_systemd import INSTANCE, there
from tests.support.containers import INSIDE
from tests.support.corpus import units
from tests.support.properties import properties
from tests.support.systemd import Manager

WRITE = f'cd {INSIDE} && PYTHONPATH=src:. PYTHONDONTWRITEBYTECODE=1 exec python3 -m tests.support.rewritten "$@"'
# What is of the moment or of the file, and not what it says.
OF_THE_MOMENT = (
    "Timestamp",
    "InvocationID",
    "FragmentPath",
    "DropInPaths",
    "StateChange",
    "NeedDaemonReload",
    "UnitFile",
)
UNORDERED = {
    "After",
    "Before",
    "Requires",
    "Wants",
    "Conflicts",
    "RequiresMountsFor",
    "TriggeredBy",
    "BoundBy",
    "PartOf",
}
UNORDERED |= {"RequiredBy", "WantedBy", "ConflictedBy", "Triggers", "BindsTo", "ConsistsOf", "WantsMountsFor", "Names"}
UNITS_LEAST = 200


def test_they_are_what_they_were(system: Manager) -> None:
    own = system.container.root / "usr/lib/systemd/system"
    files = {name: path.read_bytes() for name, path in units().items() if not (own / name).exists() and "/" not in name}
    names = [name.replace("@.", f"@{INSTANCE}.") for name in files]
    with there(system, files):
        with properties(system.container.pid) as asked:
            before = {name: asked.of(name) for name in names}
        said = json.loads(system.container.run("sh", "-c", WRITE, "sh", *names).stdout)
    texts = {name: text for name, text in said.items() if not text.startswith("error: ")}
    errors = {name: text for name, text in said.items() if name not in texts}
    loaded = {name for name in names if before[name]["LoadState"] == "loaded"}
    assert not {name: text for name, text in errors.items() if name in loaded}
    written = {name: text.encode() for name, text in texts.items()}
    with there(system, written), properties(system.container.pid) as asked:
        after = {name: asked.of(name) for name in texts}
    unlike = {}
    for said in (before, after):
        for found in said.values():
            found.update({key: sorted(found[key]) for key in UNORDERED & found.keys()})
    for name in sorted(loaded & texts.keys()):
        keys = [key for key in before[name] if not any(part in key for part in OF_THE_MOMENT)]
        found = {
            key: (before[name][key], after[name].get(key)) for key in keys if before[name][key] != after[name].get(key)
        }
        if found:
            unlike[name] = found
    assert unlike == {}
    assert len(loaded) > UNITS_LEAST
