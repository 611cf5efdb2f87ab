"""Units that cannot be read: one line with the file and, where there is one, the line; exit code 125."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import FRONT_DOOR, PATH

# What is refused, and what is said of it behind the file's name.
REFUSED = {
    "nothing": ("", ": it has no ExecStart="),
    "no ExecStart": ("[Service]\nType=simple\nExecStop=/bin/true", ": it has no ExecStart=, which only Type=oneshot"),
    "several": ("[Service]\nExecStart=/bin/true\nExecStart=/bin/false", ":3: it has several ExecStart="),
    "a relative path": ("[Service]\nExecStart=bin/a", ":2: ExecStart=: bin/a: a program is an absolute path"),
    "a directory": ("[Service]\n\nExecStart=/bin/", ":3: ExecStart=: /bin/: it is a directory"),
    "only signs": ("[Service]\nExecStart=@", ":2: ExecStart=: it names no program"),
    "an open quotation mark": (
        "[Service]\nExecStart=/bin/true 'b c",
        ":2: ExecStart=: the quotation mark ' has no end",
    ),
    "a bad specifier": ("[Service]\nExecStart=/bin/true %Z", ":2: ExecStart=: %Z is no specifier"),
    "a bad user": ("[Service]\nUser=a:b\nExecStart=/bin/true", ":2: User=: a:b: it is no name of a user"),
    "a relative root": (
        "[Service]\nRootDirectory=a\nExecStart=/bin/true",
        ":2: RootDirectory=: the path is not absolute",
    ),
    "a bad section": ("[Service\nExecStart=/bin/true", ":1: [Service: a section's name ends with ]"),
    "no UTF-8": ("[Service]\n# \xff\nDescription=\xff", ":3: it is no UTF-8"),
    "no bus name": ("[Service]\nType=dbus\nExecStart=/bin/true", ":2: Type=dbus needs BusName="),
    "an eager oneshot": (
        "[Service]\nType=oneshot\nRestart=always\nExecStart=/bin/true",
        ":3: Restart=always is not for",
    ),
}


def show(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": PATH, **({"HOME": str(home)} if home else {})}
    return subprocess.run([FRONT_DOOR, "show", *words], env=environ, capture_output=True, text=True, timeout=60)


def refusal(*words: str) -> str:
    """The one line of a unit that is refused, without the program's name."""
    asked = show(*words)
    assert (asked.returncode, asked.stdout) == (125, ""), asked
    assert asked.stderr.startswith("cross-init: ")
    assert asked.stderr.count("\n") == 1
    return asked.stderr.removeprefix("cross-init: ").rstrip("\n")


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_said_where(tmp_path: Path, name: str) -> None:
    text, said = REFUSED[name]
    unit = tmp_path / "a.service"
    unit.write_bytes(f"{text}\n".encode("latin-1"))
    assert refusal(str(unit)).startswith(f"{unit}{said}")


def test_no_such_unit(tmp_path: Path) -> None:
    assert refusal("cross-init-no-such").startswith("cross-init-no-such.service: there is no such unit")
    assert refusal(f"{tmp_path}/a.service") == f"{tmp_path}/a.service: there is no such file"
    assert refusal("a b.service") == "a b.service: that is no name of a unit"


def test_a_template_needs_an_instance(tmp_path: Path) -> None:
    (tmp_path / "a@.service").write_text("[Service]\nExecStart=/bin/echo %i %I\n")
    assert (
        refusal("a@", "--unit-path", str(tmp_path))
        == "a@.service: it is a template; say which instance, as a@NAME.service"
    )
    assert "/bin/echo b-c b/c" in show("a@b-c", "--unit-path", str(tmp_path)).stdout


@pytest.mark.parametrize("link", [True, False])
def test_a_masked_unit(tmp_path: Path, link: bool) -> None:
    unit = tmp_path / "a.service"
    if link:
        unit.symlink_to("/dev/null")
    else:
        unit.touch()
    assert refusal("a", "--unit-path", str(tmp_path)).startswith(f"a.service: it is masked ({unit} is empty")


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.service").symlink_to("b.service")
    (tmp_path / "b.service").symlink_to("a.service")
    assert refusal("a", f"--unit-path={tmp_path}").startswith("a.service: its links lead in a circle")


def test_what_is_no_file_holds_nothing_up(tmp_path: Path) -> None:
    unit = tmp_path / "a.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "a.service.d").mkdir()
    os.mkfifo(tmp_path / "a.service.d/x.conf")
    (tmp_path / "a.service.d/y.conf").mkdir()
    assert "runs     /bin/true" in show(str(unit)).stdout
    unit.write_bytes(b"#" * (1 << 23))
    assert refusal(str(unit)) == f"{unit}: it is larger than 4194304 bytes"
    unit.unlink()
    unit.symlink_to(tmp_path / "nothing")
    assert refusal(str(unit)) == f"{unit}: there is no such file"


def test_a_socket_that_is_wrong(tmp_path: Path) -> None:
    """It is said, and the service is there without it; unless it is the socket that was asked for."""
    (tmp_path / "a.service").write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "a.socket").write_text("[Socket]\nAccept=no\n")
    said = f"{tmp_path}/a.socket: it has no Listen...="
    assert show(f"{tmp_path}/a").stdout.splitlines()[-1] == f"{said}; the service does not get it"
    assert refusal(f"{tmp_path}/a.socket") == said


def test_a_users_unit_without_a_runtime_directory(tmp_path: Path) -> None:
    (tmp_path / "a.service").write_text("[Service]\nExecStart=/bin/true %t\n")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a /run of its own")
    words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh"]
    asked = subprocess.run(
        [*words, FRONT_DOOR, "show", "--user", f"{tmp_path}/a"], env={"PATH": PATH}, capture_output=True, text=True
    )
    said = "cross-init: %t, in a unit of a user: XDG_RUNTIME_DIR is not set, and there is no /run/user/"
    assert (asked.returncode, asked.stderr[: len(said)]) == (125, said)


def test_wrong_words() -> None:
    assert refusal() == "show takes one unit: its name, as redis-server.service, or its file's path"
    assert refusal("a", "--unit-path") == "show --unit-path: a folder is missing"
    assert refusal("--what", "a") == "show --what: no such option; there are --json, --unit-path, --user"


def test_what_systemd_would_ignore_is_said(tmp_path: Path) -> None:
    unit = tmp_path / "a.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nNice=40\nWhat=1\nX-What=1\n[What]\nA=b\n")
    said = show(str(unit)).stdout.splitlines()
    assert said[-3:] == [
        f"{unit}:6: [What] is no section of such a unit",
        f"{unit}:3: Nice=40: it is not from -20 to 19; the line is ignored",
        f"{unit}:4: systemd knows no What= in [Service]",
    ]


def test_a_drop_in_that_is_wrong_ends_there(tmp_path: Path) -> None:
    """As for systemd, the unit is read all the same."""
    unit = tmp_path / "a.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "a.service.d").mkdir()
    (tmp_path / "a.service.d/x.conf").write_text("[Service]\nNice=3\nUser=a:b\nNice=4\n")
    said = show(str(unit)).stdout
    assert "    2  done        Nice=3" in said
    assert "Nice=4" not in said
    assert f"{tmp_path}/a.service.d/x.conf:3: User=: a:b: it is no name of a user or group; the rest of" in said
