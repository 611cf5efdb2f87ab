"""The bridge's words with the resident: the first thing that a start does where one is, before it imports the rest.

It is asked to do the start in our stead (instead.py), as it has all modules. Its answer is what to change here, and
this process becomes the daemon. What the resident does not take on itself, or not in time, this process does as it
always did, and offers the daemon to be watched (handover.py).

Who watches in the end is never in doubt, whoever is killed in the middle: both sides write one byte each to a file
without a name that both have, and what came first counts (verdict()).
"""

import _signal
import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    Environment = dict[bytes, bytes]
    Unstarted = tuple[list[bytes], list[str], Environment, bool]

PATIENCE_S = 5.0  # of a bridge with a resident that does not answer; a machine that boots is a busy one
TAKEN, REFUSED = b"taken", b"no "
OURS, RESIDENTS = b"b", b"r"  # the verdict
BEHIND = 16  # where the answer stands in that file as well, in case that it does not come
NOEXEC_SEAL = 8  # MFD_NOEXEC_SEAL, since Linux 6.3, which says so in its log where it is missing
BEGINNING = b"instead 1"  # whoever reads another number refuses
LONGEST = 1 << 16  # bytes
PASSED_MAX = 16  # of the descriptors that we were given, from 3 on
# What the answer says, each with a letter: a program to try, a descriptor to close, a variable to remove, one to set;
# how many of our words are options; whether SIGPIPE stays ignored, and a session is to be led.
PROGRAM, CLOSE, UNSET, SET, AT, IGNORES, LEADS = b"p", b"c", b"u", b"s", b"w", b"i", b"l"
silence = ""  # why it need not be asked a second time


def become(argv: list[str], environ: "Environment", path: bytes) -> "Unstarted | None":
    """Become the daemon, if the resident that listens there does the rest; None if it does not.

    Else what could not be run: programs, command, variables, whether SIGPIPE is ignored.
    """
    global silence
    try:
        if posix.fstat(0).st_mode & 0o170000 == 0o140000:  # a socket, perhaps for the daemon
            return None
        words = [word.encode("utf-8", "surrogateescape") for word in argv[1:]]
        pairs = [b"%b=%b" % pair for pair in environ.items()]
        message = b"\0".join((BEGINNING, b"%d" % posix.getppid(), b"%d" % len(words), *words, *pairs))
        if len(message) > LONGEST:
            return None
        file = new_file()
        pidfd = posix.pidfd_open(posix.getpid())
        # The file has the lowest number that was free, so all below are open.
        answer = ask(path, message, [file, pidfd, 2, *range(3, min(file, 3 + PASSED_MAX))], file)
    except OSError as error:
        silence = f"asking it: {error.strerror}"
        return None
    if not answer.startswith(TAKEN):
        posix.close(pidfd)
        return None
    return do(argv, environ, answer.split(b"\0")[1:], pidfd)


def do(argv: list[str], environ: "Environment", changes: list[bytes], pidfd: int) -> "Unstarted":
    """Change this, and become the daemon. Returns what could not be run."""
    said: dict[bytes, list[bytes]] = {}
    for each in changes:
        said.setdefault(each[:1], []).append(each[1:])
    given: Environment = {}
    for pair in said[SET]:
        name, _, given[name] = pair.partition(b"=")
    for name in (*given, *said.get(UNSET, ())):
        environ.pop(name, None)
    environ = {**given, **environ}  # at the beginning (kernel/procfs.py, variables())
    for number in said.get(CLOSE, ()):
        posix.close(int(number))
    if LEADS in said:
        try:
            posix.setsid()
        except OSError:
            pass  # it leads a process group already
    ignores = IGNORES in said
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN if ignores else _signal.SIG_DFL)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_DFL)
    command = argv[1 + int(said[AT][0]) :]
    try:
        posix.execve(said[PROGRAM][0], command, environ)
    except OSError:
        from fcntl import F_SETFL, fcntl

        fcntl(pidfd, F_SETFL, posix.O_NONBLOCK)  # so the resident knows that it is said (Start.note_failure())
    return said[PROGRAM], command, environ, ignores


def ask(path: bytes, message: bytes, descriptors: list[int], file: int) -> bytes:
    """Say it to who listens there, and return the answer: TAKEN, and perhaps more, or REFUSED and why. Raises OSError.

    file: for the verdict; it is closed then.
    """
    global silence
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        sock.connect(path)
        user = int.from_bytes(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)[4:8], sys.byteorder)
        if user != posix.geteuid():
            return REFUSED + b"it is user %d's" % user
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)
        sock.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)], _socket.MSG_NOSIGNAL)
        answer = hear(sock)
        if answer.startswith(TAKEN):
            return answer
        if not verdict(file, OURS):
            return TAKEN + posix.pread(file, LONGEST, BEHIND)
        if not answer:
            silence = "it does not answer"
        return answer or REFUSED + silence.encode()
    except ConnectionRefusedError:
        silence = "none listens"
    except BlockingIOError:
        silence = "too many wait for it"
    finally:
        sock.close()
        posix.close(file)
    return REFUSED + silence.encode()


def hear(sock: _socket.socket) -> bytes:
    """The answer; b"" if none comes in time, or it has ended."""
    sock.settimeout(PATIENCE_S)
    try:
        return sock.recv(LONGEST)
    except OSError:
        return b""


def new_file() -> int:
    """A file in memory without a name. Raises OSError."""
    try:
        return posix.memfd_create("cross-init", posix.MFD_CLOEXEC | NOEXEC_SEAL)
    except OSError as error:
        if error.errno != 22:  # EINVAL: an older kernel
            raise
        return posix.memfd_create("cross-init", posix.MFD_CLOEXEC)


def verdict(fd: int, word: bytes) -> bool:
    """Whether this word, written now by us or by one of our kind before, is the first in this file. Raises OSError."""
    posix.write(fd, word)  # the position is the open file's, so one word comes behind the other
    return posix.pread(fd, 1, 0) == word
