"""The life of a service that was translated: one unit of each Type=, and one with a socket."""

import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from cross_init.writers.unit_words import literal, word
from tests.support.processes import descendants
from tests.support.puppet import Puppet
from tests.support.waiting import until
from tests.writers.written import Written

KINDS = {
    "simple": "Type=simple\nExecStart=PUPPET\nRestart=always",
    "exec": "Type=exec\nExecStart=PUPPET\nRestart=on-failure\nUMask=0027\nNice=3\n"
    "Environment=\"SAID=a 'b' $c %%d\" TWO=2",
    "notify": "Type=notify\nExecStart=PUPPET\nRestart=always\nRestartSec=0\nLimitNOFILE=600:700",
    "notify-reload": "Type=notify-reload\nExecStart=PUPPET\nRestart=no\nWorkingDirectory=/tmp",
    "forking": "Type=forking\nPIDFile=PIDFILE\n"
    "ExecStart=/bin/sh -c 'exec 3<>HERE/go; PUPPET 3<&- & read -r ready <&3; echo $! > PIDFILE'\nRestart=no",
    "oneshot": "Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'echo one >> HERE/done'\n"
    "ExecStart=/bin/sh -c 'echo \"two  2\" >> HERE/done'\nExecStop=/bin/sh -c 'echo stopped >> HERE/done'",
    "socket": "Type=notify\nExecStart=PUPPET\nRestart=always",
}
AWAITED = ("notify", "notify-reload", "forking", "oneshot", "socket")
RELOADS = ("simple", "notify", "notify-reload", "forking")
SIGHUP = "ExecReload=/bin/kill -HUP $MAINPID\n"


def units(driver: Written, kind: str) -> dict[str, str]:
    """The unit of this kind, and its socket."""
    text = KINDS[kind].replace("PUPPET", f"{driver.puppet} HERE").replace("HERE", driver.here)
    text = text.replace("PIDFILE", driver.daemons_pid_file)
    reload = SIGHUP if kind in RELOADS and kind != "notify-reload" else ""
    wanted = "[Install]\nWantedBy=multi-user.target\n"
    unit = f'[Unit]\nDescription=The "daemon" 100%%, {driver.name}\nAfter=network.target\n'
    found = {f"{driver.name}.service": f"{unit}[Service]\n{text}\n{reload}{wanted}"}
    if kind == "socket":
        found[f"{driver.name}.socket"] = f"[Socket]\nListenStream={driver.here}/socket\nSocketMode=0600\n{wanted}"
    return found


def live(driver: Written, kind: str, expand: bool) -> None:
    """All of it, from its start to its end."""
    driver.translate(units(driver, kind), expand)
    if kind == "oneshot":
        return runs_once(driver)
    if kind == "forking":
        os.mkfifo(driver.folder / "go")
    driver.begin()
    puppet = starts(driver, kind)
    has_what_the_unit_says(driver, puppet, kind)
    if kind in RELOADS and driver.reloads:
        driver.reload()
        puppet.hear_signal(signal.SIGHUP)
    if kind == "socket":
        serves(driver, puppet)
    if "Restart=no" not in KINDS[kind] and driver.starts(awaited=kind in AWAITED):
        puppet.tell(f"die {signal.SIGKILL}")
        puppet = starts(driver, kind, True)
    stop(driver, lambda: puppet.hear_signal(signal.SIGTERM), puppet)
    return is_over(driver)


def starts(driver: Written, kind: str, once_more: bool = False) -> Puppet:
    """It is ready when its daemon is, and not before. once_more: after a crash, when some inits do not wait."""
    puppet = driver.stage.puppet()
    if driver.waits and kind in AWAITED and not once_more:
        assert not driver.is_ready()
    if kind == "forking":
        (driver.folder / "go").write_text("\n")
    elif kind in AWAITED:
        puppet.tell("notify READY=1")
        puppet.hear("notified")
    if driver.waits:
        until(driver.is_ready, "the init says that it is ready", 20)
    if kind not in ("exec", "simple"):
        until(lambda: driver.main_pid() > 0, "the init shows its main process")
    return puppet


def has_what_the_unit_says(driver: Written, puppet: Puppet, kind: str) -> None:
    """What its process sees of itself."""
    if kind == "exec":
        assert (puppet.environ["SAID"], puppet.environ["TWO"]) == ("a 'b' $c %d", "2")
        puppet.do("assert os.umask(0o27) == 0o27 and os.nice(0) == 3")
    elif kind == "notify":
        puppet.do("import resource; assert resource.getrlimit(resource.RLIMIT_NOFILE) == (600, 700)")
    elif kind == "notify-reload":
        puppet.do("assert os.getcwd() == '/tmp'")


def serves(driver: Written, puppet: Puppet) -> None:
    """It was passed its socket."""
    assert puppet.environ["LISTEN_FDS"] == "1"
    path = driver.folder / "socket"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        puppet.do("listening = socket.socket(fileno=os.dup(3)); listening.accept()[0].sendall(b'served')")
        assert client.recv(100) == b"served"


def stop(driver: Written, told: Callable[[], None], puppet: Puppet) -> None:
    """Have it stopped, while its daemon takes its time."""
    stopping = Thread(target=driver.stop)
    stopping.start()
    try:
        told()
    finally:
        puppet.tell("exit 0")
        stopping.join(60)


def runs_once(driver: Written) -> None:
    """It is ready when all was run, and stays until it is stopped."""
    driver.begin()
    done = driver.folder / "done"
    until(lambda: done.exists() and done.read_text() == "one\ntwo  2\n", "it was run")
    if driver.waits:
        until(driver.is_ready, "the init says that it is ready", 20)
    else:
        until(lambda: "sleep" in programs(driver.main_pid()), "what stays has come")
    driver.stop()
    until(driver.is_down, "it is down", 20)
    until(lambda: done.read_text() == "one\ntwo  2\nstopped\n", "its command for a stop was run")
    is_over(driver)


def is_over(driver: Written) -> None:
    """Nothing of it is left."""
    until(driver.is_down, "the init says that it is down", 20)
    until(lambda: not driver.left(), "no process of it is left", 20)


WORDS = (
    "",
    " a  b ",
    'a"b',
    "a'b",
    "a\\b",
    "a\\",
    "$HOME",
    "${HOME:-x}",
    "$$",
    "# a",
    "a#b",
    "%n",
    "{}",
    "=",
    "é",
    "*",
)


def words_arrive(driver: Written, words: tuple[str, ...] = WORDS) -> None:
    """Each word of a command is what the unit says, without the unit as well."""
    said = driver.folder / "words"
    new = f"{driver.here}/new"
    show = f'printf "%s\\n" "$@" > {new}; mv {new} {driver.here}/words; exec sleep infinity'
    command = " ".join(word(literal(each.replace("$", "$$"))) for each in ("/bin/sh", "-c", show, "sh", *words))
    driver.translate({f"{driver.name}.service": f"[Service]\nExecStart={command}\n"}, True)
    driver.begin()
    until(said.exists, "its words are said")
    assert said.read_text().split("\n")[:-1] == list(words)
    if driver.waits:
        until(driver.is_ready, "its start is over, and it may be stopped", 20)
    driver.stop()
    is_over(driver)


def programs(pid: int) -> list[str]:
    """What this process, and those that it has started, run, as far as they are still there."""
    found = []
    for each in (pid, *descendants(pid)):
        with suppress(OSError):
            found.append(Path(f"/proc/{each}/comm").read_text().strip())
    return found
