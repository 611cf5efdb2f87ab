"""The forms in which people have the command, and the demo: each does the main job."""

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from tests.support.command import PATH
from tests.support.packages import need

ROOT = Path(__file__).resolve().parents[1]
SAYS = """
import os, socket
address = os.environ["NOTIFY_SOCKET"]
with open("/proc/self/environ", "rb") as given:  # what python sets for itself stands elsewhere
    assert b"LC_CTYPE" not in given.read()
assert os.environ["PYTHONPATH"] == "nonsense"
assert os.environ["with.dot"] == "a\\nb"  # no name to a shell, which would not pass it on
assert "PWD" not in os.environ  # which a shell sets
assert sorted(os.listdir("/proc/self/fd")) == ["0", "1", "2", "3"]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect("\\0" + address[1:] if address[0] == "@" else address)
read, write = os.pipe()
sender.send(b"READY=1")
socket.send_fds(sender, [b"BARRIER=1"], [write])
os.close(write)
os.read(read, 1)
os._exit(5)
"""


def works(program: Path) -> None:
    """The command, wherever it is, runs a daemon and hears that it is ready."""
    words = ["-t", "systemd", "-N", "--init", "none", "--", "/usr/bin/python3", "-ISc", SAYS]
    environ = {"PATH": PATH, "PYTHONPATH": "nonsense", "with.dot": "a\nb"}
    ran = subprocess.run([program, *words], env=environ, capture_output=True, text=True, timeout=60, cwd="/")
    assert ran.returncode == 5, ran
    assert "is ready after" in ran.stderr
    for name in (program, program.with_name("cross-init")):
        version = subprocess.run([name, "-V"], env={}, capture_output=True, text=True, timeout=60)
        assert version.stdout.startswith(f"{'cross-init' if name != program else 'cross-init-bridge'} 1.")


