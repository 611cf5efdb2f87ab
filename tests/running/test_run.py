"""cross-init run from a shell: what comes before and after the main process, and units that cannot be run."""

import os
import select
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from cross_init.definitions.load import load
from cross_init.kernel.process_stat import process_state
from cross_init.running.manner import manner_of
from tests.support.command import FRONT_DOOR
from tests.support.processes import stands_for_it
from tests.support.unit_folder import RUN_S, Folder
from tests.support.waiting import until

BROKEN = {
    "no such user": ("User=nobody-here\nExecStart=/bin/true", ":2: User=nobody-here: there is no such user"),
    "no such group": ("Group=nobody-here\nExecStart=/bin/true", ":2: there is no group nobody-here"),
    "no command": ("Type=notify", "it has no ExecStart="),
    "no program": ("ExecStart=/nowhere/program", ":2: running /nowhere/program: not found"),
    "a relative path": ("ExecStart=bin/true", ":2: ExecStart="),
    "no environment file": ("EnvironmentFile=/nowhere\nExecStart=/bin/true", ":2: EnvironmentFile=/nowhere: No such"),
    "no folder": ("WorkingDirectory=/nowhere\nExecStart=/bin/true", ":2: WorkingDirectory=/nowhere: No such file"),
    "a bad specifier": ("ExecStart=/bin/true %Q", ":2: ExecStart=: %Q is no specifier"),
    "no such folder can be": (
        "ConfigurationDirectory=passwd/x\nExecStartPre=LOG not\nExecStart=LOG not\nExecStopPost=LOG not",
        ":2: ConfigurationDirectory=passwd/x: /etc/passwd/x: Not a directory",
    ),
    "no credential": ("LoadCredential=a:/nowhere\nExecStart=LOG not", ":2: LoadCredential=a:/nowhere: No such file"),
    "an encrypted one": (
        "LoadCredentialEncrypted=a:/a\nExecStart=LOG not",
        ":2: LoadCredentialEncrypted=a:/a: the key",
    ),
    "no file to open": ("OpenFile=/nowhere\nExecStart=LOG not", ":2: OpenFile=/nowhere: No such file"),
    "images": ("RootImage=/a\nExecStart=/bin/true", ":2: RootImage=/a: images of disks are systemd's own; --ignore"),
}
REFUSED_WITH = {"no program": 127, "no credential": 243}


@pytest.mark.parametrize("which", BROKEN)
def test_what_cannot_be_run_gets_one_line_and_nothing_is_started(folder: Folder, which: str) -> None:
    lines, said = BROKEN[which]
    code, text = folder.run(lines)
    assert (code, text.count("\n"), said in text) == (REFUSED_WITH.get(which, 125), 1, True), text
    assert folder.written() == []


def test_files_that_are_none_get_one_line(folder: Folder) -> None:
    (folder.path / "a.service.d").symlink_to("a.service.d")
    code, text = folder.run("ExecStart=LOG not")
    assert (code, text.count("\n"), "a.service.d: its links lead in a circle" in text) == (125, 1, True), text
    (folder.path / "a.service.d").unlink()
    (folder.path / "a.socket").write_text("[Socket]\n\nListenStream=/etc/passwd/x\n")
    code, text = folder.run("ExecStart=LOG not")
    assert (code, text.count("\n"), "a.socket:3: cannot listen there: Not a directory" in text) == (125, 1, True), text
    (folder.path / "a.txt").write_text("[Service]\nExecStart=/bin/true\n")
    for name, said in {
        "a.txt": "a unit's file is called NAME.service",
        "nothing.service": "there is no such file",
        "a.timer": "that is no service",
    }.items():
        words = [str(FRONT_DOOR), "run", str(folder.path / name)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=RUN_S)
        assert (ran.returncode, ran.stderr.count("\n"), said in ran.stderr) == (125, 1, True), ran
    assert folder.written() == []


def test_commands_run_in_their_order_with_what_is_known_of_the_end(folder: Folder) -> None:
    process = folder.begin(
        "ExecCondition=LOG condition\nExecStartPre=LOG first\nExecStartPre=-/bin/false\nExecStartPre=LOG second\n"
        "ExecStart=/bin/sleep infinity\nExecStartPost=LOG post ${MAINPID}\nExecReload=LOG reload\n"
        "ExecReload=LOG again\nExecStop=LOG stop ${MAINPID}\n"
        "ExecStopPost=LOG after ${SERVICE_RESULT} ${EXIT_CODE} ${EXIT_STATUS}"
    )
    until(lambda: len(folder.written()) == 4, "what comes after the start was run")
    main = int(folder.written()[3].split()[1])
    assert os.readlink(f"/proc/{main}/exe").endswith("/sleep")
    process.send_signal(signal.SIGHUP)
    until(lambda: len(folder.written()) == 6, "both commands of a reload were run")
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert folder.written() == [
        *("condition", "first", "second", f"post {main}", "reload", "again", f"stop {main}"),
        "after success killed TERM",
    ]


