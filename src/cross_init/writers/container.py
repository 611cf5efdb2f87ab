"""A service as a container of its own: a Containerfile, and the unit's own files if no package has them.

Who runs containers says when one is started anew and what is before it: that stands as a comment.
"""

import posix

from cross_init.as_json import text as as_text
from cross_init.errors import Failure, why
from cross_init.running.directories import paths
from cross_init.running.sockets import is_wanted
from cross_init.writers import told
from cross_init.writers.invocation import FRONT_DOOR, is_awaited
from cross_init.writers.one_command import nobody_afterwards, owner, sets_folder, taken, words
from cross_init.writers.quoting import comments, shell
from cross_init.writers.script import WIDTH, variables
from cross_init.writers.standing import is_daemons_alone
from cross_init.writers.told import Told, at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition

WRITES = told.WRITES
LISTS = "/var/lib/dpkg/info"
UNITS = "/etc/systemd/system"
ENABLED = f"{UNITS}/sockets.target.wants"
RESTARTS = {"no": "", "always": " --restart always", "on-failure": " --restart on-failure"}
BASE = "debian:bookworm-slim"
INSTALL = "RUN apt-get update && apt-get install --yes --no-install-recommends"


def write(definition: "Definition", remarks: list[str], expand: bool) -> dict[str, str]:
    """The Containerfile, and the unit's files where they are nobody's. Raises Failure."""
    service = Told(definition, remarks)
    others = [*service.needs, *service.wants, *service.after]
    if others := list(dict.fromkeys(others)):
        service.lose(f"After={' '.join(others)}", "that is for who starts the containers")
    files: dict[str, str] = {}
    package = _package(definition.files[0])
    if not package:
        service.lose(
            "its package", f"no package here has {definition.files[0]}: the image needs the daemon, and what it needs"
        )
    if expand:
        said = _expanded(service)
    else:
        service.no_checks()
        said = _by_unit(service, package, files)
    packages = " ".join(["python3-minimal", *([package] if package else [])])
    lines = [
        f"FROM {BASE}",
        f"{INSTALL} {packages} && rm -rf /var/lib/apt/lists/*",
        "COPY cross-init-bridge /usr/bin/",
        "RUN ln -s cross-init-bridge /usr/bin/cross-init",
        *_volumes(service),
        *(f"EXPOSE {port}" for port in _ports(definition)),
        *said,
    ]
    text = comments([service.description, *remarks, *_use(service)], WIDTH) + "".join(f"{each}\n" for each in lines)
    return {"Containerfile": text, **files}


def _use(service: Told) -> list[str]:
    stop = "" if service.stop_s is None else f" --stop-timeout {at_least(service.stop_s)}"
    name = service.name.lower()
    return [
        f"make dist && cp dist/cross-init-bridge . && podman build --format docker --tag {name} .",
        f"podman run{RESTARTS[service.restart]}{stop} {name}",
    ]


def words_of(said: list[str]) -> str:
    """Words as an instruction has them, of which nothing is read as anything else."""
    return f"[{', '.join(map(as_text, said))}]"


def _volumes(service: Told) -> list[str]:
    found = [path for kind in ("state", "cache") for path in paths(service.definition, kind)]
    return [f"VOLUME {words_of(found)}"] if found else []


def _ports(definition: "Definition") -> list[str]:
    """Of its sockets, those that are a port."""
    found = []
    for socket in definition.sockets:
        for each in socket.listen if is_wanted(definition, socket) else ():
            port = each.address.rpartition(":")[2]
            if port.isdigit() and each.kind in ("Stream", "Datagram"):
                found.append(port + "/udp" * (each.kind == "Datagram"))
    return list(dict.fromkeys(found))


def _by_unit(service: Told, package: str, files: dict[str, str]) -> list[str]:
    """The unit as the package has it, or a copy of it; its sockets enabled, as nobody enables them in an image."""
    definition = service.definition
    found: list[str] = []
    if not package:
        for path in dict.fromkeys([*definition.files, *_sockets(definition)]):
            files[f"units/{_below(path)}"] = _content(path)
        found.append(f"COPY units/ {UNITS}/")
    if names := [socket.name for socket in definition.sockets if is_wanted(definition, socket)]:
        links = " ".join(shell(f"{UNITS}/{name}") for name in names)
        found.append(f"RUN mkdir -p {ENABLED} && ln -sf {links} {ENABLED}/")
    return [*found, *_health(service), f"ENTRYPOINT {words_of([FRONT_DOOR, 'run', definition.name])}"]


def _sockets(definition: "Definition") -> list[str]:
    return [file for socket in definition.sockets for file, _ in socket.origins.values()]


def _below(path: str) -> str:
    """A file's name, with the folder of a drop-in."""
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if folder.endswith(".d") else name


def _health(service: Told) -> list[str]:
    check = words_of([FRONT_DOOR, "check"])
    return [f"HEALTHCHECK --interval=10s --timeout=5s CMD {check}"] * is_awaited(service.definition)


def _expanded(service: Told) -> list[str]:
    """What the unit says, in instructions as far as there are any."""
    definition, remarks = service.definition, service.remarks
    context = definition.context
    rest = taken(definition, environment=tuple(each for each in context.environment if is_daemons_alone(each[0])))
    found = [f"ENV {name}={_value(value)}" for name, value in variables(definition, remarks)]
    found += [f"WORKDIR {_value(context.working_directory or '/')}"] * sets_folder(definition)
    found += _health(service)
    if user := owner(rest, remarks):
        found.append(f"USER {user.name}:{user.group}")
        rest = taken(rest, user="", group="")
    if rest.ending.file_descriptor_store_max:
        remarks.append("FileDescriptorStoreMax=: a container ends with its service, and so does who would keep them")
        rest = taken(rest)
        rest.ending.file_descriptor_store_max = 0
    nobody_afterwards(definition, remarks)
    return [*found, f"ENTRYPOINT {words_of(words(rest, remarks))}"]


def _value(text: str) -> str:
    """A value in which nothing is put in. Raises Failure."""
    if any(letter < " " for letter in text):
        raise Failure(f"{text!r}: a Containerfile cannot have a control character in a value")
    return '"' + "".join(f"\\{letter}" if letter in '\\"$' else letter for letter in text) + '"'


def _package(path: str) -> str:
    """The Debian package that has this file; "" if none has. Its list has the path as the package does."""
    usual = {path, path.removeprefix("/usr"), f"/usr{path}"}
    try:
        lists = sorted(name for name in posix.listdir(LISTS) if name.endswith(".list"))
    except OSError:
        return ""
    for name in lists:
        if usual & set(_content(f"{LISTS}/{name}").splitlines()):
            return name.removesuffix(".list").partition(":")[0]
    return ""


def _content(path: str) -> str:
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            text = b""
            while part := posix.read(fd, 1 << 16):
                text += part
            return text.decode("utf-8", "surrogateescape")
        finally:
            posix.close(fd)
    except OSError as error:
        raise Failure(f"reading {path}: {why(error)}") from None
