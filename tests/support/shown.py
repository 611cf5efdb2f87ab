"""What systemd's properties of a unit are, by what we read of it: as org.freedesktop.systemd1(5) has them on D-Bus.

Run inside a container as a program, with the names of units: prints one object for each, as JSON, one a line.
"""

import json
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

from cross_init.definitions.definition import Command, Context, Definition, Directory, Socket
from cross_init.definitions.find import find
from cross_init.definitions.restrictions import NAMESPACES
from cross_init.definitions.said import Unit
from cross_init.definitions.scheduling import CLASSES, POLICIES
from cross_init.definitions.streams import FACILITIES, LEVELS
from cross_init.definitions.units import _socket, load
from cross_init.errors import Failure

INFINITY = (1 << 64) - 1
CAPABILITIES = (1 << 41) - 1  # those that there are
Value = Any
FLAGS = {"+": "privileged", "!": "no-setuid"}  # since systemd 258 "!!" is none
CLONE = {  # clone(2)
    "cgroup": 0x02000000,
    "ipc": 0x08000000,
    "net": 0x40000000,
    "mnt": 0x00020000,
    "pid": 0x20000000,
    "user": 0x10000000,
    "uts": 0x04000000,
    "time": 0,  # 0x80, which systemd 252 does not count
}
SAME_NAME = {  # of the definition's fields; those whose properties have a name of their own are below
    "readiness": "type exit_type bus_name notify_access remain_after_exit guess_main_pid reload_signal",
    "ending": "restart restart_mode restart_steps timeout_start_failure_mode timeout_stop_failure_mode kill_mode "
    "kill_signal final_kill_signal watchdog_signal send_sighup send_sigkill file_descriptor_store_max "
    "file_descriptor_store_preserve start_limit_burst",
    "context": "user group dynamic_user root_directory_start_only permissions_start_only root_directory root_image "
    "runtime_directory_mode runtime_directory_preserve state_directory_mode cache_directory_mode logs_directory_mode "
    "configuration_directory_mode supplementary_groups exec_search_path pass_environment unset_environment "
    "cpu_scheduling_reset_on_fork standard_input_data tty_path tty_reset tty_vhangup tty_vt_disallocate "
    "syslog_identifier syslog_level_prefix utmp_identifier utmp_mode non_blocking "
    "secure_bits no_new_privileges keyring_mode private_devices private_network private_ipc "
    "protect_system protect_home protect_kernel_tunables protect_kernel_modules protect_kernel_logs protect_clock "
    "protect_proc proc_subset read_write_paths read_only_paths inaccessible_paths exec_paths no_exec_paths "
    "network_namespace_path ipc_namespace_path user_namespace_path log_namespace restrict_realtime restrict_suid_sgid "
    "lock_personality memory_deny_write_execute remove_ipc ignore_sigpipe cpu_affinity_from_numa private_pids",
    "relations": "description documentation source_path default_dependencies",
}
ABBREVIATIONS = {
    "pid": "PID",
    "tty": "TTY",
    "vt": "VT",
    "cpu": "CPU",
    "io": "IO",
    "oom": "OOM",
    "sigkill": "SIGKILL",
    "sighup": "SIGHUP",
    "sigpipe": "SIGPIPE",
    "ipc": "IPC",
    "suid": "SUID",
    "sgid": "SGID",
    "numa": "NUMA",
    "vhangup": "VHangup",
    "pids": "PIDs",
    "suidsgid": "SUIDSGID",
    "api": "API",
    "vfs": "VFS",
    "ipv6": "IPv6",
    "tcp": "TCP",
    "pidfd": "PIDFD",
    "tos": "TOS",
    "ttl": "TTL",
    "ip": "IP",
    "fd": "FD",
}


def property_of(field: str) -> str:
    """A property's name, of a field."""
    return "".join(ABBREVIATIONS.get(part, part.capitalize()) for part in field.split("_"))


def plain(value: Value) -> Value:
    """As JSON has it."""
    return list(value) if isinstance(value, bytes | tuple) else value


def exec_lines(commands: tuple[Command, ...]) -> list[Value]:
    """Of the ...Ex property: the path, the words, the flags."""
    found = []
    for each in commands:
        flags = ["ignore-failure"] * each.may_fail + ([FLAGS[each.privileges]] if each.privileges in FLAGS else [])
        flags += ["no-env-expand"] * each.literal + ["via-shell"] * each.login_shell
        found.append([each.path, list(each.argv), sorted(flags)])
    return found


