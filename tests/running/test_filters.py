"""What a unit says of system calls, under a real systemd and under cross-init run: the filters that the kernel has."""

import errno
import itertools
import os
import signal
import struct
import subprocess
from collections.abc import Iterable
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cross_init.definitions.definition import Context
from cross_init.sandbox.calls import named
from cross_init.sandbox.groups import GROUPS
from cross_init.sandbox.libseccomp import ALLOW, ERRNO, LOG, Filter, _call, local
from cross_init.sandbox.rules import Restriction, restrictions
from tests.definitions.test_against_systemd import version_of
from tests.running.test_like_systemd import RUN
from tests.support.command import IS_STATIC
from tests.support.containers import IN_A_TREE
from tests.support.corpus import units
from tests.support.seccomp import SPIN, Program, different, filters_of, number, spinning, status
from tests.support.systemd import Host
from tests.support.waiting import until
from tools.make_system_calls import groups

CASES = {
    "nothing": "",
    "families": "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "no such families": "RestrictAddressFamilies=~AF_PACKET AF_NETLINK",
    "no family": "RestrictAddressFamilies=none",
    "one family": "RestrictAddressFamilies=AF_UNIX",
    "families but": "RestrictAddressFamilies=AF_UNIX AF_INET\nRestrictAddressFamilies=~AF_INET",
    "real time": "RestrictRealtime=yes",
    "special bits": "RestrictSUIDSGID=yes",
    "no namespace": "RestrictNamespaces=yes",
    "some namespaces": "RestrictNamespaces=user net",
    "but namespaces": "RestrictNamespaces=~mnt uts",
    "memory": "MemoryDenyWriteExecute=yes",
    "tunables": "ProtectKernelTunables=yes",
    "modules": "ProtectKernelModules=yes",
    "logs": "ProtectKernelLogs=yes",
    "clock": "ProtectClock=yes",
    "host name": "ProtectHostname=yes",
    "devices": "PrivateDevices=yes",
    "personality": "LockPersonality=yes",
    "other personality": "Personality=x86\nLockPersonality=yes",
    "native": "SystemCallArchitectures=native",
    "native and x86": "SystemCallArchitectures=x86-64 x86\nSystemCallFilter=@basic-io",
    "all architectures": "SystemCallArchitectures=native x86 x32",
    "service": "SystemCallFilter=@system-service",
    "service but": "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources",
    "service with errors": "SystemCallErrorNumber=EPERM\nSystemCallFilter=@system-service\n"
    "SystemCallFilter=~@privileged:EACCES chown:kill uname:12",
    "denied": "SystemCallFilter=~@mount @swap",
    "denied and back": "SystemCallFilter=~@mount @swap\nSystemCallFilter=swapon",
    "denied with errors": "SystemCallErrorNumber=ENOSYS\nSystemCallFilter=~@mount @swap:EPERM reboot:kill",
    "reset": "SystemCallFilter=~@mount\nSystemCallFilter=\nSystemCallFilter=@basic-io",
    "unknown": "SystemCallFilter=~nothing_such @nothing-such\nSystemCallFilter=~uname",
    "only one": "SystemCallFilter=read",
    "logged": "SystemCallLog=@mount",
    "logged but": "SystemCallLog=~@system-service",
    "together": "SystemCallArchitectures=native\nSystemCallFilter=~@clock\nLockPersonality=yes\nSystemCallLog=@swap\n"
    "RestrictNamespaces=yes\nProtectClock=yes\nRestrictRealtime=yes",
}
BATCH = 12
SWITCHES = ("RestrictRealtime", "RestrictSUIDSGID", "LockPersonality", "ProtectKernelModules", "ProtectClock")
FILTERS = (
    *("SystemCallFilter", "SystemCallErrorNumber", "SystemCallLog", "SystemCallArchitectures", "RestrictNamespaces"),
    *("RestrictAddressFamilies", *SWITCHES, "ProtectKernelLogs", "ProtectHostname", "ProtectKernelTunables"),
)
_numbers = itertools.count(1)


class Seen:
    """A service that spins. said: of its process by the kernel, None if it was not started."""

    def __init__(self, said: dict[str, str] | None, filters: list[Program]) -> None:
        self.said = said
        self.filters = filters