ENDINGS = {
    "ExitType": ("main", "cgroup"),
    "RuntimeMaxSec": ("infinity", "1h"),
    "FinalKillSignal": ("SIGKILL", "SIGQUIT"),
    "SendSIGHUP": ("no", "yes"),
    "WatchdogSignal": ("SIGABRT", "SIGUSR1"),
    "TimeoutStopFailureMode": ("terminate", "abort"),
}


def test_somebody_stays_for_its_end_only_if_that_is_another_than_usual(folder: Folder) -> None:
    usual = "".join(f"{key}={value}\n" for key, (value, _) in ENDINGS.items())
    _, said = folder.run(f"{usual}ExecStart=/bin/cat", "--explain")
    assert "shape       exec: " in said
    for key, (_, value) in ENDINGS.items():
        _, said = folder.run(f"{key}={value}\nWatchdogSec=9\nType=notify\nExecStart=/bin/cat", "--explain")
        assert f"shape       supervise: somebody has to stay and end it as the unit says ({key}=)" in said
        assert "is ended (control-group): as its unit says" in said


NEEDS = {
    "ExitType=cgroup": ("ExitType",),
    "ExitType=cgroup\nGuessMainPID=no": ("ExitType",),
    "Type=forking\nGuessMainPID=no": ("GuessMainPID",),
    "Type=forking\nGuessMainPID=no\nPIDFile=/run/x.pid": (),
    "Type=forking": (),
}


@pytest.mark.parametrize("lines", NEEDS)
def test_what_is_said_to_be_needed_is_what_the_unit_says(tmp_path: Path, lines: str) -> None:
    unit = tmp_path / "needs.service"
    unit.write_text(f"[Service]\n{lines}\nExecStart=/bin/cat\n")
    assert manner_of(load(str(unit)).definition).needs == NEEDS[lines]


# What a daemon that forks away leaves: it gives signs of life as often as it is told to, and then none.
LIVES = """
import os, socket, sys, time
if os.fork():
    sys.exit()
log, times = sys.argv[1], int(sys.argv[2])
told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told.connect(os.environ["NOTIFY_SOCKET"])
for _ in range(times):
    told.send(b"WATCHDOG=1")
    time.sleep(0.1)
told.send(b"STATUS=silent from now on")
with open(log, "a") as file:
    print("lived", os.environ["WATCHDOG_USEC"], file=file)
time.sleep(60)
"""


def test_a_daemon_that_forks_away_may_give_signs_of_life(folder: Folder) -> None:
    (folder.path / "lives.py").write_text(LIVES)
    code, said = folder.run(
        "Type=forking\nWatchdogSec=400ms\nLimitCORE=0\n"
        f"ExecStart=/usr/bin/python3 -IS {folder.path}/lives.py {{log}} 9\n"
        "ExecStopPost=LOG after ${SERVICE_RESULT} ${EXIT_STATUS}"
    )
    assert code == -signal.SIGABRT, said
    assert folder.written() == ["lived 400000", "after watchdog ABRT"], said
    assert "has given no sign of life" in said


def test_of_several_that_fork_away_none_is_the_main_process(folder: Folder) -> None:
    code, said = folder.run(
        "Type=forking\nExecStart=/bin/sh -c '(sleep 1; echo last >> {log}) & sleep 0.1; (sleep 0.4; exit 3) &'\n"
        "ExecStopPost=LOG ${SERVICE_RESULT}"
    )
    assert (code, folder.written()) == (0, ["last", "success"]), said


NAMES = """
import os, socket, sys, time
if os.fork():
    sys.exit()
if pid := os.fork():
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.sendto(b"READY=1\\nMAINPID=%d" % pid, os.environ["NOTIFY_SOCKET"])
    time.sleep(60)
time.sleep(0.5)
sys.exit(7)
"""


def test_a_daemon_that_forks_away_may_name_its_main_process(folder: Folder) -> None:
    (folder.path / "names.py").write_text(NAMES)
    command = f"ExecStart=/usr/bin/python3 -IS {folder.path}/names.py"
    code, said = folder.run(f"Type=forking\nNotifyAccess=all\n{command}\nExecStopPost=LOG ${{EXIT_STATUS}}")
    assert (code, folder.written()) == (7, ["7"]), said