def mask(numbers: tuple[int, ...]) -> list[int]:
    """A set of processors, as bytes."""
    found = bytearray(max(numbers) // 64 * 8 + 8 if numbers else 0)
    for number in numbers:
        found[number // 8] |= 1 << number % 8
    return list(found.rstrip(b"\0"))


def stream(said: str) -> str:
    """Without what stands behind the colon of a descriptor's name."""
    kind = said.partition(":")[0]
    return kind if kind in ("fd", "append", "truncate", "file") else said


def links(directories: tuple[Directory, ...]) -> list[Value]:
    return sorted([each.path, link] for each in directories for link in each.links)


def linked(value: Value) -> Value:
    """The links of systemd's, which has them twice if they were said twice."""
    return [list(each) for each in sorted({(path, link) for path, link, *_ in value if link})]


def of_context(context: Context) -> dict[str, Value]:
    """Those of systemd.exec(5) whose names or values are not ours."""
    found: dict[str, Value] = {
        "Environment": [f"{name}={value}" for name, value in context.environment],
        "EnvironmentFiles": [[path, may_lack] for path, may_lack in context.environment_files],
        "UMask": context.umask,
        "WorkingDirectory": ("!" if context.working_directory_may_lack else "") + context.working_directory,
        "StandardInput": stream(context.standard_input),
        "AmbientCapabilities": context.ambient_capabilities & CAPABILITIES,
        "CapabilityBoundingSet": context.capability_bounding_set & CAPABILITIES,
        "StandardOutput": stream(context.standard_output),
        "StandardError": stream(context.standard_error),
        "SyslogFacility": ([*FACILITIES, *[""] * 4, *(f"local{n}" for n in range(8))]).index(context.syslog_facility),
        "SyslogLevel": LEVELS.index(context.syslog_level),
        "LogLevelMax": LEVELS.index(context.log_level_max) if context.log_level_max else -1,
        "PAMName": context.pam_name,
        "Personality": context.personality,
        "RestrictNamespaces": sum(CLONE[each] for each in context.restrict_namespaces or ())
        if context.restrict_namespaces is not None
        else sum(CLONE[each] for each in NAMESPACES),
        "RestrictAddressFamilies": [
            bool(context.restrict_address_families_allow),
            sorted(context.restrict_address_families),
        ],
        "SystemCallErrorNumber": context.system_call_error_number or (1 << 31) - 2,
        "SystemCallArchitectures": sorted(context.system_call_architectures),
        "TemporaryFileSystem": [list(each) for each in context.temporary_file_system],
        "SetCredential": sorted([name, list(data)] for name, data in context.set_credential),
        "LoadCredential": sorted([name, path] for name, path in context.load_credential),
        "PrivateTmpEx": context.private_tmp.replace("yes", "connected"),
        "PrivateTmp": context.private_tmp != "no",
        "PrivateUsersEx": context.private_users.replace("yes", "self"),
        "PrivateUsers": context.private_users != "no",
        "ProtectControlGroupsEx": context.protect_control_groups,
        "ProtectControlGroups": context.protect_control_groups != "no",
        "ProtectHostnameEx": [*context.protect_hostname.split(":"), ""][:2],
        "ProtectHostname": context.protect_hostname != "no",
        "CPUAffinity": mask(context.cpu_affinity),
        "NUMAMask": mask(context.numa_mask),
    }
    optional = {
        "Nice": context.nice,
        "OOMScoreAdjust": context.oom_score_adjust,
        "CPUSchedulingPriority": context.cpu_scheduling_priority,
        "IOSchedulingPriority": context.io_scheduling_priority,
        "TimerSlackNSec": context.timer_slack_nsec,
        "CoredumpFilter": context.coredump_filter,
        "TTYRows": context.tty_rows,
        "TTYColumns": context.tty_columns,
        "PrivateMounts": context.private_mounts,
        "MountAPIVFS": context.mount_api_vfs,
        "MemoryKSM": context.memory_ksm,
        "BindLogSockets": context.bind_log_sockets,
        "IOSchedulingClass": CLASSES.index(context.io_scheduling_class) if context.io_scheduling_class else None,
        "CPUSchedulingPolicy": POLICIES.index(context.cpu_scheduling_policy) if context.cpu_scheduling_policy else None,
        "NUMAPolicy": ["default", "preferred", "bind", "interleave", "local"].index(context.numa_policy)
        if context.numa_policy
        else None,
    }
    found |= {name: value for name, value in optional.items() if value is not None}
    for kind in ("Runtime", "State", "Cache", "Logs", "Configuration"):
        directories: tuple[Directory, ...] = getattr(context, f"{kind.lower()}_directory")
        found[f"{kind}Directory"] = [each.path for each in directories]
        if kind != "Configuration":
            found[f"{kind}DirectorySymlink"] = links(directories)
    for name in ("BindPaths", "BindReadOnlyPaths"):
        binds = [each for each in context.binds if each.read_only == (name != "BindPaths")]
        found[name] = [[each.source, each.target, each.optional, 0x4000 * each.recursive] for each in binds]
    for name, (soft, hard) in context.limits.items():
        found |= {f"Limit{name}Soft": soft, f"Limit{name}": hard}
    return found


def of_service(definition: Definition) -> dict[str, Value]:
    """All properties of a service that we have a word for."""
    ending, readiness, relations = definition.ending, definition.readiness, definition.relations
    found = of_context(definition.context)
    for group, fields in SAME_NAME.items():
        found |= {property_of(field): plain(getattr(getattr(definition, group), field)) for field in fields.split()}
    start = INFINITY if ending.timeout_start is None else ending.timeout_start
    found |= {
        "Id": definition.name,
        # /lib is a link to /usr/lib, and one systemd looks there first, the other here.
        "FragmentPath": definition.files[0].removeprefix("/usr"),
        "DropInPaths": [each.removeprefix("/usr") for each in definition.files[1:]],
        "PIDFile": readiness.pid_file,
        "RestartUSec": ending.restart_delay,
        "RestartMaxDelayUSec": ending.restart_max_delay,
        "TimeoutStartUSec": start,
        "TimeoutStopUSec": ending.timeout_stop,
        "TimeoutAbortUSec": ending.timeout_stop if ending.timeout_abort is None else ending.timeout_abort,
        "RuntimeMaxUSec": ending.runtime_max,
        "RuntimeRandomizedExtraUSec": ending.runtime_randomized_extra,
        "StartLimitIntervalUSec": ending.start_limit_interval,
        "RestartKillSignal": ending.restart_kill_signal or ending.kill_signal,
        "Conditions": checks(definition, False),
        "Asserts": checks(definition, True),
    }
    for name in ("success", "restart_prevent", "restart_force"):
        found[f"{property_of(name)}ExitStatus"] = [list(each) for each in getattr(ending, f"{name}_exit_status")]
    if ending.oom_policy:
        found["OOMPolicy"] = ending.oom_policy
    for name in ("condition", "start_pre", "start", "start_post", "reload", "stop", "stop_post"):
        found[f"Exec{property_of(name)}Ex"] = exec_lines(getattr(definition.commands, name))
    for name in RELATIONS:
        found[property_of(name)] = sorted(set(getattr(relations, name)))
    return found


# Of which systemd has more: what it adds by itself.
RELATIONS = (
    *("requires", "requisite", "wants", "binds_to", "part_of", "upholds", "conflicts", "before", "after"),
    *("on_failure", "on_success", "propagates_reload_to", "propagates_stop_to", "reload_propagated_from"),
    *("stop_propagated_from", "joins_namespace_of", "requires_mounts_for", "wants_mounts_for"),
)


def checks(definition: Definition, is_assert: bool) -> list[Value]:
    kind = "Assert" if is_assert else "Condition"
    found = [each for each in definition.relations.checks if each.is_assert == is_assert]
    return sorted([f"{kind}{each.kind}", each.triggers, each.negated, each.parameter] for each in found)


SOCKET_SAME = (
    "accept backlog socket_mode directory_mode socket_user socket_group symlinks remove_on_stop reuse_port free_bind "
    "transparent broadcast keep_alive keep_alive_probes no_delay receive_buffer send_buffer pipe_size pass_credentials "
    "pass_security pass_packet_info pass_pidfd accept_file_descriptors pass_file_descriptors_to_exec max_connections "
    "writable flush_pending trigger_limit_burst bind_to_device message_queue_max_messages message_queue_message_size "
    "file_descriptor_name"
)
SOCKET_KINDS = {"Special": "Special", "FIFO": "FIFO", "Netlink": "Netlink", "MessageQueue": "MessageQueue"}


def of_socket(socket: Socket) -> dict[str, Value]:
    """All properties of a socket unit that we have a word for."""
    found = {property_of(field): plain(getattr(socket, field)) for field in SOCKET_SAME.split()}
    own = {"tcp_congestion": "TCPCongestion", "bind_ipv6_only": "BindIPv6Only", "timestamping": "Timestamping"}
    found |= {name: getattr(socket, field) for field, name in own.items()}
    found |= {
        "Id": socket.name,
        "FileDescriptorName": socket.file_descriptor_name or ("connection" if socket.accept else socket.name),
        "Listen": [[SOCKET_KINDS.get(each.kind, each.kind), each.address] for each in socket.listen],
        "KeepAliveTimeUSec": socket.keep_alive_time,
        "KeepAliveIntervalUSec": socket.keep_alive_interval,
        "DeferAcceptUSec": socket.defer_accept,
        "TriggerLimitIntervalUSec": socket.trigger_limit_interval,
        "TimeoutUSec": socket.timeout,
        "Description": socket.relations.description,
        "Documentation": list(socket.relations.documentation),
        "IPTOS": -1 if socket.ip_tos is None else socket.ip_tos,
        "IPTTL": -1 if socket.ip_ttl is None else socket.ip_ttl,
        "Priority": -1 if socket.priority is None else socket.priority,
        "Mark": -1 if socket.mark is None else socket.mark,
    }
    for name in ("start_pre", "start_post", "stop_pre", "stop_post"):
        lines = exec_lines(getattr(socket, name))
        found[f"Exec{property_of(name)}"] = [[path, words, "ignore-failure" in flags] for path, words, flags in lines]
    return found


def read(name: str, of_user: bool) -> dict[str, Value]:
    """The properties of a unit, or what it is refused for."""
    try:
        if name.endswith(".socket"):  # without its service, which need not be there for systemd to load it
            found = find(name, of_user, ())
            return of_socket(_socket(found, of_user, Unit(Definition(found.name))))
        return of_service(load(name, of_user).definition)
    except Failure as failure:
        return {"refused": str(failure)}


# How a value of systemd's is to be seen before it is compared.
SEEN: dict[str, Callable[[Value], Value]] = {
    "RestrictAddressFamilies": lambda value: [value[0], sorted(value[1])],
    "Conditions": lambda value: sorted(each[:4] for each in value),
    "Asserts": lambda value: sorted(each[:4] for each in value),
    "SystemCallArchitectures": sorted,
    "SetCredential": sorted,
    "LoadCredential": sorted,
    "CPUAffinity": lambda value: list(bytes(value).rstrip(b"\0")),
    "NUMAMask": lambda value: list(bytes(value).rstrip(b"\0")),
    **{f"{kind}DirectorySymlink": linked for kind in ("Runtime", "State", "Cache", "Logs")},
    "FragmentPath": lambda value: value.removeprefix("/usr"),
    "DropInPaths": lambda value: [each.removeprefix("/usr") for each in value],
    "Listen": lambda value: [[kind, re.sub(r"\\(.)", r"\1", address)] for kind, address in value],
    "RestrictNamespaces": lambda value: value & sum(CLONE.values()),
    "AmbientCapabilities": lambda value: value & CAPABILITIES,
    "CapabilityBoundingSet": lambda value: value & CAPABILITIES,
    "Backlog": lambda value: (1 << 32) - 1 if value == (1 << 31) - 1 else value,
    **{property_of(name): sorted for name in RELATIONS},
    **{
        f"Exec{property_of(name)}Ex": lambda value: [
            [each[0], each[1], sorted({*each[2]} - {"ambient"})] for each in value
        ]
        for name in ("condition", "start_pre", "start", "start_post", "reload", "stop", "stop_post")
    },
    **{
        f"Exec{property_of(name)}": lambda value: [each[:3] for each in value]
        for name in ("start_pre", "start_post", "stop_pre", "stop_post")
    },
}


def differences(ours: dict[str, Value], theirs: dict[str, Value]) -> dict[str, tuple[Value, Value]]:
    """Each property that is not the same, with what we have and what systemd has."""
    found = {}
    for name, our in ours.items():
        if name not in theirs:
            continue  # of another version
        their = SEEN.get(name, plain)(theirs[name])
        is_part = name in {property_of(each) for each in RELATIONS}
        if not ({*our} <= {*their} if is_part else our == their):
            found[name] = (our, their)
    return found


def main() -> None:
    """Print what we read of each."""
    of_user = sys.argv[1] == "--user"
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name in sys.argv[1 + of_user :]:
        print(json.dumps({"unit": name, **read(name, of_user)}))


if __name__ == "__main__":
    main()
