"""One daemon under one init, judged from outside: what is asked of each, and how each init is asked.

1. The init says ready, and a client that asks in that moment is served.
2. The process that the init shows is the daemon's main process; where the bridge follows it, the bridge.
3. After kill -9 of the main process it is restarted and serves when it is said to be ready again.
4. It is stopped, in time, and nothing of it is left.
"""

import os
import re
import select
import signal
from collections.abc import Collection

from tests.support.containers import BRIDGE, INSIDE
from tests.support.roots import Root, rooted
from tests.support.waiting import until
from tests.survey import client
from tests.survey.asked import CHECK, READY_S, RUN, STOP_S, Init
from tests.survey.batches import layers
from tests.survey.others import OTHERS
from tests.survey.table import EACH_CLIENTS, RIGHT, UNIT, Daemon

GONE_S = 3
CLIENT = ("/usr/bin/python3", "-IS", f"{INSIDE}/tests/survey/client.py")
INITCTL = "/opt/upstart/initctl"
# Before the daemon's own lines. 0x8914: SIOCSIFFLAGS (netdevice(7)), IFF_UP.
PREPARE = """
python3 -ISc 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'
mkdir -m 1777 /dev/shm
ln -s /proc/self/fd /dev/fd
echo daemons > /proc/sys/kernel/hostname
echo '127.0.0.1 localhost daemons' > /etc/hosts
"""


# What systemd-tmpfiles does with a package's tmpfiles.d(5), where there is no systemd: its folders.
FOLDERS = """
cat /usr/lib/tmpfiles.d/*.conf | while read -r kind path mode user group rest; do
case $kind in d|D)
case $path in /run/*|/var/run/*)
mkdir -p $path
chown $user:$group $path || chown root $path
chmod ${mode#:} $path
esac
esac
done
"""


INITS = {
    "s6": Init(
        files={"/svc/d/run": "#!/bin/sh\nexec >&2\nexec BRIDGE\n", "/svc/d/notification-fd": "3\n", "/svc/d/down": ""},
        pid_1="exec s6-svscan /svc",
        up="until s6-svok /svc/d; do sleep 0.02; done",
        start=f"s6-svc -wU -T {READY_S}000 -u /svc/d",
        shown="s6-svstat -o pid /svc/d",
        again=f"s6-svlisten1 -R -t {READY_S}000 /svc/d kill -9 PID",
        stop=f"s6-svc -wD -T {STOP_S}000 -d /svc/d",
    ),
    "runit": Init(
        files={
            "/svc/d/run": "#!/bin/sh\nexec >&2\nexec BRIDGE\n",
            "/svc/d/check": f"#!/bin/sh\nexec {CHECK}\n",
            "/svc/d/down": "",
        },
        # runit(8), which starts runsvdir, reaps strangers.
        pid_1="runsvdir -P /svc & exec env --ignore-signal=CHLD sleep infinity",
        up="until test -p /svc/d/supervise/ok; do sleep 0.02; done",
        start=f"sv -w {READY_S} start /svc/d",
        shown="cat /svc/d/supervise/pid",
        again="export old=$(cat /svc/d/supervise/pid); kill -9 PID\n"
        "timeout 10 sh -c 'while test \"$(cat /svc/d/supervise/pid)\" = $old; do sleep 0.02; done'\n"
        f"sv -w {READY_S} start /svc/d",
        stop=f"sv -w {STOP_S} stop /svc/d",
    ),
    "upstart": Init(
        files={
            "/etc/init/d.conf": "expect stop\nrespawn\nkill timeout 20\nconsole none\nexec /job\n",
            # Upstart's jobs have none of its own variables, and their output goes to a terminal that we have not.
            "/job": "#!/bin/sh\n. /variables\nexec > /run/job.log 2>&1\nexec BRIDGE\n",
        },
        pid_1="export -p > /variables\nexec /opt/upstart/init --no-startup-event --no-dbus --confdir /etc/init",
        up=f"until {INITCTL} show-config d; do sleep 0.02; done",
        start=f"timeout {READY_S} {INITCTL} start d",
        shown=f"{INITCTL} status d | sed 's/.*process //'",
        again=f"export old=$({INITCTL} status d)\nkill -9 PID\n"
        f"timeout {READY_S} sh -c 'while now=$({INITCTL} status d)\n"
        'case $now in "$old") true;; *"start/running, process "*) false;; esac; do sleep 0.02; done\'',
        stop=f"timeout {STOP_S} {INITCTL} stop d",
    ),
    "container": Init(
        files={},
        pid_1="exec BRIDGE",
        start=f"timeout {READY_S} sh -c 'until {CHECK}; do sleep 0.05; done' 2>&1 | tail -n 1; {CHECK}",
    ),
}


class Wrong(Exception):
    """What was not as it should be, in few words."""


