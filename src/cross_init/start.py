"""From the interpreter's start to the command: how our modules are found, what we were given, and an end for mistakes.

Also an older interpreter has to be able to read this file, so that it can say that it is too old.
"""

import _signal
import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER
from marshal import loads

if sys.version_info < (3, 11):  # noqa: UP036 (a checkout may meet any interpreter)
    posix.write(2, b"cross-init-bridge: this is Python %d.%d: 3.11 or newer is needed\n" % sys.version_info[:2])
    posix._exit(125)
if _signal.getsignal(_signal.SIGINT) == _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # a Ctrl-C ends us as it ends every program, without a traceback


def end(kind: type[BaseException], error: BaseException, place: object) -> None:
    """Whatever nobody has caught ends us with a line, and without the interpreter's own words."""
    posix.write(2, f"cross-init-bridge: {'there is no memory left' if kind is MemoryError else repr(error)}\n".encode())
    posix._exit(125)


sys.excepthook = end
sys.unraisablehook = lambda unraisable: None  # in a thread, say: it ends, which is seen by who waits for it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Any

    from cross_init.commands.options import Options
    from cross_init.resident.asking import Unstarted

    CodeOf = Callable[[str, str], CodeType | None]

# Our folders; their own files have nothing but a docstring.
PACKAGES = (
    "commands",
    "definitions",
    "kernel",
    "notify",
    "readiness",
    "resident",
    "running",
    "sandbox",
    "shapes",
    "sockets",
    "store",
    "systems",
    "watch",
    "writers",
)
# On that way, too, each behind those that it imports.
ALWAYS = (
    *("errors", "kernel.linux", "kernel.evidence", "model", "detect", "commands.options"),
    *("request", "plan", "gather", "launch", "bridge"),
)
# And what a unit needs besides (cross-init run), and what reading it takes, if no start did that before (kept.py).
OF_UNITS = (
    *("definitions.definition", "definitions.said", "running.kept", "definitions.classes", "running.verdicts"),
    *("running.identity", "running.command", "running.environment", "running.streams", "running.entering"),
    *("running.result", "running.unit", "running.words", "kernel.folders", "running.directories"),
    *("systems.systemd_target", "commands.words", "commands.run", "commands.front_door"),
)
OF_READING = (
    *("definitions.syntax", "definitions.words", "definitions.reading", "definitions.table_unit"),
    *("definitions.directives", "definitions.find", "definitions.finish", "definitions.units", "definitions.load"),
    *("definitions.values", "definitions.table_service", "definitions.table_exec", "definitions.exec_lines"),
    *("definitions.folders", "definitions.scheduling", "definitions.environment"),
)
FOLDER = __file__.rpartition("/")[0]  # where they are, as this file is
COMPILED = f".{sys.implementation.cache_tag}.pyc"
LARGEST = 1 << 16  # bytes; ours have half of that
HOLDER = int(sys._xoptions.get("cross_init", 0))  # the process that has our environment, where a shell became us
Spec: "Any" = type(sys.__spec__)


