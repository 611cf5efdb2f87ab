"""The stanzas of Upstart's jobs (init(5)); see directives.py. There is no other reader of values: jobs.py has them."""

from cross_init.definitions.classes import CANNOT, INITS, NOT_YET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.classes import Rows

JOB: "Rows" = {
    "exec": ("", "commands.start", NOT_YET, ""),
    "script": ("", "commands.start", NOT_YET, ""),
    "pre-start exec": ("", "commands.start_pre", NOT_YET, ""),
    "pre-start script": ("", "commands.start_pre", NOT_YET, ""),
    "post-start exec": ("", "commands.start_post", NOT_YET, ""),
    "post-start script": ("", "commands.start_post", NOT_YET, ""),
    "pre-stop exec": ("", "commands.stop", NOT_YET, ""),
    "pre-stop script": ("", "commands.stop", NOT_YET, ""),
    "post-stop exec": ("", "commands.stop_post", NOT_YET, ""),
    "post-stop script": ("", "commands.stop_post", NOT_YET, ""),
    "expect": ("", "readiness.type", NOT_YET, ""),
    "task": ("", "readiness.type", NOT_YET, ""),
    "env": ("", "context.environment", NOT_YET, ""),
    "export": ("", "", INITS, "what its events carry"),
    "setuid": ("", "context.user", NOT_YET, ""),
    "setgid": ("", "context.group", NOT_YET, ""),
    "chdir": ("", "context.working_directory", NOT_YET, ""),
    "chroot": ("", "context.root_directory", NOT_YET, ""),
    "console": ("", "context.standard_output", NOT_YET, ""),
    "umask": ("", "context.umask", NOT_YET, ""),
    "nice": ("", "context.nice", NOT_YET, ""),
    "oom": ("", "context.oom_score_adjust", NOT_YET, ""),
    "limit": ("", "context.limits", NOT_YET, ""),
    "kill": ("", "ending.timeout_stop", NOT_YET, ""),
    "reload": ("", "readiness.reload_signal", NOT_YET, ""),
    "respawn": ("", "ending.restart", INITS, "when it is started anew"),
    "normal": ("", "ending.restart_prevent_exit_status", INITS, "when it is started anew"),
    "start on": ("", "", INITS, "when it is started"),
    "stop on": ("", "", INITS, "when it is stopped"),
    "manual": ("", "", INITS, "when it is started"),
    "emits": ("", "", INITS, "what other jobs wait for"),
    "instance": ("", "", CANNOT, "the variable that names an instance comes with Upstart's events"),
    "description": ("", "relations.description", INITS, "for people"),
    "author": ("", "", INITS, "for people"),
    "version": ("", "", INITS, "for people"),
    "usage": ("", "", INITS, "for people"),
    "debug": ("", "", INITS, "for people"),
    "apparmor": ("", "", NOT_YET, ""),
    "cgroup": ("", "", INITS, "its control group is the init's"),
}
