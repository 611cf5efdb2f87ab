"""Upstart's jobs as definitions: what each stanza becomes, what is remarked, and what is refused in one line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cross_init.definitions.classes import CANNOT, DONE, INITS, NOT_YET, WEAKER
from cross_init.definitions.definition import INFINITY, SECOND, Definition
from cross_init.definitions.job_relations import unit_name
from cross_init.definitions.stanzas import STANZAS, row
from cross_init.definitions.upstart_jobs import load_job, read_job
from cross_init.errors import Failure
from tests.definitions.test_refused import show

Read = Callable[..., tuple[Definition, list[str]]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str, override: str = "") -> tuple[Definition, list[str]]:
        (tmp_path / "web.conf").write_text(text)
        if override:
            (tmp_path / "web.override").write_text(override)
        found, remarks = read_job(f"{tmp_path}/web.conf")
        return found, [each.removeprefix(f"{tmp_path}/") for each in remarks]

    return read_text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("exec a\nexce b\n", "2: exce: Upstart knows no such stanza"),
        ("exec\n", "1: a command is missing"),
        ("env A=b c\n", "1: c: nothing more is expected here"),
        ("description 'a\n\n", "1: the quotation mark ' has no end"),
        ("\n\nscript\n a\n b\n", '3: there is no "end script"'),
        ("expect never\n", "1: never: it may be stop, daemon, fork, none"),
        ("limit cores 1 2\n", "1: cores: it may be as, core,"),
        ("nice 20\n", "1: 20: it is not from -20 to 19"),
        ("umask 888\n", "1: 888: it is no number"),
        ("start on a b\nstart on (a\n", "2: a parenthesis is not closed"),
        ("start on a and\n", "1: "),
        ("start on a)\n", "1: a parenthesis is closed that was not opened"),
        ("exec a\nsetuid 12\n", "2: setuid 12: it is no name of a user or group"),
        ("exec a\nchdir /a/../b\n", "2: chdir /a/../b: a unit has no such folder"),
        ("exec a \\", "1: there is nothing behind the last backslash"),
    ],
)
def test_what_upstart_would_not_load_is_refused_with_its_line(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "web.conf"
    path.write_text(text)
    with pytest.raises(Failure) as raised:
        read_job(str(path))
    assert str(raised.value).startswith(f"{path}:{error}")
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(Failure, match=r"^/nowhere/x.conf: there is no such file$"):
        read_job("/nowhere/x.conf")
    with pytest.raises(Failure, match=r"^nobody-has-this.conf: there is no such file here, nor in /etc/init$"):
        read_job("nobody-has-this.conf")


def test_an_override_comes_behind_and_a_bad_one_counts_to_where_it_is_bad(read: Read, tmp_path: Path) -> None:
    found, remarks = read("start on startup\nexec /bin/a\nnice 1\n", "manual\nnice 2\nexec /bin/b\n")
    assert (found.context.nice, found.commands.start[0].path, found.relations.wanted_by) == (2, "/bin/b", ())
    assert found.where("nice") == f"{tmp_path}/web.override:2"
    assert remarks == []
    found, remarks = read("exec /bin/a\nnice 1\n", "nice 2\nnicer 3\n")
    assert found.context.nice == 2
    assert remarks == ["web.override:2: nicer: Upstart knows no such stanza; what stands from here on is ignored"]


def test_commands_are_run_as_upstart_runs_them(read: Read) -> None:
    found, _ = read(
        "exec a  b\tc\npre-start exec a $B\npost-start script\n  x\n  y\nend script\npre-stop script\nx\nend script\n"
    )
    commands = found.commands
    assert commands.start[0].argv == ("a", "b", "c")
    assert commands.start_pre[0].argv == ("/bin/sh", "-e", "-c", "exec a $B", "/bin/sh")
    assert commands.start_post[0].argv == ("/bin/sh", "-e", "-c", "x\ny\n", "/bin/sh")
    assert commands.stop[0].argv == ("/bin/sh", "-e", "-c", "x", "/bin/sh")
    assert [each[0].literal for each in (commands.start, commands.start_pre)] == [False, True]
    assert [each[0].may_fail for each in (commands.start_pre, commands.start_post, commands.stop)] == [
        False,
        True,
        True,
    ]
    assert commands.reload[0].argv == ("/bin/kill", "-HUP", "$MAINPID")


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("stop; exit 0", 1),
        ("stop", 1),
        ("false", 255),
        ("exit 3", 255),
        ("true", 0),
        ("[ -x / ] || { stop; exit 0; }", 0),
    ],
)
def test_a_start_that_is_called_off_is_a_condition(read: Read, script: str, status: int) -> None:
    found, remarks = read(f"pre-start script\n{script}\nfalse && stop\n:\nend script\nexec a\n")
    assert not found.commands.start_pre
    (condition,) = found.commands.condition
    assert subprocess.run(condition.argv, check=False).returncode == status
    assert remarks == []


def test_initctl_in_a_script_is_remarked(read: Read) -> None:
    _, remarks = read("post-start script\n  x || true\n  initctl emit --no-wait a\nend script\nexec a\n")
    assert remarks == ["web.conf:1: post-start calls initctl(8) or one of its names, which only Upstart answers"]


@pytest.mark.parametrize(
    ("text", "kind", "restart"),
    [
        ("exec a", "exec", "no"),
        ("exec a\nexpect stop\nrespawn", "stop", "always"),
        ("exec a\nexpect fork", "forking", "no"),
        ("exec a\nexpect daemon", "forking", "no"),
        ("exec a\ntask\nrespawn", "oneshot", "on-failure"),
        ("pre-start exec a\nrespawn", "oneshot", "no"),
    ],
)
def test_readiness_and_restart(read: Read, text: str, kind: str, restart: str) -> None:
    found, _ = read(f"{text}\n")
    assert (found.readiness.type, found.ending.restart) == (kind, restart)
    assert found.readiness.remain_after_exit == ("pre-start" in text)


def test_how_it_ends(read: Read) -> None:
    ending = read("exec a\n")[0].ending
    assert (ending.timeout_start, ending.timeout_stop, ending.start_limit_burst) == (INFINITY, 5 * SECOND, 5)
    ending = read("exec a\nrespawn\nkill timeout 20\nkill signal INT\nnormal exit 0 3 TERM\n")[0].ending
    assert (ending.timeout_stop, ending.kill_signal) == (20 * SECOND, 2)
    assert ending.success_exit_status == ending.restart_prevent_exit_status == ((0, 3), (15,))
    assert (ending.start_limit_burst, ending.start_limit_interval) == (11, 5 * SECOND)
    assert read("exec a\nrespawn\nrespawn limit unlimited\n")[0].ending.start_limit_interval == 0
    found, remarks = read("exec a\npost-stop exec b\n")
    assert found.ending.timeout_stop == 90 * SECOND
    assert len(remarks) == 1


@pytest.mark.parametrize(
    ("events", "field", "names"),
    [
        ("start on runlevel [2345]", "wanted_by", ("multi-user.target",)),
        ("start on runlevel [!016]", "wanted_by", ("multi-user.target",)),
        ("stop on runlevel [^2345]\nstart on runlevel [^016]", "wanted_by", ("multi-user.target",)),
        ("start on filesystem or runlevel [2345]", "wanted_by", ("multi-user.target",)),
        ("start on runlevel RUNLEVEL=6", "wanted_by", ("reboot.target",)),
        ("start on stopped rc RUNLEVEL=[2345]", "wanted_by", ("multi-user.target",)),
        ("start on (filesystem and started dbus)", "wanted_by", ("multi-user.target",)),
        ("start on (filesystem and started dbus)", "after", ("local-fs.target", "remote-fs.target", "dbus.service")),
        ("start on started a or started b", "wanted_by", ("a.service", "b.service")),
        ("start on starting JOB=a", "before", ("a.service",)),
        ("start on net-device-up IFACE!=lo", "wants", ("network-online.target",)),
        ("start on net-device-up IFACE=lo", "wants", ()),
        ("start on mounted MOUNTPOINT=/srv", "requires_mounts_for", ("/srv",)),
        ("stop on stopping a or runlevel [06]", "part_of", ("a.service",)),
        ("stop on starting a", "conflicts", ("a.service",)),
    ],
)
def test_events_become_relations(read: Read, events: str, field: str, names: tuple[str, ...]) -> None:
    found, remarks = read(f"{events}\nexec a\n")
    assert getattr(found.relations, field) == names
    assert remarks == []


@pytest.mark.parametrize(
    ("events", "remark"),
    [
        ("start on foo A=b", "start on: foo A=b: no unit is started by this"),
        (
            "start on file FILE=/x",
            "start on: file FILE=/x: no unit is started by this; with systemd that is a path unit",
        ),
        ("start on started a and started b", "start on: the unit is started with each of a.service, b.service"),
        ("start on started $A", "start on: started $A: no unit is started by this"),
        ("stop on foo", "stop on: foo: no unit is stopped by this"),
    ],
)
def test_events_that_no_unit_knows_are_remarked(read: Read, events: str, remark: str) -> None:
    _, remarks = read(f"exec a\n{events}\n")
    assert len(remarks) == 1
    assert remarks[0].startswith(f"web.conf:2: {remark}")


def test_sockets(read: Read) -> None:
    on = "start on socket PROTO=inet PORT=80 or socket PROTO=inet6 PORT=81 ADDR=::1"
    found, _ = read(f"{on} or socket PROTO=unix PATH=/run/x or socket PROTO=unix SOCKET_PATH=/run/x\nexec a\n")
    (socket,) = found.sockets
    assert [each.address for each in socket.listen] == ["0.0.0.0:80", "[::1]:81", "/run/x"]
    assert (socket.name, socket.bind_ipv6_only) == ("web.socket", "ipv6-only")
    assert found.target == "upstart"
    _, remarks = read("start on socket PROTO=inet PORT=http\nexec a\n")
    assert len(remarks) == 1


def test_an_instance_becomes_a_template(read: Read) -> None:
    found, remarks = read("instance $TTY\nexec getty $TTY\n")
    assert (found.name, found.others["instance"], remarks) == ("web@.service", ("$TTY",), [])
    _, remarks = read("instance $A-$B\nexec a\n")
    assert len(remarks) == 1


def test_each_stanza_is_in_a_class_and_is_shown_with_its_line(tmp_path: Path) -> None:
    for stanza in STANZAS:
        assert row(stanza)[2] in (DONE, INITS, WEAKER, CANNOT, NOT_YET), stanza
    path = tmp_path / "web.conf"
    path.write_text("exec a b\nlimit nofile 1 2\nauthor me\n")
    assert [(each.key, each.value, each.origin[1], each.row and each.row[2]) for each in load_job(str(path)).lines] == [
        ("exec", "a b", 1, row("exec")[2]),
        ("limit", "nofile 1 2", 2, row("limit")[2]),
        ("author", "me", 3, INITS),
    ]


def test_names_of_units() -> None:
    assert unit_name("net/apache") == "net-apache.service"
    assert unit_name("a b") == r"a\x20b.service"
    assert unit_name(".a") == r"\x2ea.service"


def test_what_a_unit_cannot_have_is_remarked_and_left_out(read: Read) -> None:
    found, remarks = read("env A-B=c\nenv A=b\nlimit nofile 20 10\nlimit core 0 0\nexec a\n")
    assert found.context.environment == (("A", "b"),)
    assert found.context.limits == {"CORE": (0, 0)}
    assert len(remarks) == 2


def test_numbers_that_mean_nothing_are_remarked(read: Read) -> None:
    found, remarks = read("kill signal 99\nreload signal 0\nlimit nice 50 unlimited\nexec a\n")
    assert found.ending.kill_signal == 15
    assert found.commands.reload == ()
    assert found.context.limits == {"NICE": (40, 40)}
    assert len(remarks) == 2


def test_a_relative_program_is_in_the_folder_of_the_job(read: Read) -> None:
    assert read("chdir /srv/a\nexec bin/b c\n")[0].commands.start[0].argv == ("/srv/a/bin/b", "c")
    assert read("exec ./b\n")[0].commands.start[0].path == "/b"


def test_it_is_shown(tmp_path: Path) -> None:
    job = tmp_path / "a.conf"
    job.write_text("expect stop\nstart on (a\n  or socket PROTO=inet PORT=80)\nexec /bin/true a\n")
    (tmp_path / "a.override").write_text("manual\nkill timeout 20\n")
    lines = show(str(job)).stdout.splitlines()
    assert lines[:2] == ["a.service: a.service", "  runs     /bin/true a"]
    assert "  ready    when it stops itself (expect stop)" in lines
    assert "    1  the init's  manual  (when it is started)" in lines
    assert json.loads(show("--json", str(job)).stdout)["ending"]["timeout_stop"] == 20_000_000
