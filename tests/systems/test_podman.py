"""As a container's first process under a real Podman: what it passes, what probes are answered, how it ends."""

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from pwd import getpwnam

import pytest

from tests.support.command import PATH, ROOT
from tests.support.containers import BRIDGE, FRONT_DOOR
from tests.support.packages import need
from tests.support.podman import PUPPET, Podman, podman, probe
from tests.support.waiting import until

CHECK = FRONT_DOOR
HEALTH = "tcp:127.0.0.1:8080"
NOTIFY = ("-t", "systemd", "-N")
NOBODY = "65534:65534"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Podman]:
    """A Podman for all tests of this file."""
    with podman() as made:
        yield made


def test_readiness_is_asked_for_and_podman_is_told(runtime: Podman, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service_manager:
        service_manager.bind(str(tmp_path / "notify"))
        service_manager.settimeout(15)
        process = runtime.begin(
            *(BRIDGE, *NOTIFY, "--health-listen", HEALTH, "--", *PUPPET),
            options=("--sdnotify=container",),
            environ={"NOTIFY_SOCKET": str(tmp_path / "notify")},
        )
        puppet = runtime.stage.puppet()
        assert service_manager.recv(1000).startswith(b"MAINPID=")  # from Podman itself, when the container runs
        until(lambda: runtime.inside(CHECK, "check").stdout.startswith("starting since "), "the start was noted")
        check = runtime.inside(CHECK, "check")
        assert check.returncode == 1
        assert check.stdout.endswith(f"s (PID {puppet.pid}), waits for READY=1\n")
        pid = runtime.pid
        assert probe(pid, "/readyz") == "503 starting: waits for READY=1\n"
        assert probe(pid, "/livez") == "200 alive\n"
        assert not select.select([service_manager], [], [], 0)[0]
        puppet.send("b'STATUS=up\\nREADY=1'")
        assert service_manager.recv(1000) == b"READY=1"  # conmon's, for ours
        assert runtime.inside(CHECK, "check").stdout == f"ready (PID {puppet.pid})\n"
        assert runtime.inside(CHECK, "check").returncode == 0
        assert probe(pid, "/readyz") == "200 ready\n"
        os.kill(pid, signal.SIGTERM)  # as "podman stop" sends it
        puppet.hear_signal(signal.SIGTERM)
        assert probe(pid, "/readyz") == "503 stopping\n"
        assert probe(pid, "/livez") == "200 alive\n"
        check = runtime.inside(CHECK, "check")
        assert (check.returncode, check.stdout) == (1, f"stopping (PID {puppet.pid})\n")
        puppet.tell("exit 7")
        assert puppet.last_words() == []  # the signal came once
        assert process.wait(20) == 7


def test_sockets_and_what_the_daemon_sees(runtime: Podman) -> None:
    with socket.create_server(("127.0.0.1", 0)) as web:
        # dash knows no numbers of two digits there.
        give = 'exec 3<&"$0" && LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$ exec "$@"'
        words = ["bash", "-c", give, str(web.fileno())]
        command = runtime.words(BRIDGE, *NOTIFY, "--socket", "web", "--", *PUPPET)
        process = subprocess.Popen([*words, *command], pass_fds=[web.fileno()], stderr=subprocess.DEVNULL)
        runtime.processes.append(process)
        puppet = runtime.stage.puppet()
        environ = puppet.environ
        assert (environ["LISTEN_FDS"], environ["LISTEN_FDNAMES"]) == ("1", "web")
        assert environ["LISTEN_PID"] == str(puppet.pid) != "1"
        assert puppet.hello["fds"]["3"].startswith("socket:")
        assert environ["NOTIFY_SOCKET"].startswith("/run/cross-init/")
        with socket.create_connection(web.getsockname(), 10) as client:
            puppet.do("client = socket.socket(fileno=3).accept()[0]; client.send(b'hello'); client.close()")
            assert client.recv(10) == b"hello"
        puppet.tell("exit 0")
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("user", "options"), [("", ()), (NOBODY, ()), (NOBODY, ("--read-only", "--read-only-tmpfs=false"))]
)
def test_check_needs_no_place_to_write_to_and_no_privilege(
    runtime: Podman, user: str, options: tuple[str, ...]
) -> None:
    Path(runtime.folder, "stage").chmod(0o711)
    process = runtime.begin(BRIDGE, *NOTIFY, "--", *PUPPET, options=(*options, *(("--user", user) if user else ())))
    puppet = runtime.stage.puppet()
    assert runtime.inside(CHECK, "check", user=user).returncode == 1
    puppet.send("b'READY=1'")
    for who in {user, "0:0"}:
        asked = runtime.inside(CHECK, "check", user=who)
        assert (asked.returncode, asked.stdout) == (0, f"ready (PID {puppet.pid})\n")
    if not user:
        asked = runtime.inside(CHECK, "check", user=NOBODY)
        assert (asked.returncode, asked.stdout[:16]) == (1, "no such service:")
    puppet.tell("exit 0")
    assert process.wait(20) == 0


