"""The units of many Debian packages, as their packages have them: downloaded once, and kept. None is installed."""

import fcntl
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import packages

FOLDER = packages.UNPACKED.parent / "units"
# Of Debian 12: those whose packages are small, all in all 32 MB.
LEAST = 150
PACKAGES = """
accountsservice acpid anacron apache2 apcupsd argus-server at atftpd auditd autofs avahi-daemon bacula-director
bacula-fd bacula-sd beanstalkd bind9 bolt borgmatic burp certbot chrony clamav-daemon clamav-freshclam colord connman
conntrackd corosync coturn courier-imap cron cups-browsed cups-daemon dbus ddclient dkimpy-milter dnsmasq dpdk
earlyoom fail2ban fancontrol firebird3.0-server firewalld gammu-smsd ganglia-monitor gearman-job-server geoclue-2.0
glances gpm gpsd greetd haveged ifupdown ipmiutil irqbalance iwd jetty9 kea-ctrl-agent kea-dhcp-ddns-server knockd
knot-resolver krb5-admin-server krb5-kdc leafnode libvirt-daemon-system lighttpd lirc lldpd lm-sensors logrotate lxcfs
mdadm memcached minidlna minissdpd mopidy mosquitto multipath-tools munge munin-node nfdump nfs-common
nfs-kernel-server nftables nginx-common ngircd nscd ntpsec nullmailer nut-client obs-server ocserv oddjob open-iscsi
opencryptoki opendkim opendmarc opendnssec-enforcer opendnssec-signer openntpd opensmtpd openssh-server osspd
pacemaker pcscd pgbouncer polkitd postgresql-common postgrey postsrsd powertop prads prosody qemu-guest-agent quota
radicale radvd rasdaemon realmd redis-sentinel redis-server resolvconf rng-tools5 rpcbind rtkit sane-utils sanlock
ser2net shairport-sync slurmctld slurmd slurmdbd sniproxy snmpd snmptrapd softflowd spamd spampd spice-vdagent
sssd-dbus sssd-kcm strongswan-starter stunnel4 supervisor switcheroo-control systemd-container systemd-coredump
systemd-cron systemd-homed systemd-journal-remote systemd-oomd systemd-resolved systemd-timesyncd tang targetcli-fb
tgt thermald tinc tinyproxy tlp tomcat10 tpm2-abrmd transmission-daemon tuned udisks2 unattended-upgrades upower
uptimed usbguard usbmuxd uuid-runtime uwsgi-emperor vnstat vsftpd watchdog winbind wireguard-tools x2goserver xrdp
yubikey-luks zram-tools
"""


def units() -> dict[str, Path]:
    """The files of service and socket units by their names; or skip the test."""
    found: dict[str, Path] = {}
    for path in sorted(_folder().glob("*/**/systemd/system/*.*")):
        if path.suffix in (".service", ".socket") and path.is_file() and not path.is_symlink():
            found.setdefault(path.name, path)
    return found


def _folder() -> Path:
    if os.geteuid() != 0:
        pytest.skip(f"needs units of Debian's packages, kept in {FOLDER}, and only root can write there")
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with (FOLDER.parent / f".{FOLDER.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not FOLDER.exists():
            unfinished = FOLDER.parent / f".{FOLDER.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            _fill(unfinished)
            unfinished.rename(FOLDER)
    return FOLDER


def _fill(folder: Path) -> None:
    """Download all, and take the units out of them."""
    names = _known() if len(_known()) >= LEAST else []
    said = "" if names else packages._apt("update")
    names = names or _known()
    if len(names) < LEAST:
        pytest.skip(f"needs units of Debian's packages: {len(names)} of them are known here {said}")
    with TemporaryDirectory(prefix="cross-init-test.") as archives:
        said = packages._apt("download", *names, cwd=Path(archives))
        if said:
            said = packages._apt("update") or packages._apt("download", *names, cwd=Path(archives))
        if said:
            pytest.skip(f"needs units of Debian's packages: fetching them failed: {said}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda archive: _unpack(archive, folder), Path(archives).glob("*.deb")))


def _known() -> list[str]:
    """Those that this Debian has: another release lacks some."""
    words = ["/usr/bin/apt-cache", "show", "--no-all-versions", *PACKAGES.split()]
    asked = subprocess.run(words, capture_output=True, text=True, check=False)
    return [line.split()[1] for line in asked.stdout.splitlines() if line.startswith("Package: ")]


def _unpack(archive: Path, folder: Path) -> None:
    to = folder / archive.name.partition("_")[0]
    to.mkdir()
    command = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "*/systemd/system/*"'
    subprocess.run(["sh", "-c", command, "sh", archive, to], stderr=subprocess.DEVNULL, check=False)
