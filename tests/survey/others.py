"""More inits under which units are run (cross-init run), for some of the daemons: how each is asked, and where it is.

Those that wait for nobody (daemontools, supervisord, Circus) are asked by a state file; an init script's command ends
when the daemon is ready. What is called /job runs the unit.
"""

from typing import NamedTuple

from tests.survey.asked import CHECK, READY_S, STOP_S, Init

# The ten daemons: by the names of their units.
TEN = (*("redis-server", "memcached", "mariadb", "nginx", "ssh", "cups", "chrony", "rsyslog", "unbound", "dbus"),)
STATE = "/run/d.state"
PID_FILE = "/run/d.pid"
LOG = "/run/d.log"
JOB = "#!/bin/sh\nexec BRIDGE\n"
READY = f"timeout {READY_S} sh -c 'until {CHECK} {STATE}; do sleep 0.05; done'"
KILL = "kill -9 PID\nwhile test -d /proc/PID; do sleep 0.02; done\n"
# Where an init script is all that there is, somebody reaps; and where a process 1 reaps none but its own.
REAPER = "touch /run/up\nexec env --ignore-signal=CHLD sleep infinity"
UP = "until test -e /run/up; do sleep 0.02; done"
CIRCUSD = "import sys; sys.path.insert(0, '/opt/Circus'); from circus.circusd import main; main()"
CIRCUSCTL = (
    "python3 -IS -c \"import sys; sys.path.insert(0, '/opt/Circus'); from circus.circusctl import main; main()\" "
    "--endpoint ipc:///run/circus-endpoint"
)
SUPERVISORD = f"""
[supervisord]
nodaemon=true
logfile=/run/supervisord.log
pidfile=/run/supervisord.pid
[unix_http_server]
file=/run/supervisord.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix:///run/supervisord.sock
[program:d]
command=/job
autostart=false
stopwaitsecs={STOP_S}
redirect_stderr=true
stdout_logfile={LOG}
"""
CIRCUS = f"""
[circus]
endpoint = ipc:///run/circus-endpoint
pubsub_endpoint = ipc:///run/circus-pubsub
[watcher:d]
cmd = /job
autostart = false
copy_env = true
graceful_timeout = {STOP_S}
"""
SCRIPT = f"""#!/bin/sh
### BEGIN INIT INFO
# Provides: d
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case $1 in
start) start-stop-daemon --start --pidfile {PID_FILE} --startas /job >>{LOG} 2>&1 ;;
stop) start-stop-daemon --stop --oknodo --pidfile {PID_FILE} --retry {STOP_S} ;;
esac
"""
OPENRC = f"""#!/sbin/openrc-run
pidfile={PID_FILE}
command=/job
command_args=">>{LOG} 2>&1"
stop() {{ start-stop-daemon --stop --oknodo --pidfile $pidfile --retry {STOP_S}; }}
"""
LAST = "#!/sbin/openrc-run\nstart() { : > /run/up; }\ndepend() { after *; }\n"
# Two dashes begin a description there, so the unit is run by a script.
FINIT = "runlevel 2\nservice [2] manual:yes kill:15 notify:systemd name:d /job -- the daemon\n"
FINIT_READY = f"timeout {READY_S} sh -c 'until initctl cond get service/d/ready; do sleep 0.05; done'"
# (PID alone stands for the main process.)
FINIT_PID = 'initctl status d | sed -n "s/^ *P[I]D : //p"'
OF_FINIT = ("/etc/finit.d/sshd.conf", "/etc/finit.d/rsyslogd.conf")  # which Debian's package would have it run
SHEPHERD = f"""(register-services (list (service '(d)
 #:start (make-forkexec-constructor '("/job") #:pid-file "{PID_FILE}" #:pid-file-timeout {READY_S} #:log-file "{LOG}")
 #:stop (make-kill-destructor #:grace-period {STOP_S})
 #:respawn? #t)))
"""
HERD = "herd --socket=/run/shepherd/socket"
DINIT = f"""type = process
command = /job
ready-notification = pipefd:3
logfile = {LOG}
restart = true
stop-timeout = {STOP_S}
"""
SUPERVISORCTL = "supervisorctl -c /etc/d.ini"
DINITCTL = "/opt/dinit/dinitctl"


class Other(NamedTuple):
    """One of them, and where it is from, in a layer of its own.

    packages: of Debian. programs: below the prefix that this variable names. modules: beside the tests' own Python.
    suite: a newer Debian, of which the daemons are then as well.
    """

    init: Init
    packages: tuple[str, ...] = ()
    variable: str = ""
    programs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    suite: str = ""


