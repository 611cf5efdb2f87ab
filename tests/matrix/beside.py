"""The resident beside the services of the matrix: on a machine that boots, as its init's own example has it started.

The examples are written for a package's paths; nothing else in them is changed.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.matrix.controlled import SHEPHERD_SOCKET
from tests.matrix.driver import Driver
from tests.support.command import FRONT_DOOR, PATH, ROOT
from tests.support.containers import FRONT_DOOR as FRONT_DOOR_INSIDE
from tests.support.real_upstart import Upstart
from tests.support.roots import Root
from tests.support.systemd import Host, Manager
from tests.support.waiting import until

EXAMPLES = ROOT / "examples/serve"
NAME = "cross-init-serve"
SERVE = Path("cross-init/serve")  # where it listens, in its /run
LONGEST_S = 30

Serve = Callable[[Any], None]  # starts one on this machine, which ends with it


def example(kind: str, front_door: str = FRONT_DOOR_INSIDE) -> str:
    """The text of this example, for a machine that has cross-init there."""
    return (EXAMPLES / f"{NAME}.{kind}").read_text().replace("/usr/bin/cross-init", front_door)


def in_root(kind: str, path: str, *words: str) -> Serve:
    """Have the example as this file of a root, and do that."""

    def serve(root: Root) -> None:
        root.write(path, example(kind), 0o755 if path.startswith("/etc/init.d/") else 0o644)

        def is_done() -> bool:  # it keeps what it was started with, so no pipe
            quiet = subprocess.DEVNULL
            ran = subprocess.run(
                root.enter(*words),
                env=root.environment(0),
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
                timeout=LONGEST_S,
            )
            return ran.returncode == 0

        until(is_done, f"{' '.join(words)} is understood", LONGEST_S)
        until((root.root / "run" / SERVE).exists, "it serves", LONGEST_S)

    return serve


IN_SYSV = in_root("sysvinit", f"/etc/init.d/{NAME}", "service", NAME, "start")
IN_OPENRC = in_root("openrc", f"/etc/init.d/{NAME}", "rc-service", NAME, "start")
IN_FINIT = in_root("finit.conf", f"/etc/finit.d/{NAME}.conf", "initctl", "reload")
HERD = f"herd --socket={SHEPHERD_SOCKET}"
LOAD = f"{HERD} load root /etc/serve.scm && exec {HERD} start {NAME}"
IN_SHEPHERD = in_root("scm", "/etc/serve.scm", "/bin/sh", "-c", LOAD)


def in_upstart(upstart: Upstart) -> None:
    """As a job."""
    upstart.job(NAME, example("upstart.conf"))
    assert "start/running" in upstart.initctl("start", NAME)


def in_systemd(manager_of: Callable[[Host], Manager]) -> Serve:
    """As a unit of this manager's."""

    def serve(host: Host) -> None:
        manager = manager_of(host)
        (manager.folder / f"{NAME}.service").write_text(example("service"))
        manager.systemctl("daemon-reload")
        manager.systemctl("start", NAME)

    return serve


@contextmanager
def here(runtime: Path = Path("/run")) -> Iterator[None]:
    """One in the test's own namespaces, without any init."""
    with subprocess.Popen([FRONT_DOOR, "serve"], env={"PATH": PATH}, stdin=subprocess.DEVNULL) as process:
        try:
            answers = runtime / "cross-init-status"
            until(lambda: any(answers.glob(f"{process.pid}-*")) and (runtime / SERVE).exists(), "it serves")
            yield
        finally:
            process.terminate()
            process.wait(LONGEST_S)
            (runtime / SERVE).unlink(missing_ok=True)


def watches(driver: Driver, daemon: int) -> bool:
    """Whether the resident of the driver's machine says that it watches this daemon, and that it is ready."""
    words, environ = driver.entering(driver.bridge.removesuffix("-bridge"), "status", "--json")
    ran = subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_S
    )
    status = Path(f"/proc/{daemon}/status").read_text()
    inside = int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])
    said = [each for each in json.loads(ran.stdout) if each["pid"] == inside]
    return [(each["shape"], each["state"]) for each in said] == [("resident", "ready")]
