"""launchd, as far as it can be looked at where it does not run: what is said of it, and how its absence is."""

import pytest

from tests.support.command import IS_STATIC, PATH, run


def test_it_is_said_that_nobody_has_tried_it() -> None:
    environ = {"PATH": PATH, "XPC_SERVICE_NAME": "org.example.web"}
    result = run("-t", "systemd", "-N", "--explain", "--", "true", environ=environ)
    assert result.status == 0
    said = result.out.decode().splitlines()
    assert said[0] == "init        launchd, because XPC_SERVICE_NAME is set"
    assert said[1] == "service     org.example.web"
    assert "launchd was written to its manual, and never tried" in result.out.decode()
    assert "launchd waits for no daemon to be ready" in result.out.decode()


def test_a_daemon_runs_and_is_not_told_the_label() -> None:
    environ = {"PATH": PATH, "XPC_SERVICE_NAME": "org.example.web"}
    result = run("-t", "systemd", "--", "env", environ=environ)
    assert result.status == 0
    assert b"XPC_SERVICE_NAME" not in result.out


@pytest.mark.skipif(IS_STATIC, reason="launchd has its sockets in a library, which the static file does not load")
def test_sockets_by_name_need_what_only_macos_has() -> None:
    result = run("-t", "systemd", "--init", "launchd:Listeners", "--", "true")
    assert result.status == 125
    assert result.line.startswith("taking launchd's socket Listeners: this system has no launch_activate_socket")
