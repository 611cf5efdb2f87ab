"""Jobs under the stand-in for Upstart, with puppets as their daemons."""

import os
from pathlib import Path

from tests.support.command import BRIDGE
from tests.support.puppet import Puppet, Stage
from tests.support.upstart import Job

PUPPET = str(Path(__file__).parents[1] / "daemons" / "puppet.py")


class Show:
    """Jobs with a puppet as their daemon."""

    def __init__(self, folder: Path, where: Stage) -> None:
        self.folder = folder
        self.stage = where
        self.jobs: list[Job] = []

    def job(
        self,
        *options: str,
        expect_stop: bool = True,
        command: tuple[str, ...] = (),
        instance: str = "",
        wrapper: tuple[str, ...] = (),
    ) -> Job:
        """A job that runs the bridge with these options; not started.

        wrapper: a program, with its arguments, that becomes the bridge.
        """
        daemon = command or ("/usr/bin/python3", "-IS", PUPPET, str(self.folder / "stage"))
        job = Job("testjob", [*wrapper, str(BRIDGE), *options, "--", *daemon], expect_stop, instance)
        self.jobs.append(job)
        return job

    def started(
        self, *options: str, expect_stop: bool = True, instance: str = "", wrapper: tuple[str, ...] = ()
    ) -> tuple[Job, Puppet]:
        """A job whose puppet, a daemon for systemd, has come, and has not said that it is ready."""
        job = self.job("-t", "systemd", "-N", *options, expect_stop=expect_stop, instance=instance, wrapper=wrapper)
        job.spawn()
        puppet = self.stage.puppet()
        assert puppet.pid == job.pid
        return job, puppet


def get_ready(job: Job, puppet: Puppet, message: str = "READY=1") -> None:
    """Have the puppet say that it is ready, and return when the job runs."""
    puppet.tell(f"notify {message}")
    assert job.wait_running()
    puppet.hear("notified")  # only now: it may have been stopped before it could say so


# argv: where to, what to say, and how many descriptors go with it.
SENDER = """
import os, socket, sys
address, text, descriptors = sys.argv[1:]
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect("\\0" + address[1:] if address[0] == "@" else address)
read, write = os.pipe()
socket.send_fds(sender, [os.fsencode(text)], [write] * int(descriptors))
socket.send_fds(sender, [b"BARRIER=1"], [write])
os.close(write)
assert os.read(read, 1) == b""
"""


def send_as_another(address: str, text: str, user: int = 0, descriptors: int = 0) -> None:
    """Send from a process of its own, and return when it was dealt with: BARRIER=1 is answered for everybody.

    The descriptors that go with the message have been closed then, too.
    """
    pid = os.fork()
    if pid == 0:
        try:
            if user:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            os.execv("/usr/bin/python3", ["python3", "-ISc", SENDER, address, text, str(descriptors)])
        finally:
            os._exit(255)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