def test_a_command_that_fails_is_told_and_what_comes_afterwards_is_run(folder: Folder) -> None:
    code, said = folder.run(
        "ExecStartPre=/bin/sh -c 'exit 7'\nExecStartPre=LOG not\nExecStart=LOG not\n"
        "ExecStopPost=LOG after ${SERVICE_RESULT}"
    )
    assert (code, ":2: ExecStartPre=/bin/sh: it failed (exit code 7)" in said) == (7, True), said
    assert folder.written() == ["after exit-code"]


CODES = {
    "Type=oneshot\nExecStart=/bin/true\nExecStopPost=/bin/false": 125,
    "ExecStart=/bin/true\nExecStop=/bin/false": 125,
    "ExecStart=/bin/true\nExecStop=-/bin/false": 0,
    "ExecStart=/bin/sh -c 'exit 3'\nExecStopPost=/bin/false": 3,
    "SuccessExitStatus=3\nExecStart=/bin/sh -c 'exit 3'\nExecStop=/bin/sh -c 'exit 3'": 0,
    "ExecStart=/bin/sleep 60\nExecStartPost=/bin/false": 125,
    "Type=notify\nExecStart=/bin/true\nExecStopPost=/bin/true": 125,
    "Type=forking\nGuessMainPID=no\nExecStart=/bin/sh -c '(sleep 0.1; exit 3) &'": 0,
    "Type=forking\nExecStart=/bin/sh -c 'exit 4'": 4,
    "ExecStart=-/bin/sh -c 'exit 4'\nExecStopPost=/bin/true": 0,
}


@pytest.mark.parametrize("lines", CODES)
def test_the_exit_code_is_the_main_processs_or_says_that_something_else_has_failed(folder: Folder, lines: str) -> None:
    code, said = folder.run(lines)
    assert code == CODES[lines], said


def test_nobody_who_asks_is_told_that_it_is_ready_before_what_comes_with_its_start_is_over(folder: Folder) -> None:
    state = folder.path / "state"
    process = folder.begin(
        f"ExecStart=/bin/sleep 60\nExecStartPost=/bin/sh -c 'cat {state} >> {{log}}'", "--state-file", str(state)
    )
    until(lambda: state.exists() and state.read_text().startswith("ready "), "it is ready")
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert folder.written()[0].startswith("starting ")


def test_what_a_command_before_has_left_is_ended_with_the_service(folder: Folder) -> None:
    process = folder.begin(
        "ExecStartPre=/bin/sh -c 'sleep 60 & echo $$! >> {log}'\nExecStart=/bin/sleep 60\n"
        "ExecStartPost=LOG up\nExecStopPost=LOG after"
    )
    until(lambda: folder.written()[-1:] == ["up"], "it is there")
    left = int(folder.written()[0])
    assert process_state(left) not in ("", "Z")
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert process_state(left) in ("", "Z")


def test_what_has_no_process_any_more_ends_well_when_it_is_stopped(folder: Folder) -> None:
    process = folder.begin(
        "Type=oneshot\nRemainAfterExit=yes\nExecStart=LOG starts\nExecStop=LOG stops\n"
        "ExecStopPost=LOG ${SERVICE_RESULT} ${EXIT_CODE} ${EXIT_STATUS}"
    )
    until(lambda: stands_for_it(process.pid), "somebody stands for it")
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert (process.returncode, folder.written()) == (0, ["starts", "stops", "success exited 0"])


def test_a_service_that_wants_a_tree_of_control_groups_is_started_without(folder: Folder) -> None:
    code, said = folder.run("Delegate=yes\nExecStart=LOG there")
    assert (code, folder.written()) == (0, ["there"]), said
    assert said == "cross-init-bridge: a.service: weaker, as these are not done here: Delegate=\n"


def test_a_condition_that_does_not_hold_is_no_failure(folder: Folder) -> None:
    code, said = folder.run("ExecCondition=/bin/false\nExecStart=LOG not")
    assert (code, "it says that the service is not to run" in said) == (0, True), said
    assert folder.written() == []


def test_a_command_before_that_takes_too_long_is_ended(folder: Folder) -> None:
    code, said = folder.run(
        "TimeoutStartSec=200ms\nExecStartPre=/bin/sleep 50\nExecStart=LOG not\nExecStopPost=LOG after"
    )
    assert (code, "it has not ended within 0.2 s" in said) == (125, True), said
    assert folder.written() == ["after"]


