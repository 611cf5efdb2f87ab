"""The sandbox of a unit under a real systemd and under cross-init run, in one container: what a process sees and does.

All units of a container run at once: the cases are many, and a start is dear.
"""

import json
import os
import string
from collections.abc import Callable
from typing import Any

import pytest

from tests.definitions.test_against_systemd import version_of
from tests.support.containers import FRONT_DOOR, INSIDE, Container
from tests.support.systemd import Host, Manager

Seen = Callable[[Manager, dict[str, str]], dict[str, tuple[Any, Any]]]
PROBE = f"{INSIDE}/tests/support/sandbox_seen.py"
PLACE = "/srv/sandbox"
TRIED = (
    *(
        "/",
        "/usr",
        "/etc",
        "/boot",
        "/home",
        "/home/somebody",
        "/root",
        "/run/user",
        "/run",
        "/tmp",
        "/var/tmp",
        "/var/lib",
    ),
    *(
        "/proc/sys/kernel/hostname",
        "/proc/kmsg",
        "/proc/kallsyms",
        "/sys",
        "/sys/fs/cgroup",
        "/usr/lib/modules",
        "/dev",
    ),
    *(
        "/dev/shm",
        "/dev/mqueue",
        "/var/lib/NAME",
        "/run/NAME",
        "/var/lib/private",
        "/var/cache/private/NAME",
        "/usr/bin/true",
        "/usr/lib",
    ),
    *(
        f"{PLACE}{path}"
        for path in ("", "/a", "/a/below", "/a/file", "/b", "/b/file", "/mounted", "/link", "/new", "/new/file")
    ),
    *(f"{PLACE}/{name}" for name in ("fifo", "sock", "device", "program", "a/program", "c")),
)
SPACES = ("mnt", "net", "ipc", "pid", "user", "uts", "cgroup")
# What systemd mounts for itself; and where two are mounted one over the other, of which it takes the wrong one's flags.
OWN = (
    "mount /proc/sys/kernel/random/boot_id",
    "mount /run/systemd/incoming",
    "mount /run/systemd/unit-root",
    "mount /run/host",
)
ROOT = (
    f"RootDirectory={PLACE}/root\nBindReadOnlyPaths=/usr /etc\nBindReadOnlyPaths={INSIDE}\n"
    "BindReadOnlyPaths=-/lib -/lib64 -/bin"
)
# The lines of a unit; where the name begins with a prefix of Exec lines, its command has that.
CASES = {
    "PrivateTmp": "PrivateTmp=yes",
    "PrivateTmp of a user's": "PrivateTmp=yes\nUser=daemon",
    "disconnected": "PrivateTmp=disconnected\nUser=daemon",
    "disconnected early": "PrivateTmp=disconnected\n[Unit]\nDefaultDependencies=no\n[Service]",
    "PrivateDevices": "PrivateDevices=yes",
    "PrivateDevices of a user's": "PrivateDevices=yes\nUser=daemon\nNoNewPrivileges=yes",
    "system": "ProtectSystem=yes",
    "system full": "ProtectSystem=full",
    "system strict": "ProtectSystem=strict\nStateDirectory=NAME\nRuntimeDirectory=NAME",
    "system strict but": f"ProtectSystem=strict\nReadWritePaths={PLACE}/a /etc\nReadOnlyPaths={PLACE}/a/below",
    "home": "ProtectHome=yes",
    "home read only": "ProtectHome=read-only",
    "home in memory": "ProtectHome=tmpfs\nBindPaths=/home/somebody",
    "read only": f"ReadOnlyPaths={PLACE}\nReadWritePaths={PLACE}/b {PLACE}/mounted",
    "read only link": f"ReadOnlyPaths={PLACE}/link -/nowhere",
    "read and write only": f"ReadWritePaths={PLACE}/a",
    "inaccessible": f"InaccessiblePaths={PLACE}/a -/nowhere {PLACE}/fifo {PLACE}/sock {PLACE}/device {PLACE}/b/file",
    "inaccessible with a mount": f"InaccessiblePaths={PLACE}\nReadWritePaths={PLACE}/a",
    "old names": f"ReadOnlyDirectories={PLACE}/a\nInaccessibleDirectories={PLACE}/b\n"
    f"ReadWriteDirectories={PLACE}/a/below",
    "no programs": f"NoExecPaths={PLACE}\nExecPaths={PLACE}/a",
    "no programs at all": f"NoExecPaths=/\nExecPaths=/usr {INSIDE} /lib /lib64 /bin",
    "bind": f"BindPaths={PLACE}/a:{PLACE}/new\nBindReadOnlyPaths={PLACE}/b:{PLACE}/c:norbind",
    "bind with mounts": f"BindPaths={PLACE}:{PLACE}/c\nBindReadOnlyPaths=-/nowhere {PLACE}:/home:rbind",
    "bind a file": f"BindReadOnlyPaths={PLACE}/a/file:{PLACE}/b/file {PLACE}/a/file:{PLACE}/new/file",
    "memory": f"TemporaryFileSystem={PLACE}\nTemporaryFileSystem=/var/lib:ro,mode=0700,size=1M /home:noexec,nosuid,dev",
    "memory with binds": f"TemporaryFileSystem={PLACE}:ro\nBindPaths={PLACE}/a {PLACE}/b:{PLACE}/c",
    "tunables": "ProtectKernelTunables=yes",
    "modules": "ProtectKernelModules=yes",
    "logs": "ProtectKernelLogs=yes",
    "clock": "ProtectClock=yes",
    "groups": "ProtectControlGroups=yes",
    "groups private": "ProtectControlGroups=private",
    "groups strict": "ProtectControlGroups=strict\nUser=daemon",
    "hostname": "ProtectHostname=yes",
    "hostname and mounts": "ProtectHostname=yes\nPrivateMounts=yes",
    "hostname private": "ProtectHostname=private",
    "proc invisible": "ProtectProc=invisible\nUser=daemon",
    "proc noaccess": "ProtectProc=noaccess\nUser=daemon",
    "proc ptraceable": "ProtectProc=ptraceable\nUser=daemon",
    "proc subset": "ProcSubset=pid\nProtectKernelTunables=yes\nProtectHostname=yes",
    "mounts": "PrivateMounts=yes",
    "mounts slave": "MountFlags=slave",
    "mounts private": "MountFlags=private\nPrivateTmp=yes",
    "mounts shared": "MountFlags=shared",
    "kernel's mounts alone": "MountAPIVFS=yes",
    "log's sockets alone": "BindLogSockets=yes",
    "neither": "MountAPIVFS=no\nBindLogSockets=no",
    "read only folder": "StateDirectory=NAME::ro",
    "kernel's mounts": "MountAPIVFS=yes\nPrivateMounts=yes",
    "log's sockets": "BindLogSockets=yes\nTemporaryFileSystem=/run\nBindReadOnlyPaths=" + INSIDE,
    "network": "PrivateNetwork=yes\nPrivateMounts=yes",
    "IPC": "PrivateIPC=yes",
    "users": "PrivateUsers=yes",
    "users and user": "PrivateUsers=yes\nUser=daemon\nGroup=mail\nCapabilityBoundingSet=CAP_CHOWN",
    "users identity": "PrivateUsers=identity\nUser=daemon",
    "users full": "PrivateUsers=full\nUser=daemon\nSupplementaryGroups=mail",
    "network's path": "NetworkNamespacePath=/run/net",
    "IPC's path": "IPCNamespacePath=/run/ipc",
    "users' path": "UserNamespacePath=/run/users",
    "users' path and mounts": "UserNamespacePath=/run/users\nProtectSystem=strict\nPrivateNetwork=yes",
    "+ users' path": "UserNamespacePath=/run/users\nPrivateTmp=yes",
    "root": ROOT,
    "root without": f"{ROOT}\nMountAPIVFS=no\nBindPaths=/dev /proc /sys",
    "root alone": f"{ROOT}\nRootDirectoryStartOnly=yes\nExecStartPre=/usr/bin/touch {PLACE}/root/srv/outside",
    "root and more": f"{ROOT}\nProtectSystem=strict\nPrivateTmp=yes\nPrivateDevices=yes\nStateDirectory=NAME\n"
    f"ReadWritePaths=+/srv\nNoNewPrivileges=yes",
    "credentials": "SetCredential=a:x\nProtectSystem=strict\nUser=daemon",
    "no rights": "NoNewPrivileges=yes\nProtectSystem=full\nPrivateTmp=yes",
    "dynamic": "DynamicUser=yes\nUser=daemon\nPrivateTmp=yes",
    "dynamic folders": "DynamicUser=yes\nUser=daemon\nStateDirectory=NAME NAME/b\nCacheDirectory=NAME\n"
    "LogsDirectory=NAME/c\nRuntimeDirectory=NAME\nConfigurationDirectory=NAME\nStateDirectoryMode=0700\n"
    "PrivateTmp=yes",
    "dynamic folders in a root": f"{ROOT}\nDynamicUser=yes\nUser=daemon\nStateDirectory=NAME\nCacheDirectory=NAME:link",
    "+ dynamic folders": "DynamicUser=yes\nUser=daemon\nStateDirectory=NAME\nPrivateTmp=yes",
    "nested folders": "ProtectSystem=strict\nStateDirectory=NAME NAME/b\nCacheDirectory=NAME\nUser=daemon\n"
    "LogsDirectory=NAME",
    "+ protected": "ProtectSystem=strict\nPrivateTmp=yes\nPrivateDevices=yes\nPrivateNetwork=yes\nPrivateUsers=yes\n"
    f"NoNewPrivileges=yes\nReadOnlyPaths={PLACE}\nProtectHostname=yes",
    "+ bound": f"BindPaths={PLACE}/a:{PLACE}/new\nTemporaryFileSystem={PLACE}/c\nReadWritePaths={PLACE}/b\n"
    f"InaccessiblePaths={PLACE}/a\nUser=daemon\nStateDirectory=NAME",
    "+ root": f"{ROOT}\nPrivateTmp=yes\nProtectSystem=strict\nBindPaths=/dev /proc /sys",
    "! user": f"User=daemon\nPrivateTmp=yes\nProtectSystem=strict\nReadOnlyPaths={PLACE}",
    "redis-server": """
User=daemon
LimitNOFILE=65535
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ReadOnlyDirectories=/
ReadWritePaths=-/var/lib
ReadWritePaths=-/var/log
ReadWritePaths=-/run
NoNewPrivileges=true
CapabilityBoundingSet=CAP_SETGID CAP_SETUID CAP_SYS_RESOURCE
MemoryDenyWriteExecute=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectControlGroups=true
RestrictRealtime=true
RestrictNamespaces=true
ProtectSystem=true
ReadWriteDirectories=-/etc
""",
    "systemd-resolved": """
AmbientCapabilities=CAP_SETPCAP CAP_NET_RAW CAP_NET_BIND_SERVICE
User=daemon
CapabilityBoundingSet=CAP_SETPCAP CAP_NET_RAW CAP_NET_BIND_SERVICE
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RuntimeDirectory=NAME
RuntimeDirectoryPreserve=yes
""",
    "chrony": """
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
ConfigurationDirectory=NAME
RuntimeDirectory=NAME
StateDirectory=NAME
LogsDirectory=NAME
ReadWritePaths=/run /var/lib -/var/log
ProcSubset=pid
ProtectHostname=yes
""",
    "mariadb": """
User=daemon
CapabilityBoundingSet=CAP_IPC_LOCK CAP_DAC_OVERRIDE CAP_AUDIT_WRITE
ProtectSystem=full
ProtectHome=true
PrivateDevices=false
PrivateNetwork=false
UMask=007
""",
    "php-fpm": """
PrivateTmp=true
ProtectSystem=full
ProtectHome=read-only
RuntimeDirectory=NAME
""",
    "haproxy": """
ProtectSystem=strict
ReadWritePaths=/run
ProtectHome=true
ProtectKernelTunables=true
ProtectKernelModules=true
ProtectControlGroups=true
RuntimeDirectory=NAME
""",
    "polkit": """
DeviceAllow=/dev/null rw
DevicePolicy=strict
LimitMEMLOCK=0
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateNetwork=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
UMask=0077
User=daemon
PrivateIPC=yes
""",
    "fwupd": """
PrivateTmp=yes
ProtectHome=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictRealtime=yes
ProtectSystem=full
StateDirectory=NAME
CacheDirectory=NAME
RuntimeDirectory=NAME
ReadWritePaths=-/boot -/efi
""",
    "tor": """
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ProtectSystem=full
ReadOnlyDirectories=/
ReadWriteDirectories=-/proc
ReadWriteDirectories=-/var/lib
ReadWriteDirectories=-/run
NoNewPrivileges=yes
""",
    "bluetooth": """
ProtectHome=true
ProtectSystem=strict
PrivateTmp=true
ProtectKernelTunables=true
ProtectControlGroups=true
StateDirectory=NAME
StateDirectoryMode=0700
ConfigurationDirectory=NAME
ConfigurationDirectoryMode=0555
MemoryDenyWriteExecute=true
NoNewPrivileges=true
""",
    "upower": """
ProtectSystem=strict
ReadWritePaths=/var/lib
ProtectHome=true
PrivateTmp=true
PrivateNetwork=true
PrivateMounts=yes
ProtectControlGroups=true
ProtectKernelModules=true
ProtectClock=true
ProtectHostname=true
PrivateUsers=false
NoNewPrivileges=true
PrivateIPC=true
""",
}
# Of an unprivileged user's own manager. Since systemd 254 PrivateUsers= need not be said for it.
OF_USERS = {
    "PrivateTmp": "PrivateTmp=yes",
    "PrivateDevices": "PrivateDevices=yes\nNoNewPrivileges=yes",
    "system": "ProtectSystem=strict\nReadWritePaths=/run/user",
    "home": "ProtectHome=yes",
    "home read only": "ProtectHome=read-only\nInaccessiblePaths=-/srv/sandbox/a",
    "paths": f"ReadOnlyPaths={PLACE}\nReadWritePaths={PLACE}/b\nNoExecPaths={PLACE}",
    "bind": f"BindPaths={PLACE}/a:{PLACE}/new\nTemporaryFileSystem={PLACE}/c",
    "tunables": "ProtectKernelTunables=yes",
    "groups": "ProtectControlGroups=yes",
    "modules": "ProtectKernelModules=yes",
    "hostname": "ProtectHostname=yes",
    "proc": "ProtectProc=invisible",
    "mounts": "PrivateMounts=yes",
    "users": "",
}
# Since which version systemd does that, and as it does now.
SINCE = {
    "users' path": 262,
    "users' path and mounts": 262,
    "+ users' path": 262,
    "kernel's mounts alone": 257,
    "log's sockets alone": 257,
    "read only folder": 257,
    "kernel's mounts": 257,
    "IPC's path": 254,
    "network's path": 257,
    "disconnected": 257,
    "disconnected early": 257,
    "groups private": 257,
    "groups strict": 257,
    "hostname private": 258,
    "log's sockets": 257,
    "users identity": 257,
    "users full": 258,
    "home in memory": 254,
    "dynamic folders in a root": 257,
    "root": 254,
    "root alone": 254,
    "root and more": 254,
}
# Of other tests and cases.
OTHERS = ("mount /var/tmp/cross-init-programs", "mount /run/credentials/box-")


