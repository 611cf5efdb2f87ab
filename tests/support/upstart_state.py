"""What a real Upstart has read of its jobs: all of it, as it would hand it over to its successor (GetState, JSON)."""

import json
from typing import Any

from cross_init.definitions.job import Job
from cross_init.definitions.job_events import Node
from tests.support.real_upstart import Upstart

ASK = (
    "dbus-send",
    "--peer=unix:abstract=/com/ubuntu/upstart",
    "--print-reply=literal",
    "--type=method_call",
    "/com/ubuntu/Upstart",
    "com.ubuntu.Upstart0_6.GetState",
)
PROCESSES = ("main", "pre-start", "post-start", "pre-stop", "post-stop", "security")
# By their numbers (resource.h).
LIMITS = (
    *("cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending"),
    *("msgqueue", "nice", "rtprio", "rttime"),
)


def jobs_of(upstart: Upstart) -> dict[str, dict[str, Any]]:
    """The jobs that it has loaded, by their names."""
    upstart.initctl("reload-configuration")
    said = upstart.run(*ASK)
    assert said.returncode == 0, said.stderr
    return {each["name"]: each for each in json.loads(said.stdout)["job_classes"]}


def as_upstart_says(job: Job) -> dict[str, Any]:
    """The same of a job that we have read, in its words."""
    processes = [job.processes.get(name) for name in PROCESSES[:-1]]
    said = [
        {"script": int(each.is_script), "command": each.command} if each else {"script": 0, "command": None}
        for each in processes
    ]
    load = f"/sbin/apparmor_parser -r -W {job.apparmor_load}" if job.apparmor_load else None
    limits = [job.limits.get(name, (0, 0)) for name in LIMITS]
    return {
        "name": job.name,
        "instance": job.instance,
        "description": job.description or None,
        "author": job.author or None,
        "version": job.version or None,
        "usage": job.usage or None,
        "env": job.variables,
        "export": job.exports,
        "emits": job.emits,
        "start_on": events(job.start_on),
        "stop_on": events(job.stop_on),
        "process": [*said, {"script": 0, "command": load}],
        "expect": f"EXPECT_{job.expect.upper()}",
        "task": int(job.is_task),
        "kill_timeout": job.kill_timeout,
        "kill_signal": job.kill_signal,
        "reload_signal": job.reload_signal,
        "respawn": int(job.is_respawned),
        "respawn_limit": job.respawn_limit,
        "respawn_interval": job.respawn_interval,
        "normalexit": job.normal_exits,
        "console": f"CONSOLE_{job.console.upper()}",
        "umask": job.umask,
        "nice": -21 if job.nice is None else job.nice,
        "oom_score_adj": job.oom_score,
        "limits": [{"rlim_cur": signed(soft), "rlim_max": signed(hard)} for soft, hard in limits],
        "chroot": job.chroot or None,
        "chdir": job.chdir or None,
        "setuid": job.setuid or None,
        "setgid": job.setgid or None,
        "apparmor_switch": job.apparmor_switch or None,
    }


def signed(value: int) -> int:
    """As JSON has it there."""
    return value - (1 << 64) if value >> 63 else value


def events(node: Node | None) -> list[dict[str, Any]]:
    """A tree, each operator behind its two sides."""
    if node is None:
        return []
    if not node.kind:
        return [{"name": node.name, "env": list(node.words)}]
    return [*events(node.left), *events(node.right), {"type": f"EVENT_{node.kind.upper()}"}]


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """What Upstart says, without what is of no file."""
    kept = {key: value for key, value in found.items() if key in as_upstart_says(Job(""))}
    for key in ("start_on", "stop_on"):
        kept[key] = [
            {"name": each["name"], "env": each.get("env", [])}
            if each["type"] == "EVENT_MATCH"
            else {"type": each["type"]}
            for each in found.get(key, [])
        ]
    return kept
