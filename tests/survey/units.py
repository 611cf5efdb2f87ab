"""The units of the daemons that the survey knows: data alone. What is asked of each stands in the tables beside it.

Each daemon is run by its own unit, as Debian ships it, and asked as table.py says; what of that differs here has a
value. prepare: what another unit, systemd-tmpfiles or the package's own script would have done before. More that are
run by their units alone are in units.toml.
"""

import tomllib
from typing import NamedTuple

from tests.survey.table import HERE, OF_UNIT, UNIT, Daemon, daemons


class OfUnit(NamedTuple):
    """One unit, and what is asked otherwise than of the daemon that table.py knows by this name."""

    daemon: str
    unit: str
    options: str = ""  # of the bridge's
    prepare: str = ""
    to: str = ""
    send: str = ""
    expect: str = ""
    main: str = ""
    config: tuple[str, str] = ("", "")  # the file of table.py's that has another path here


# The unit's socket has another path than the one that rsyslogd would open.
LOGGED = (
    'python3 -c "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)'
    ".sendto(b'<13>hello', '/run/systemd/journal/syslog')\"; "
    "n=0; until grep -q hello /run/messages; do sleep 0.1; n=$((n+1)); test $n -lt 30; done && echo written"
)
PREPARED = "."  # as in table.py, for what no unit does
BUS = "mkdir -p /run/dbus; dbus-daemon --system --fork"
PING = "dbus-send --system --print-reply --dest=org.freedesktop.PolicyKit1 / org.freedesktop.DBus.Peer.Ping"
OPENVPN = """
cat > /etc/openvpn/server/server.conf <<.
dev null
ifconfig-noexec
proto udp
port 1194
tls-server
dh none
ca /etc/c.pem
cert /etc/c.pem
key /etc/k.pem
.
"""
UNITS = (
    OfUnit("redis-server", "redis-server.service"),
    OfUnit("memcached", "memcached.service", options="--ready-when tcp:127.0.0.1:11211", main="bin/memcached"),
    OfUnit("mariadb", "mariadb.service"),
    OfUnit(
        "postgresql",
        "postgresql@15-main.service",
        prepare="mkdir -p /run/postgresql; chown postgres:postgres /run/postgresql; chmod 2775 /run/postgresql",
    ),
    OfUnit("beanstalkd", "beanstalkd.service"),
    OfUnit("mosquitto", "mosquitto.service"),
    OfUnit("etcd", "etcd.service"),
    OfUnit(
        "rsync",
        "rsync.service",
        options="--ready-when tcp:127.0.0.1:873",
        prepare=PREPARED,
    ),
    OfUnit("rpcbind", "rpcbind.service"),
    OfUnit("samba", "smbd.service", options="--ready-when tcp:127.0.0.1:445"),
    OfUnit("proftpd", "proftpd.service"),
    OfUnit("unbound", "unbound.service", config=("/etc/here.conf", "/etc/unbound/unbound.conf")),
    OfUnit("bind9", "named.service"),
    OfUnit("nsd", "nsd.service", config=("/etc/nsd/here.conf", "/etc/nsd/nsd.conf")),
    OfUnit("knot", "knot.service", config=("/etc/knot/here.conf", "/etc/knot/knot.conf")),
    OfUnit("pdns-server", "pdns.service"),
    OfUnit("pdns-recursor", "pdns-recursor.service"),
    OfUnit("tor", "tor@default.service"),
    OfUnit("freeradius", "freeradius.service"),
    OfUnit("chrony", "chrony.service"),
    OfUnit("avahi-daemon", "avahi-daemon.service", options="--ready-when listening", prepare=BUS),
    OfUnit("lldpd", "lldpd.service"),
    OfUnit("openvpn", "openvpn-server@server.service", prepare=PREPARED + OPENVPN),
    OfUnit(
        "rsyslog",
        "rsyslog.service",
        config=("/etc/here.conf", "/etc/rsyslog.conf"),
        prepare="sed -i s,/run/log,/run/systemd/journal/syslog, /etc/rsyslog.conf",
        send=LOGGED,
    ),
    OfUnit("sshd", "ssh.service"),
    OfUnit("cups-socket", "cups.service"),
    OfUnit("snmpd", "snmpd.service"),
    OfUnit(
        "collectd",
        "collectd.service",
        config=("/etc/here.conf", "/etc/collectd/collectd.conf"),
        options="--ready-when unix:/run/collectd.socket",
    ),
    OfUnit("dbus-daemon", "dbus.service"),
    OfUnit("polkitd", "polkit.service", options=f"--ready-when 'exec:{PING}'", prepare=BUS),
    OfUnit("uuidd", "uuidd.service"),
    OfUnit("pcscd", "pcscd.service"),
    OfUnit(
        "prometheus-node-exporter", "prometheus-node-exporter.service", options="--ready-when http://127.0.0.1:9100/"
    ),
    OfUnit("transmission-daemon", "transmission-daemon.service"),
    OfUnit("dovecot", "dovecot.service"),
    OfUnit("vsftpd", "vsftpd.service", options="--ready-when tcp:127.0.0.1:21"),
    OfUnit("tgt", "tgt.service"),
    OfUnit("ntpsec", "ntpsec.service", options="--ready-when pid-file:/run/ntpd.pid"),
    OfUnit(
        "keepalived",
        "keepalived.service",
        config=("/etc/here.conf", "/etc/keepalived/keepalived.conf"),
        options="-t plain --ready-when pid-file:/run/keepalived.pid",
        prepare=PREPARED,
    ),
    OfUnit("nginx", "nginx.service"),
    OfUnit("lighttpd", "lighttpd.service", options="--ready-when tcp:127.0.0.1:8081", prepare=PREPARED),
    OfUnit("apache2", "apache2.service", options="--ready-when tcp:127.0.0.1:80"),
    OfUnit("php-fpm", "php8.2-fpm.service"),
    OfUnit("haproxy", "haproxy.service", config=("/etc/here.cfg", "/etc/haproxy/haproxy.cfg")),
    OfUnit("squid", "squid.service", options="--ready-when tcp:127.0.0.1:3128", prepare=PREPARED),
    OfUnit("varnish", "varnish.service", options="--ready-when tcp:127.0.0.1:6081"),
    OfUnit("caddy", "caddy.service"),
    OfUnit("tinyproxy", "tinyproxy.service", options="--ready-when tcp:127.0.0.1:8888"),
    OfUnit("privoxy", "privoxy.service", options="--ready-when tcp:127.0.0.1:8118"),
    OfUnit("fcgiwrap", "fcgiwrap.service"),
    OfUnit(
        "stunnel4",
        "stunnel@here.service",
        options="--ready-when tcp:127.0.0.1:8443",
        prepare=PREPARED + "\nsed -i '1i foreground = yes' /etc/stunnel/here.conf",
    ),
)


