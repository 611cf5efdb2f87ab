"""A test run begins in the same way, whatever its shell had: each of these is what some shell, service or CI has."""

import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.beginning import ROOT

# Prints what tests see, after a beginning in this state.
LOOKS = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.support.beginning import begin
begin()
ignored = {number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN}
print(*sorted(ignored - {signal.SIGPIPE, signal.SIGXFSZ}), *signal.pthread_sigmask(signal.SIG_BLOCK, ()))
print(f"{os.umask(0):o}", os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), os.getcwd())
for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC):
    print(*resource.getrlimit(limit))
kept = ("PATH", "HOME", "USER", "LANG", "TERM", "CI")
print(sorted(name for name in os.environ if name not in kept))
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")))
print(os.readlink("/proc/self/fd/0"))
try:
    print("terminal", os.open("/dev/tty", os.O_RDWR))
except OSError as error:
    print(error.strerror)
"""
WORDS = [sys.executable, "-X", "utf8", "-c", LOOKS, str(ROOT)]
SET = ("TMPDIR", "LISTEN_FDS", "NOTIFY_SOCKET", "LC_ALL", "MAKEFLAGS", "UPSTART_JOB", "PYTHONWARNINGS", "GIT_DIR")


def make_strange() -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD, signal.SIGTERM, signal.SIGRTMIN + 5):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1))
    os.umask(0o077)
    os.nice(5)
    softly = {resource.RLIMIT_NOFILE: 256, resource.RLIMIT_FSIZE: 1 << 20, resource.RLIMIT_NPROC: 4000}
    for limit, soft in softly.items():
        resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    for number in range(20, 25):
        os.dup2(1, number)
    os.close(0)


def looked(folder: Path, terminal: int | None = None) -> list[str]:
    environ = {**dict.fromkeys(SET, "strange"), "PATH": os.defpath, "CI": "true"}
    ended = subprocess.run(
        ["/usr/bin/setsid", "--ctty", "/bin/sh", "-c", '"$@"; exit $?', "sh", *WORDS]
        if terminal is not None
        else WORDS,
        env=environ,
        stdin=terminal,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=None if terminal is not None else make_strange,
        close_fds=terminal is not None,
        cwd=folder,
        timeout=60,
        check=True,
    )
    return ended.stdout.splitlines()


def test_nothing_is_inherited_that_is_set_here(tmp_path: Path) -> None:
    signals, state, files, core, *limits, variables, descriptors, standard_input, _ = looked(tmp_path)
    assert signals == ""
    umask, nice, policy, folder = state.split()
    assert (umask, policy, folder) == ("22", str(os.SCHED_OTHER), str(ROOT))
    assert core.split()[0] == "0"
    soft, hard = map(int, files.split())
    assert soft == min(1024, hard)  # a hard limit not even root raises without CAP_SYS_RESOURCE
    for line in limits:
        assert len(set(line.split())) == 1
    if os.geteuid() == 0:  # who else may not
        assert nice == "0"
    assert variables == "[]"
    assert descriptors == "[0, 1, 2]"
    assert standard_input == os.devnull


def test_a_terminal_is_none_for_tests(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    try:
        *_, standard_input, said = looked(tmp_path, terminal)
        assert standard_input == os.devnull
        assert said == "No such device or address"
    finally:
        os.close(master)
        os.close(terminal)


def test_this_very_run_has_begun_like_that() -> None:
    ours = Path("/proc/self/status").read_text()
    facts = dict(line.split(":\t", 1) for line in ours.splitlines())
    assert int(facts["SigBlk"], 16) == 0
    assert int(facts["SigIgn"], 16) & ~(3 << 31) == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert facts["Umask"] == "0022"
    assert os.readlink("/proc/self/fd/0") == os.devnull


# Says what another user finds in a checkout after a beginning in it.
ANOTHER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.support.beginning import begin
begin()
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
os.chdir(sys.argv[1])
print(open("file").read(), *sorted(os.listdir("..")), os.readlink("../link"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_other_users_get_to_the_checkout_wherever_it_is(tmp_path: Path) -> None:
    checkout = tmp_path / "private" / "as well" / "checkout"
    shutil.copytree(ROOT / "tests", checkout / "tests")
    (checkout / "file").write_text("there")
    (checkout.parent / "link").symlink_to("nowhere")
    (checkout.parent / "beside").mkdir()
    for folder in (checkout.parent, checkout.parent.parent):
        folder.chmod(0o700)
    words = [sys.executable, "-X", "utf8", "-c", ANOTHER, str(checkout)]
    found = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert found == "there beside checkout link nowhere\n"
    assert checkout.parent.stat().st_mode & 0o777 == 0o700
