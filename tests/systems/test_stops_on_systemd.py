"""systemctl stop at any moment of a start, on a real systemd: a stop is no failure, and nothing is left."""

import pytest

from tests.support.containers import FRONT_DOOR
from tests.support.systemd import Host

TIMES, FIRST_S, LAST_S = 24, 0.01, 0.06  # so many stops, at moments spread over this time behind a start
DAEMON = "/bin/sh -c '{says}exec sleep 1000'"
SERVICES = {
    "handed over": "Type=notify\nExecStart=BRIDGE -t upstart -N -- " + DAEMON.format(says="kill -STOP $$$$; "),
    "handed over by a descriptor": "Type=notify\nExecStart=BRIDGE -t s6 -N -- " + DAEMON.format(says="echo >&3; "),
    "it forks away": "Type=notify\nExecStart=BRIDGE -t sysv -N --pid-file /run/stops.pid -- "
    "/bin/sh -c 'sleep 1000 & echo $$! >/run/stops.pid'",
    # Else the outer systemd ends ExecStopPost= as well, which is in its service's control group.
    "a unit's": f"KillMode=mixed\nExecStart={FRONT_DOOR} run stops-inner.service",
}
INNER = "[Service]\nExecStartPre=/bin/true\nExecStart=/bin/sleep 1000\nExecStopPost=/bin/true\nRuntimeDirectory=stops\n"
# $1: the unit; the others: seconds until it is stopped.
SWEEP = """
unit=$1; shift
for seconds; do
    rm -f /run/stops.pid
    systemctl start --no-block "$unit"; sleep "$seconds"; systemctl stop "$unit"
    echo $(systemctl show -P Result "$unit") $(systemctl show -P ActiveState "$unit") $(ls -d /run/stops 2>/dev/null)
    systemctl reset-failed "$unit" 2>/dev/null
done
pgrep -f 'sleep 100[0]'
"""


@pytest.mark.parametrize("which", SERVICES)
def test_a_stop_at_any_moment_of_a_start_is_no_failure(host: Host, which: str) -> None:
    container = host.system.container
    inner = host.system.folder / "stops-inner.service"
    inner.write_text(INNER)
    moments = [f"{FIRST_S + at * (LAST_S - FIRST_S) / TIMES:.4f}" for at in range(TIMES)]
    try:
        with host.system.unit(SERVICES[which]) as unit:
            done = container.run("sh", "-c", SWEEP, "sh", unit.name, *moments, check=False)
            assert set(done.stdout.splitlines()) == {"success inactive"}, unit.journal()
    finally:
        inner.unlink()