def judge(daemon: Daemon, init: str, packages: tuple[str, ...]) -> tuple[str, str]:
    """The table's cell, and what was said meanwhile if it is not RIGHT. packages: of its batch."""
    other = OTHERS.get(init)
    how = other.init if other is not None else INITS[init]
    words = (
        f"{RUN} {how.options} {daemon.bridge}"
        if daemon.kind == UNIT
        else f"{BRIDGE} {daemon.bridge} -- {daemon.command}"
    )
    files = {path: text.replace("BRIDGE", words) for path, text in how.files.items()} | dict(daemon.files)
    before = PREPARE + FOLDERS * (daemon.kind == UNIT)
    files["/prepare"] = f"{before}{daemon.prepare}\n{how.pid_1.replace('BRIDGE', words)}\n"
    with rooted(layers(daemon.batch, packages, init, other), ("/bin/sh", "-e", "/prepare"), files) as root:
        try:
            _judge(daemon, how, root)
        except Wrong as wrong:
            return str(wrong).replace("|", "/").replace("\n", " "), root.log.read_text(errors="replace")[-3000:]
    return RIGHT, ""


def _judge(daemon: Daemon, how: Init, root: Root) -> None:
    if how.up:
        root.run("/bin/sh", "-ec", how.up)
    before = root.processes().keys()
    _serves(daemon, root, how.start, "")
    if not how.stop:
        _end_of_process_1(root)
        return
    shown = int(root.run("/bin/sh", "-c", how.shown).stdout)
    main = _main(daemon, root, shown)
    listed = root.processes().get(shown, [])
    is_ours = any("cross-init" in word for word in listed)
    if daemon.kind == UNIT and is_ours:
        pass  # it has stayed, as the unit asks for what somebody has to do
    elif daemon.is_followed and not any("cross-init" in word for word in listed):
        raise Wrong(f"shown is not the bridge but {' '.join(listed)[:40]}")
    elif not daemon.is_followed and shown != main:
        raise Wrong(f"shown is not the main process but {' '.join(listed)[:40]}")
    old = root.processes().keys() - before
    try:
        _serves(daemon, root, how.again.replace("PID", str(main)), "after kill -9: ")
    except Wrong as wrong:
        raise Wrong(f"{wrong}{_old(root, old)}") from None
    if rest := _old(root, old):
        raise Wrong(f"after kill -9: ready{rest}")
    if _main(daemon, root, int(root.run("/bin/sh", "-c", how.shown).stdout)) == main:
        raise Wrong("after kill -9: the old main process")
    ran = root.run("/bin/sh", "-ec", how.stop, check=False)
    if ran.returncode:
        raise Wrong(f"not stopped in {STOP_S} s: {_left(root, before)}")
    try:
        until(lambda: not _left(root, before), "nothing of it is left", GONE_S)
    except AssertionError:
        raise Wrong(f"left after the stop: {_left(root, before)}") from None


def _serves(daemon: Daemon, root: Root, wait: str, when: str) -> None:
    """Wait with these shell lines for the init to say that it is ready, and ask at once."""
    ran = root.run(*CLIENT, daemon.to, daemon.send, daemon.expect, f"set -e\n{wait}", check=False)
    if ran.returncode == client.NOT_SERVED:
        raise Wrong(f"{when}ready, but a client is not served: {ran.stdout.strip()[:80]}")
    if ran.returncode:  # or the root has ended, with the client in it
        raise Wrong(f"{when}not ready")


def _main(daemon: Daemon, root: Root, shown: int) -> int:
    """The topmost process that is the daemon's by its command line; what the init shows, if each client has its own."""
    if daemon.main == EACH_CLIENTS:
        return shown
    listed = root.run("/bin/ps", "-eww", "-o", "pid=,ppid=,args=").stdout.splitlines()
    found = {}
    for line in listed:
        pid, parent, args = line.split(None, 2)
        if re.search(daemon.main_pattern, args) and "cross-init" not in args and "s6-supervise" not in args:
            found[int(pid)] = int(parent)
    top = [pid for pid, parent in found.items() if parent not in found]
    if len(top) != 1:
        raise Wrong(f"{len(top)} main processes")
    return top[0]


def _left(root: Root, before: Collection[int]) -> str:
    """What runs inside beside these, in few words."""
    left = [" ".join(words) for pid, words in root.processes().items() if pid not in before]
    return ", ".join(sorted({"cross-init-bridge" if "cross-init" in words else words[:30] for words in left}))


def _old(root: Root, old: Collection[int]) -> str:
    """What the main process that was killed has left for longer than a moment, without ours."""

    def names() -> list[str]:
        left = [" ".join(words) for pid, words in root.processes().items() if pid in old]
        return sorted({words[:30] for words in left if "cross-init" not in words})

    try:
        until(lambda: not names(), "they end by themselves", GONE_S)
    except AssertionError:
        return f"; of the old one is left: {', '.join(names())}"
    return ""


def _end_of_process_1(root: Root) -> None:
    fd = os.pidfd_open(root.pid)
    try:
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        if not select.select([fd], [], [], STOP_S)[0]:
            raise Wrong(f"SIGTERM did not end it in {STOP_S} s: {_left(root, ())}")
    finally:
        os.close(fd)
