"""What each option of the bridge is for, in words. With described_commands.py the one source of --help, the man pages,
docs/options.md and the completions of shells.

The texts are written in a little Markdown: `literal`, *PLACEHOLDER*. What an option means to the parser stands in
options.py, which does not import this: only who asks for it pays for it.
"""

from typing import NamedTuple

from cross_init.readiness.conditions import KINDS as CONDITIONS
from cross_init.sockets.address import KINDS as SOCKETS

FILE = ("FILE",)  # what completes a value: the names of files
SIGNAL = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH")
# A paragraph, or a list of terms, each with what it means.
Block = str | tuple[tuple[str, str], ...]


class Option(NamedTuple):
    """An option.

    brief: for --help, in some words; "" if it is not among those that most need. text: for --help=all. more: what only
    the man page and the docs say. completes: how a value may begin, where options.CHOICES does not say it.
    """

    name: str
    argument: str
    text: str
    brief: str = ""
    more: tuple[Block, ...] = ()
    short: str = ""
    completes: tuple[str, ...] = ()


class Group(NamedTuple):
    """Options that belong together."""

    title: str
    options: tuple[Option, ...]


ADDRESSES = (*(f"{kind}:" for kind in SOCKETS),)
HELP = Option("--help", "", "Show a help text.", "this text", short="-h")
VERSION = Option("--version", "", "Show the version.", "the version", short="-V")

