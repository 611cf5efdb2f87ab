"""What a start would fail of, as far as it can be seen without doing it. For --explain, which runs and opens nothing.

A socket is bound for a moment and given back at once, where that is the only way to know; nobody can connect to it, and
no path is made.
"""

import _socket
import errno
import posix

from cross_init.errors import NOT_FOUND, Failure, why
from cross_init.gather import hearing, refuse, refuse_unused
from cross_init.kernel.linux import need_pidfds
from cross_init.kernel.system_calls import need_library
from cross_init.launch import cannot_run, find_program
from cross_init.model import EXIT, Init
from cross_init.notify.options import is_the_daemons
from cross_init.plan import EXEC, SUPERVISE, Plan, keeps
from cross_init.sockets.address import KINDS, Address
from cross_init.sockets.connection import prober
from cross_init.sockets.listen import bound, cannot_listen
from cross_init.unused import misplaced, without_effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cross_init.request import Request
    from cross_init.sockets.passed import Passed

PATH_MAX = 107  # bytes that a socket's path may have (unix(7))
MAGIC_MAX = 256  # of a script's first line the kernel reads so many bytes (execve(2), BINPRM_BUF_SIZE)
ELF, SCRIPT = b"\x7fELF", b"#!"


def refusals(request: "Request", plan: Plan, passed: "list[Passed]") -> list[str]:
    """Each in the words in which the start would refuse it. passed: what the init passes, or a socket taken over."""
    init, target, environ = request.init, request.target, request.environ
    watches = plan.shape != EXEC
    checks: list[tuple[object, Callable[[], object]]] = [
        (True, lambda: refuse_unused(request, plan)),
        (True, lambda: refuse(request, plan)),
        (True, lambda: observe(request)),
        (request.waits and watches, lambda: hearing(request)),
        (watches, need_pidfds),
        (plan.shape == SUPERVISE, lambda: need_to_adopt(request)),
        *((True, lambda address=address: listen(address)) for address in request.listen),
        (True, lambda: refuse_twice(request.listen)),
        (request.health_listen, lambda: listen(request.health_listen) if request.health_listen else None),
        (request.adopt_socket and not passed, lambda: take_over(request.adopt_socket)),
        (
            request.wait_for_client and not (passed or request.listen or request.adopt_socket),
            lambda: nothing_to_wait_on(init),
        ),
        (request.pid_file and init.hears == EXIT and not is_the_daemons(request), lambda: name_main(request)),
        (request.command, lambda: run_program(request.command[0], environ)),
    ]
    if keeps(request):
        from cross_init.store.kept_sockets import refuse as refuse_keeping

        checks.append((True, lambda: refuse_keeping(init)))
    if request.fd_store:
        from cross_init.store.client import refuse as refuse_store

        checks.append((True, lambda: refuse_store(init, target)))
    found: list[str] = []
    for applies, check in checks:
        if applies:
            try:
                check()
            except Failure as failure:
                if str(failure) not in found:
                    found.append(str(failure))
    return found


def cautions(request: "Request", plan: Plan) -> list[str]:
    """What the start does not refuse, as the daemon may see to it or do without."""
    target = request.target
    found = [misplaced(request.misplaced)] if request.misplaced else []
    if line := without_effect(request, plan):
        found.append(line)
    if request.pid_file and is_the_daemons(request):
        folder = request.pid_file.rpartition("/")[0] or ("/" if request.pid_file.startswith("/") else ".")
        if not posix.access(folder, posix.F_OK):
            found.append(f"--pid-file {request.pid_file}: {folder} is not there: make it, unless the daemon does")
    if plan.shape == SUPERVISE and "main PID" in target.news and not (target.forks or request.pid_file):
        try:
            need_library("following a main process that loses its parent (MAINPID=)")
        except Failure as failure:
            found.append(str(failure))
    return found


def observe(request: "Request") -> None:
    """What --ready-when needs: libraries, names that can be looked up, an address. Raises Failure."""
    for condition in request.conditions:
        try:
            condition.prepare(request.environ)
        except OSError as error:
            raise Failure(f"--ready-when {condition.text}: {why(error)}") from None


