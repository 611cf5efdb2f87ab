"""Directives of [Socket] (systemd.socket(5)); see directives.py."""

from cross_init.definitions.classes import CANNOT, DONE, INITS, NOT_YET, WEAKER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.classes import Row, Rows

UNTOLD = "the socket is not told so"

SOCKET: "Rows" = {
    "ListenStream": ("sockets.listen", "listen", DONE, ""),
    "ListenDatagram": ("sockets.listen", "listen", DONE, ""),
    "ListenSequentialPacket": ("sockets.listen", "listen", DONE, ""),
    "ListenFIFO": ("sockets.listen", "listen", DONE, ""),
    "ListenSpecial": ("sockets.listen", "listen", NOT_YET, ""),
    "ListenNetlink": ("sockets.listen", "listen", NOT_YET, ""),
    "ListenMessageQueue": ("sockets.listen", "listen", NOT_YET, ""),
    "ListenUSBFunction": ("sockets.listen", "listen", CANNOT, "USB functions are systemd's own"),
    "Accept": ("boolean", "accept", DONE, ""),
    "Service": ("sockets.service", "service", DONE, ""),
    "FileDescriptorName": ("sockets.descriptor_name", "file_descriptor_name", DONE, ""),
    "SocketMode": ("mode", "socket_mode", DONE, ""),
    "DirectoryMode": ("mode", "directory_mode", DONE, ""),
    "SocketUser": ("account", "socket_user", DONE, ""),
    "SocketGroup": ("account", "socket_group", DONE, ""),
    "SocketProtocol": (("choice", "udplite", "sctp", "mptcp"), "socket_protocol", NOT_YET, ""),
    "Symlinks": ("paths", "symlinks", WEAKER, UNTOLD),
    "RemoveOnStop": ("boolean", "remove_on_stop", DONE, ""),
    "Backlog": ("unsigned", "backlog", DONE, ""),
    "BindIPv6Only": ("sockets.ipv6_only", "bind_ipv6_only", DONE, ""),
    "BindToDevice": ("sockets.interface", "bind_to_device", WEAKER, UNTOLD),
    "ReusePort": ("boolean", "reuse_port", WEAKER, UNTOLD),
    "FreeBind": ("boolean", "free_bind", WEAKER, UNTOLD),
    "Transparent": ("boolean", "transparent", WEAKER, UNTOLD),
    "Broadcast": ("boolean", "broadcast", WEAKER, UNTOLD),
    "KeepAlive": ("boolean", "keep_alive", DONE, ""),
    "KeepAliveTimeSec": ("seconds", "keep_alive_time", WEAKER, UNTOLD),
    "KeepAliveIntervalSec": ("seconds", "keep_alive_interval", WEAKER, UNTOLD),
    "KeepAliveProbes": ("unsigned", "keep_alive_probes", WEAKER, UNTOLD),
    "NoDelay": ("boolean", "no_delay", WEAKER, UNTOLD),
    "DeferAcceptSec": ("seconds", "defer_accept", WEAKER, UNTOLD),
    "Priority": ("integer", "priority", WEAKER, UNTOLD),
    "Mark": ("integer", "mark", WEAKER, UNTOLD),
    "IPTOS": ("sockets.type_of_service", "ip_tos", WEAKER, UNTOLD),
    "IPTTL": ("integer", "ip_ttl", WEAKER, UNTOLD),
    "TCPCongestion": ("plain", "tcp_congestion", WEAKER, UNTOLD),
    "ReceiveBuffer": ("size", "receive_buffer", WEAKER, UNTOLD),
    "SendBuffer": ("size", "send_buffer", WEAKER, UNTOLD),
    "PipeSize": ("size", "pipe_size", WEAKER, UNTOLD),
    "MessageQueueMaxMessages": (("integer", -(1 << 63), (1 << 63) - 1), "message_queue_max_messages", WEAKER, UNTOLD),
    "MessageQueueMessageSize": ("size", "message_queue_message_size", WEAKER, UNTOLD),
    "PassCredentials": ("boolean", "pass_credentials", WEAKER, UNTOLD),
    "PassSecurity": ("boolean", "pass_security", WEAKER, UNTOLD),
    "PassPacketInfo": ("boolean", "pass_packet_info", WEAKER, UNTOLD),
    "PassPIDFD": ("boolean", "pass_pidfd", WEAKER, UNTOLD),
    "AcceptFileDescriptors": ("boolean", "accept_file_descriptors", WEAKER, UNTOLD),
    "PassFileDescriptorsToExec": ("boolean", "pass_file_descriptors_to_exec", NOT_YET, ""),
    "Timestamping": ("sockets.timestamping", "timestamping", WEAKER, UNTOLD),
    "MaxConnections": ("unsigned", "max_connections", DONE, ""),
    "MaxConnectionsPerSource": ("unsigned", "max_connections_per_source", WEAKER, UNTOLD),
    "Writable": ("boolean", "writable", WEAKER, UNTOLD),
    "FlushPending": ("boolean", "flush_pending", INITS, "who starts the service is the init"),
    "TriggerLimitIntervalSec": ("seconds", "trigger_limit_interval", INITS, "who starts the service is the init"),
    "TriggerLimitBurst": ("unsigned", "trigger_limit_burst", INITS, "who starts the service is the init"),
    "TimeoutSec": ("seconds_not_zero", "timeout", DONE, ""),
    "ExecStartPre": ("exec_lines.commands", "start_pre", NOT_YET, ""),
    "ExecStartPost": ("exec_lines.commands", "start_post", NOT_YET, ""),
    "ExecStopPre": ("exec_lines.commands", "stop_pre", NOT_YET, ""),
    "ExecStopPost": ("exec_lines.commands", "stop_post", NOT_YET, ""),
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


def of_commands(row: "Row | None") -> "Row | None":
    """A key of [Service] in [Socket], where it is for the socket's own commands, which have no context here."""
    return row and ("raw", "", NOT_YET, "it is for the socket's own commands")