class Compiled:
    """Finds our modules as the interpreter has compiled them; what is missing or outdated is left to its own finders.

    They take a tenth of a millisecond more for each module, and a start has a dozen.
    """

    @staticmethod
    def find_spec(name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """A module of ours, if its compiled form is of use."""
        if not path or not name.startswith("cross_init."):
            return None
        last = name.rpartition(".")[2]
        code = code_of(path[0], last)
        if code is None:
            return None
        # No has_location: the machinery would look for a place of the compiled form.
        spec: ModuleSpec = Spec(name, Compiled, origin=f"{path[0]}/{last}.py", loader_state=code)
        return spec

    @staticmethod
    def create_module(spec: "ModuleSpec") -> None:
        """Nothing special."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        """Run its code."""
        assert module.__spec__ is not None
        module.__file__ = module.__spec__.origin
        exec(module.__spec__.loader_state, module.__dict__)  # noqa: S102 (this is what importing is)


def compiled(folder: str, name: str) -> "CodeType | None":
    """A module's code, if it is there compiled by this interpreter from the source as it is now (PEP 552)."""
    try:
        status = posix.stat(f"{folder}/{name}.py")
        fd = posix.open(f"{folder}/__pycache__/{name}{COMPILED}", posix.O_RDONLY | posix.O_CLOEXEC)
        data = posix.read(fd, LARGEST)
        posix.close(fd)
        age = (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little")
        if data[:16] != MAGIC_NUMBER + bytes(4) + age + (status.st_size & 0xFFFFFFFF).to_bytes(4, "little"):
            return None
        code: CodeType = loads(memoryview(data)[16:])  # noqa: S302 (as its own finders do)
    except (OSError, EOFError, ValueError, TypeError):
        return None
    return code


code_of: "CodeOf" = compiled


def find_modules(of: "CodeOf" = compiled) -> None:
    """From now on find our modules here, beside this file: in this folder and no other, and the short way.

    of: where a module's code comes from, by its folder and its name.
    """
    global code_of
    code_of = of
    for name in ("cross_init", *(f"cross_init.{each}" for each in PACKAGES)):
        package = sys.modules[name] = type(sys)(name)
        package.__path__ = [f"{FOLDER}{name[len('cross_init') :].replace('.', '/')}"]
    sys.meta_path.insert(0, Compiled)


def load(*names: str) -> None:
    """Import these, each behind those that it imports, past the machinery of imports, which takes half as long again.

    What is not there in this form is imported when it is needed.
    """
    for name in names:
        if f"cross_init.{name}" in sys.modules:
            continue
        folder, _, last = f"/{name}".replace(".", "/").rpartition("/")
        code = code_of(FOLDER + folder, last)
        if code is None:
            return
        module = sys.modules[f"cross_init.{name}"] = type(sys)(f"cross_init.{name}")
        module.__package__ = f"cross_init{folder.replace('/', '.')}"
        module.__file__ = f"{FOLDER}{folder}/{last}.py"
        module.__spec__ = Spec(f"cross_init.{name}", None)  # each import of it asks this whether it is there yet
        exec(code, module.__dict__)  # noqa: S102 (this is what importing is)


def main(argv: list[str]) -> None:
    """Do what the command line says, under the name that we have. Does not return."""
    if HOLDER:
        restore_environment()
    if argv[0].rpartition("/")[2] == "cross-init":
        if argv[1:2] == ["run"]:
            without_collector()
            if is_isolated():
                load(*ALWAYS, *OF_UNITS)
        from cross_init.commands.front_door import main as open_front_door

        open_front_door(argv)
    run_bridge(argv)


def run_bridge(argv: list[str]) -> None:
    """Do what the command line says. Does not return: this process becomes the daemon, or ends."""
    unstarted = ask_resident(argv)
    without_collector()
    if is_isolated():
        load(*ALWAYS)
    from cross_init.commands.options import parse
    from cross_init.errors import FAILED, NAME, Failure, Stopped, print_error, print_unexpected, why, write_out
    from cross_init.kernel.linux import NO_MEMORY

    try:
        if unstarted is not None:
            from cross_init.launch import execute

            execute(*unstarted)
        isolate(argv)
        occupy_standard_descriptors()
        options = parse(argv[1:])
        if options.help:
            from cross_init.commands.help import text

            code = write_out(text(options.help))
        elif options.version:
            from cross_init.version import VERSION

            code = write_out(f"{NAME} {VERSION}\n")
        else:
            code = start(options)
    except Failure as failure:
        code = print_error(str(failure), failure.code)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        code = print_error(f"a system call failed{where}: {why(error)}", FAILED)
    except MemoryError:
        code = print_error(NO_MEMORY, FAILED)
    except Stopped as stopped:
        from cross_init.shapes.stops import end_by

        end_by(stopped.number)
    except Exception as error:
        code = print_unexpected(error)
    # Not sys.exit: after a fork, what is registered to run at the end must not run twice.
    posix._exit(code)


def ask_resident(argv: list[str]) -> "Unstarted | None":
    """Become the daemon, if a resident of this user's does the rest (resident/asking.py); else None.

    Or what could not be run: programs, command, variables, whether SIGPIPE is ignored.
    """
    if HOLDER or not is_isolated() or not ("-N" in argv or "--notify" in argv) or not (path := resident()):
        return None
    occupy_standard_descriptors()
    load("resident.asking")
    from cross_init.resident.asking import become

    return become(argv, clean_environment(), path)


def resident() -> bytes:
    """Where a resident of this user's listens (resident/places.py); b"" if there was none."""
    base = posix.environ.get(b"XDG_RUNTIME_DIR", b"") if posix.geteuid() else b"/run"
    path = base + b"/cross-init/serve"
    return path if base[:1] == b"/" and posix.access(path, posix.F_OK) else b""


def without_collector() -> None:
    """All that a start makes is needed to its end: to look through it again and again takes a tenth of it."""
    import gc

    gc.disable()


def start(options: "Options") -> int:
    """Start the daemon, or explain what that would be. Returns an exit code if this process does not become it.

    Raises Failure, OSError.
    """
    if HOLDER:
        bury_holder()
    environ = clean_environment()
    if not options.target:  # so it is to be explained
        from cross_init.commands.explain import show_init

        return show_init(options, environ)
    from cross_init.detect import target_file
    from cross_init.request import resolve

    load(target_file(options.target.partition(":")[0]))
    request = resolve(options, environ)
    request.resident = resident()
    if options.explain:
        from cross_init.commands.explain import show

        return show(request, options.explain == "json")
    from cross_init.bridge import run

    return run(request, load)


def restore_environment() -> None:
    """Have the environment as the shell was given it that became us.

    A shell passes on no variable whose name it would not take, and sets some. HOLDER, a copy of it, has what it was
    given (proc(5)) as long as we have descriptor 9 open, the pipe that it writes to (shell_head.py).
    """
    given = _read_variables(f"/proc/{HOLDER}/environ")
    posix.close(9)
    if given:
        posix.environ.clear()
        for entry in given:
            name, equals, value = entry.partition(b"=")
            if equals:
                posix.environ.setdefault(name, value)


def bury_holder() -> None:
    """Wait for its end, which has begun, so that the daemon gets no child that it did not make, nor a sign of one."""
    try:
        posix.waitpid(HOLDER, 0)
    except ChildProcessError:  # who ignores SIGCHLD has nothing to wait for
        pass
    if _signal.SIGCHLD in _signal.sigpending():  # it is blocked
        _signal.sigtimedwait((_signal.SIGCHLD,), 0)


def clean_environment() -> dict[bytes, bytes]:
    """The environment as the init gave it to us.

    In the C locale the interpreter sets LC_CTYPE for itself (PEP 538); the daemon must not inherit that. What the
    kernel started us with still stands in /proc/self/environ (proc(5)).
    """
    environ = dict(posix.environ)
    environ.pop(b"", None)  # "=value": the interpreter cannot pass on a variable without a name
    if environ.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        given = _read_variables("/proc/self/environ")
        values = [entry.removeprefix(b"LC_CTYPE=") for entry in given if entry.startswith(b"LC_CTYPE=")]
        if values:
            environ[b"LC_CTYPE"] = values[0]
        elif given:
            del environ[b"LC_CTYPE"]
    return environ


def _read_variables(path: str) -> list[bytes]:
    """NAME=value, each; none if they cannot be read."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return []
    text = b""
    while part := posix.read(fd, 65536):
        text += part
    posix.close(fd)
    return text.split(b"\0")


def occupy_standard_descriptors() -> None:
    """Where one of descriptors 0 to 2 is closed, let none of our sockets take its number.

    What is written to standard error would go to that socket. Reading and writing fail on what stands there now, as
    they do on a closed descriptor, and at exec it is closed: the daemon gets what we were given.
    """
    for fd in (0, 1, 2):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open("/", posix.O_PATH | posix.O_CLOEXEC)  # the lowest free number, which is fd


def is_isolated() -> bool:
    """Whether no PYTHON... variable and no site package concerns us (python3(1), -I and -S)."""
    return bool(sys.flags.isolated and sys.flags.no_site)


def isolate(argv: list[str]) -> None:
    """Start again if we are not isolated: an installer of wheels drops the options from a script's first line.

    Raises OSError.
    """
    if is_isolated():
        return
    script = sys.modules["__main__"].__file__ or argv[0]
    posix.execve(sys.executable, [sys.executable, "-ISXutf8", script, *argv[1:]], clean_environment())