@pytest.mark.parametrize(("order", "status"), [("exit 3", 3), ("die 9", 137), ("die 11", 139), ("die 14", 142)])
@pytest.mark.parametrize("notify", [True, False])
def test_it_ends_as_the_daemon_does(runtime: Podman, order: str, status: int, notify: bool) -> None:
    process = runtime.begin(BRIDGE, "-t", "systemd", *(["-N"] if notify else []), "--", *PUPPET)
    runtime.stage.puppet().tell(order)
    assert process.wait(20) == status


@pytest.mark.parametrize("options", [(), ("--init",)])
def test_what_is_detected(runtime: Podman, options: tuple[str, ...]) -> None:
    process = runtime.begin(
        *(BRIDGE, *NOTIFY, "--explain", "--", "/bin/true"),
        options=(*options, "--env", "container=podman"),
        stdout=subprocess.PIPE,
    )
    out = process.communicate(timeout=20)[0].decode()
    because = "the parent process 1 is podman-init" if options else "this is process 1"
    assert out.startswith(f"init        container, because {because}, and there are container, /run/.containerenv")
    assert "shape       supervise: a container lives as long as its first process" in out
    assert "becomes the answer of cross-init check" in out


def test_podmans_own_init_reaps_and_we_do_the_rest(runtime: Podman) -> None:
    process = runtime.begin(BRIDGE, *NOTIFY, "--", *PUPPET, options=("--init",))
    puppet = runtime.stage.puppet()
    puppet.send("b'READY=1'")
    assert runtime.inside(CHECK, "check").returncode == 0
    os.kill(runtime.pid, signal.SIGTERM)
    puppet.hear_signal(signal.SIGTERM)
    puppet.tell("exit 7")
    assert puppet.last_words() == []
    assert process.wait(20) == 7


def test_a_foreground_shell_has_job_control(runtime: Podman) -> None:
    master, terminal = os.openpty()
    shown = b""
    try:
        process = runtime.begin(
            *(BRIDGE, "-t", "systemd", "--", "/bin/bash", "--norc", "-i"),
            options=("--interactive", "--tty", "--env", "PS1=$ "),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )

        def shows(text: bytes) -> None:
            nonlocal shown
            while text not in shown:
                shown += os.read(master, 65536)
            shown = shown.partition(text)[2]

        shows(b"$ ")
        os.write(master, b"sleep 1000; echo after\r")
        shows(b"echo after")
        pid = runtime.pid
        until(lambda: states(pid).get("sleep") == "S", "it sleeps")
        os.write(master, b"\x1a")
        shows(b"Stopped")
        assert states(pid)["sleep"] == "T"
        os.write(master, b"fg\r")
        until(lambda: states(pid)["sleep"] == "S", "it is continued")
        os.write(master, b"\x03")
        shows(b"^C")
        shows(b"$ ")
        assert "sleep" not in states(pid)
        os.write(master, b"exit 5\r")
        assert process.wait(20) == 5
    finally:
        os.close(master)
        os.close(terminal)


def states(pid: int) -> dict[str, str]:
    """What runs in the PID namespace of this process, by its name: S, T (stopped), ... (proc_pid_stat(5))."""
    words = ["nsenter", "--target", str(pid), "--pid", "--mount", "/bin/ps", "-eo", "comm=,s="]
    lines = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout.splitlines()
    return dict(line.split() for line in lines)


def written(name: str) -> list[str]:
    """The words of this instruction of examples/Containerfile, which the container's page shows."""
    lines = (ROOT / "examples/Containerfile").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    found: list[str] = json.loads(line[line.index("[") :])
    return found


def test_the_examples_redis_runs_as_it_is_written(runtime: Podman) -> None:
    """As the container's page has it. Its user by number, as Podman looks for no name in a given root."""
    need("redis-server")
    redis = getpwnam("redis")
    options = ("--user", f"{redis.pw_uid}:{redis.pw_gid}", "--env", f"PATH={Path(BRIDGE).parent}:{PATH}")
    process = runtime.begin(
        *written("ENTRYPOINT"), *written("CMD"), options=(*options, "--security-opt", "no-new-privileges")
    )
    until(lambda: runtime.inside(*written("HEALTHCHECK")).returncode == 0, "Redis is ready", 20)
    pid = runtime.pid
    assert probe(pid, "/readyz") == "200 ready\n"
    assert probe(pid, "/livez") == "200 alive\n"
    assert runtime.inside("redis-cli", "ping").stdout == "PONG\n"
    runtime.tell("stop", "--time", "10", runtime.names[-1])
    assert process.wait(20) == 0
