"""Run cross-init-bridge and cross-init as a user does, as processes, and see how they ended and what they said."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.programs import PATH as PATH  # what a command gets if nothing else is said

ROOT = Path(__file__).resolve().parents[2]
# The form that is tested (make test BRIDGE=...), in the checkout; what is about a checkout itself takes that one.
FORM = os.environ.get("CROSS_INIT_TEST_BRIDGE") or "bin/cross-init-bridge"
CHECKOUT = ROOT / "bin/cross-init-bridge"
BRIDGE = ROOT / FORM
# A static program has no interpreter that could lack something, and no ssl (tools/make_static.py).
IS_BY_SHELL = FORM == "dist/cross-init-bridge"  # or a wheel, which is in no checkout
IS_STATIC = FORM.startswith("dist/static/")
FRONT_DOOR = BRIDGE.parent / "cross-init"
LONGEST_S = 60  # a run that takes longer hangs

Word = str | bytes


class Result:
    """How a run ended: its exit status (negative: the signal that it died of), standard output and error."""

    def __init__(self, status: int, out: bytes, err: bytes) -> None:
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"Result({self.status}, out={self.out!r}, err={self.err!r})"

    @property
    def line(self) -> str:
        """The one line on standard error that a failure has to be."""
        text = self.err.decode()
        assert text.endswith("\n"), self
        assert text.count("\n") == 1, self
        assert text.startswith("cross-init-bridge: "), self
        return text.removeprefix("cross-init-bridge: ").removesuffix("\n")


def run_unit(unit: Path, *words: str, before: Sequence[str] = ()) -> tuple[int, str]:
    """cross-init run, from a shell: the exit code, and all that was said. before: what it is run by."""
    ran = subprocess.run(
        [*before, str(FRONT_DOOR), "run", "--init", "none", *words, str(unit)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
    )
    return ran.returncode, ran.stdout


def command(*words: Word) -> list[Word]:
    """The command line of the bridge with these words behind its name."""
    return [str(BRIDGE), *words]


def run(
    *words: Word,
    environ: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    before: Callable[[], None] | None = None,
    wrapper: Sequence[Word] = (),
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
) -> Result:
    """Run the bridge with these words until it (or the daemon that it became) ends.

    environ: all that it gets, PATH alone if not given. before: called in the new process. wrapper: a program, with its
    arguments, that starts it.
    """
    ended = subprocess.run(
        [*wrapper, *command(*words)],
        env={"PATH": PATH} if environ is None else environ,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        preexec_fn=before,
        pass_fds=pass_fds,
        cwd=cwd,
        timeout=LONGEST_S,
    )
    return Result(ended.returncode, ended.stdout or b"", ended.stderr or b"")


def ask(*words: Word, cwd: Path | None = None, before: Callable[[], None] | None = None) -> tuple[int, str, str]:
    """Run cross-init check with these words: its exit code, standard output and error."""
    ended = subprocess.run(
        [FRONT_DOOR, "check", *words],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=before,
        cwd=cwd,
        timeout=LONGEST_S,
    )
    return ended.returncode, ended.stdout, ended.stderr


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    """An executable file with this text in the folder."""
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def close_descriptors(*numbers: int) -> Callable[[], None]:
    """What closes these, to be called in the new process."""

    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


def closed_pipe() -> int:
    read, write = os.pipe()
    os.close(read)
    return write
