"""What we read of units, against what systemd itself has read of them, property by property; 252, and Debian sid's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.containers import INSIDE
from tests.support.corpus import units
from tests.support.properties import properties
from tests.support.shown import RELATIONS, Value, differences, property_of
from tests.support.systemd import Manager

READ = f'cd {INSIDE} && PYTHONPATH=src:. PYTHONDONTWRITEBYTECODE=1 exec python3 -m tests.support.shown "$@"'
INSTANCE = "one-two"
# Names that are links to other units, where these are installed: systemd has the others.
LINKS = {"syslog.service"}
# Properties that an older systemd had otherwise: since which version they are as ours.
SINCE = {"FileDescriptorName": 256}
UNITS_LEAST, PROPERTIES_LEAST = 250, 25_000


@contextmanager
def there(system: Manager, files: dict[str, bytes]) -> Iterator[None]:
    """These files are in the manager's folder, by their paths in it, and are read."""
    paths = [system.folder / name for name in files]
    try:
        for path, data in zip(paths, files.values(), strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        system.systemctl("daemon-reload")
        yield
    finally:
        for path in paths:
            path.unlink()
            if path.parent != system.folder and not any(path.parent.iterdir()):
                path.parent.rmdir()
        system.systemctl("daemon-reload")


def version_of(system: Manager) -> int:
    return int(system.systemctl("--version").stdout.split()[1])


def compared(system: Manager, names: list[str]) -> tuple[dict[str, Value], int]:
    """What is not the same of these units, and how many properties were compared."""
    with properties(system.container.pid) as asked:
        theirs = [asked.of(name) for name in names]
    said = system.container.run("sh", "-c", READ, "sh", *names).stdout
    ours = [json.loads(line) for line in said.splitlines()]
    version = version_of(system)
    found: dict[str, Value] = {}
    count = 0
    for name, our, their in zip(names, ours, theirs, strict=True):
        is_refused = their["LoadState"] in ("bad-setting", "error", "masked", "not-found")
        if is_refused or "refused" in our:
            if is_refused != ("refused" in our):
                found[name] = (our.get("refused"), their["LoadState"], their["LoadError"])
            continue
        for each in map(property_of, RELATIONS):
            if each in our:
                our[each] = [unit for unit in our[each] if unit not in LINKS]
        unlike = {key: values for key, values in differences(our, their).items() if SINCE.get(key, 0) <= version}
        count += len(our.keys() & their.keys())
        if unlike:
            found[name] = unlike
    return found, count


def test_units_of_debian(system: Manager) -> None:
    own = system.container.root / "usr/lib/systemd/system"
    files = {name: path.read_bytes() for name, path in units().items() if not (own / name).exists()}
    assert len(files) > UNITS_LEAST
    with there(system, files):
        unlike, count = compared(system, [name.replace("@.", f"@{INSTANCE}.") for name in files])
    assert unlike == {}
    assert count > PROPERTIES_LEAST