OTHERS = {
    "daemontools": Other(
        Init(
            files={"/svc/d/run": "#!/bin/sh\nexec >&2\nexec BRIDGE\n", "/svc/d/down": ""},
            options=f"--state-file {STATE}",
            pid_1=f"svscan /svc &\n{REAPER}",
            up="until svok /svc/d; do sleep 0.02; done",
            start=f"svc -u /svc/d\n{READY}",
            shown="svstat /svc/d | sed 's/.*(pid \\([0-9]*\\)).*/\\1/'",
            again=f"{KILL}{READY}",
            stop=f"svc -d /svc/d\ntimeout {STOP_S} sh -c 'until svstat /svc/d | grep -q down; do sleep 0.05; done'",
        ),
        ("daemontools",),
    ),
    "OpenRC": Other(
        Init(
            files={"/etc/init.d/d": OPENRC, "/job": JOB, "/etc/init.d/last": LAST, "/etc/runlevels/default/last": LAST},
            options=f"--pid-file {PID_FILE}",
            pid_1="exec /sbin/openrc-init",
            up=UP,
            start=f"timeout {READY_S} rc-service d start",
            shown=f"cat {PID_FILE}",
            again=f"{KILL}timeout {READY_S} rc-service d restart",
            stop="rc-service d stop",
        ),
        ("openrc",),
    ),
    "sysvinit": Other(
        Init(
            files={"/etc/init.d/d": SCRIPT, "/job": JOB},
            options=f"--pid-file {PID_FILE}",
            pid_1=REAPER,
            up=UP,
            start=f"timeout {READY_S} /etc/init.d/d start",
            shown=f"cat {PID_FILE}",
            again=f"{KILL}/etc/init.d/d stop\ntimeout {READY_S} /etc/init.d/d start",
            stop="/etc/init.d/d stop",
        ),
    ),
    "supervisord": Other(
        Init(
            files={"/etc/d.ini": SUPERVISORD, "/job": JOB},
            options=f"--state-file {STATE}",
            pid_1="exec supervisord -c /etc/d.ini",
            up=f"until {SUPERVISORCTL} avail; do sleep 0.05; done",
            start=f"{SUPERVISORCTL} start d\n{READY}",
            shown=f"{SUPERVISORCTL} pid d",
            again=f"{KILL}{READY}",
            stop=f"{SUPERVISORCTL} stop d",
        ),
        ("supervisor",),
    ),
    "Circus": Other(
        Init(
            files={"/etc/d.ini": CIRCUS, "/job": JOB},
            options=f"--state-file {STATE}",
            pid_1=f'python3 -IS -c "{CIRCUSD}" /etc/d.ini > {LOG} 2>&1 &\n{REAPER}',
            up=f"until {CIRCUSCTL} list; do sleep 0.05; done",
            start=f"{CIRCUSCTL} start d\n{READY}",
            shown=f"{CIRCUSCTL} list d | tr -dc 0-9",
            again=f"{KILL}{READY}",
            stop=f"{CIRCUSCTL} stop --waiting d",
        ),
        modules=("circus", "zmq", "pyzmq.libs", "tornado", "psutil"),
    ),
    "Finit": Other(
        Init(
            files={"/etc/finit.conf": FINIT, "/job": JOB, **dict.fromkeys(OF_FINIT, "")},
            pid_1="exec /sbin/finit",
            up="until initctl runlevel | grep -q 2; do sleep 0.05; done",
            start=f"initctl start d\n{FINIT_READY}",
            shown=FINIT_PID,
            again=f"export old=$({FINIT_PID})\n{KILL}timeout {READY_S} sh -c 'until new=$({FINIT_PID}); "
            f'case $new in ""|0|"$old") false;; esac; do sleep 0.05; done\'\n{FINIT_READY}',
            stop="initctl stop d\ntimeout 15 sh -c 'while initctl status d | grep -q running; do sleep 0.05; done'",
        ),
        ("finit",),
        suite="trixie",
    ),
    "Shepherd": Other(
        Init(
            files={"/etc/shepherd.scm": SHEPHERD, "/job": JOB},
            options=f"--pid-file {PID_FILE}",
            pid_1="mkdir -m 700 /run/shepherd\n"
            "exec shepherd --config=/etc/shepherd.scm --socket=/run/shepherd/socket --logfile=/run/shepherd.log",
            up=f"until {HERD} status; do sleep 0.05; done",
            start=f"timeout {READY_S} {HERD} start d",
            shown=f"cat {PID_FILE}",
            again=f"rm -f {PID_FILE}.old\nmv {PID_FILE} {PID_FILE}.old\n{KILL}"
            f"timeout {READY_S} sh -c 'until test -e {PID_FILE}; do sleep 0.05; done'",
            stop=f"timeout {STOP_S} {HERD} stop d",
        ),
        ("shepherd",),
        suite="trixie",
    ),
    "dinit": Other(
        Init(
            files={"/etc/dinit.d/d": DINIT, "/etc/dinit.d/boot": "type = internal\n", "/job": JOB},
            pid_1="exec /opt/dinit/dinit -q -d /etc/dinit.d",
            up=f"until {DINITCTL} list; do sleep 0.02; done",
            start=f"timeout {READY_S} {DINITCTL} start d",
            shown=f"{DINITCTL} status d | sed -n 's/.*Process ID: //p'",
            again=f"export old=$({DINITCTL} status d)\nkill -9 PID\n"
            f"timeout {READY_S} sh -c 'while now=$({DINITCTL} status d)\n"
            'case $now in "$old") true;; *"State: STARTED"*) false;; esac; do sleep 0.02; done\'',
            stop=f"timeout {STOP_S} {DINITCTL} stop d",
        ),
        variable="CROSS_INIT_TEST_DINIT",
        programs=("dinit", "dinitctl"),
    ),
}