def prepared(container: Container) -> None:
    """The machine on which all is tried."""
    container.run("sh", "-ec", PREPARE)


PREPARE = f"""
mkdir {PLACE}
cd {PLACE}
mkdir -p new a/below b c mounted root/srv root/tmp root/var/tmp root/var/lib /home/somebody /run/credentials
echo file of a >{PLACE}/a/file; echo file of b >{PLACE}/b/file
touch {PLACE}/new/file
cp /usr/bin/true {PLACE}/program; cp /usr/bin/true {PLACE}/a/program
mount -t tmpfs -o size=1M,noexec tmpfs {PLACE}/mounted
touch {PLACE}/mounted/inside
ln -s a {PLACE}/link
mkfifo {PLACE}/fifo; mknod {PLACE}/device c 1 3
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("{PLACE}/sock")'
chmod 0777 {PLACE} {PLACE}/*/ {PLACE}/a/below
unshare --net sh -c 'touch /run/net; mount --bind /proc/self/ns/net /run/net'
touch /run/users; unshare --user=/run/users --map-root-user true || true
unshare --ipc sh -c 'touch /run/ipc; mount --bind /proc/self/ns/ipc /run/ipc'
"""


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What was seen of each case, by systemd's process and by ours, in a container."""
    done: dict[int, dict[str, tuple[Any, Any]]] = {}

    def of(manager: Manager, cases: dict[str, str]) -> dict[str, tuple[Any, Any]]:
        if id(manager) not in done:
            done[id(manager)] = _run_all(manager, cases)
        return done[id(manager)]

    return of