def test_a_reload_that_is_only_a_signal_needs_nobody_to_stay(folder: Folder) -> None:
    process = folder.begin(
        "ExecStart=/bin/sh -c 'echo $$$$ >> {log}; exec sleep infinity'\nExecReload=/bin/kill -HUP $MAINPID"
    )
    until(lambda: folder.written() != [], "the daemon runs")
    assert folder.written() == [str(process.pid)]


def test_a_oneshot_is_run_to_its_end(folder: Folder) -> None:
    assert (
        folder.run("Type=oneshot\nExecStart=LOG one\nExecStart=LOG two\nExecStop=LOG stop\nExecStopPost=LOG after")[0]
        == 0
    )
    assert folder.written() == ["one", "two", "stop", "after"]


def test_what_is_not_done_is_said_and_refused_if_that_is_wanted(folder: Folder) -> None:
    lines = "UtmpIdentifier=x\nExecStart=/bin/true"
    code, said = folder.run(lines)
    assert (code, "weaker, as these are not done here: UtmpIdentifier=" in said) == (0, True), said
    code, said = folder.run(lines, "--strict")
    assert (code, "--strict: UtmpIdentifier=" in said) == (125, True), said
    assert folder.run(lines, "--strict", "--ignore", "UtmpIdentifier")[0] == 0


def test_what_would_be_done_is_explained_and_nothing_started(folder: Folder) -> None:
    code, said = folder.run("ExecStartPre=LOG not\nExecStart=LOG not", "--explain")
    assert (code, "systemd" in said, folder.written()) == (0, True, []), said
    code, said = folder.run("Type=oneshot\nExecStart=LOG not", "--explain")
    assert (code, "systemd" in said, folder.written()) == (0, True, []), said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "run takes one unit: its name"),
        (("a.service", "b.service"), "run takes one unit, not a.service and b.service; more arguments stand behind --"),
        (("--unit-path",), "run --unit-path: a folder is missing"),
        (("--nothing", "a.service"), "--nothing: "),
    ],
)
def test_words_that_are_wrong_get_one_line(words: tuple[str, ...], said: str) -> None:
    ran = subprocess.run([str(FRONT_DOOR), "run", *words], capture_output=True, text=True, timeout=RUN_S)
    assert (ran.returncode, ran.stderr.count("\n"), said in ran.stderr) == (125, 1, True), ran


def test_options_stand_where_they_like(folder: Folder) -> None:
    (folder.path / "a.service").write_text("[Service]\nSELinuxContext=a\nExecStart=/bin/true\n")
    words = [
        "--unit-path",
        str(folder.path),
        "-Nt",
        "plain",
        "a.service",
        f"--state-file={folder.path}/state",
        "--strict",
    ]
    ran = subprocess.run([str(FRONT_DOOR), "run", "--init=none", *words], capture_output=True, text=True, timeout=RUN_S)
    assert (ran.returncode, "--strict: SELinuxContext=" in ran.stderr) == (125, True), ran


def test_what_stands_behind_two_dashes_is_the_daemons(folder: Folder) -> None:
    (folder.path / "a.service").write_text("[Service]\nExecStart=/bin/echo one\n")
    words = [str(FRONT_DOOR), "run", "--init", "none", str(folder.path / "a.service"), "--", "--help", "two"]
    ran = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=RUN_S, check=True)
    assert ran.stdout == "one --help two\n"


def test_each_client_gets_a_daemon_where_the_socket_says_so(folder: Folder) -> None:
    text = f"[Socket]\nListenStream={folder.path}/socket\nAccept=yes\nSocketMode=0600\n"
    (folder.path / "a.socket").write_text(text)
    process = folder.begin(
        "StandardInput=socket\nStandardOutput=socket\nExecStart=/bin/sed -u s/^/got-/", of_socket=True
    )
    path = folder.path / "socket"
    for word in (b"one", b"two"):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            until(lambda client=client: client.connect_ex(str(path)) == 0, "it listens")  # type: ignore[misc]
            client.sendall(word + b"\n")
            assert client.recv(100) == b"got-" + word + b"\n"
    assert path.stat().st_mode & 0o777 == 0o600
    process.terminate()
    process.communicate(timeout=RUN_S)
    assert process.returncode == 0


ANSWERS = """
import os, socket
names = os.environ["LISTEN_FDNAMES"].split(":")
file = os.read(4, 100).strip().decode()
client = socket.socket(fileno=3)
client.sendall(f"{os.environ['LISTEN_FDS']} {names} {int(os.environ['LISTEN_PID']) == os.getpid()} {file}".encode())
"""


