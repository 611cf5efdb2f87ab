"""Read an Upstart job: find its files, read their stanzas, make a Definition of them.

What Upstart would not load is refused in one line with its file and line. Of an override what stands before a mistake
counts, as Upstart 1.13.2 has it (its manual says that nothing does), and a remark says so.
"""

from cross_init.definitions.definition import Definition
from cross_init.definitions.job import Job
from cross_init.definitions.job_meaning import become
from cross_init.definitions.job_relations import unit_name
from cross_init.definitions.job_syntax import Malformed, Text
from cross_init.definitions.said import Said, Unit
from cross_init.definitions.stanzas import read, row
from cross_init.errors import Failure, why

FOLDER = "/etc/init"
SUFFIX = ".conf"
SIZE_MOST = 1 << 22  # bytes of one file


def is_job(said: str) -> bool:
    """Whether this names a job's file, and no unit."""
    return said.endswith(SUFFIX)


def read_job(said: str) -> tuple[Definition, list[str]]:
    """The service of a job, by its file's path or its name in /etc/init, and what is to be remarked. Raises Failure."""
    unit = load_job(said)
    return unit.definition, unit.remarks


def load_job(said: str) -> Unit:
    """The same with all stanzas, each as if it were a line of a unit. Raises Failure."""
    path = said if "/" in said or _content(said) is not None else f"{FOLDER}/{said}"
    content = _content(path)
    if content is None:
        where = "" if path == said else f" here, nor in {FOLDER}"
        raise Failure(f"{said}: there is no such file{where}")
    name = name_of(path)
    if not name:
        raise Failure(f"{said}: a job's file has a name before {SUFFIX}")
    unit = Unit(Definition(unit_name(name)))
    files = [path]
    job = Job(name)
    try:
        _read(content, job, path, unit)
    except Malformed as error:
        raise Failure(f"{path}:{error.line}: {error}") from None
    other = f"{path.removesuffix(SUFFIX)}.override"
    more = _content(other)
    if more is not None:
        files.append(other)
        try:
            _read(more, job, other, unit)
        except Malformed as error:
            unit.remarks.append(f"{other}:{error.line}: {error}; what stands from here on is ignored")
    unit.definition.files = tuple(files)
    become(unit, job)
    return unit


def name_of(path: str) -> str:
    """The name that a job has for Upstart, by its file's path."""
    inside = path.removeprefix(f"{FOLDER}/") if path.startswith(f"{FOLDER}/") else path.rpartition("/")[2]
    return inside.removesuffix(SUFFIX)


def _read(content: bytes, job: Job, path: str, unit: Unit) -> None:
    """Read one file into the job. Raises Malformed."""
    for stanza, line, text in read(Text(content.decode("utf-8", "surrogateescape")), job, path):
        unit.lines.append(Said("", stanza, text, (path, line), row(stanza)))


def _content(path: str) -> bytes | None:
    """What is in a file, None if it is not there. Raises Failure."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(SIZE_MOST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"{path}: {why(error)}") from None
