"""The help text, written for a person in trouble at three in the morning."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HELP = """\
cross-init-bridge lets a daemon that was written for one init system run under another.

Usage: cross-init-bridge -t TARGET [OPTION...] -- COMMAND [ARG...]

  -t, --target TARGET    the init system that the daemon was written for:
                         {targets}.
                         upstart:job=NAME is told that name in UPSTART_JOB, for a daemon that compares it with its own;
                         inetd:wait gets the socket itself, inetd:nowait a client's connection; where the init passes a
                         socket that listens, each client gets a daemon then, inetd:nowait:20 at most 20 at a time
  -N, --notify           the daemon says when it is ready; tell it to the init. The init's job has to wait for it:
                         systemd: Type=notify; Upstart: expect stop; OpenRC: notify=fd:3; Finit: notify:systemd;
                         runit: ./check with "exec cross-init check"

What runs, without running it:
      --explain[=json]   say what was detected and why, what would be done, get lost, or fail; without -t, what was
                         detected

Readiness:
      --end-after-ready  leave no process of ours behind once the daemon is ready; what it says later is dropped
      --notify-access WHO
                         whose messages count: main (the daemon, the default), exec (what this command line started:
                         here the same), all (the daemon and its descendants)
      --notify-socket path | abstract
                         how the notification socket is named: abstract for a daemon that changes its root (chroot),
                         path for one that changes its network namespace
      --daemonize        from a shell: return when the daemon is ready, and leave it running. Includes -N
      --ready-fd N       do not tell the init in its own way: write a newline to this descriptor

      --ready-when CONDITION
                         ready when this holds as well (instead, without -N); may be repeated: tcp:HOST:PORT, unix:PATH,
                         http:URL, file:PATH, pid-file:PATH, log:REGEX, exec:COMMAND, dbus:NAME, listening (on a
                         socket of its own, or attending to a passed one), started (it runs, and a passed one listens)
      --bus BUS          where dbus:NAME is looked for: system (the default), session, or unix:path=...
      --ready-timeout SECONDS
                         end the daemon if it is not ready by then, with exit code 125

The life of the daemon:
      --supervise        stay the main process: follow MAINPID= and the PID file, pass signals on, mirror the end
      --watchdog SECONDS[:GRACE]
                         end it if it gives no sign of life for so long (WATCHDOG=1): SIGABRT, and SIGKILL after GRACE
      --fd-store N       keep up to N descriptors for it over a restart (FDSTORE=1), until it is stopped for good
      --stop-signal SIG, --reload-signal SIG
                         what the daemon gets when the init sends SIGTERM, or SIGHUP
      --pid-file PATH    with -t sysv or --supervise: the PID file that the daemon writes, to be followed; else one
                         that we write, with --daemonize and for inits that look for it

For who asks:
      --health-listen tcp:HOST:PORT | unix:PATH
                         answer GET /readyz and /livez there (HTTP): 200, or 503 and why not
      --state-file PATH  note there whether it is ready, for cross-init check PATH
      In a container, cross-init check without a PATH asks us; that needs neither.

Sockets:
      --listen [NAME=]tcp:HOST:PORT | udp:HOST:PORT | unix[-dgram|-seqpacket]:PATH | fifo:PATH, each [,OPTION...]
                         open a socket for the daemon; may be repeated. IPv6: tcp:[::1]:80; tcp:[::]:80 is IPv6 alone,
                         tcp::80 both. Port 0: any free one. Options, as systemd.socket(5) has them: mode=0660 (if not
                         said 0666), user=, group=, folder-mode= (0755), backlog=, keep-alive, remove-on-stop; and
                         keep: the socket stays open over a restart of the service
      --adopt-socket ADDRESS
                         if the init passes none: take the listening socket there (tcp:, unix:) from root's process
                         that holds it, as upstart-socket-bridge does when the job was started by hand
      --socket NAME      of the sockets that the init passed, use the one of this name
      --all-sockets      for Upstart daemons: pass several sockets as a list
      --wait-for-client  start the daemon only when a client waits on a socket

      --init NAME[:OPTION]
                         do not detect what we run on; it is one of
{inits}.
                         supervisord:event tells its event listeners when the daemon is ready (the program has to
                         have stdout_capture_maxbytes); s6:fdholder=PATH keeps descriptors in that s6-fdholderd,
                         as well; circus:web=$(circus.sockets.web),... names its sockets, and
                         launchd:Listeners,... those of a job
  -h, --help             this text
  -V, --version          the version

It ends as the daemon does; on its own failure with 125, and like env(1) with 126 if COMMAND cannot be run and 127 if
it is not there.

Examples:
  ExecStart=/usr/bin/cross-init-bridge -t upstart -N -- /usr/bin/redis-server --supervised upstart
  exec /usr/bin/cross-init-bridge -t systemd -N -- /usr/bin/redis-server --supervised systemd
  cross-init-bridge -t systemd -N --listen tcp:127.0.0.1:8080 -- ./daemon
"""


def text(targets: "Iterable[str]", inits: "Iterable[str]") -> str:
    """The help text, with the names that there are."""
    from textwrap import fill

    indent = " " * 25
    return HELP.format(
        targets=", ".join(targets),
        inits=fill(", ".join(inits), 120, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False),
    )