def test_each_clients_daemon_is_passed_its_connection_where_it_is_not_its_standard_input(folder: Folder) -> None:
    (folder.path / "a.socket").write_text(f"[Socket]\nListenStream={folder.path}/socket\nAccept=yes\n")
    (folder.path / "answers.py").write_text(ANSWERS)
    (folder.path / "file").write_text("opened")
    folder.begin(
        f"StandardInput=null\nStandardOutput=append:{folder.path}/out\nOpenFile={folder.path}/file:more\n"
        f"ExecStart=/usr/bin/python3 -IS {folder.path}/answers.py",
        of_socket=True,
    )
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            until(
                lambda client=client: client.connect_ex(str(folder.path / "socket")) == 0,  # type: ignore[misc]
                "it listens",
            )
            assert client.recv(100) == b"2 ['connection', 'more'] True opened"


def test_a_socket_is_passed_as_systemd_passes_it(folder: Folder) -> None:
    (folder.path / "a.socket").write_text(f"[Socket]\nListenStream={folder.path}/socket\nFileDescriptorName=door\n")
    process = folder.begin("ExecStart=/bin/sh -c 'echo $$LISTEN_FDS $$LISTEN_FDNAMES $$((LISTEN_PID - $$$$)) >> {log}'")
    process.communicate(timeout=RUN_S)
    assert folder.written()[-1] == "1 door 0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give folders away")
def test_runtime_folders_go_and_no_link_of_anothers_is_followed(folder: Folder) -> None:
    name = f"cross-init-test-{os.getpid()}"
    runtime = Path("/run", name)
    try:
        folder.run(f"RuntimeDirectory={name}\nUser=daemon\nExecStart=/bin/true\nExecStopPost=+LOG $RUNTIME_DIRECTORY")
        assert folder.written() == [str(runtime)]
        assert not runtime.exists()
        target = folder.path / "target"
        target.mkdir()
        runtime.symlink_to(target)
        os.chown(runtime, 1, 1, follow_symlinks=False)
        code, said = folder.run(f"RuntimeDirectory={name}\nUser=daemon\nExecStart=/bin/true")
        assert (code, ":2: RuntimeDirectory=" in said) == (125, True), said
        assert target.stat().st_uid == os.geteuid()
    finally:
        if runtime.is_symlink():
            runtime.unlink()
        elif runtime.exists():
            runtime.rmdir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to give away")
@pytest.mark.parametrize("may_mount", [True, False])
def test_credentials_go_with_the_service(tmp_path: Path, may_mount: bool) -> None:
    name = f"cross-init-test-{os.getpid()}.service"
    place = Path("/run/credentials", name)
    (tmp_path / name).write_text(
        "[Service]\nSetCredential=a:secret\nUser=daemon\n"
        "ExecStart=/bin/sh -c 'cat $$CREDENTIALS_DIRECTORY/a; exec sleep infinity'\n"
    )
    words = [] if may_mount else ["setpriv", "--bounding-set=-sys_admin"]
    process = subprocess.Popen(
        [*words, str(FRONT_DOOR), "run", "--init", "none", str(tmp_path / name)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(6) == "secret"
        assert os.path.ismount(place) == may_mount
        assert (place.stat().st_mode & 0o777, place.stat().st_uid) == (0o500, 1)
        assert ((place / "a").stat().st_mode & 0o777, (place / "a").stat().st_uid) == (0o400, 1)
        process.terminate()
        _, said = process.communicate(timeout=RUN_S)
        assert ("which may be swapped" in said) != may_mount
        assert not place.exists()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("says", [True, False])
def test_an_init_script_has_its_pid_file_beside_the_daemons_own(tmp_path: Path, says: bool) -> None:
    own, inits, unit = tmp_path / "own.pid", tmp_path / "inits.pid", tmp_path / "a.service"
    daemon = f"sleep 600 & echo $$! > {own}" if says else "sleep 600 &"
    pid_file = f"PIDFile={own}\n" if says else ""
    unit.write_text(
        f"[Service]\nType=forking\n{pid_file}ExecStart=/bin/sh -c '{daemon}'\nExecStopPost=/bin/rm -f {own}\n"
    )
    words = [str(FRONT_DOOR), "run", "--init", "sysv", "--pid-file", str(inits), str(unit)]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=RUN_S)
    assert ran.returncode == 0
    main = int(inits.read_text())
    fd = os.pidfd_open(main)
    try:
        if says:
            assert Path(f"/proc/{own.read_text().strip()}").exists()
        os.kill(main, signal.SIGTERM)
        select.select([fd], [], [], RUN_S)
    finally:
        os.close(fd)
    until(lambda: not own.exists() and not inits.exists(), "nothing is left")
