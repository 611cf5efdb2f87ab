"""Families of netlink sockets, by their numbers (netlink(7), linux/netlink.h)."""

NAMES = {
    0: "route",
    3: "firewall",
    4: "inet-diag",
    5: "nflog",
    6: "xfrm",
    7: "selinux",
    8: "iscsi",
    9: "audit",
    10: "fib-lookup",
    11: "connector",
    12: "netfilter",
    13: "ip6-fw",
    14: "dnrtmsg",
    15: "kobject-uevent",
    16: "generic",
    18: "scsitransport",
    19: "ecryptfs",
    20: "rdma",
}
