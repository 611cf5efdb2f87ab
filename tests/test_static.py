"""The static file: that it is small, always the same, and needs nothing but itself, in a container of two files."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.command import PATH, ROOT
from tests.support.containers import ENVIRONMENT
from tests.support.own import OWN, open_to_others
from tests.support.podman import LIMITS, podman, probe
from tests.support.static import static
from tests.support.waiting import until

LARGEST = 8_000_000  # bytes
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a root of its own")
# $1: the root, which is only read; then the command, as a user without a name.
ALONE = """
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
exec chroot --userspec=12345:12345 "$@"
"""


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the bridge, under both names, and the example's daemon."""
    made = static(tmp_path_factory.mktemp("made"))
    folder = tmp_path_factory.mktemp("root")
    open_to_others(folder)
    shutil.copy(made, folder)
    (folder / "cross-init").symlink_to("cross-init-bridge")
    source = ROOT / "examples/static_daemon.c"
    subprocess.run(["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", folder / "daemon", source], check=True)
    return folder


def test_it_is_small_and_always_the_same(two_files: Path, tmp_path: Path) -> None:
    made = (two_files / "cross-init-bridge").read_bytes()
    assert len(made) <= LARGEST
    assert static(tmp_path).read_bytes() == made
    assert (ROOT / "LICENSE").read_bytes() in made


@NEEDS_ROOT
def test_it_filters_system_calls_like_the_others(two_files: Path, tmp_path: Path) -> None:
    unit = tmp_path / "web.service"
    lines = "SystemCallFilter=@system-service\nRestrictNamespaces=yes\nRestrictSUIDSGID=yes\nUser=daemon"
    unit.write_text(f"[Service]\n{lines}\nExecStart=/bin/grep -E Seccomp|NoNew|Cap /proc/self/status\n")
    words = ("run", "--init", "none", str(unit))
    said = [
        subprocess.run([program, *words], capture_output=True, check=True, timeout=60).stdout.decode()
        for program in (two_files / "cross-init", ROOT / "bin/cross-init")
    ]
    assert said[0] == said[1]
    assert "Seccomp:\t2\n" in said[0]


WAYS = {
    "exec": ("-t systemd --listen tcp:127.0.0.1:0", 1, False),
    "watch": ("-t systemd -N", 0, True),
    "supervise": (
        f"-t systemd -N --supervise --listen a=tcp:127.0.0.1:0 --listen b=unix:@{OWN}",
        2,
        True,
    ),
    "store": ("-t systemd -N --fd-store 3", 0, True),
    "watchdog": ("-t systemd -N --supervise --watchdog 60", 0, True),
    "health": ("-t systemd -N --health-listen tcp:127.0.0.1:0", 0, True),
    "observed": ("-t systemd --ready-when log:serving --listen tcp:127.0.0.1:0", 1, True),
}


@NEEDS_ROOT
@pytest.mark.parametrize("way", WAYS)
def test_it_needs_nothing_else(two_files: Path, way: str) -> None:
    options, sockets, is_heard = WAYS[way]
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", ALONE, "sh", str(two_files)]
    with subprocess.Popen(
        [*words, "/cross-init-bridge", *options.split(), "--", "/daemon"],
        env={"PATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert process.stdout.readline() == f"serving on {sockets} sockets\n"
            said = process.stderr.readline() if is_heard else ""
            while is_heard and "is ready after" not in said:
                assert said.startswith("cross-init-bridge: listening on "), said
                said = process.stderr.readline()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@NEEDS_ROOT
def test_what_it_cannot_is_one_line(two_files: Path) -> None:
    words = ["chroot", str(two_files), "/cross-init-bridge", "-t", "systemd", "--ready-when", "https://localhost/"]
    ran = subprocess.run([*words, "--", "/daemon"], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (125, "")
    assert "has no https client; use another form" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_url_is_asked_and_a_bus_spoken_to(two_files: Path, tmp_path: Path) -> None:
    """By what is packed in it: an HTTP client, a resolver, jeepney."""
    serves = "import http.server as s; w = s.HTTPServer(('127.0.0.1', 0), s.SimpleHTTPRequestHandler); "
    serves += "print(w.server_port, flush=True); w.serve_forever()"
    with subprocess.Popen(
        ["/usr/bin/python3", "-Ic", serves], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        try:
            url = f"http://localhost:{int(server.stdout.readline())}/"
            words: list[str | Path] = [
                two_files / "cross-init-bridge",
                "-t",
                "systemd",
                "--init",
                "none",
                "--ready-when",
            ]
            for condition in (url, "dbus:org.example.Nobody"):
                bus = ["--bus", f"unix:path={tmp_path}/bus"] if "dbus" in condition else []
                with subprocess.Popen(
                    [*words, condition, *bus, "--", "/bin/sleep", "60"], stderr=subprocess.PIPE, env={"PATH": PATH}
                ) as process:
                    assert process.stderr is not None
                    said = process.stderr.readline().decode()
                    process.kill()
                assert ("talking to the bus" if bus else "is ready after") in said
        finally:
            server.kill()


@NEEDS_ROOT
def test_a_container_of_two_files(two_files: Path, tmp_path: Path) -> None:
    """As examples/Containerfile.scratch says, without a network."""
    (tmp_path / "dist/static").mkdir(parents=True)
    for name in ("cross-init-bridge", "daemon"):
        shutil.copy(two_files / name, tmp_path / "dist/static")
    with podman() as runtime:
        file = str(ROOT / "examples/Containerfile.scratch")
        runtime.tell("build", "--isolation=chroot", "--file", file, "--tag", "two-files", str(tmp_path))
        runtime.names.append("two")
        options = ("--network=none", "--cgroups=disabled", *LIMITS, "--read-only", "--read-only-tmpfs=false")
        words = [*runtime.podman, "run", "--name", "two", *options, "--user", "12345", "two-files"]
        with subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                assert process.stdout.readline() == b"serving on 0 sockets\n"
                until(
                    lambda: probe(runtime.pid, "/readyz").startswith("200 "), "the probe is answered that it is ready"
                )
                runtime.tell("stop", "--time", "20", "two")
            finally:
                runtime.tell("kill", "two", check=False)
            assert process.wait(30) == 0
