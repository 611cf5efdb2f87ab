"""Which init it was: what detect() says for constructed evidence, and for this very shell."""

import os
from collections.abc import Mapping

import pytest

from cross_init.detect import detect
from cross_init.errors import Failure
from cross_init.kernel.evidence import Evidence
from tests.support.command import PATH, run

PID = str(os.getpid()).encode()
OTHER = b"1"


def evidence(
    parent_name: str, environ: Mapping[bytes, bytes], parent: int = 4321, words: tuple[str, ...] = ()
) -> Evidence:
    made = Evidence(dict(environ))
    made.parent = parent
    made._parent_name = parent_name
    made._parent_words = list(words)
    return made


@pytest.mark.parametrize(
    ("parent", "environ", "init", "direct"),
    [
        ("bash", {}, "none", True),
        ("systemd", {}, "systemd", True),
        ("bash", {b"SYSTEMD_EXEC_PID": PID}, "systemd", True),
        ("bash", {b"LISTEN_PID": PID, b"LISTEN_FDS": b"1"}, "systemd", True),
        ("bash", {b"NOTIFY_SOCKET": b"/run/notify"}, "systemd", False),
        ("bash", {b"NOTIFY_SOCKET": b""}, "systemd", False),
        ("bash", {b"SYSTEMD_EXEC_PID": OTHER}, "none", True),
        ("bash", {b"LISTEN_PID": OTHER, b"LISTEN_FDS": b"1"}, "none", True),
        ("bash", {b"LISTEN_PID": b"", b"SYSTEMD_EXEC_PID": b"\xff"}, "none", True),
        ("bash", {b"LISTEN_FDS": b"1"}, "none", True),
        ("bash", {b"INVOCATION_ID": b"0", b"JOURNAL_STREAM": b"8:1"}, "none", True),
        ("systemd-userwork", {}, "none", True),
        ("init", {b"UPSTART_JOB": b"web"}, "upstart", True),
        ("bash", {b"UPSTART_JOB": b"web"}, "upstart", False),
        ("bash", {b"UPSTART_JOB": b""}, "upstart", False),
        ("init", {}, "none", True),
        ("runsv", {}, "runit", True),
        ("supervise", {}, "daemontools", True),
        ("circusd", {}, "circus", True),
        ("dinit", {}, "dinit", True),
        ("dinit", {b"LISTEN_PID": PID, b"LISTEN_FDS": b"1"}, "dinit", True),
        ("bash", {b"DINIT_SERVICE": b"web"}, "none", True),
        ("supervisord", {b"SUPERVISOR_ENABLED": b"1"}, "supervisord", True),
        ("bash", {b"SUPERVISOR_ENABLED": b"1"}, "supervisord", False),
        ("runsv", {b"SUPERVISOR_ENABLED": b"1"}, "runit", True),
        ("runsv", {b"NOTIFY_SOCKET": b"/run/notify"}, "runit", True),
        ("bash", {b"UPSTART_EVENTS": b"socket"}, "none", True),
        ("xinetd", {}, "inetd", True),
        ("inetutils-inetd", {b"PROTO": b"TCP"}, "inetd", True),
        ("s6-tcpserver6d", {b"NOTIFY_SOCKET": b"/run/notify"}, "inetd", True),
        ("tcpserver", {b"SUPERVISOR_ENABLED": b"1"}, "inetd", True),
        ("bash", {b"PROTO": b"TCP", b"TCPREMOTEIP": b"192.0.2.1"}, "none", True),
        ("launchd", {b"XPC_SERVICE_NAME": b"org.example.web"}, "launchd", False),
        ("bash", {b"XPC_SERVICE_NAME": b"0"}, "none", True),
        *(
            (
                name,
                {b"NOTIFY_SOCKET": b"/run/notify/notify.sock", b"LISTEN_PID": PID, b"LISTEN_FDS": b"1"},
                "container",
                True,
            )
            for name in ("docker-init", "podman-init", "catatonit", "tini", "dumb-init", "conmon", "containerd-shim")
        ),
        ("", {b"container": b"podman"}, "none", True),  # a parent without a name is not yet one outside
        ("runsv", {b"container": b"podman", b"NOTIFY_SOCKET": b"/run/notify/notify.sock"}, "runit", True),
        # The nearest one wins: what came down from an init further up is no claim to have started us.
        ("init", {b"UPSTART_JOB": b"web", b"NOTIFY_SOCKET": b"/run/notify"}, "upstart", True),
        ("init", {b"UPSTART_JOB": b"web", b"SYSTEMD_EXEC_PID": OTHER}, "upstart", True),
    ],
)
def test_the_init_is_told_by_its_evidence(parent: str, environ: dict[bytes, bytes], init: str, direct: bool) -> None:
    found, claim = detect(evidence(parent, environ))
    assert (found.name, claim.direct) == (init, direct)
    assert claim.because


@pytest.mark.parametrize(
    ("words", "service"),
    [
        ("/bin/sh /etc/init.d/web start", "web"),
        ("/bin/sh -e /etc/init.d/web start", "web"),
        ("/bin/sh /lib/init/init-d-script /etc/init.d/web start", "web"),
        ("/bin/sh /etc/rc2.d/S03web start", "web"),
        ("/usr/bin/python3 /etc/init.d/Seven start", "Seven"),
        ("vi /etc/passwd", ""),
        ("/bin/sh -c cat /etc/passwd", ""),
        ("", ""),
    ],
)
def test_a_script_of_sysvinit_is_told_by_the_parents_command_line(words: str, service: str) -> None:
    seen = evidence("web", {b"NOTIFY_SOCKET": b"/run/notify"} if service else {}, words=tuple(words.split()))
    found, claim = detect(seen)
    assert found.name == ("sysv" if service else "none")
    assert claim.direct
    assert found.service(seen, "/usr/sbin/webd").name == (service or "webd")


@pytest.mark.parametrize(("pid", "parent"), [(1, 0), (7, 0)])
def test_who_is_first_or_has_its_parent_outside_is_a_containers(pid: int, parent: int) -> None:
    seen = evidence("", {b"LISTEN_PID": str(pid).encode(), b"UPSTART_JOB": b"web"}, parent=parent)
    seen.pid = pid
    found, claim = detect(seen)
    assert (found.name, claim.direct) == ("container", True)


def test_an_init_with_the_number_1_is_a_parent_too() -> None:
    _, claim = detect(evidence("whatever", {b"UPSTART_JOB": b"web"}, parent=1))
    assert claim.direct


def test_dinit_may_be_process_1_under_another_name() -> None:
    found, claim = detect(evidence("init", {b"DINIT_SERVICE": b"web"}, parent=1))
    assert (found.name, claim.direct) == ("dinit", True)


@pytest.mark.parametrize("mark", [{b"SYSTEMD_EXEC_PID": PID}, {b"LISTEN_PID": PID}])
def test_evidence_that_contradicts_itself_is_refused_with_what_to_do(mark: dict[bytes, bytes]) -> None:
    with pytest.raises(Failure, match=r"UPSTART_JOB.*remove.*--init"):
        detect(evidence("bash", {**mark, b"UPSTART_JOB": b"web"}))


def test_from_this_shell_it_is_none() -> None:
    result = run("-t", "systemd", "--explain")
    assert result.status == 0
    assert result.out.decode().splitlines()[0].startswith("init        none, because ")


def test_the_listening_pid_of_another_process_is_no_evidence() -> None:
    environ = {"PATH": PATH, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    result = run("-t", "systemd", "--", "/usr/bin/env", environ=environ)
    assert result.status == 0
    assert b"LISTEN_" not in result.out