def _run_all(manager: Manager, cases: dict[str, str]) -> dict[str, tuple[Any, Any]]:
    container = manager.container
    out = container.root / "srv/seen"
    if not out.exists():
        prepared(container)
        out.mkdir()
        out.chmod(0o777)
    spaces = " ".join(f"{name}={os.readlink(f'/proc/{container.pid}/ns/{name}')}" for name in SPACES)
    whose = "user-" if manager.user else ""
    command = f"{FRONT_DOOR} run {'--user' if manager.user else ''} --init none"
    names = {}
    for case, lines in cases.items():
        if not manager.user and version_of(manager) < SINCE.get(case, 0):
            continue
        name = f"box-{whose}" + "".join(letter if letter.isalnum() else "-" for letter in case)
        names[case] = name
        tried = " ".join(TRIED).replace("NAME", name)
        text = (
            f"[Service]\nType=exec\n{lines.replace('NAME', name)}\n"
            f'Environment="SPACES={spaces}"\nStandardOutput=file:/srv/seen/WHO{name}\nStandardError=journal\n'
            f"ExecStart={case[0].strip(string.ascii_letters)}/usr/bin/python3 -IS {PROBE} {tried}\n"
        )
        (manager.folder / f"{name}.service").write_text(text.replace("WHO", ""))
        ours = container.root / f"srv/units/{name}.service"
        ours.parent.mkdir(exist_ok=True)
        ours.write_text(text.replace("WHO", "ours-"))
        start = f"[Service]\nType=exec\nExecStart={command} /srv/units/{name}.service\n"
        (manager.folder / f"ours-{name}.service").write_text(start)
    manager.systemctl("daemon-reload")
    for who in ("", "ours-"):
        units = [f"{who}{name}.service" for name in names.values()]
        manager.systemctl("start", *units, check=False)
        manager.have_ended(*units)
    return {case: (_result(container, name), _result(container, f"ours-{name}")) for case, name in names.items()}


