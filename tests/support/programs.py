"""Every program that a test starts, or that one of those calls: the Debian package that it is of; and the suite's PATH.

PATH is one folder of links: to the programs of a minimal Debian (those that are essential or required), and to those
below whose package a test has said that it needs (packages.need). So a program that nobody has declared is not found on
any machine, whatever else is installed there. What is started by an absolute path is looked for in these tables by
test_programs.py.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

# A machine's own, for apt-get and what it calls, and for what is looked up inside a tree.
USUAL = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASE = ("python3", "procps")  # what every test may start; the rest has to be asked for
# Installed where it is needed: by package, the programs that are started by their names.
_INSTALLED: dict[str, tuple[str, ...]] = {
    "apache2-bin": ("apache2",),
    "beanstalkd": ("beanstalkd",),
    "binutils": ("as", "ld", "objcopy"),
    "catatonit": ("catatonit",),
    "conmon": ("conmon",),
    "crun": ("crun",),
    "curl": ("curl",),
    "daemontools": ("multilog", "readproctitle", "supervise", "svc", "svok", "svscan", "svstat"),
    "dbus-bin": ("dbus-send",),
    "dbus-daemon": ("dbus-daemon",),
    "debootstrap": ("debootstrap",),
    "dnsmasq-base": ("dnsmasq",),
    "dumb-init": ("dumb-init",),
    "execline": ("execlineb", "exit", "fdmove", "fdswap", "forstdin", "if", "pipeline", "redirfd"),
    "fish": ("fish",),
    "gcc": ("gcc",),
    "git": ("git",),
    "gpg-agent": ("gpg-agent",),
    "gpgconf": ("gpgconf",),
    "gpsd": ("gpsd",),
    "groff-base": ("groff", "grotty", "troff"),
    "gunicorn": ("gunicorn",),
    "haproxy": ("haproxy",),
    "iproute2": ("ip", "ss"),
    "make": ("make",),
    "mandoc": ("mandoc",),
    "memcached": ("memcached",),
    "mosquitto": ("mosquitto",),
    "nginx": ("nginx",),
    "openssh-client": ("ssh-keygen",),
    "openssh-server": ("sshd",),
    "openssl": ("openssl",),
    "php8.2-fpm": ("php-fpm8.2",),
    "podman": ("podman",),
    "procps": ("kill", "ps"),
    "python3": ("python3",),
    "redis-server": ("redis-server",),
    "redis-tools": ("redis-cli",),
    "rsyslog": ("rsyslogd",),
    "runit": ("chpst", "runsv", "runsvdir", "sv", "svlogd"),
    "s6": (
        "s6-fdholder-daemon",
        "s6-fdholder-delete",
        "s6-fdholder-getdump",
        "s6-fdholder-list",
        "s6-fdholder-retrieve",
        "s6-fdholder-store",
        "s6-fdholderd",
        "s6-ipcserver",
        "s6-ipcserver-socketbinder",
        "s6-envuidgid",
        "s6-ipcclient",
        "s6-ipcserver-access",
        "s6-ipcserverd",
        "s6-ftrigrd",
        "s6-log",
        "s6-permafailon",
        "s6-sudo",
        "s6-sudod",
        "s6-supervise",
        "s6-svc",
        "s6-svlisten1",
        "s6-svlisten",
        "s6-svok",
        "s6-svscan",
        "s6-svscanctl",
        "s6-svstat",
        "s6-svwait",
    ),
    "shellcheck": ("shellcheck",),
    "squid": ("squid",),
    "systemd": ("journalctl", "systemctl", "systemd-analyze"),
    "systemd-container": ("systemd-nspawn",),
    "tini": ("tini",),
    "unbound": ("unbound", "unbound-control"),
    "zsh": ("zsh",),
}
# Needed for its files alone: no program of it is started.
_FILES: dict[str, str] = {
    "dbus": "the system's bus, which systemctl speaks to inside of a container",
    "libc6-dev": "the headers of C",
    "libpython3-dev": "what the static file is linked with",
    "libseccomp-dev": "what the static file is linked with",
    "locales": "what localedef makes a locale of",
    "netbase": "/etc/services, which xinetd reads",
    "python3-jeepney": "what the single file finds of jeepney",
    "python3-setuptools": "what the sdist and the wheel are built by",
    "python3-wheel": "the same",
    "zlib1g-dev": "what the static file is linked with",
}
# Unpacked beside the machine's own, as installing it would take the place of another, or start something.
_UNPACKED: dict[str, tuple[str, ...]] = {
    "inetutils-inetd": ("inetutils-inetd",),
    "ipsvd": ("tcpsvd",),
    "openbsd-inetd": ("inetd",),
    "ucspi-tcp": ("tcpserver",),
    "ucspi-tcp-ipv6": ("tcpserver",),
    "ucspi-unix": ("unixserver",),
    "uuid-runtime": ("uuidd",),
    "xinetd": ("xinetd",),
}
# Started inside the trees of trees.TREES alone.
_IN_TREES: dict[str, tuple[str, ...]] = {
    "finit": ("finit", "initctl"),
    "openrc": ("openrc", "openrc-init", "openrc-run", "rc-service", "supervise-daemon"),
    "shepherd": ("herd", "shepherd"),
    "systemd-sysv": ("init",),
}
# What a program calls by a path of its own, of packages that its package only recommends, or has a choice of.
CALLS: dict[str, tuple[str, ...]] = {
    "gcc": ("binutils",),
    "openssh-server": ("openssh-client",),
    "podman": ("catatonit", "conmon", "crun"),  # catatonit is its "run --init"
    "redis-server": ("redis-tools",),
}

INSTALLED = frozenset({*_INSTALLED, *_FILES})
UNPACKED = frozenset(_UNPACKED)
# Program -> package: all of them.
PROGRAMS: dict[str, str] = {
    program: package
    for packages in (_INSTALLED, _UNPACKED, _IN_TREES)
    for package, programs in packages.items()
    for program in programs
}
# The states of a package that can be used (dpkg(1)): another's installation may be at work on its triggers.
THERE = ("installed", "triggers-pending", "triggers-awaited")
_PLACES = {Path(place) for place in USUAL.split(":") if "local" not in place}
# Where other users can go, and containers on a copy of this machine's root as well: there /tmp is another one.
_FOLDER = Path(f"/var/tmp/cross-init-programs.{secrets.token_hex(8)}")
PATH = str(_FOLDER)


def open_path() -> None:
    """Fill PATH with the programs of a minimal Debian, and with BASE; where this is no Debian, with all that it has."""
    _FOLDER.mkdir()
    _FOLDER.chmod(0o755)
    for name, program in minimal().items():
        (_FOLDER / name).symlink_to(program)
    link(BASE)


def link(packages: Iterable[str]) -> None:
    """Have the declared programs of these packages on PATH, as far as they are installed."""
    for package in packages:
        for name in _INSTALLED.get(package, ()):
            found = shutil.which(name, path=USUAL)
            if found and not os.path.lexists(_FOLDER / name):
                (_FOLDER / name).symlink_to(found)


def close_path() -> None:
    """Remove the folder."""
    shutil.rmtree(_FOLDER, ignore_errors=True)


def minimal() -> dict[str, Path]:
    """The programs that every Debian has, by name: those of packages that are essential or required (dpkg-query(1)).

    An alternative, such as awk, is one of them if what it leads to is (update-alternatives(1)).
    """
    try:
        shown = _dpkg_query("--show", "--showformat=${db:Status-Status} ${Essential} ${Priority} ${Package}\n")
    except FileNotFoundError:
        return {path.name: path for place in _PLACES for path in place.iterdir()}
    words = [line.split() for line in shown.splitlines()]
    always = [each[3] for each in words if each[0] in THERE and (each[1] == "yes" or each[2] == "required")]
    listed = {Path(line) for line in _dpkg_query("--listfiles", *always).splitlines()}
    found = {path.name: path for path in listed if path.parent in _PLACES and os.access(path, os.X_OK)}
    real = {path.resolve() for path in found.values()}
    for place in _PLACES:
        for path in place.iterdir():
            is_alternative = path.is_symlink() and os.readlink(path).startswith("/etc/alternatives/")
            if is_alternative and path.resolve() in real:
                found[path.name] = path
    return found


def _dpkg_query(*words: str) -> str:
    return subprocess.run(
        ["dpkg-query", *words], env={"PATH": USUAL, "LC_ALL": "C"}, capture_output=True, text=True, check=True
    ).stdout
