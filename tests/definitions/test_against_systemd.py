"""What we read of units, against what systemd itself has read of them, property by property; 252, and Debian sid's."""

import json
import string
from collections.abc import Iterator, Mapping
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
UNITS_LEAST, PROPERTIES_LEAST = 200, 20_000


@contextmanager
def there(system: Manager, files: Mapping[str, bytes | str]) -> Iterator[None]:
    """These files are there, in the manager's folder or by their whole paths, and are read; a text is a link."""
    paths = [system.container.root / name[1:] if name.startswith("/") else system.folder / name for name in files]
    try:
        for path, data in zip(paths, files.values(), strict=True):
            path.parent.mkdir(exist_ok=True, parents=True)
            if isinstance(data, str):
                path.symlink_to(data)
            else:
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
    with properties(system.container.pid, system.user) as asked:
        theirs = [asked.of(name) for name in names]
    said = system.container.run("sh", "-c", READ, "sh", *system.words, *names, user=system.user).stdout
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


# All letters, known or not: a line with an unknown one is ignored. Not the shell, which systemd has from how it was
# built, the file, which is elsewhere in an older one, and those of control groups, which are no more.
LETTERS = [each for each in string.ascii_letters if each not in "syYcrR"]
NEWER = "DSL"  # which systemd 252 does not know, or has elsewhere for a user


def test_specifiers(manager: Manager) -> None:
    letters = [each for each in LETTERS if each not in NEWER or version_of(manager) > 256]
    lines = "".join(f"Environment={each}=%{each}\n" for each in letters)
    text = f"[Service]\nExecStart=/bin/true\nUMask=022\n{lines}Environment=_=%% %- %\n".encode()
    with there(manager, {"spec-a@.service": text, "spec-b.service": text}):
        unlike, count = compared(manager, ["spec-a@b-c\\x2dd.service", "spec-b.service"])
    assert unlike == {}
    assert count > 200


LIMITS = (
    "infinity",
    "5:infinity",
    "40",
    "41",
    "0",
    "+5",
    "-5",
    "-20:-20",
    "+infinity",
    "20 : 20",
    "1:2:3",
    "2:1",
    "1M",
)


def test_limits(manager: Manager) -> None:
    kinds = ("NICE", "CORE", "RTPRIO", "RTTIME", "CPU")
    files = {
        f"limits-{at}.service": "\n".join(
            ("[Service]", "ExecStart=/bin/true", "UMask=022", *(f"Limit{kind}={value}" for kind in kinds), "")
        ).encode()
        for at, value in enumerate(LIMITS)
    }
    with there(manager, files):
        unlike, count = compared(manager, list(files))
    assert unlike == {}
    assert count > 200


SERVICE = b"[Unit]\nDescription=%n %p %i %j %J %I %f\n[Service]\nExecStart=/bin/true %n %N %P\n"
ETC, USR = "/etc/systemd/system", "/usr/lib/systemd/system"
PLACES: dict[str, bytes | str] = {
    # Drop-ins of the name, of its prefixes and of the type, in folders that count more and less.
    f"{USR}/find-a-b.service": SERVICE,
    "find-a-b.service.d/20-x.conf": b"[Service]\nNice=1\n[Unit]\nAfter=run.target\n",
    f"{ETC}/find-a-b.service.d/10-x.conf": b"[Service]\nNice=2\n",
    f"{USR}/find-a-b.service.d/10-x.conf": b"[Unit]\nAfter=hidden.target\n",
    f"{USR}/find-a-b.service.d/30-y.conf": "/dev/null",
    "find-a-.service.d/05-z.conf": b"[Service]\nNice=3\nEnvironment=A=1\n",
    f"{ETC}/find-.service.d/40-z.conf": b"[Service]\nEnvironment=B=%n\n",
    "service.d/90-find.conf": b"[Service]\nEnvironment=ALL=1\n",
    f"{ETC}/service.d/20-x.conf": b"[Unit]\nAfter=hidden.target\n",
    "find-a-b.service.d/no.txt": b"[Service]\nNice=9\n",
    "find-a-b.service.wants/find-w.service": f"{USR}/find-a-b.service",
    # One of etc before one of usr, and a link to itself, which is none.
    f"{USR}/find-c.service": b"[Service]\nExecStart=/bin/false\n",
    f"{ETC}/find-c.service": SERVICE,
    f"{ETC}/find-a-b.service": f"{USR}/find-a-b.service",
    # Other names, with drop-ins of their own, and a file that is elsewhere.
    f"{USR}/find-main.service": SERVICE,
    f"{ETC}/find-alias.service": f"{USR}/find-main.service",
    f"{ETC}/find-alias2.service": "find-alias.service",
    f"{ETC}/find-alias.service.d/a.conf": b"[Service]\nEnvironment=ALIAS=%n\n",
    f"{USR}/find-main.service.d/b.conf": b"[Service]\nEnvironment=MAIN=%n\n",
    "/opt/find/elsewhere.service": SERVICE,
    f"{ETC}/find-linked.service": "/opt/find/elsewhere.service",
    # Templates: instances of their own, links to an instance, drop-ins of both.
    f"{USR}/find-t@.service": SERVICE,
    f"{ETC}/find-t@own.service": b"[Service]\nExecStart=/bin/echo own\n",
    f"{USR}/find-t@.service.d/a.conf": b"[Service]\nEnvironment=T=%i\n",
    f"{ETC}/find-t@b-c.service.d/a.conf": b"[Service]\nEnvironment=I=%I\n",
    f"{ETC}/find-u@.service": "find-t@.service",
    f"{ETC}/find-v@x.service": "find-t@.service",
    "find-@.service.d/p.conf": b"[Service]\nEnvironment=P=%p\n",
    # Masked, and in a circle.
    f"{ETC}/find-null.service": "/dev/null",
    f"{ETC}/find-empty.service": b"",
    f"{ETC}/find-ring1.service": "find-ring2.service",
    f"{ETC}/find-ring2.service": "find-ring1.service",
}
FOUND = (
    *("find-a-b", "find-c", "find-main", "find-alias", "find-alias2", "find-linked", "find-t@own", "find-t@b-c"),
    *("find-t@\\x2da-b", "find-u@b-c", "find-v@x", "find-v@y", "find-null", "find-empty", "find-ring1", "find-nothing"),
)


def test_where_units_are_found(system: Manager) -> None:
    with there(system, PLACES):
        unlike, count = compared(system, [f"{name}.service" for name in FOUND])
    assert unlike == {}
    assert count > 1000


def test_units_of_debian(system: Manager) -> None:
    own = system.container.root / "usr/lib/systemd/system"
    files = {name: path.read_bytes() for name, path in units().items() if not (own / name).exists()}
    assert len(files) > UNITS_LEAST
    with there(system, files):
        unlike, count = compared(system, [name.replace("@.", f"@{INSTANCE}.") for name in files])
    assert unlike == {}
    assert count > PROPERTIES_LEAST