def _result(container: Container, name: str) -> Any:
    text = (container.root / "srv/seen" / name).read_text() if (container.root / "srv/seen" / name).exists() else ""
    if not text.endswith("}\n"):
        return container.run("journalctl", "--no-pager", "-o", "cat", "-u", f"{name}.service", check=False).stdout
    return json.loads(text)


def _otherwise(version: int, case: str, theirs: dict[str, Any], ours: dict[str, Any]) -> tuple[str, ...]:
    """How the keys begin of what is not compared."""
    found: tuple[str, ...] = (
        OTHERS if case != "credentials" or version > 252 else OTHERS[:1]
    )  # what they are in is another test's
    found += tuple(key for key in theirs if key.endswith("/memory.pressure"))  # which only systemd has a service watch
    if version < 257:  # since then what is mounted in /proc is in a new one as well, and a network has its own /sys
        found += ("mount /proc/", "path /proc/sys/") if "master" not in ours["mount /proc"][-1][4] else ()
        found += ("mount /sys", "path /sys") if ours["own net"] else ()
        found += ("mount /proc/kmsg", "path /proc/kmsg") if ours["own user"] else ()  # a /proc that stays is left alone
    return found


def _different(version: int, case: str, theirs: Any, ours: Any) -> list[str]:
    assert isinstance(theirs, dict), theirs
    assert isinstance(ours, dict), ours
    return [
        f"{key}: systemd {theirs.get(key)!r}, here {ours.get(key)!r}"
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key) and not key.startswith((*OWN, *_otherwise(version, case, theirs, ours)))
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_process_sees_the_same(host: Host, seen: Seen, case: str) -> None:
    version = version_of(host.system)
    if version < SINCE.get(case, 0):
        pytest.skip(f"so it is since systemd {SINCE[case]}")
    assert _different(version, case, *seen(host.system, CASES)[case]) == []


@pytest.mark.parametrize("case", OF_USERS)
def test_a_process_of_a_user_s_sees_the_same(host: Host, seen: Seen, case: str) -> None:
    cases = {each: f"PrivateUsers=yes\n{lines}" for each, lines in OF_USERS.items()}
    assert _different(version_of(host.system), case, *seen(host.user, cases)[case]) == []
