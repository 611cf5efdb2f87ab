"""What an Upstart job means, in the words of a Definition: processes, readiness, who and where, how it is ended.

Where Upstart and systemd differ, Upstart's way is taken if it can be said, and a remark tells where it cannot. What
Upstart does is told by its job_process.c and job.c; its events are job_relations.py's.
"""

from cross_init.definitions.definition import INFINITY, SECOND, Command
from cross_init.definitions.job import UNLIMITED, Job, Process
from cross_init.definitions.job_relations import relate
from cross_init.definitions.job_shell import command_of, condition_of, kill_command, mentions, tells_upstart
from cross_init.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.said import Unit

    Meaning = tuple[Unit, Job]

LONG = 90 * SECOND  # that a command before or after the stop may take, as systemd has it
AT_ONCE = 1  # microsecond: 0 would mean for ever
SIGNALS = 64
NICE_MOST = 40
PATH_MOST = 255
CONSOLE = "file:/dev/console"
# Of a console: standard input, output and error.
STREAMS = {
    "log": ("null", "inherit", "inherit"),
    "none": ("null", "null", "inherit"),
    "output": (CONSOLE, CONSOLE, "inherit"),
    "owner": ("tty-force", "inherit", "inherit"),
}
CGROUPS = {
    ("memory", "limit_in_bytes"): "MemoryMax",
    ("cpuset", "cpus"): "AllowedCPUs",
    ("cpuset", "mems"): "AllowedMemoryNodes",
}
FIELDS = {  # of a definition, by the stanza that it comes from
    "exec": "start",
    "script": "start",
    "pre-start": "start_pre",
    "post-start": "start_post",
    "pre-stop": "stop",
    "post-stop": "stop_post",
    "expect": "type",
    "task": "type",
    "respawn": "restart",
    "respawn limit": "start_limit_burst",
    "normal exit": "success_exit_status",
    "kill timeout": "timeout_stop",
    "kill signal": "kill_signal",
    "reload signal": "reload",
    "env": "environment",
    "console": "standard_output",
    "umask": "umask",
    "nice": "nice",
    "oom score": "oom_score_adjust",
    "chroot": "root_directory",
    "chdir": "working_directory",
    "setuid": "user",
    "setgid": "group",
    "description": "description",
}


def become(unit: "Unit", job: Job) -> None:
    """Fill the unit's definition with what the job says, and its remarks."""
    definition = unit.definition
    definition.target = "upstart"
    definition.origins.update({FIELDS[name]: at for name, at in job.origins.items() if name in FIELDS})
    description = job.description.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    definition.relations.description = description.strip(" \t\\") or definition.name
    _processes(unit, job)
    _readiness(unit, job)
    _context(unit, job)
    _ending(unit, job)
    _others(unit, job)
    relate(unit, job)


def remark(unit: "Unit", job: Job, stanza: str, text: str) -> None:
    """Add a remark about a stanza."""
    file, line = job.origins.get(stanza) or (unit.definition.files[0], 0)
    unit.remarks.append(f"{file}:{line}: {text}" if line else f"{file}: {text}")


def _processes(unit: "Unit", job: Job) -> None:
    commands = unit.definition.commands
    for which, process in job.processes.items():
        if tells_upstart(process):
            stanza = which if which != "main" else "script" if process.is_script else "exec"
            remark(unit, job, stanza, f"{stanza} calls initctl(8) or one of its names, which only Upstart answers")
    made = {which: _commands(which, process, job) for which, process in job.processes.items()}
    commands.start = made.get("main", ())
    pre_start = job.processes.get("pre-start")
    if pre_start and (condition := condition_of(pre_start)):
        commands.condition = (condition,)
    elif "main" in made:
        commands.start_pre = made.get("pre-start", ())
    else:
        commands.start = made.get("pre-start", ())
    commands.start_post = made.get("post-start", ())
    commands.stop = made.get("pre-stop", ()) if "main" in made else ()
    commands.stop_post = made.get("post-stop", ())
    if not commands.start:  # a job that is a state alone
        commands.start = (Command("/bin/true", ("/bin/true",), (unit.definition.files[0], 0)),)
    if job.apparmor_load:
        words = ("/sbin/apparmor_parser", "-r", "-W", job.apparmor_load)
        load = Command(words[0], words, job.origins["apparmor load"])
        load.may_fail, load.privileges, load.literal = True, "+", True
        commands.start_pre = (load, *commands.start_pre)
    if "main" in made and not job.is_task and job.expect != "daemon":
        if 0 < job.reload_signal <= SIGNALS:
            commands.reload = (kill_command(job.reload_signal, bool(job.setuid or job.chroot), job),)
        else:
            remark(unit, job, "reload signal", f"{job.reload_signal} is no signal, so there is no reload")


def _commands(which: str, process: Process, job: Job) -> tuple[Command, ...]:
    """What Upstart lets fail may fail here as well. A relative program is looked for in the folder of the job."""
    command = command_of(process)
    command.may_fail = which in ("post-start", "pre-stop")
    if "/" in command.path and not command.path.startswith("/"):
        command.path = f"{_absolute(job.chdir).rstrip('/')}/{command.path.removeprefix('./')}"
        command.argv = (command.path, *command.argv[1:])
    return (command,)


def _readiness(unit: "Unit", job: Job) -> None:
    readiness = unit.definition.readiness
    kinds = {"stop": "stop", "fork": "forking", "daemon": "forking", "none": "exec"}
    if "main" not in job.processes:
        readiness.type, readiness.remain_after_exit = "oneshot", True
    elif job.is_task:
        readiness.type = "oneshot"
    else:
        readiness.type = kinds[job.expect]
    if readiness.type == "forking" and job.expect == "daemon":
        readiness.guess_main_pid = False
        remark(
            unit,
            job,
            "expect",
            "after two forks only a PID file tells which process is the main one: if it writes one, say so, and how it "
            "is reloaded (PIDFile=, ExecReload=)",
        )


