"""What a unit means when all of it was read: what one setting implies of another, and what cannot stand together.

As systemd has it (service.c, service_add_extras() and service_verify(); unit.c, unit_patch_contexts()).
"""

from cross_init.definitions.definition import INFINITY, SECOND, Definition, Socket
from cross_init.definitions.reading import Reading
from cross_init.errors import Failure

STREAMS = ("tty", "tty-force", "tty-fail", "socket", "fd")  # which are written to as well
CAPABILITIES = {  # what a setting takes from the bounding set, by the numbers of capabilities(7)
    "private_devices": (27, 17),
    "protect_kernel_modules": (16,),
    "protect_kernel_logs": (34,),
    "protect_clock": (25, 35),
}
LINKED = ("Stream", "Datagram", "SequentialPacket", "FIFO")  # what Symlinks= may mean
UNLIMITED = (1 << 32) - 1  # UINT_MAX, by which systemd means that it was not said


def finish(definition: Definition, reading: Reading) -> None:
    """Set what follows from what was said. Raises Failure."""
    commands, readiness, ending, relations = (
        definition.commands,
        definition.readiness,
        definition.ending,
        definition.relations,
    )
    if "type" not in definition.origins:
        simple = "exec" if _has_credentials(definition) else "simple"
        readiness.type = "dbus" if readiness.bus_name else simple if commands.start else "oneshot"
    ending.restart_delay = min(ending.restart_delay, ending.restart_max_delay)
    if ending.timeout_start is None:
        ending.timeout_start = INFINITY if readiness.type == "oneshot" else 90 * SECOND
    if readiness.notify_access == "none" and (
        readiness.type.startswith("notify") or ending.watchdog or ending.file_descriptor_store_max
    ):
        readiness.notify_access = "main"
    if not relations.description:
        relations.description = definition.name
    _check(definition)
    _streams(definition)
    _implied(definition, reading)


def _has_credentials(definition: Definition) -> bool:
    """Which are put in place beforehand, so that such a service counts as started when they are there."""
    context = definition.context
    loaded = context.load_credential or context.load_credential_encrypted or context.import_credential
    return bool(loaded or context.set_credential or context.set_credential_encrypted)


def _check(definition: Definition) -> None:
    """What systemd would not load. Raises Failure."""
    commands, readiness, ending = definition.commands, definition.readiness, definition.ending
    is_oneshot = readiness.type == "oneshot"
    action = (definition.others.get("SuccessAction") or ("none",))[-1] != "none"
    reason = ""
    where = ""
    if not commands.start and not commands.stop and not action:
        reason = "it has no ExecStart="
    elif not commands.start and not is_oneshot:
        reason = "it has no ExecStart=, which only Type=oneshot need not have"
    elif not commands.start and not readiness.remain_after_exit and not action:
        reason = "it has no ExecStart=, and no RemainAfterExit=yes"
    elif len(commands.start) > 1 and not is_oneshot:
        reason, where = "it has several ExecStart=, which is for Type=oneshot", "start"
    elif is_oneshot and ending.restart in ("always", "on-success"):
        reason, where = f"Restart={ending.restart} is not for Type=oneshot", "restart"
    elif is_oneshot and readiness.exit_type == "cgroup":
        reason, where = "ExitType=cgroup is not for Type=oneshot", "exit_type"
    elif readiness.type == "dbus" and not readiness.bus_name:
        reason, where = "Type=dbus needs BusName=", "type"
    elif definition.context.pam_name and ending.kill_mode not in ("control-group", "mixed"):
        reason, where = f"KillMode={ending.kill_mode} does not go with PAMName=", "kill_mode"
    elif definition.context.user_namespace_path and definition.context.private_users != "no":
        reason, where = "PrivateUsers= does not go with UserNamespacePath=", "user_namespace_path"
    if reason:
        raise Failure(f"{definition.where(where) or definition.files[0]}: {reason}")


def _streams(definition: Definition) -> None:
    context = definition.context
    if context.standard_input == "null" and context.standard_input_data:
        context.standard_input = "data"
    if context.standard_input.partition(":")[0] in STREAMS:
        return
    if context.standard_output == "inherit":
        context.standard_output = "journal"


def _implied(definition: Definition, reading: Reading) -> None:
    context = definition.context
    for field, numbers in CAPABILITIES.items():
        if getattr(context, field):
            for number in numbers:
                context.capability_bounding_set &= ~(1 << number)
    if context.dynamic_user:
        context.user = context.user or _dynamic_name(definition.name)
        context.group = context.group or context.user
        context.private_tmp = "disconnected" if context.private_tmp == "no" else context.private_tmp
        context.protect_system = "strict"
        context.protect_home = "read-only" if context.protect_home == "no" else context.protect_home
        context.no_new_privileges = context.restrict_suid_sgid = context.remove_ipc = True
    if context.private_tmp == "yes" and not definition.relations.default_dependencies:
        context.private_tmp = "disconnected"  # as /tmp may not be mounted yet
    if not context.keyring_mode:
        context.keyring_mode = "inherit" if definition.of_user else "private"
    if definition.of_user and not context.working_directory:
        from cross_init.definitions.specifiers import home

        context.working_directory, context.working_directory_may_lack = home(), True


def _dynamic_name(name: str) -> str:
    """The user's name that DynamicUser= makes of the unit's (systemd.exec(5))."""
    prefix = name.partition("@")[0] if "@" in name else name.rpartition(".")[0]
    is_name = prefix.replace("_", "a").replace("-", "a").isalnum() and prefix.isascii() and len(prefix) <= 31
    return prefix if is_name and (prefix[0].isalpha() or prefix[0] == "_") else f"_du{abs(_hash(prefix)):016x}"


def _hash(text: str) -> int:
    """Another than systemd's, as it is told nobody."""
    found = 0
    for byte in text.encode("utf-8", "surrogateescape"):
        found = (found * 257 + byte) & INFINITY
    return found


def finish_socket(socket: Socket, reading: Reading) -> None:
    """The same for a socket unit. Raises Failure."""
    socket.service = "" if socket.accept else socket.service
    socket.relations.description = socket.relations.description or socket.name
    if socket.trigger_limit_interval in (None, INFINITY):
        socket.trigger_limit_interval = 2 * SECOND
    if socket.trigger_limit_burst in (None, UNLIMITED):
        socket.trigger_limit_burst = 200 if socket.accept else 20
    if socket.has_commands:
        if not socket.context.keyring_mode and not reading.of_user:
            socket.context.keyring_mode = "shared"  # as of all units but services (unit.c, unit_init())
        service = socket.as_service(reading.of_user)
        _streams(service)
        _implied(service, reading)
    reason = ""
    is_stream = all(each.kind in ("Stream", "SequentialPacket") for each in socket.listen)
    in_files = [each for each in socket.listen if each.address.startswith("/") and each.kind in LINKED]
    if not socket.listen:
        reason = "it has no Listen...="
    elif socket.accept and not is_stream:
        reason = "Accept=yes is for streams and sequential packets"
    elif socket.accept and socket.max_connections <= 0:
        reason = "with Accept=yes MaxConnections= is at least 1"
    elif socket.accept and "service" in socket.origins:
        reason = "Service= does not go with Accept=yes"
    elif socket.symlinks and len(in_files) != 1:
        reason = "Symlinks= are for one socket in the file system"
    if reason:
        raise Failure(f"{reading.fragment}: {reason}")
