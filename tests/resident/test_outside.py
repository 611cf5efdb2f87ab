"""Daemons that say NOTIFY_SOCKET's words to the resident, with no bridge of ours on the way."""

import os
import signal
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.command import FRONT_DOOR
from tests.support.outside import ALONE, NOTIFY, Plain, log_of, opened, plain, puppet_line, resident_says
from tests.support.packages import need
from tests.support.resident import Machine, machine
from tests.support.waiting import until

NOBODY = 65534
TIMES = 20
DELAY_S = 0.5  # what a flood may cost here, as the floods take the processor as well; on a machine at rest it is 0.02
REDIS = 'exec /usr/bin/redis-server --supervised systemd --port 0 --unixsocket redis.sock --save ""'
SAY = f"""
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.sendto(b"READY=1", "{NOTIFY}")
"""


@pytest.fixture
def there() -> Iterator[Machine]:
    """A machine. Its folder is one that every user reaches."""
    need("s6")
    with TemporaryDirectory(prefix="cross-init-test.", dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        with machine(Path(folder)) as made:
            yield made


@pytest.fixture
def here(there: Machine) -> Machine:
    """The same, with a resident."""
    there.serve()
    return there


def test_s6_hears_that_the_daemon_is_ready_and_nothing_of_ours_is_on_the_way(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.send(repr(b"STATUS=nearly there"))
    assert service.says() == "true false"
    assert "waits for READY=1; nearly there" in here.status()
    puppet.send(repr(b"READY=1\nSTATUS=here"))
    until(service.is_ready, "s6 is told")
    until(lambda: here.ours() == ALONE, "who took off what came with descriptors has gone")
    assert " ready " in here.status()
    assert puppet.hello["parent"] != 1
    puppet.tell("exit 0")
    until(lambda: "nearly" not in here.status() and " ready " not in here.status(), "its end is seen")


def test_a_service_that_was_started_anew_is_told_once_more(here: Machine) -> None:
    stage = opened(here, "web")
    service = Plain(here, "s6-supervise", "web", puppet_line(here, "web"))
    first = stage.puppet()
    first.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")
    first.tell(f"die {signal.SIGKILL}")
    second = stage.puppet()
    assert not service.is_ready()
    second.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")
    assert here.status().count("\n") == 2


def test_runit_asks_and_is_answered(here: Machine) -> None:
    need("runit")
    service, puppet = plain(here, program="runsv")
    assert here.private.run("sv", "-w", "1", "check", str(service.folder)).code == 1
    puppet.send(repr(b"STATUS=nearly there"))
    assert here.private.run("sv", "-w", "1", "check", str(service.folder)).code == 1
    puppet.send(repr(b"READY=1"))
    assert here.private.run("sv", "-w", "10", "check", str(service.folder)).code == 0
    puppet.send(repr(b"STOPPING=1"))
    assert here.private.run("sv", "-w", "1", "check", str(service.folder)).code == 1


@pytest.mark.parametrize("program", ["s6-supervise", "runsv"])
def test_redis_as_it_is(here: Machine, program: str) -> None:
    need("redis-server", "runit")
    service = Plain(here, program, "redis", REDIS)
    until(lambda: "Ready to accept connections" in here.status(), "it has said so")
    if program == "runsv":
        until(lambda: here.private.run("sv", "-w", "1", "check", str(service.folder)).code == 0, "it is ready")
    else:
        until(service.is_ready, "s6 is told")


def test_without_the_pipe_the_log_says_why_s6_is_not_told(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.do("os.close(3)")
    puppet.send(repr(b"READY=1"))
    assert service.says() == "true false"
    resident_says(here, "s6 is not told: there is no a file notification-fd in the service directory")
    assert " ready " in here.status()


def test_a_pipe_of_the_daemons_own_is_none_of_the_supervisors(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.do("ours = os.pipe(); os.set_blocking(ours[0], False)")
    puppet.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")
    puppet.do("import errno\ntry: os.read(ours[0], 1)\nexcept BlockingIOError: pass\nelse: os._exit(9)")


def test_a_child_of_the_daemons_does_not_speak_for_it(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.do(f"import subprocess; subprocess.run(['/usr/bin/python3', '-ISc', {SAY!r}], check=True)")
    resident_says(here, "ignored a notification from process ")
    assert "no supervisor has started" in log_of(here) or "which has ended" in log_of(here)
    assert service.says() == "true false"
    assert "no service is looked after" in here.status()


def test_who_has_no_supervisor_is_heard_by_nobody(here: Machine) -> None:
    here.private.run("/usr/bin/python3", "-ISc", SAY)
    here.private.run("/usr/bin/python3", "-ISc", SAY, user=NOBODY)
    resident_says(here, "ignored a notification from process ")
    assert "no service is looked after" in here.status()


def test_a_supervisor_of_another_users_is_none_to_root(here: Machine) -> None:
    folder = here.folder / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    stage = opened(here, "theirs")
    run = folder / "run"
    run.write_text(f"#!/bin/sh\nexport NOTIFY_SOCKET={NOTIFY}\n{puppet_line(here, 'theirs')}\n")
    run.chmod(0o755)
    (folder / "notification-fd").write_text("3\n")
    here.spawn("s6-supervise", str(folder), user=NOBODY)
    puppet = stage.puppet()
    puppet.send(repr(b"READY=1"))
    resident_says(here, "is not this user's")
    assert here.private.run("s6-svstat", "-o", "ready", str(folder)).out == "false\n"
    assert "no service is looked after" in here.status()


def test_what_strangers_send_with_descriptors_is_dropped(here: Machine) -> None:
    flood = f"""
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
    to.connect("{NOTIFY}")
    for _ in range(50):
        socket.send_fds(to, [b"FDSTORE=1"], [0, 1, 2])
    read, write = os.pipe()
    socket.send_fds(to, [b"BARRIER=1"], [write])
    os.close(write)
    assert os.read(read, 1) == b""
"""
    assert here.private.run("/usr/bin/python3", "-ISc", flood, user=NOBODY).code == 0
    service, puppet = plain(here)
    puppet.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")


def test_who_is_in_another_pid_namespace_is_heard_by_nobody(here: Machine) -> None:
    inside = f"exec unshare --pid --fork --mount-proc /usr/bin/python3 -ISc '{SAY}'"
    service = Plain(here, "s6-supervise", "web", inside)
    resident_says(here, "ignored a notification from process ")
    assert not service.is_ready()
    assert "no service is looked after" in here.status()


# Says all that it can until it is ended; and the same, each time by another process.
FLOOD = f"""
import os, socket
print("up", flush=True)
os.fork()
to = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
to.connect("{NOTIFY}")
while True:
    to.send(b"READY=1")
"""
CROWD = FLOOD.replace(
    """    to.send(b"READY=1")""",
    """    if os.fork() == 0:
        to.send(b"READY=1")
        os._exit(0)
    os.wait()""",
)
GIVING = FLOOD.replace("""to.send(b"READY=1")""", """socket.send_fds(to, [b"READY=1"], [1])""")
FLOODS = {"strangers": FLOOD, "a crowd": CROWD, "strangers with descriptors": GIVING, "a service": ""}
CHATTER = "import threading; threading.Thread(target=lambda: [notify('STATUS=%d' % n) for n in range(10**9)]).start()"


@pytest.mark.parametrize("who", FLOODS)
def test_a_flood_delays_nobody(here: Machine, who: str) -> None:
    service, puppet = plain(here)

    def delay() -> float:
        before = time.monotonic()
        puppet.send(repr(b"STATUS=nearly there"))
        return time.monotonic() - before

    quiet = statistics.median(delay() for _ in range(TIMES))
    if who == "a service":
        plain(here, "other")[1].do(CHATTER)
    else:
        here.private.begin("/usr/bin/python3", "-ISc", FLOODS[who], user=NOBODY)
    flooded = statistics.median(delay() for _ in range(TIMES))
    print(f"quiet {quiet * 1000:.1f} ms, flooded {flooded * 1000:.1f} ms")
    assert flooded - quiet < DELAY_S
    puppet.send(repr(b"READY=1"))
    until(service.is_ready, "s6 is told")


def test_what_was_said_while_no_resident_was_there_is_heard_by_the_next_one(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.send(repr(b"STATUS=nearly there"))
    here.kill_resident()
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    assert service.says() == "true false"
    here.serve()
    until(service.is_ready, "s6 is told")
    assert "nearly there" in here.status()
    assert here.status().count("\n") == 2


def test_no_daemon_waits_while_no_resident_is_there(here: Machine) -> None:
    service, puppet = plain(here)
    here.kill_resident()
    for number in range(600):
        puppet.tell(f"notify STATUS={number}")
        puppet.hear("notified")
    puppet.tell("notify READY=1")
    puppet.hear("notified")
    here.serve()
    until(service.is_ready, "s6 is told")
    assert "; 599" in here.status() or " 599" in here.status()


def test_what_was_told_is_not_told_again(here: Machine) -> None:
    service, puppet = plain(here)
    puppet.send(repr(b"READY=1\nSTATUS=here"))
    until(service.is_ready, "s6 is told")
    since = here.private.run("s6-svstat", "-o", "readysince", str(service.folder)).out
    here.kill_resident()
    here.serve()
    assert " ready " in here.status()
    assert "here" in here.status()
    puppet.send(repr(b"READY=1"))
    assert here.private.run("s6-svstat", "-o", "readysince", str(service.folder)).out == since


def test_a_users_resident_hears_that_users_services_alone(there: Machine) -> None:
    here = there
    runtime = f"/run/user/{NOBODY}"
    here.private.run("install", "-d", "-m", "711", "/run/user")
    here.private.run("install", "-d", "-m", "700", "-o", str(NOBODY), runtime)
    environ = {"XDG_RUNTIME_DIR": runtime}
    here.log.touch()
    here.log.chmod(0o666)
    here.spawn(str(FRONT_DOOR), "serve", user=NOBODY, environ=environ, log=here.log)
    notify = f"{runtime}/cross-init/notify"
    until(lambda: here.private.run("test", "-S", notify).code == 0, "it listens")
    folder = here.folder / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    stage = opened(here, "theirs")
    run = folder / "run"
    run.write_text(f"#!/bin/sh\nexport NOTIFY_SOCKET={notify}\n{puppet_line(here, 'theirs')}\n")
    run.chmod(0o755)
    (folder / "notification-fd").write_text("3\n")
    here.spawn("s6-supervise", str(folder), user=NOBODY)
    puppet = stage.puppet()
    puppet.send(repr(b"READY=1"))
    until(lambda: here.private.run("s6-svstat", "-o", "ready", str(folder)).out == "true\n", "s6 is told")
    say = SAY.replace(NOTIFY, notify)
    assert "Permission denied" in here.private.run("/usr/bin/python3", "-ISc", say, user=NOBODY - 1).err
    here.private.run("/usr/bin/python3", "-ISc", say)
    resident_says(here, "which is user 0's, and not this one's")
