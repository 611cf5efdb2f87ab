"""How our modules are found: compiled ones the short way; what is missing, outdated or broken by Python's own."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cross_init.start import ALWAYS
from cross_init.version import VERSION
from tests.support.command import PATH, ROOT

# Becomes the command, and says at its end which modules were found the short way.
SAY_LOADERS = """
import posix, sys
real = posix._exit
def _exit(code):
    ours = [module for name, module in sys.modules.items() if name.startswith("cross_init.")]
    files = [each for each in ours if getattr(each, "__file__", None)]
    specs = [(each.__name__, each.__spec__) for each in files]
    short = [name for name, spec in specs if spec is None or spec.loader is None or spec.loader_state]
    posix.write(1, " ".join(sorted(short)).encode())
    real(code)
posix._exit = _exit
sys.argv = sys.argv[1:]
__file__ = sys.argv[0]
exec(compile(open(__file__).read(), __file__, "exec"))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that has run once, so that its modules are compiled."""
    for name in ("src", "bin"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    assert version(tmp_path) == VERSION
    words = ("--init", "none", "-t", "systemd", "--", "/bin/true")
    subprocess.run([tmp_path / "bin/cross-init-bridge", *words], check=True, timeout=60)
    assert compiled(tmp_path).exists()
    return tmp_path


def version(checkout: Path) -> str:
    said = subprocess.run(
        [checkout / "bin/cross-init-bridge", "-V"], capture_output=True, text=True, env={"PATH": PATH}, timeout=60
    )
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout.removeprefix("cross-init-bridge ").strip()


def compiled(checkout: Path) -> Path:
    return next((checkout / "src/cross_init/__pycache__").glob("version.cpython-*.pyc"), Path("/nonexistent"))


def found_the_short_way(checkout: Path) -> set[str]:
    words = ["/usr/bin/python3", "-ISXutf8", "-c", SAY_LOADERS, str(checkout / "bin/cross-init-bridge"), "-V"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    return {word for word in said.split() if word.startswith("cross_init.")}


def test_what_is_compiled_is_found_the_short_way(checkout: Path) -> None:
    ours = {f"cross_init.{name}" for name in ("start", "version", *ALWAYS)}
    assert found_the_short_way(checkout) == ours


def test_a_changed_source_counts_and_is_compiled_anew(checkout: Path) -> None:
    source = checkout / "src/cross_init/version.py"
    source.write_text('VERSION = "changed"\n')
    assert version(checkout) == "changed"
    assert "cross_init.version" in found_the_short_way(checkout)
    status = source.stat()
    source.write_text('VERSION = "longer than before"\n')
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert version(checkout) == "longer than before"


BREAKS: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "another Python's": lambda path: path.write_bytes(b"\x00\x00\r\n" + path.read_bytes()[4:]),
    "another source's": lambda path: path.write_bytes(path.read_bytes()[:8] + bytes(8) + path.read_bytes()[16:]),
}


@pytest.mark.parametrize("breaks", BREAKS)
def test_a_compiled_module_that_is_of_no_use_is_not_used(checkout: Path, breaks: str) -> None:
    BREAKS[breaks](compiled(checkout))
    assert version(checkout) == VERSION


def test_where_nothing_is_compiled_nothing_is_missing(checkout: Path) -> None:
    for folder in (checkout / "src/cross_init").glob("**/__pycache__"):
        shutil.rmtree(folder)
    assert version(checkout) == VERSION


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a file system that is only read")
def test_where_nothing_can_be_written_nothing_is_needed(checkout: Path) -> None:
    compiled(checkout).unlink()
    said = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
            'mount --bind -o ro "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$1/bin/cross-init-bridge" -V',
            *("sh", str(checkout)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, f"cross-init-bridge {VERSION}\n", "")


def test_without_its_modules_it_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bin", tmp_path / "bin", symlinks=True)
    said = subprocess.run([tmp_path / "bin/cross-init-bridge", "-V"], capture_output=True, text=True, timeout=60)
    assert said.returncode == 125
    assert said.stderr == (
        f"cross-init-bridge: looked for its modules under {tmp_path}/bin/..: none there; install it again\n"
    )
