"""--ready-when exec: one command at a time, with the daemon's surroundings, and nothing of it remains."""

import os
from pathlib import Path

from tests.support.command import script
from tests.support.observed import Place
from tests.support.waiting import until

# Signals 32 and 33 as bits: no program can set them, so whoever started the tests may have left them ignored.
OF_THE_C_LIBRARY = 0b11 << 31


def test_the_command_is_never_run_twice_at_once(place: Place, tmp_path: Path, shape: tuple[str, ...]) -> None:
    command = script(
        tmp_path, "command", "#!/bin/sh\nmkdir running || touch twice\necho x >> log\nrmdir running\n[ -e x ]\n"
    )
    run = place.begin(*shape, "--ready-when", f"exec:{command}")
    until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().count("x") >= 5, "it runs five times")
    assert not run.is_ready()
    (tmp_path / "x").touch()
    run.becomes_ready()
    assert not (tmp_path / "twice").exists()


def test_it_has_the_daemons_surroundings_but_not_its_way_to_be_heard(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    words = "pwd; cat /proc/self/environ | tr '\\0' '\\n' | sort; grep -E '^Sig(Blk|Ign)' /proc/self/status"
    command = f"({words}; ls -l /proc/self/fd) > said"
    options = ("-t", "systemd", "-N", *shape, "--listen", "tcp:127.0.0.1:0", "--ready-when", f"exec:{command}")
    run = place.begin(*options, environ={"ONE": "two words", "PYTHONPATH": "x", "NOTIFY_SOCKET": "/stale"})
    run.puppet.send(repr(b"READY=1"))
    run.becomes_ready()
    said = (tmp_path / "said").read_text().splitlines()
    assert said[0] == str(tmp_path)
    environ = dict(line.split("=", 1) for line in said[1:] if "=" in line)
    environ.pop("PWD", None)  # the shell's own
    environ.pop("OLDPWD", None)
    own = {name: value for name, value in run.puppet.environ.items() if not name.startswith(("LISTEN", "NOTIFY"))}
    own.pop("LC_CTYPE", None)
    assert environ == own
    masks = [int(line.split()[1], 16) for line in said if line.startswith("Sig")]
    assert [mask & ~OF_THE_C_LIBRARY for mask in masks] == [0, 0]
    assert not [line for line in said if "socket:" in line]


def test_what_it_says_is_for_people_and_no_output_of_the_daemons(place: Place, shape: tuple[str, ...]) -> None:
    read, write = os.pipe()
    run = place.begin(*shape, "--ready-when", "exec:echo not yet; test -e x", stdout=write)
    os.close(write)
    run.err.hears("not yet\n")
    run.puppet.tell("exit 0")
    run.ends()
    assert os.read(read, 100) == b""
    os.close(read)


def test_an_attempt_that_is_under_way_ends_with_all_that_it_has_started(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    run = place.begin(*shape, "--ready-when", "exec:mkfifo fifo; cat fifo; true")
    until((tmp_path / "fifo").exists, "it runs")
    run.puppet.tell("exit 2")
    assert run.ends() == 2
    place.nothing_remains()


def test_a_command_that_is_killed_or_missing_does_not_hold(
    place: Place, tmp_path: Path, shape: tuple[str, ...]
) -> None:
    command = "test -e one || { touch one; kill -9 $$; }; test -e two || { touch two; no-such-command; exit; }; touch x"
    run = place.begin(*shape, "--ready-when", f"exec:{command}")
    run.becomes_ready()
    assert (tmp_path / "x").exists()


def test_the_commands_are_no_part_of_the_service(place: Place, tmp_path: Path) -> None:
    """A bridge that adopts orphans takes neither them nor what they leave for the daemon, and leaves no zombie."""
    command = "mkdir once && cat fifo & test -e x"
    os.mkfifo(tmp_path / "fifo")
    run = place.begin("--supervise", "--ready-when", f"exec:{command}")
    with (tmp_path / "fifo").open("w"):  # when somebody reads
        (tmp_path / "x").touch()
        run.becomes_ready()
    run.puppet.tell("exit 0")
    assert run.ends() == 0
    place.nothing_remains()
