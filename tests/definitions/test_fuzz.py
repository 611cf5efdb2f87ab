"""Units of any kind, good and bad, in all of the syntax: we read of them what systemd itself reads."""

import itertools
import os
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from tests.definitions.test_against_systemd import SINCE, version_of
from tests.support.properties import Properties, properties
from tests.support.shown import differences, read
from tests.support.systemd import Manager
from tests.support.unit_texts import service, socket

# The same units each time: what is new in them is looked for by hand, with more of them and without this.
ALIKE = settings(suppress_health_check=list(HealthCheck))
SERVICES, SOCKETS = 100, 50
# Said of the unit itself, whose file is elsewhere for us.
OWN = ("FragmentPath", "DropInPaths")
# The same, where a value is one that an older systemd does not know or that is wrong.
OF_NEW_VALUES = {
    "BindPaths": 256,  # what follows one that is wrong
    "BindReadOnlyPaths": 256,
    "MessageQueueMessageSize": 256,
    "PrivateTmp": 257,  # "connected"
    "ProtectControlGroups": 257,  # "strict"
    "PrivateUsers": 257,  # "full"
    "Timestamping": 256,  # nothing, which resets it
    "ProtectHostname": 257,  # "private"
    "RestartUSec": 254,  # no more than RestartMaxDelaySec=
    "Type": 254,  # exec, with credentials
    "CapabilityBoundingSet": 256,  # a quotation mark without an end
    "AmbientCapabilities": 256,
}
BEGIN = "[Unit]\n[Service]\nExecStart=/bin/true\n"
NOTIFY_RELOAD = 253  # from which version on there is Type=notify-reload
_numbers = itertools.count(1)


def is_read_alike(system: Manager, asked: Properties, version: int, suffix: str, text: str) -> None:
    """Write it, have both read it, and remove it."""
    number = next(_numbers)
    path = Path(system.folder / f"fuzz-{number}{suffix}")
    path.write_text(text)
    # systemd looks into a folder anew if its time is another, and the kernel's clock may not have moved since the last.
    os.utime(system.folder, (number, number))
    try:
        their = asked.of(path.name)
        if their["LoadState"] == "not-found":  # it is there
            system.systemctl("daemon-reload")
            their = asked.of(path.name)
        our = read(str(path), False)
    finally:
        path.unlink()
    is_refused = their["LoadState"] != "loaded"
    key = "RestartForceExitStatus" if version < 256 else "MaxConnections"
    if is_refused and key in text:
        return  # that was not for Type=oneshot; this may not be 0 for all sockets
    if version < NOTIFY_RELOAD and "notify-reload" in text:
        return
    assert is_refused == ("refused" in our), (our.get("refused"), their["LoadState"], their["LoadError"])
    if not is_refused:
        unlike = differences({key: value for key, value in our.items() if key not in OWN}, their)
        assert not {key: values for key, values in unlike.items() if (SINCE | OF_NEW_VALUES).get(key, 0) <= version}


def test_services(system: Manager) -> None:
    version = version_of(system)

    @settings(ALIKE, max_examples=SERVICES)
    @given(service())
    @example(f"{BEGIN}CapabilityBoundingSet='\n")
    @example(f"{BEGIN}CapabilityBoundingSet=CAP_KILL 'CAP_CHOWN\n")
    @example(f'{BEGIN}CapabilityBoundingSet=~CAP_KILL "CAP_CHOWN\nAmbientCapabilities="cap_kill\n')
    def check(text: str) -> None:
        is_read_alike(system, asked, version, "@one-two.service", text)

    with properties(system.container.pid) as asked:
        check()


def test_sockets(system: Manager) -> None:
    version = version_of(system)

    @settings(ALIKE, max_examples=SOCKETS)
    @given(socket())
    def check(text: str) -> None:
        is_read_alike(system, asked, version, ".socket", text)

    with properties(system.container.pid) as asked:
        check()
