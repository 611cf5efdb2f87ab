"""The completions of shells, in the shells themselves: what is typed at a terminal, with tabs in it, is run then."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cross_init.commands.front_door import COMMANDS
from cross_init.commands.options import OPTIONS
from tests.support.command import PATH
from tests.support.packages import need

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 30
# Instead of the commands: says what it was given, as a line.
SAYS = '#!/bin/sh\nprintf "%s\\n" "${0##*/} $*" > {fifo}\n'
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {made}/bash/cross-init-bridge"),
    "zsh": (["zsh", "-f", "-i"], "fpath=({made}/zsh $fpath); autoload -Uz compinit; compinit -u -D"),
    "fish": (["fish", "--no-config", "-i"], "set fish_complete_path {made}/fish $fish_complete_path"),
}
# What is typed: what it has become.
TYPED = {
    "cross-init-bridge --superv\t": "--supervise",
    "cross-init-bridge -N --end\t-t ups\td": "-N --end-after-ready -t upstart d",
    "cross-init-bridge --target=ups\td": "--target=upstart d",
    "cross-init-bridge --help=a\t": "--help=all",
    "cross-init-bridge --explain=j\t": "--explain=json",
    "cross-init-bridge --init superv\t": "--init supervisord",
    "cross-init-bridge -t inetd:wa\t": "-t inetd:wait",
    "cross-init-bridge --ready-when pid\t/x": "--ready-when pid-file:/x",
    "cross-init-bridge --listen unix-s\t/x": "--listen unix-seqpacket:/x",
    "cross-init-bridge --stop-signal QU\t": "--stop-signal QUIT",
    "cross-init-bridge --state-file {here}/a-fi\t": "--state-file {here}/a-file",
    "cross-init-bridge -t systemd -- cross-init-br\t": "-t systemd -- cross-init-bridge",
    "cross-init-bridge -t systemd -N cat {here}/a-fi\t": "-t systemd -N cat {here}/a-file",
    "cross-init st\t--js\t": "status --json",
    "cross-init check {here}/a-fi\t": "check {here}/a-file",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the completions, the two commands, and a file."""
    folder = tmp_path_factory.mktemp("made")
    subprocess.run([sys.executable, "-I", ROOT / "tools/make_completions.py", folder], check=True, timeout=60)
    (folder / "bin").mkdir()
    (folder / "home").mkdir()
    (folder / "a-file").touch()
    os.mkfifo(folder / "said")
    for name in ("cross-init-bridge", "cross-init"):
        (folder / "bin" / name).write_text(SAYS.replace("{fifo}", str(folder / "said")))
        (folder / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture
def said(made: Path) -> Iterator[int]:
    """What the commands say, as a descriptor."""
    fd = os.open(made / "said", os.O_RDWR)
    try:
        yield fd
    finally:
        os.close(fd)


def environ(made: Path) -> dict[str, str]:
    return {"PATH": f"{made}/bin:{PATH}", "HOME": f"{made}/home", "TERM": "vt100", "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize("shell", START)
def test_what_is_typed_at_a_terminal_is_completed(shell: str, made: Path, said: int) -> None:
    if shell != "bash":
        need(shell)
    words, setup = START[shell]
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execvpe(words[0], words, environ(made))
        finally:
            os._exit(127)
    shown = b""
    try:
        os.write(master, f"{setup.format(made=made)}\n".encode())
        for typed, meant in TYPED.items():
            os.write(master, f"{typed.format(here=made)}\n".encode())
            line = b""
            while not line.endswith(b"\n"):
                ready, _, _ = select.select([master, said], [], [], LONGEST_S)
                assert ready, f"{typed!r} ran nothing; the terminal shows: {shown.decode(errors='replace')}"
                if said in ready:
                    line += os.read(said, 4096)
                if master in ready:
                    shown += os.read(master, 4096)
            command = typed.partition(" ")[0]
            assert line.decode().split() == [command, *meant.format(here=made).split()], shown.decode(errors="replace")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)


def test_bash_offers_every_option(made: Path) -> None:
    script = (
        f"source {made}/bash/cross-init-bridge; compopt() {{ :; }}; COMP_LINE=$1; COMP_POINT=${{#1}}; $2; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    def offered(line: str, function: str) -> set[str]:
        words = ["bash", "--norc", "-c", script, "bash", line, function]
        return set(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.split())

    assert offered("cross-init-bridge -", "_cross_init_bridge") == set(OPTIONS)
    assert offered("cross-init ", "_cross_init") == {*COMMANDS, "--help", "--version"}


def test_fish_offers_every_option(made: Path) -> None:
    need("fish")

    def offered(line: str) -> set[str]:
        setup = START["fish"][1].format(made=made)
        words = ["fish", "--no-config", "-c", f"{setup}; complete -C '{line}'"]
        ran = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=environ(made))
        return {each.partition("\t")[0].rstrip("=") for each in ran.stdout.splitlines()}

    assert offered("cross-init-bridge --") == set(OPTIONS)
    assert offered("cross-init ") == set(COMMANDS)


def test_zsh_has_every_option(made: Path) -> None:
    text = (made / "zsh/_cross-init-bridge").read_text()
    for option in OPTIONS:
        assert f"{option}[" in text or f"{option}=" in text or f",{option}}}" in text