def _context(unit: "Unit", job: Job) -> None:
    context = unit.definition.context
    context.user, context.group = _account(job, "setuid", job.setuid), _account(job, "setgid", job.setgid)
    if job.setuid and not job.setgid:
        remark(
            unit,
            job,
            "setuid",
            "Upstart leaves the group root among the supplementary ones of this user; here it is not",
        )
    context.working_directory = _folder(job, "chdir", job.chdir)
    context.root_directory = _folder(job, "chroot", job.chroot)
    if job.chroot:
        context.mount_api_vfs = False
    context.umask = job.umask
    context.ignore_sigpipe = False
    context.nice = job.nice
    context.oom_score_adjust = job.oom_score or None
    for name, (soft, hard) in job.limits.items():
        if soft > hard:
            remark(
                unit, job, "limit", f"limit {name}: the soft one is above the hard one, which Upstart does not start"
            )
            continue
        context.limits[name.upper()] = _bound(name, soft), _bound(name, hard)
        unit.definition.origins[name.upper()] = job.origins["limit"]
    context.standard_input, context.standard_output, context.standard_error = STREAMS[job.console]
    if job.console == "owner":
        context.tty_path = "/dev/console"
    context.syslog_identifier = job.name if job.console == "log" and job.processes else ""
    _variables(unit, job)


def _account(job: Job, stanza: str, name: str) -> str:
    """A user or group by its name, as Upstart looks it up; of a number a unit would take another. Raises Failure."""
    is_one = name.isprintable() and not name.lstrip("-").isdigit() and name not in (".", "..")
    if name and (not is_one or any(letter in ":/ " for letter in name)):
        raise _failure(job, stanza, f"{name}: it is no name of a user or group")
    return name


def _folder(job: Job, stanza: str, path: str) -> str:
    """A folder, as a unit may have it. Raises Failure."""
    found = _absolute(path)
    if not found.isprintable() or ".." in found.split("/") or len(found) > PATH_MOST or found.endswith("\\"):
        raise _failure(
            job, stanza, f"{path}: a unit has no such folder (one with .., a control character, or too long)"
        )
    return found


def _failure(job: Job, stanza: str, text: str) -> Failure:
    file, line = job.origins[stanza]
    return Failure(f"{file}:{line}: {stanza} {text}")


def _bound(name: str, value: int) -> int:
    """As a unit has it: of nice there is nothing above 40 (getrlimit(2))."""
    return min(value, NICE_MOST) if name == "nice" else INFINITY if value == UNLIMITED else value


def _absolute(path: str) -> str:
    """Upstart's own working directory is /."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return f"/{'/'.join(parts)}" if path else ""


def _variables(unit: "Unit", job: Job) -> None:
    """Those of env, and those of Upstart's own that the job mentions."""
    found: dict[str, str] = {}
    passed: list[str] = []
    context = unit.definition.context
    for word in job.variables:
        name, equals, value = word.partition("=")
        if not (name.isascii() and name.replace("_", "a").isalnum()) or name[0].isdigit():
            remark(unit, job, "env", f"env {name}: a unit has no variable of such a name")
            continue
        found.pop(name, None)
        passed = [each for each in passed if each != name]
        if equals:
            found[name] = value
        else:
            passed.append(name)
    for name, value in (("UPSTART_JOB", job.name), ("UPSTART_INSTANCE", "")):
        if mentions(job, name):
            found.setdefault(name, value)
    context.environment = tuple(found.items())
    context.pass_environment = tuple(passed)


def _ending(unit: "Unit", job: Job) -> None:
    ending = unit.definition.ending
    ending.timeout_start = INFINITY
    ending.timeout_stop = job.kill_timeout * SECOND or AT_ONCE
    cleans = [which for which in ("pre-stop", "post-stop") if which in job.processes]
    if cleans and ending.timeout_stop < LONG:
        ending.timeout_stop = LONG
        remark(
            unit,
            job,
            cleans[0],
            f"{cleans[0]} has as long as it wants with Upstart, and 90 s here; so has the process that is stopped",
        )
    if 0 < job.kill_signal <= SIGNALS:
        ending.kill_signal = job.kill_signal
    else:
        remark(unit, job, "kill signal", f"{job.kill_signal} is no signal, so it is SIGTERM")
    codes = tuple(sorted({each for each in job.normal_exits if each <= 255}))
    signals = tuple(sorted({each >> 8 for each in job.normal_exits if each > 255 and each >> 8 <= SIGNALS}))
    ending.success_exit_status = codes, signals
    if not job.is_respawned or "main" not in job.processes:
        return
    if job.is_task:
        ending.restart = "on-failure"
    else:
        ending.restart = "always"
        ending.restart_prevent_exit_status = codes, signals
    if job.respawn_limit and job.respawn_interval:
        # Upstart counts the starts behind the first one.
        ending.start_limit_burst, ending.start_limit_interval = job.respawn_limit + 1, job.respawn_interval * SECOND
    else:
        ending.start_limit_interval = 0


def _others(unit: "Unit", job: Job) -> None:
    others = unit.definition.others
    if job.apparmor_switch:
        others["AppArmorProfile"] = (job.apparmor_switch,)
    for controller, key, value in job.cgroups:
        directive = CGROUPS.get((controller, key), "")
        if directive:
            others[directive] = (value,)
        else:
            remark(
                unit,
                job,
                "cgroup",
                f"cgroup {controller} {key}".rstrip() + ": nothing is made of it; see systemd.resource-control(5)",
            )
