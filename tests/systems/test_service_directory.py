"""Who a service is comes from its supervisor, wherever its run script has gone before it starts us."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.kept import keep, kept
from tests.support.own import open_to_others
from tests.support.packages import need
from tests.support.supervised import END, Supervised, supervised
from tests.support.waiting import until

PROGRAMS = {"s6-supervise": "s6", "supervise": "daemontools", "runsv": "runit"}
AS_NOBODY = "/usr/bin/setpriv --reuid=65534 --regid=65534 --clear-groups"


def service(stack: ExitStack, program: str, folder: Path, *options: str, before: str) -> Supervised:
    folder.parent.mkdir(exist_ok=True)
    made = stack.enter_context(supervised(program, folder))
    if program == "s6-supervise":
        (made.folder / "notification-fd").write_text("3\n")
    if program == "runsv":
        check = made.folder / "check"
        check.write_text("#!/bin/sh\nexec true\n")
        check.chmod(0o755)
    made.write_run("-t", "systemd", "-N", *options, before=before)
    made.start()
    return made


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have /run/cross-init")
@pytest.mark.parametrize("program", PROGRAMS)
def test_two_services_that_run_in_one_folder_have_each_its_own_descriptors(tmp_path: Path, program: str) -> None:
    need(PROGRAMS[program])
    shared = tmp_path / "app"
    shared.mkdir()
    with ExitStack() as stack:
        options, before = ("--fd-store", "2"), f"cd {shared}\nexec"
        both = {
            name: service(stack, program, tmp_path / name / name, *options, before=before) for name in ("one", "two")
        }
        puppets = {name: made.stage.puppet() for name, made in both.items()}
        for name, puppet in puppets.items():
            puppet.do("made = os.memfd_create('made')")
            keep(puppet, f"FDSTORE=1\nFDNAME=of {name}", "made")
        for name, made in both.items():
            puppets[name].tell(f"die {signal.SIGKILL}")
            assert puppets[name].last_words() == []
            puppets[name] = made.stage.puppet()
        assert {name: [each for each, _ in kept(puppet)] for name, puppet in puppets.items()} == {
            "one": ["of one"],
            "two": ["of two"],
        }
        for name, made in both.items():  # all of both, before the first is waited for
            keep(puppets[name], f"FDSTOREREMOVE=1\nFDNAME=of {name}")
            made.tell(*END[program])
            puppets[name].tell("exit 0")
            puppets[name].last_words()


def test_the_file_notification_fd_is_the_services_own(tmp_path: Path) -> None:
    need("s6")
    with ExitStack() as stack:
        made = service(stack, "s6-supervise", tmp_path / "web", before=f"cd {tmp_path}\nexec")
        puppet = made.stage.puppet()
        puppet.tell("notify READY=1\nSTATUS=up")
        puppet.hear("notified")
        until(lambda: made.tell("s6-svstat", "-o", "ready") == (0, "true\n"), "s6 has heard it")
        until(lambda: "web[" in made.log, "its lines have its name")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_who_may_not_look_at_the_supervisor_is_told_what_to_do(tmp_path: Path) -> None:
    need("s6")
    open_to_others(tmp_path)
    with ExitStack() as stack:
        made = service(stack, "s6-supervise", tmp_path / "web", before=f"cd /\nexec {AS_NOBODY}")
        until(lambda: "or name the descriptor with --ready-fd" in made.log, "it is said")
        assert made.stage.is_empty()
