"""What --listen opens is what a socket unit of a real systemd opens: modes, owners, folders, families, options."""

import pytest

from tests.support.systemd import Manager

FACTS = r"""
import fcntl, os, socket, stat, sys
for fd in range(3, 3 + int(os.environ["LISTEN_FDS"])):
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_NONBLOCK)
    print(stat.filemode(os.fstat(fd).st_mode)[0], flags, end=" ")
    if stat.S_ISSOCK(os.fstat(fd).st_mode):
        sock = socket.socket(fileno=fd)
        asked = [(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), (socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
        if sock.family == socket.AF_INET6:
            asked.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        print(sock.family, sock.type, sock.getsockname(), [sock.getsockopt(*each) for each in asked], end="")
    print()
for path in sys.argv[1:]:
    status = os.lstat(path)
    print(path, stat.filemode(status.st_mode), status.st_uid, status.st_gid)
"""
SCRIPT = "/run/facts.py"
SAY = f"/usr/bin/python3 -IS {SCRIPT}"
# The lines of a socket unit; the same as --listen has it; and paths to look at.
PAIRS: dict[str, tuple[str, str, str]] = {
    "nothing else said": ("ListenStream=/run/t/a/b/s", "--listen unix:/run/t/a/b/s", "/run/t /run/t/a/b /run/t/a/b/s"),
    "all said": (
        "ListenStream=/run/t/s\nSocketMode=0660\nSocketUser=daemon\nSocketGroup=www-data\nDirectoryMode=0750",
        "--listen unix:/run/t/s,mode=0660,user=daemon,group=www-data,folder-mode=0750",
        "/run/t /run/t/s",
    ),
    "a user brings his group": ("ListenStream=/run/t/s\nSocketUser=bin", "--listen unix:/run/t/s,user=bin", "/run/t/s"),
    "other kinds": (
        "ListenDatagram=/run/t/d\nListenSequentialPacket=/run/t/q\nListenFIFO=/run/t/f\nSocketMode=0600",
        "--listen unix-dgram:/run/t/d,mode=0600 --listen unix-seqpacket:/run/t/q,mode=0600 "
        "--listen fifo:/run/t/f,mode=0600",
        "/run/t/d /run/t/q /run/t/f",
    ),
    "both families": (
        "ListenStream=0.0.0.0:7311\nListenStream=[::]:7311\nBindIPv6Only=ipv6-only\nKeepAlive=yes",
        "--listen tcp:0.0.0.0:7311,keep-alive --listen tcp:[::]:7311,keep-alive",
        "",
    ),
    "both in one": ("ListenStream=7312\nBindIPv6Only=both", "--listen tcp::7312", ""),
}


@pytest.mark.parametrize("pair", list(PAIRS))
def test_a_socket_is_as_systemd_makes_it(system: Manager, pair: str) -> None:
    unit_lines, options, paths = PAIRS[pair]
    container = system.container
    (container.root / SCRIPT.lstrip("/")).write_text(FACTS)
    said = []
    for service, socket in (
        (f"Type=oneshot\nExecStart={SAY} {paths}", f"{unit_lines}\nRemoveOnStop=yes"),
        (f"Type=oneshot\nExecStart=BRIDGE -t systemd {options} -- {SAY} {paths}", ""),
    ):
        output = container.root / "run" / "facts"
        output.unlink(missing_ok=True)
        with system.unit(f"{service}\nStandardOutput=file:/run/facts", socket) as unit:
            if unit.socket:
                system.systemctl("start", unit.socket)
            unit.start()
            said.append(output.read_text())
        container.run("rm", "-rf", "/run/t")
    assert said[0].count("\n") >= 1
    assert said[1] == said[0]
