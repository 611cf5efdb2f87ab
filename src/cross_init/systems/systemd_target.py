"""systemd as the target: sd_notify(3), sd_listen_fds(3), and what both imply for a daemon. As the init: systemd.py."""

from cross_init.kernel.linux import Environment
from cross_init.model import EXIT, MESSAGE, Channel, Service
from cross_init.model import Target as Base

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.sockets.passed import Passed

FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
UNKNOWN_NAME = "unknown"  # what sd_listen_fds_with_names(3) says of a descriptor without a name
CONNECTION = "connection"  # and of the one that Accept=yes passes
LISTEN = (b"LISTEN_FDS", b"LISTEN_PID", b"LISTEN_FDNAMES", b"LISTEN_PIDFDID")
WATCHDOG = (b"WATCHDOG_USEC", b"WATCHDOG_PID")
# SYSTEMD_EXEC_PID names the process that systemd started, so it would lie to a daemon that is our child. What only
# describes the surroundings (INVOCATION_ID, JOURNAL_STREAM, RUNTIME_DIRECTORY, ...) stays true and stays.
PROTOCOL = (*LISTEN, *WATCHDOG, b"NOTIFY_SOCKET", b"FDSTORE", b"SYSTEMD_EXEC_PID", b"MAINPID", b"MANAGERPID")
FORKING = "forking"  # what may stand behind its name
WHEN_IT_STAYS = "perhaps it needs an option to leave the foreground; if it stays there, leave out :forking"
NEWS = ("status", "reloading", "stopping", "watchdog", "main PID", "errno", "descriptors to keep")


class Target(Base):
    """We stand in for systemd."""

    name = "systemd"
    takes = "LISTEN_FDS"
    first_fd = FIRST_FD
    says = MESSAGE
    variable = b"NOTIFY_SOCKET"
    when_silent = (
        "perhaps it needs an option to say so (redis-server --supervised systemd), or was built without that, or wants "
        "systemd itself, as its parent, as keepalived does, or its folder /run/systemd/system, as syslog-ng does: then "
        "use -t plain and --ready-when instead of -N"
    )
    news: tuple[str, ...] = NEWS
    options = f"{FORKING} (a daemon that takes sockets and forks away: Type=forking)"
    turns_away = True  # systemd.socket(5), MaxConnections=
    ignores_sigpipe = True  # systemd.exec(5), IgnoreSIGPIPE=

    def configure(self, option: str) -> None:
        """Whether the daemon says that it is ready by leaving. LISTEN_PID is the first process's, as on systemd."""
        if option == FORKING:
            self.option, self.forks, self.says, self.news = option, True, EXIT, ()
            self.when_silent = WHEN_IT_STAYS
        else:
            super().configure(option)

    def listen_to(self) -> None:
        """Who forks away has a notification socket only where its unit says so (systemd.service(5), NotifyAccess=)."""
        if self.forks:
            self.speaks, self.news = True, NEWS

    def strip(self, environ: Environment) -> None:
        """Nothing of a systemd further up is for this daemon."""
        for variable in PROTOCOL:
            environ.pop(variable, None)

    def announce_fd_store(self, environ: Environment, most: int) -> None:
        """FDSTORE (systemd.exec(5))."""
        environ[b"FDSTORE"] = str(most).encode()

    def announce_watchdog(self, environ: Environment, usec: int, pid: int) -> None:
        """WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3))."""
        environ[b"WATCHDOG_USEC"] = str(usec).encode()
        environ[b"WATCHDOG_PID"] = str(pid).encode()

    def channel(self, leaving: bool) -> Channel:
        """A notification socket, for who says so by it, or says more by it."""
        if self.forks and not self.speaks:
            return Channel()
        from cross_init.readiness.notify_socket import NotifyChannel

        return NotifyChannel(leaving, self.notify_socket)

    def lay_out(self, environ: Environment, sockets: "list[Passed]", service: Service, pid: int) -> None:
        """LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, the sockets from descriptor 3 on (sd_listen_fds(3))."""
        if not sockets:
            return
        names = [listen_name(passed.name) or (CONNECTION if passed.connected else UNKNOWN_NAME) for passed in sockets]
        environ[b"LISTEN_FDS"] = str(len(sockets)).encode()
        environ[b"LISTEN_PID"] = str(pid).encode()
        environ[b"LISTEN_FDNAMES"] = ":".join(names).encode("utf-8", "surrogateescape")
        if sockets[0].connected:
            name_client(environ, sockets[0].fd)


def name_client(environ: Environment, fd: int) -> None:
    """REMOTE_ADDR and REMOTE_PORT, as a service with Accept=yes has them (systemd.exec(5))."""
    from cross_init.sockets.connection import ends

    _, remote = ends(fd)
    if isinstance(remote, tuple):
        environ[b"REMOTE_ADDR"] = remote[0].encode()
        environ[b"REMOTE_PORT"] = str(remote[1]).encode()


def listen_name(name: str) -> str:
    """The name as FileDescriptorName= may have it: printable ASCII, no colon, at most 255 (sd_notify(3))."""
    return "".join(letter for letter in name if letter.isascii() and letter.isprintable() and letter != ":")[:255]
