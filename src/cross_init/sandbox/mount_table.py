"""What is mounted, as the kernel has it (proc_pid_mountinfo(5)), and mounting (mount(2))."""

import posix

from cross_init.kernel.linux import contents
from cross_init.kernel.system_calls import mount as call_mount

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 1, 2, 4, 8, 32, 4096, 8192, 16384
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_RELATIME, MS_STRICTATIME = 1 << 21, 1 << 24
FLAGS = {  # as mountinfo has them
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "nosymfollow": 256,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": MS_RELATIME,
}
ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
LARGEST = 1 << 24  # bytes
HERE = posix.O_PATH | posix.O_NOFOLLOW | posix.O_CLOEXEC


def encoded(path: str) -> bytes:
    """As the kernel has it."""
    return path.encode("utf-8", "surrogateescape")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """At exactly this place: a link there is not followed. Raises OSError."""
    place = posix.open(target, HERE)
    try:
        call_mount(encoded(source), b"/proc/self/fd/%d" % place, encoded(kind), flags, encoded(options))
    finally:
        posix.close(place)


def mounted() -> list[tuple[str, int]]:
    """Where something is mounted that can be reached, and with which flags. Raises OSError."""
    found: dict[str, tuple[str, str, int]] = {}  # by their numbers: that of what each is mounted on, path, flags
    beside: dict[str, set[str]] = {}  # the paths of what is mounted on each
    known: dict[str, int] = {}  # flags, by how they are written
    for line in contents("/proc/self/mountinfo", LARGEST).split("\n"):
        words = line.split(" ")
        if len(words) > 6:
            number, parent, _, _, path, options = words[:6]
            if "\\" in path:
                for escaped, letter in ESCAPES:
                    path = path.replace(escaped, letter)
            if options not in known:
                known[options] = sum(FLAGS.get(word, 0) for word in options.split(","))
            found[number] = (parent, path, known[options])
            beside.setdefault(parent, set()).add(path)
    hidden: dict[str, bool] = {}

    def is_hidden(number: str) -> bool:
        """Whether another one is over it: what it is mounted on is hidden, or something is mounted there further up."""
        if number not in found:
            return False
        if number not in hidden:
            parent, path, _ = found[number]
            above, others = path, beside[parent]
            while above not in ("/", "") and (above := above.rpartition("/")[0] or "/") not in others:
                pass
            covered = above != path and above in others and parent in found
            hidden[number] = covered or is_hidden(parent)
        return hidden[number]

    return [(path, flags) for number, (_, path, flags) in found.items() if not is_hidden(number)]