class Spinners:
    """Services that spin, in the container of a host."""

    def __init__(self, host: Host) -> None:
        if IS_STATIC and host.system.container.variables is IN_A_TREE:
            pytest.skip("a static program has the libseccomp in it that was there when it was made")
        self.host = host
        self.folder = host.system.folder
        self.base = f"f{os.getpid()}x{next(_numbers)}"
        program = host.system.container.root / "run/filters/spin"
        program.parent.mkdir(exist_ok=True)
        program.write_bytes(SPIN)
        program.chmod(0o755)

    def seen(self, units: Iterable[str]) -> tuple[list[Seen], list[Seen]]:
        """Each unit of these lines under systemd, and under cross-init run."""
        names = []
        for at, lines in enumerate(units):
            names.append(f"{self.base}n{at}.service")
            text = f"[Service]\n{lines}\nNice=19\nExecStart=/run/filters/spin %n\n"
            (self.folder / names[-1]).write_text(text)
            (self.folder / f"ours-{names[-1]}").write_text(f"[Service]\nExecStart={RUN} run --init none {names[-1]}\n")
        try:
            self.host.system.systemctl("daemon-reload")
            batches = [names[at : at + BATCH] for at in range(0, len(names), BATCH)]
            theirs, ours = ([s for batch in batches for s in self._run(batch, kind)] for kind in ("", "ours-"))
            return theirs, ours
        finally:
            for name in names:
                (self.folder / name).unlink()
                (self.folder / f"ours-{name}").unlink()
            self.host.system.systemctl("daemon-reload")
            self.host.system.systemctl("reset-failed", check=False)

    def _run(self, names: list[str], beginning: str) -> list[Seen]:
        units = [f"{beginning}{name}" for name in names]
        self.host.system.systemctl("start", "--no-block", *units)
        found: dict[str, Seen] = {}

        def all_are() -> bool:
            there = spinning()
            for name in set(names) - found.keys():
                pid = there.get(name)
                if pid is not None:
                    found[name] = Seen(status(pid), filters_of(pid))
                    os.kill(pid, signal.SIGKILL)
            failed = self.host.system.systemctl("list-units", "--failed", "--plain", "--no-legend").stdout.split()
            for name, unit in zip(names, units, strict=True):
                if unit in failed and name not in found:
                    found[name] = Seen(None, [])
            return len(found) == len(names)

        until(all_are, "all spin or have failed", 60)
        return [found[name] for name in names]


@pytest.fixture(scope="module")
def seen(host: Host) -> dict[str, tuple[Seen, Seen]]:
    """Each case, as root and as another user."""
    cases = {**CASES, **{f"{case}, of a user": f"User=daemon\n{lines}" for case, lines in CASES.items()}}
    pairs = zip(*Spinners(host).seen(cases.values()), strict=True)
    return dict(zip(cases, pairs, strict=True))


def differences(theirs: Seen, ours: Seen, version: int) -> list[str]:
    """What is otherwise, in words, but for what systemd itself has otherwise since this version of it."""
    if theirs.said is None or ours.said is None:
        return [f"started: systemd {theirs.said is not None}, here {ours.said is not None}"] * (
            theirs.said != ours.said
        )
    since = () if version >= 262 else ("NoNewPrivs", "Seccomp_filters")
    found = [
        f"{key}: systemd {theirs.said[key]}, here {value}"
        for key, value in ours.said.items()
        if theirs.said[key] != value and key not in since
    ]
    calls = different(theirs.filters, ours.filters)
    if version < 262:
        calls = [each for each in calls if not is_of_later(*each)]
    words = (
        f"{arch} {nr}({value:#x}): systemd {one:#x}, here {other:#x}" for arch, nr, value, one, other in calls[:20]
    )
    return found + list(words)


@cache
def of_later(arch: str) -> tuple[set[int], set[int]]:
    """Calls that systemd 252 judges otherwise than 262: always, and by flags that it does not look at."""
    said = subprocess.run(["/usr/bin/systemd-analyze", "syscall-filter"], capture_output=True, text=True, check=True)
    theirs = flat(groups(said.stdout))
    moved = {name for group, names in flat_ours().items() for name in names ^ theirs.get(group, set())}
    always = {*moved, "write", "sched_setattr"}
    by_flags = {"clone", "unshare", "setns"}
    return {number(arch, name) for name in always}, {number(arch, name) for name in by_flags}


def is_of_later(arch: str, nr: int, value: int, theirs: int, ours: int) -> bool:
    """Whether a difference is one of these; and where calls may be made that are listed, unknown ones fail as such."""
    always, by_flags = of_later(arch)
    unknown = ours == ERRNO | errno.ENOSYS and theirs not in (ALLOW, LOG)
    return nr in always or unknown or (nr in by_flags and bool(value & 0x80 or value >> 32))


@pytest.mark.parametrize("case", [f"{case}{whose}" for case in CASES for whose in ("", ", of a user")])
def test_the_kernel_has_the_same(host: Host, seen: dict[str, tuple[Seen, Seen]], case: str) -> None:
    theirs, ours = seen[case]
    version = version_of(host.system)
    if version < 254 and case.startswith("memory"):
        theirs, ours = Seen(theirs.said, []), Seen(ours.said, [])  # it knows no other way than a filter
    assert differences(theirs, ours, version) == []


