"""What /proc says of a process: its state and parent, its descriptors, what has a line of its own."""

import posix

from cross_init.kernel.linux import read


def process_stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, the state (proc_pid_stat(5)); none if the process is gone."""
    return fields_of_stat(read(f"/proc/{pid}/stat"))


def fields_of_stat(text: str) -> list[str]:
    """The fields behind the command's name, which stands in parentheses and may hold anything."""
    return text.rpartition(")")[2].split()


def process_state(pid: int) -> str:
    """R, S, D, T (stopped), Z, ...; "" if the process is gone."""
    return (process_stat(pid) or [""])[0]


def value_in(text: str, key: str) -> str:
    """What stands behind this key in a text of /proc's that has a line for each; "" if it does not."""
    return f"\n{text}".partition(f"\n{key}:")[2].partition("\n")[0].strip()


def open_descriptors(process: int | str) -> dict[int, str] | None:
    """A process's descriptors, by number, with their links in /proc (proc_pid_fd(5)); None if we may not look.

    The link of a file begins with a slash, whatever its name is: all others the kernel alone can have written.
    """
    found: dict[int, str] = {}
    folder = f"/proc/{process}/fd"
    try:
        names = posix.listdir(folder)
    except OSError:
        return None
    for name in names:
        try:
            found[int(name)] = posix.readlink(f"{folder}/{name}")
        except OSError:
            pass  # it is closed; so is the one by which the folder was read
    return found