def prepared(unit: OfUnit, daemon: Daemon) -> str:
    """The shell's lines before the init starts."""
    return f"{daemon.prepare}\n{unit.prepare[1:]}" if unit.prepare.startswith(PREPARED) else unit.prepare


def alone() -> list[Daemon]:
    """Those of units.toml: what table.py says, but for the command, and options of the bridge's.

    unit: if it is no service that has the package's name.
    """
    found = []
    for name, values in tomllib.loads((HERE / f"{OF_UNIT}.toml").read_text()).items():
        packages = tuple(values.pop("packages", (name,)))
        unit = values.pop("unit", f"{name}.service")
        bridge = f"{values.pop('options', '')} {unit}".lstrip()
        name = unit.removesuffix(".service")
        found.append(
            Daemon(name=name, batch=OF_UNIT, kind=UNIT, packages=packages, bridge=bridge, command="", **values)
        )
    return found


def units() -> list[Daemon]:
    """Each as a daemon to be judged: its command is the unit's."""
    known = {each.name: each for each in daemons()}
    found = []
    for unit in UNITS:
        daemon = known[unit.daemon]
        found.append(
            daemon._replace(
                name=unit.unit.removesuffix(".service"),
                bridge=f"{unit.options} {unit.unit}".lstrip(),
                kind=UNIT,
                to=unit.to or daemon.to,
                send=unit.send or daemon.send,
                expect=unit.expect or daemon.expect,
                main=unit.main or daemon.main_pattern,
                prepare=prepared(unit, daemon),
                files={unit.config[1] if path == unit.config[0] else path: text for path, text in daemon.files.items()},
            )
        )
    return found + alone()