def test_memory_is_denied_by_a_filter_where_the_kernel_does_not_do_it(
    host: Host, seen: dict[str, tuple[Seen, Seen]]
) -> None:
    if version_of(host.system) >= 254:
        pytest.skip("from systemd 254 on the kernel does it where it can, as here")
    context = Context()
    context.memory_deny_write_execute = True
    (restriction,) = restrictions(context, False)
    ours = [exported(restriction, arch) for arch in local()]
    assert different(seen["memory"][0].filters, seen["nothing"][0].filters + ours) == []


def exported(restriction: Restriction, arch: str) -> Program:
    """The filter of it that is made for this architecture."""
    made = Filter([arch], restriction.default)
    made.let_others()
    made.add(restriction.instead.get(arch, restriction.rules))
    fd = os.memfd_create("filter")
    with open(fd, "rb") as file:
        assert _call("seccomp_export_bpf", made.context, fd) == 0
        file.seek(0)
        return tuple(struct.iter_unpack("=HBBI", file.read()))


def lines_of_packages() -> list[str]:
    """What units of Debian's packages say of system calls: of each kind of lines one, those that say most first."""
    said: dict[str, list[str]] = {}
    for name, path in units().items():
        found = [line for line in path.read_text(errors="replace").splitlines() if line.partition("=")[0] in FILTERS]
        if name.endswith(".service") and found:
            said.setdefault("\n".join(sorted(found)), found)
    return sorted(("\n".join(lines) for lines in said.values()), key=len, reverse=True)


def test_units_of_packages_have_the_same(host: Host) -> None:
    cases = lines_of_packages()[:BATCH]
    assert len(cases) == BATCH
    assert compared(host, cases) == []


WORDS = (
    *("@system-service", "@privileged", "@basic-io", "@mount", "@raw-io", "@setuid", "@known", "@nothing-such"),
    *("read", "write", "mmap2", "socketcall", "waitpid", "execve:kill", "uname", "chown", "capset", "nothing_such"),
    *("@clock:EACCES", "swapon:0", "reboot:kill", "uname:4095", "read:EPERM", "uname:4096", "chown:ENOTHING"),
)
ERRORS = ("EPERM", "ENOSYS", "kill", "1", "4095", "")
# Without AF_MCTP, which systemd 252 knows, and 262 as Debian makes it does not.
FAMILIES = ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_XDP", "AF_LOCAL", "AF_NOTHING")
SPACES = ("cgroup", "ipc", "net", "mnt", "pid", "user", "uts")
ARCHITECTURES = ("native", "x86", "x86-64", "x32", "arm64")


def listed(key: str, words: tuple[str, ...], signs: tuple[str, ...] = ("", "~")) -> st.SearchStrategy[str]:
    """A line of some of these words, or an empty one."""
    some = st.lists(st.sampled_from(words), min_size=1, max_size=4, unique=True).map(" ".join)
    return st.one_of(
        st.just(f"{key}="), st.builds(lambda sign, text: f"{key}={sign}{text}", st.sampled_from(signs), some)
    )


LINES = st.one_of(
    listed("SystemCallFilter", WORDS),
    listed("SystemCallFilter", WORDS),
    listed("SystemCallLog", WORDS),
    listed("RestrictAddressFamilies", FAMILIES),
    listed("RestrictNamespaces", SPACES),
    listed("SystemCallArchitectures", ARCHITECTURES, ("",)),
    st.sampled_from(ERRORS).map("SystemCallErrorNumber={}".format),
    st.builds("{}={}".format, st.sampled_from(SWITCHES), st.sampled_from(("yes", "no"))),
)


@given(st.lists(st.lists(LINES, min_size=1, max_size=5).map("\n".join), min_size=BATCH, max_size=BATCH))
@settings(max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_whatever_is_said_means_the_same(host: Host, cases: list[str]) -> None:
    assert compared(host, cases) == []


def compared(host: Host, cases: list[str]) -> list[tuple[str, list[str]]]:
    """The cases for which there is a difference."""
    version = version_of(host.system)
    pairs = zip(cases, *Spinners(host).seen(cases), strict=True)
    return [(case, found) for case, theirs, ours in pairs if (found := differences(theirs, ours, version))]


def flat(said: dict[str, list[str]]) -> dict[str, set[str]]:
    """Each group with the calls of the groups in it."""

    def calls(group: str) -> set[str]:
        return {call for name in said[group] for call in (calls(name) if name.startswith("@") else {name})}

    return {group: calls(group) for group in said}


def flat_ours() -> dict[str, set[str]]:
    """The same of ours."""
    return {group: set(named(group)) for group in GROUPS}