def need_to_adopt(request: "Request") -> None:
    """A daemon that forks away is followed only by who adopts it. Raises Failure."""
    if request.target.forks or request.pid_file:
        need_library("following a daemon that forks away")


def listen(address: Address) -> None:
    """Whether a socket can be opened there. Raises Failure."""
    if address.options.keep or address.kind in ("fifo", "mqueue"):
        return  # it may be open from an earlier start, or there
    try:
        if address.has_path:
            look_at_path(address.path, address.kind)
        elif address.is_socket:
            bound(address).close()
        elif not posix.access(address.path, posix.R_OK, effective_ids=True):
            posix.stat(address.path)
            raise PermissionError(errno.EACCES, posix.strerror(errno.EACCES))
    except (OSError, _socket.gaierror) as error:
        raise cannot_listen(address, error) from None


def look_at_path(path: str, kind: str) -> None:
    """Whether a socket can be made at this path. Raises OSError."""
    if len(path.encode("utf-8", "surrogateescape")) > PATH_MAX:
        raise OSError("AF_UNIX path too long")
    folder = path
    while True:  # what is missing on the way is made
        folder = folder.rpartition("/")[0] or "/"
        try:
            status = posix.stat(folder)
            break
        except FileNotFoundError:
            continue
    if status.st_mode & 0o170000 != 0o040000:
        raise NotADirectoryError(errno.ENOTDIR, posix.strerror(errno.ENOTDIR))
    if not posix.access(folder, posix.W_OK | posix.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, posix.strerror(errno.EACCES))
    try:
        posix.lstat(path)
    except FileNotFoundError:
        return
    probe = prober(KINDS[kind])
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        if posix.stat(path).st_mode & 0o170000 == 0o140000:
            return  # a socket that was left there, and is replaced
    except OSError:
        pass  # somebody is there, whose queue is full, or who has another kind of socket
    finally:
        probe.close()
    raise OSError(errno.EADDRINUSE, posix.strerror(errno.EADDRINUSE))


def refuse_twice(addresses: list[Address]) -> None:
    """One address that is to be opened twice, unless any port will do. Raises Failure."""
    texts = [address.text for address in addresses]
    for address in addresses:
        if texts.count(address.text) > 1 and (address.path or address.port):
            raise cannot_listen(address, OSError(errno.EADDRINUSE, posix.strerror(errno.EADDRINUSE)))


def take_over(address: "Address | None") -> None:
    """Whether there is something to take over. Raises Failure."""
    from cross_init.sockets.adopt import find

    if address is not None:
        find(address)


def nothing_to_wait_on(init: Init) -> None:
    """Raises Failure, as waiting.py does."""
    raise Failure(f"--wait-for-client: {init.called} passed no socket to wait on; give the job one, or use --listen")


def name_main(request: "Request") -> None:
    """Whether the PID file that we write can be written, and names nobody who lives. Raises Failure."""
    from cross_init.notify.pid_file import place

    place(request.pid_file, find_program(request.command[0], request.environ) if request.command else [])


def run_program(command: str, environ: dict[bytes, bytes]) -> None:
    """Whether the command is there, and of a kind that the kernel runs. Raises Failure."""
    path = find_program(command, environ)[0]
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        try:
            head = posix.read(fd, MAGIC_MAX)
        finally:
            posix.close(fd)
    except OSError:
        return  # it may be run, and not read
    if head.startswith(SCRIPT):
        interpreter = (head[len(SCRIPT) :].partition(b"\n")[0].split() or [b""])[0]
        if not posix.access(interpreter, posix.F_OK):
            raise Failure(
                f"running {command}: not found: the program is there, but not the interpreter that it names: "
                "see its first line, or what ldd(1) says of it",
                NOT_FOUND,
            )
    elif not head.startswith(ELF) and not handled_elsewhere():
        raise cannot_run(command, OSError(errno.ENOEXEC, posix.strerror(errno.ENOEXEC)))


def handled_elsewhere() -> bool:
    """Whether the kernel was told of more kinds of programs (binfmt_misc), of which it may be one."""
    try:
        return bool(set(posix.listdir("/proc/sys/fs/binfmt_misc")) - {"register", "status"})
    except OSError:
        return False