# Runs what Python is told to, as a script or by -c, as if it were old.
PRETENDS = """
import runpy, sys
sys.version_info = (3, 9, 0)
del sys.argv[0]
if sys.argv[0] == "-c":
    exec(sys.argv.pop(1))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def says_it_in_one_line(program: Path) -> None:
    """What no other line of ours comes in time for: an interpreter that is too old, and a Ctrl-C."""
    told = re.search(rb"-ISXutf8 -c '([^']*)'", program.read_bytes()[:4096])
    words = ["-c", told[1].decode(), str(program)] if told else [str(program)]
    old = subprocess.run(
        ["/usr/bin/python3", "-ISc", PRETENDS, *words, "-V"], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert (old.returncode, old.stderr) == (125, "cross-init-bridge: this is Python 3.9: 3.11 or newer is needed\n")
    words = ["-t", "systemd", "--init", "none", "--wait-for-client", "--listen", "tcp:127.0.0.1:0", "--", "/bin/true"]
    with subprocess.Popen(
        [program, *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as waits:
        assert waits.stderr is not None
        assert waits.stderr.readline().startswith("cross-init-bridge: listening on ")
        waits.send_signal(signal.SIGINT)
        assert (waits.stderr.read(), waits.wait()) == ("", -signal.SIGINT)


def test_a_checkout_and_a_link_to_it(tmp_path: Path) -> None:
    works(ROOT / "bin/cross-init-bridge")
    says_it_in_one_line(ROOT / "bin/cross-init-bridge")
    link = tmp_path / "linked"
    for name in (link, tmp_path / "cross-init"):
        name.symlink_to(os.path.relpath(ROOT / "bin/cross-init-bridge", tmp_path))
    works(link)


def single_file(path: Path) -> Path:
    """The single file, made there, and a link to it of the other name."""
    words = [sys.executable, "-I", str(ROOT / "tools/make_single_file.py"), str(path)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    (path.parent / "cross-init").symlink_to(path.name)
    return path


def test_the_single_file_is_always_the_same_and_holds_the_licence(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(single_file(tmp_path / name / "bridge"))
    assert made[0].read_bytes() == made[1].read_bytes()
    head = made[0].read_bytes()[:4096].decode().replace("\n# ", "\n").replace("\n#\n", "\n\n")
    assert (ROOT / "LICENSE").read_text() in head
    works(made[0])
    says_it_in_one_line(made[0])


def test_the_single_file_has_each_module_for_every_interpreter(tmp_path: Path) -> None:
    """Compiled for this one; for one that it was not compiled for, it compiles the source."""
    single = single_file(tmp_path / "bridge")
    other = tmp_path / "other"
    data = single.read_bytes()
    assert data.count(MAGIC_NUMBER, 4096, 4096 + 512) == 1
    other.write_bytes(data[:4096] + data[4096 : 4096 + 512].replace(MAGIC_NUMBER, b"none") + data[4096 + 512 :])
    other.chmod(0o755)
    for words in (["-V"], ["--help"], ["-t", "systemd", "--explain=json", "--", "/bin/true"], ["status"]):
        said = [
            subprocess.run([path, *words], env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
            for path in (single, other)
        ]
        assert said[0].returncode == said[1].returncode
        assert said[0].stdout == said[1].stdout
        assert "mistake" not in said[0].stderr + said[1].stderr


def test_a_single_file_that_is_replaced_while_it_runs_is_one_line(tmp_path: Path) -> None:
    """What stands in it then may not fit; the daemon runs all the same."""
    single = single_file(tmp_path / "bridge")
    replaces = f"cp {single} {single}.new; mv {single}.new {single}; exit 3"
    words = ["-t", "systemd", "-N", "--init", "none", "--supervise", "--", "/bin/sh", "-c", replaces]
    ran = subprocess.run([single, *words], env={"PATH": PATH}, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in ran.stderr
    assert "mistake" not in ran.stderr
    assert ran.returncode in (3, 125)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide the interpreters of this machine")
@pytest.mark.parametrize("where", ["/usr/local/bin/python3.11", "PATH", "nowhere"])
def test_the_single_file_finds_its_interpreter(tmp_path: Path, where: str) -> None:
    single = single_file(tmp_path / "bridge")
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy("/usr/bin/python3", there / "real")
    (tmp_path / "old").mkdir()
    for name in ("python3", "python3.12"):  # a wrapper that leads nowhere, as pyenv has them
        wrapper = tmp_path / "old" / name
        wrapper.write_text("#!/bin/sh\necho no such version >&2\nexit 127\n")
        wrapper.chmod(0o755)
    hide = """
    for file in /usr/bin/python3*; do mount --bind /dev/null "$file"; done
    mount -t tmpfs tmpfs /usr/local/bin
    case "$2" in
      /usr/local/bin/*) cp "$1/real" "$2" ;;
      PATH) cp "$1/real" "$1/python3.11" ;;
    esac
    shift 2
    exec "$@"
    """
    ran = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-ec", hide, "sh", there, where, single, "-V"],
        env={"PATH": f"{tmp_path / 'old'}:{there}:{PATH}", "PYTHONHOME": "/nonexistent", "ENV": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if where == "nowhere":
        assert (ran.returncode, ran.stdout) == (125, "")
        assert ran.stderr.startswith("cross-init-bridge: found no Python 3.11 or newer in ")
        assert ran.stderr.count("\n") == 1
    else:
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("cross-init-bridge 1.")


def source(folder: Path) -> str:
    """What a wheel is made of, in a folder of its own, as setuptools leaves its work beside it."""
    for name in ("src", "bin", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return str(folder)


def test_an_installed_wheel(tmp_path: Path) -> None:
    """In a venv, and where pip puts it elsewhere; each below a path with a blank."""
    venv = tmp_path / "a venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=60)
    pip: list[str | Path] = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    built = subprocess.run(
        [*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source(tmp_path / "source")],
        capture_output=True,
        text=True,
        timeout=110,
    )
    if built.returncode and "setuptools" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("needs setuptools from PyPI, which cannot be reached")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    elsewhere: tuple[list[str | Path], ...] = (
        [],
        ["--target", tmp_path / "a target"],
        ["--prefix", tmp_path / "a prefix"],
    )
    for options in elsewhere:
        subprocess.run([*pip, "install", "--no-deps", "--ignore-installed", *options, wheel], check=True, timeout=60)
    link = tmp_path / "links/cross-init-bridge"
    link.parent.mkdir()
    for name in ("cross-init-bridge", "cross-init"):
        (link.parent / name).symlink_to(venv / "bin" / name)
    (prefixed,) = (tmp_path / "a prefix").rglob("cross-init-bridge")
    for program in (venv / "bin/cross-init-bridge", tmp_path / "a target/bin/cross-init-bridge", prefixed, link):
        works(program)
    says_it_in_one_line(venv / "bin/cross-init-bridge")
    poison = {"PYTHONHOME": "/nonexistent", "PATH": PATH}  # which the first interpreter would die of
    said = subprocess.run(
        [venv / "bin/cross-init-bridge", "-V"], env=poison, capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, said.stderr) == (0, "")


def test_the_demo_shows_both_daemons() -> None:
    need("make")
    ran = subprocess.run(["make", "-C", ROOT, "demo"], env={"PATH": PATH}, capture_output=True, text=True)
    assert ran.returncode == 0, ran
    for line in ("hello from a daemon for systemd", "hello from a daemon for Upstart", "Both were ready"):
        assert line in ran.stdout
    assert ran.stdout.count("is ready after") == 2