GROUPS: tuple[Group, ...] = (
    Group(
        "The daemon",
        (
            Option(
                "--target",
                "TARGET",
                "The init system that the daemon was written for: {targets}. Behind some stands more, as in `s6:4`, "
                "`dinit:fd=4`, `upstart:job=NAME`, `inetd:wait`, `inetd:nowait:20`.",
                "the init system that the daemon was written for: {targets}",
                (
                    (
                        (
                            "`systemd:forking`",
                            "It takes sockets as systemd passes them, and says that it is ready by forking away "
                            "(`Type=forking`). With `--notify-access`, `--watchdog` or `--fd-store` it can say more.",
                        ),
                        ("`s6:`*N*", "The daemon writes its newline to descriptor *N*; without it, to 3."),
                        (
                            "`dinit:fd=`*N*, `dinit:var=`*NAME*",
                            "It writes to descriptor *N*, or to the one whose number the variable *NAME* holds, as "
                            "`ready-notification` in a service of dinit has it.",
                        ),
                        (
                            "`upstart:job=`*NAME*",
                            "It is told that name in `UPSTART_JOB`, for a daemon that compares it with its own.",
                        ),
                        ("`inetd:wait`", "It gets the listening socket itself as standard input."),
                        (
                            "`inetd:nowait`, `inetd:nowait:`*N*",
                            "It gets one client's connection. Where the init passes a socket that listens, or with "
                            "`--listen`, each client gets a daemon of its own, at most *N* at a time (40).",
                        ),
                    ),
                    "A daemon that needs nothing of its init is one for `plain`. One that forks away, as those of init "
                    "scripts do, is one for `sysv`.",
                ),
                "-t",
            ),
            Option(
                "--notify",
                "",
                "The daemon says when it is ready; tell it to the init. The init's job has to wait for it, see below.",
                "the daemon says when it is ready: tell the init",
                (
                    "How it says so is the target's way; how the init is told is the init's. Where the init waits for "
                    "nobody, a line says so, and the log is told.",
                ),
                "-N",
            ),
        ),
    ),
    Group(
        "What would happen",
        (
            Option(
                "--explain",
                "[=text|json]",
                "Run nothing; say what was detected and why, what would be done, get lost, or fail. Without `-t`, what "
                "was detected.",
                "run nothing: say what would happen, and why",
                ("`--explain=json` is the same for programs. The exit code is 125 if the start would be refused.",),
            ),
        ),
    ),
    Group(
        "Readiness",
        (
            Option(
                "--ready-when",
                "CONDITION",
                "Ready when this holds, for a daemon that says nothing; with `-N`, when it has said so as well. May be "
                "repeated. One of {conditions}.",
                "for one that says nothing: ready when this holds, as tcp:HOST:PORT, file:PATH, log:REGEX, listening",
                (
                    (
                        ("`tcp:`*HOST*`:`*PORT*", "Somebody accepts connections there."),
                        ("`unix:`*PATH*", "Somebody accepts connections on this socket."),
                        ("`http:`*URL*", "A request is answered with a status from 200 to 399."),
                        ("`file:`*PATH*", "The file appears, or is written anew."),
                        (
                            "`pid-file:`*PATH*",
                            "It appears or is written anew, and names a process of the service.",
                        ),
                        ("`dbus:`*NAME*", "The service owns this name on the bus (see `--bus`)."),
                        ("`log:`*REGEX*", "A line of the daemon's output matches."),
                        ("`exec:`*COMMAND*", "This command ends with 0; it is run again and again."),
                        (
                            "`listening`",
                            "The daemon listens on a socket of its own, or attends to one that it was passed.",
                        ),
                        ("`started`", "The daemon runs, and a socket that it was passed listens."),
                    ),
                ),
                completes=tuple(f"{kind}:" if rest else kind for kind, (_, rest) in CONDITIONS.items()),
            ),
            Option(
                "--ready-timeout",
                "SECONDS",
                "End the daemon if it is not ready by then, with exit code 125.",
                "end the daemon if it is not ready by then",
            ),
            Option(
                "--bus",
                "BUS",
                "Where `dbus:`*NAME* is looked for: `system` (the default), `session`, or an address, as "
                "`unix:path=/x`.",
                completes=("system", "session", "unix:path="),
            ),
            Option(
                "--daemonize",
                "",
                "From a shell: return when the daemon is ready, and leave it running. Includes `-N`.",
                "from a shell: return when the daemon is ready",
                ("Standard output and error stay the caller's: redirect them where somebody reads them to their end.",),
            ),
            Option(
                "--ready-fd",
                "N",
                "Do not tell the init in its own way: write a newline to this descriptor.",
            ),
            Option(
                "--end-after-ready",
                "",
                "Leave no process of ours behind once the daemon is ready; what it says later is dropped.",
            ),
            Option(
                "--notify-access",
                "WHO",
                "Whose messages count: `main` (the daemon, the default), `exec` (what this command line started: here "
                "the same), `all` (the daemon and its descendants). Also without `-N`, it can say more than that it is "
                "ready then.",
            ),
            Option(
                "--notify-socket",
                "KIND",
                "How the socket is named on which the daemon says that it is ready: `abstract` for one that changes "
                "its root (chroot), `path` for one that changes its network namespace.",
            ),
            Option(
                "--own-watcher",
                "",
                "Watch the daemon by a process of its own, although a resident (`cross-init serve`) is there.",
            ),
            Option(
                "--need-resident",
                "",
                "Start nothing if there is no resident (`cross-init serve`) that watches the daemon.",
                more=("Without it, a start that no resident takes over has a watcher of its own.",),
            ),
        ),
    ),
    Group(
        "The life of the daemon",
        (
            Option(
                "--supervise",
                "",
                "Stay the main process: follow `MAINPID=`, the PID file and a daemon that forks away, pass signals on, "
                "and end as it ends.",
                "stay the main process, and follow the daemon",
                (
                    "The init then shows the bridge's PID. A guard beside the bridge ends the daemon if the bridge "
                    "is killed.",
                ),
            ),
            Option(
                "--pid-file",
                "PATH",
                "With `-t sysv` or `--supervise`: the PID file that the daemon writes, to be followed. Else one that "
                "we write, with `--daemonize` and for inits that look for it.",
                "the PID file that it writes (sysv), or we write",
                completes=FILE,
            ),
            Option(
                "--watchdog",
                "SECONDS[:GRACE]",
                "End the daemon if it gives no sign of life (`WATCHDOG=1`) for so long: with SIGABRT, and with SIGKILL "
                "after *GRACE* (30 s).",
                "end the daemon if it says nothing for so long",
                ("It is counted here, on every init. The daemon is told of it as by systemd (`WATCHDOG_USEC`).",),
            ),
            Option(
                "--fd-store",
                "N",
                "Keep up to *N* descriptors for the daemon over a restart (`FDSTORE=1`), until it is stopped for good.",
            ),
            Option(
                "--stop-signal",
                "SIG",
                "What the daemon gets when the init sends SIGTERM, as `QUIT`.",
                completes=SIGNAL,
            ),
            Option(
                "--reload-signal",
                "SIG",
                "What the daemon gets when the init sends SIGHUP, as `USR1`.",
                completes=SIGNAL,
            ),
            Option(
                "--rewrite-signal",
                "FROM:TO",
                "What the daemon gets when this signal comes, as `WINCH:QUIT`; *TO* `0`: nothing. May be repeated.",
                completes=SIGNAL,
            ),
            Option(
                "--success-exit-status",
                "CODE[,CODE...]",
                "End with 0 when the daemon ends so, as `143` or `TERM`: a signal counts as 128 and its number.",
                more=("May be repeated. For containers' runtimes and inits to which every other code is a failure.",),
            ),
            Option(
                "--stop-command",
                "COMMAND",
                "What is run when the init stops the service, before SIGTERM, as a unit's `ExecStop=`: one word, with "
                "`$MAINPID` in it and in its environment.",
                more=(
                    "It is split as systemd does it, with quotation marks and backslashes, without a shell. "
                    "`${NAME}`, and `$NAME` as a word of its own, are the daemon's variables; `$$` is a dollar sign. "
                    "A dash before it: that it fails is no matter. We stay the main process for it (`--supervise`). "
                    "It may take `--stop-timeout`; what is still there then is sent SIGTERM.",
                    "`--stop-command '/usr/bin/pg_ctl stop -m fast -D /srv/db'`",
                ),
            ),
            Option(
                "--reload-command",
                "COMMAND",
                "What is run when the init sends SIGHUP, and instead of it, as a unit's `ExecReload=`; see "
                "`--stop-command`.",
            ),
            Option(
                "--kill-mode",
                "MODE",
                "What is ended with the daemon's main process, as systemd.kill(5) has it: `control-group` (all of "
                "the service, the default), `mixed`, `process` or `none`.",
                more=(
                    (
                        (
                            "`control-group`",
                            "At a stop all of the service is sent SIGTERM, where the init's signals come to us "
                            "(`--supervise`). What the main process leaves when it has ended is, too, and SIGKILL "
                            "after `--stop-timeout`: a worker that stays would keep the port, and every further "
                            "start fail.",
                        ),
                        ("`mixed`", "The main process alone is told; what it leaves is sent SIGKILL."),
                        (
                            "`process`, `none`",
                            "What the main process leaves stays: for a daemon whose children are to outlive it, as "
                            "sshd.",
                        ),
                    ),
                    "On systemd this is the unit's (`KillMode=`), and refused here. In a container the kernel ends "
                    "all at once, unless this is said. With `--end-after-ready` nobody is there to do it.",
                ),
            ),
            Option(
                "--stop-timeout",
                "SECONDS",
                "How long from SIGTERM to SIGKILL: of what the main process leaves (if it is not said 90 s, and 5 s "
                "after a crash) and, if it is said, of the main process that is told to stop.",
            ),
        ),
    ),
    Group(
        "For who asks",
        (
            Option(
                "--health-listen",
                "ADDRESS",
                "Answer GET /readyz and /livez (HTTP) on `tcp:`*HOST*`:`*PORT* or `unix:`*PATH*: 200, or 503 and why "
                "not.",
                "answer GET /readyz and /livez there (HTTP)",
                completes=("tcp:", "unix:"),
            ),
            Option(
                "--state-file",
                "PATH",
                "Note there whether the daemon is ready, for `cross-init check` *PATH*.",
                more=(
                    "In a container `cross-init check` without a path asks the bridge itself, and needs no such file.",
                ),
                completes=FILE,
            ),
        ),
    ),
    Group(
        "Sockets",
        (
            Option(
                "--listen",
                "[NAME=]ADDRESS[,OPTION...]",
                "Open a socket for the daemon; may be repeated. *ADDRESS* is `tcp:`*HOST*`:`*PORT*, "
                "`udp:`*HOST*`:`*PORT*, `unix:`*PATH*, `unix-dgram:`*PATH*, `unix-seqpacket:`*PATH*, `fifo:`*PATH*, "
                "or rarer `vsock:`, `vsock-dgram:`, `vsock-seqpacket:`, `netlink:`, `special:`, `mqueue:`. An "
                "*OPTION* is `mode=`, `user=`, `group=`, `folder-mode=`, `symlink=`, `backlog=`, `keep`, "
                "`remove-on-stop`, `protocol=`, `max-messages=`, `message-size=`, `writable`, `device=`, "
                "`reuse-port`, `reuse-address`, `free-bind`, `transparent`, `ipv6-only`, `keep-alive`, "
                "`keep-alive-time=`, `keep-alive-interval=`, `keep-alive-probes=`, `defer-accept=`, `no-delay`, "
                "`congestion=`, `broadcast`, `pass-credentials`, `pass-pidfd`, `pass-security`, `pass-packet-info`, "
                "`refuse-descriptors`, `timestamping=`, `priority=`, `receive-buffer=`, `send-buffer=`, `mark=`, "
                "`tos=`, `ttl=` or `pipe-size=`.",
                "open a socket: tcp:HOST:PORT, unix:PATH, ...",
                (
                    "`tcp:[::1]:80` is IPv6. `tcp:[::]:80` is IPv6 alone, `tcp::80` both in one socket. Port 0 is any "
                    "free one. A link-local address has its interface in the brackets: `tcp:[fe80::1%eth0]:80`. A "
                    "path that begins with `@` is an abstract name. A comma in a path is written `\\,`.",
                    "Rarer: `vsock:`*CID*`:`*PORT*, `vsock-dgram:`, `vsock-seqpacket:` (`vsock::80` is on any CID); "
                    "`netlink:`*FAMILY*`:`*GROUPS*, as `netlink:kobject-uevent:1`; `special:`*PATH*, a device or a "
                    "file of /proc or /sys, open to be read; `mqueue:/`*NAME*, a message queue.",
                    "The options are those of a socket unit of systemd (systemd.socket(5)). What the kernel refuses to "
                    "set is said in a line, and the socket is there without it:",
                    (
                        ("`mode=`*0660*", "The rights of a path; 0666 if not said, whatever the umask is."),
                        (
                            "`user=`*NAME*, `group=`*NAME*",
                            "Whose the path is: names or numbers. A user alone brings his group.",
                        ),
                        ("`folder-mode=`*0750*", "The rights of folders that are missing, and made; 0755."),
                        ("`backlog=`*N*", "How many connections may wait to be accepted; 4096."),
                        ("`keep-alive`", "TCP asks a silent client whether it is still there."),
                        ("`remove-on-stop`", "The path is removed at the end; else the next start replaces it."),
                        ("`symlink=`*PATH*", "A link that leads to the path, made beside it; may be repeated."),
                        (
                            "`device=`*eth0*, `reuse-port`, `reuse-address`, `free-bind`, `transparent`, `ipv6-only`",
                            "To bind to: one interface alone; a port, or a datagrams' address, that others have; an "
                            "address that this machine does not have; one of IPv6 that is not IPv4's. Without its "
                            "interface there is no socket.",
                        ),
                        (
                            "`keep-alive-time=`*S*, `keep-alive-interval=`*S*, `keep-alive-probes=`*N*, `no-delay`, "
                            "`defer-accept=`*S*, `congestion=`*cubic*",
                            "TCP: when a silent client is asked, how often, how many times; what is written is sent at "
                            "once; a client is waited for until it has sent something; the algorithm.",
                        ),
                        (
                            "`protocol=`*mptcp*",
                            "Another one than TCP or UDP: `mptcp` and `sctp` with `tcp:`, `udplite` with `udp:`.",
                        ),
                        (
                            "`receive-buffer=`*N*, `send-buffer=`*N*, `pipe-size=`*N*",
                            "Bytes of the kernel's buffers; of a FIFO the last.",
                        ),
                        (
                            "`priority=`*N*, `mark=`*N*, `tos=`*N*, `ttl=`*N*, `broadcast`",
                            "What packets get that are sent; whether they may be for all.",
                        ),
                        (
                            "`pass-credentials`, `pass-pidfd`, `pass-security`, `pass-packet-info`, "
                            "`timestamping=`*us*",
                            "What comes with what is received: who has sent it, his label, where it came in, when "
                            "(`us`, `ns`).",
                        ),
                        ("`refuse-descriptors`", "Clients of a UNIX socket can send no descriptors (Linux 6.16)."),
                        ("`max-messages=`*N*, `message-size=`*N*", "Of a message queue that is made, both or none."),
                        ("`writable`", "What `special:` names is open to be written as well."),
                        (
                            "`keep`",
                            "The socket stays open over a restart of the service: clients wait, and none is refused.",
                        ),
                    ),
                ),
                completes=ADDRESSES,
            ),
            Option(
                "--adopt-socket",
                "ADDRESS",
                "Take the listening socket there (`tcp:`, `unix:`) from root's process that holds it, if the init "
                "passes none: as `upstart-socket-bridge` does when the job was started by hand.",
                completes=("tcp:", "unix:"),
            ),
            Option("--socket", "NAME", "Use the one of this name of the sockets that the init passed."),
            Option("--all-sockets", "", "Pass several sockets as a list, for daemons that were written for Upstart."),
            Option("--wait-for-client", "", "Start the daemon only when a client waits on a socket."),
        ),
    ),
    Group(
        "The init",
        (
            Option(
                "--init",
                "NAME[:OPTION]",
                "Do not detect what we run on; it is one of {inits}.",
                "do not detect what we run on",
                (
                    (
                        (
                            "`supervisord:event`",
                            "Tell its event listeners when the daemon is ready; the program has to have "
                            "`stdout_capture_maxbytes`.",
                        ),
                        ("`s6:fdholder=`*PATH*", "Keep descriptors (`--fd-store`) in this s6-fdholderd as well."),
                        (
                            "`dinit:fd=`*N*, `dinit:var=`*NAME*",
                            "The descriptor of `ready-notification`, if it is not found.",
                        ),
                        (
                            "`circus:web=$(circus.sockets.web)`",
                            "The names of its sockets, as Circus writes their numbers.",
                        ),
                        ("`launchd:`*KEY*`,`...", "The keys of the job's sockets."),
                    ),
                ),
            ),
        ),
    ),
    Group(
        "About",
        (
            HELP._replace(
                argument="[=most|all]",
                text="Show the options that most need; with `--help=all` every option.",
                brief="this text; --help=all: every option",
            ),
            VERSION,
        ),
    ),
)
OPTIONS: tuple[Option, ...] = tuple(option for group in GROUPS for option in group.options)
