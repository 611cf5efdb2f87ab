"""Directives of [Socket] (systemd.socket(5)); see directives.py."""

from cross_init.definitions.classes import CANNOT, DONE, INITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.classes import Row, Rows

SOCKET: "Rows" = {
    "ListenStream": ("sockets.listen", "listen", DONE, ""),
    "ListenDatagram": ("sockets.listen", "listen", DONE, ""),
    "ListenSequentialPacket": ("sockets.listen", "listen", DONE, ""),
    "ListenFIFO": ("sockets.listen", "listen", DONE, ""),
    "ListenSpecial": ("sockets.listen", "listen", DONE, ""),
    "ListenNetlink": ("sockets.listen", "listen", DONE, ""),
    "ListenMessageQueue": ("sockets.listen", "listen", DONE, ""),
    "ListenUSBFunction": ("sockets.listen", "listen", CANNOT, "USB functions are systemd's own"),
    "Accept": ("boolean", "accept", DONE, ""),
    "Service": ("sockets.service", "service", DONE, ""),
    "FileDescriptorName": ("sockets.descriptor_name", "file_descriptor_name", DONE, ""),
    "SocketMode": ("mode", "socket_mode", DONE, ""),
    "DirectoryMode": ("mode", "directory_mode", DONE, ""),
    "SocketUser": ("account", "socket_user", DONE, ""),
    "SocketGroup": ("account", "socket_group", DONE, ""),
    "SocketProtocol": (("choice", "udplite", "sctp", "mptcp"), "socket_protocol", DONE, ""),
    "Symlinks": ("paths", "symlinks", DONE, ""),
    "RemoveOnStop": ("boolean", "remove_on_stop", DONE, ""),
    "Backlog": ("unsigned", "backlog", DONE, ""),
    "BindIPv6Only": ("sockets.ipv6_only", "bind_ipv6_only", DONE, ""),
    "BindToDevice": ("sockets.interface", "bind_to_device", DONE, ""),
    "ReusePort": ("boolean", "reuse_port", DONE, ""),
    "FreeBind": ("boolean", "free_bind", DONE, ""),
    "Transparent": ("boolean", "transparent", DONE, ""),
    "Broadcast": ("boolean", "broadcast", DONE, ""),
    "KeepAlive": ("boolean", "keep_alive", DONE, ""),
    "KeepAliveTimeSec": ("seconds", "keep_alive_time", DONE, ""),
    "KeepAliveIntervalSec": ("seconds", "keep_alive_interval", DONE, ""),
    "KeepAliveProbes": ("unsigned", "keep_alive_probes", DONE, ""),
    "NoDelay": ("boolean", "no_delay", DONE, ""),
    "DeferAcceptSec": ("seconds", "defer_accept", DONE, ""),
    "Priority": ("integer", "priority", DONE, ""),
    "Mark": ("integer", "mark", DONE, ""),
    "IPTOS": ("sockets.type_of_service", "ip_tos", DONE, ""),
    "IPTTL": ("integer", "ip_ttl", DONE, ""),
    "TCPCongestion": ("plain", "tcp_congestion", DONE, ""),
    "ReceiveBuffer": ("size", "receive_buffer", DONE, ""),
    "SendBuffer": ("size", "send_buffer", DONE, ""),
    "PipeSize": ("size", "pipe_size", DONE, ""),
    "MessageQueueMaxMessages": (("integer", -(1 << 63), (1 << 63) - 1), "message_queue_max_messages", DONE, ""),
    "MessageQueueMessageSize": ("size", "message_queue_message_size", DONE, ""),
    "PassCredentials": ("boolean", "pass_credentials", DONE, ""),
    "PassSecurity": ("boolean", "pass_security", DONE, ""),
    "PassPacketInfo": ("boolean", "pass_packet_info", DONE, ""),
    "PassPIDFD": ("boolean", "pass_pidfd", DONE, ""),
    "AcceptFileDescriptors": ("boolean", "accept_file_descriptors", DONE, ""),
    "PassFileDescriptorsToExec": ("boolean", "pass_file_descriptors_to_exec", DONE, ""),
    "Timestamping": ("sockets.timestamping", "timestamping", DONE, ""),
    "MaxConnections": ("unsigned", "max_connections", DONE, ""),
    "MaxConnectionsPerSource": ("unsigned", "max_connections_per_source", DONE, ""),
    "Writable": ("boolean", "writable", DONE, ""),
    "FlushPending": ("boolean", "flush_pending", INITS, "who starts the service is the init"),
    "TriggerLimitIntervalSec": ("seconds", "trigger_limit_interval", INITS, "who starts the service is the init"),
    "TriggerLimitBurst": ("unsigned", "trigger_limit_burst", INITS, "who starts the service is the init"),
    "TimeoutSec": ("seconds_not_zero", "timeout", DONE, ""),
    "ExecStartPre": ("exec_lines.commands", "start_pre", DONE, ""),
    "ExecStartPost": ("exec_lines.commands", "start_post", DONE, ""),
    "ExecStopPre": ("exec_lines.commands", "stop_pre", DONE, ""),
    "ExecStopPost": ("exec_lines.commands", "stop_post", DONE, ""),
    "PollLimitIntervalSec": ("raw", "", INITS, "who starts the service is the init"),
    "PollLimitBurst": ("raw", "", INITS, "who starts the service is the init"),
    "DeferTrigger": ("raw", "", INITS, "who starts the service is the init"),
    "DeferTriggerMaxSec": ("raw", "", INITS, "who starts the service is the init"),
    "SmackLabel": ("raw", "", CANNOT, "labels are systemd's own"),
    "SmackLabelIPIn": ("raw", "", CANNOT, "labels are systemd's own"),
    "SmackLabelIPOut": ("raw", "", CANNOT, "labels are systemd's own"),
    "SELinuxContextFromNet": ("raw", "", CANNOT, "labels are systemd's own"),
    "XAttrAccept": ("raw", "", CANNOT, "labels are systemd's own"),
    "XAttrEntryPoint": ("raw", "", CANNOT, "labels are systemd's own"),
    "XAttrListen": ("raw", "", CANNOT, "labels are systemd's own"),
}


OF_KILL = ("KillMode", "KillSignal", "RestartKillSignal", "FinalKillSignal", "SendSIGHUP", "SendSIGKILL")


def of_commands(key: str) -> "Row | None":
    """A key of systemd.exec(5), systemd.kill(5) or systemd.resource-control(5): it is for the socket's own commands."""
    from cross_init.definitions.table_exec import EXEC
    from cross_init.definitions.table_resources import RESOURCES
    from cross_init.definitions.table_service import SERVICE

    return EXEC.get(key) or RESOURCES.get(key) or (SERVICE[key] if key in OF_KILL else None)
