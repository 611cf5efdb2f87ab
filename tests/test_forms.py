"""The forms in which people have the command, and the demo: each does the main job."""

import os
import shutil
import signal
import subprocess
import sys
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
    environ = {"PATH": PATH, "PYTHONPATH": "nonsense"}
    ran = subprocess.run([program, *words], env=environ, capture_output=True, text=True, timeout=60, cwd="/")
    assert ran.returncode == 5, ran
    assert "is ready after" in ran.stderr
    for name in (program, program.with_name("cross-init")):
        version = subprocess.run([name, "-V"], env={}, capture_output=True, text=True, timeout=60)
        assert version.stdout.startswith(f"{'cross-init' if name != program else 'cross-init-bridge'} 1.")


PRETENDS = """
import runpy, sys
sys.version_info = (3, 9, 0)
sys.argv = [sys.argv[1], "-V"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def says_it_in_one_line(program: Path) -> None:
    """What no other line of ours comes in time for: an interpreter that is too old, and a Ctrl-C."""
    old = subprocess.run(
        ["/usr/bin/python3", "-ISc", PRETENDS, program], capture_output=True, text=True, timeout=60, cwd="/"
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


def test_the_one_file_is_always_the_same(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        words = [sys.executable, "-I", str(ROOT / "tools/make_zipapp.py"), str(tmp_path / name)]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
    (tmp_path / "cross-init").symlink_to("one")
    works(tmp_path / "one")
    says_it_in_one_line(tmp_path / "one")


def test_an_installed_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("src", "bin", "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=60)
    python = tmp_path / "venv/bin/python"
    built = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(source)],
        capture_output=True,
        text=True,
        timeout=110,
    )
    if built.returncode and "setuptools" in built.stderr and "No matching distribution" in built.stderr:
        pytest.skip("needs setuptools from PyPI, which cannot be reached")
    assert built.returncode == 0, built.stderr
    works(tmp_path / "venv/bin/cross-init-bridge")


def test_the_demo_shows_both_daemons() -> None:
    need("make")
    ran = subprocess.run(["make", "-C", ROOT, "demo"], env={"PATH": PATH}, capture_output=True, text=True)
    assert ran.returncode == 0, ran
    for line in ("hello from a daemon for systemd", "hello from a daemon for Upstart", "Both were ready"):
        assert line in ran.stdout
    assert ran.stdout.count("is ready after") == 2
