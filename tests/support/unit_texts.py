"""Units of any kind for hypothesis: directives of the table with values good and bad, in all of the syntax."""

from hypothesis import strategies as st

from cross_init.definitions.classes import Rows
from cross_init.definitions.table_exec import EXEC
from cross_init.definitions.table_service import SERVICE
from cross_init.definitions.table_socket import SOCKET
from cross_init.definitions.table_unit import UNIT

# By the kind of a value: some that are good, some that nearly are.
VALUES = {
    "boolean": ["yes", "No", "1", "0", "on", "off", "tRue", "f", "maybe", "2", ""],
    "tristate": ["yes", "no", "", "perhaps"],
    "string": ["a b", "%n", "x%%y", "%i%p%N", "", '"quoted"', "%"],
    "plain": ["a", ""],
    "path": ["/a/b", "/a//b/./c/", "a/b", "/a/../b", "/", "", "/%p", "/a b", "~"],
    "path_or_none": ["/a/b", "/a//b/", "", "/%n"],
    "pid_file": ["/run/x.pid", "x.pid", "/var/run/x.pid", "a/../b", ""],
    "choice": ["no", "yes", "", "simple", "private", "all"],
    "choice_or_truth": ["yes", "no", "strict", "full", "1", "off", "", "self", "tmpfs", "read-only", "restart"],
    "private_tmp": ["yes", "no", "disconnected", "connected", "1", ""],
    "hostname": ["yes", "no", "private", "private:abc", ""],
    "kill_mode": ["control-group", "process", "mixed", "none", "", "all"],
    "unsigned": ["0", "5", "0x10", "010", "+3", "-1", "4294967296", " 7", "1 2", ""],
    "mode": ["0755", "7777", "10000", "rwx", "", "+755", "0o755", "8"],
    "seconds": ["5", "1min 30s", "1.5h", "infinity", "0", "2 d", "3w4us", "10ms", "-1", "5 parsecs", "", ".5s", "1.s"],
    "seconds_not_zero": ["5", "0", "infinity", "1min", "x", ""],
    "seconds_or_none": ["5", "0", "infinity", "", "x"],
    "start_and_stop": ["5", "0", "infinity", "1h", "x", ""],
    "names": ["a.service", "b.target c.socket", "d@.service", "%p-x.service", "bad", "a/b.service", "", "e@%i.target"],
    "urls": ["man:x(1)", "https://example.org/ man:y(2)", "nothing", "", "file:/x", "info:gpl"],
    "mounts": ["/a /b", "/a/../b", "relative /c", "'/a b'", ""],
    "search_path": ["/a:/b", "a:/b", "", "/a//b/"],
    "account": ["root", "daemon", "0", "a.b", "65534", "nobody", "%p", ""],
    "accounts": ["daemon root", "adm", "", "1 2"],
    "signals.signal": [
        "TERM",
        "SIGHUP",
        "9",
        "RTMIN+3",
        "RTMAX-1",
        "RTMIN",
        "0",
        "65",
        "NOPE",
        "term",
        "",
        "SIGRTMIN+40",
    ],
    "signals.statuses": ["1 2 SIGKILL", "TEMPFAIL 250", "256", "", "HUP x 0x10", "SUCCESS", "DATAERR 65"],
    "sockets.bus_name": ["org.example.X", "a", "a..b", "1.b", "%p.b", "a-b.c_d", ":1.2"],
    "sockets.units": ["a.socket b.socket", "c.service", ""],
    "exec_lines.commands": [
        *(
            "/bin/ls b c",
            "-/bin/ls",
            "@/bin/ls b c",
            "+/bin/ls",
            "!/bin/ls",
            "!!/bin/ls",
            ":-/bin/ls $X ${Y} $$",
            "-@+/bin/ls z",
        ),
        *(
            "/bin/ls ; /bin/cat c ; -/bin/cp",
            "/bin/ls \\; b",
            '/bin/ls ";" b',
            "/bin/ls 'b c' \"d\\te\"",
            "/bin/ls \\x41\\101\\u00e9",
        ),
        *(
            "a b",
            "a/b",
            "/bin/",
            "",
            "/bin/ls %n %% %i",
            "/bin/ls \\q",
            "/bin/ls b\\ c",
            "; /bin/ls",
            "/bin//a/./b",
            "@/bin/ls",
        ),
        *(
            "-/bin/ls 'open",
            "/bin/ls;b",
            "/bin/ls ;b",
            "-",
            "--/bin/ls",
            "+!/bin/ls",
            "/bin/ls ''",
            "'/bin/ls b' c",
            "/bin/ls \\xff",
        ),
    ],
    "environment.variables": [
        *(
            "A=1",
            "A=1 B=2",
            "\"A=1 2\" B='3 4'",
            "A",
            "1A=2",
            "A=%n%%",
            "A=\\x41\\n",
            "",
            "A=a=b",
            'A="b c"',
            "A=1 'B=2",
        ),
        *("_x=é", "A\\=b", "A=b\\ c", "A=\\q", "A.B=1"),
    ],
    "environment.files": ["/a/b", "-/a/b", "a", "/a/*", "", "-/a//b"],
    "environment.names": ["A B", "A=1", "", "1A _b", "A 'B"],
    "environment.names_or_variables": ["A B", "A=1 B", "", "1A _b", "A=b\\ c"],
    "scheduling.limit": [
        "5",
        "1:2",
        "2:1",
        "infinity",
        "infinity:5",
        "1K:1M",
        "5:infinity",
        "x",
        "",
        "1:2:3",
        "-5",
        "5min",
        "1G",
    ],
    "scheduling.nice": ["5", "-20", "20", "", "x", "+3"],
    "scheduling.oom_score": ["5", "-1000", "1001", "", "x"],
    "scheduling.cpu_policy": ["other", "fifo", "rr", "batch", "idle", "", "x"],
    "scheduling.cpu_priority": ["5", "99", "100", "-1", "", "0"],
    "scheduling.affinity": ["0 1", "0-3", "1,2", "numa", "", "3-1", "x", "'0' 2"],
    "scheduling.nodes": ["0", "0-1", "", "x"],
    "scheduling.io_class": ["idle", "realtime", "best-effort", "none", "2", "", "x"],
    "scheduling.io_priority": ["0", "7", "8", "", "x"],
    "scheduling.nsec": ["5", "1ms", "10ns", "infinity", "x", "1s 5us"],
    "scheduling.coredump_filter": ["default", "all", "33", "shared-dax private-huge", "", "x"],
    "folders.working_directory": ["/a", "-/a", "~", "-~", "", "/a//b"],
    "folders.directories": [
        "a",
        "a b",
        "a/b c:d",
        "/a",
        "a/../b",
        "",
        "b a",
        "private",
        "a:x a:y",
        "'a b'",
        "a\\:b",
        "%p",
    ],
    "folders.flagged_paths": ["/a", "-/a +/b", "-+/c", "a", "", "'/a b'", "/a/../b", "+-/a"],
    "folders.binds": [
        "/a",
        "/a:/b",
        "/a:/b:norbind",
        "-/a:/b",
        "/a:/b:rbind /c",
        "a:/b",
        "/a:b",
        "/a:/b:x",
        "",
        "'/a b':/c",
        "/a:",
    ],
    "folders.file_systems": ["/a", "/a:ro,size=1M /b", "a", "", "/a/../b"],
    "streams.standard_input": ["null", "tty", "data", "fd:x", "fd", "file:/a", "file:a", "socket", "x", ""],
    "streams.standard_output": [
        "null",
        "journal",
        "inherit",
        "file:/a",
        "append:/a",
        "truncate:/a",
        "syslog",
        "x",
        "",
        "tty",
        "kmsg+console",
    ],
    "streams.input_text": ["a b", "a\\tb\\x41", "%n", "", "\\q"],
    "streams.input_data": ["YQ==", "Y", "", "YWJj"],
    "streams.facility": ["daemon", "local3", "x", "3", "", "authpriv"],
    "streams.level": ["debug", "3", "x", "8", ""],
    "streams.level_or_none": ["debug", "3", "", "x"],
    "streams.load_credential": ["a:/b", "a", "", "a/b:/c", "a:b"],
    "streams.set_credential": ["a:b", "a:b\\x41c", "a", "", "a:", "b:c d"],
    "restrictions.capabilities": [
        "CAP_CHOWN",
        "~CAP_KILL CAP_MKNOD",
        "cap_chown",
        "",
        "~",
        "CAP_NOPE",
        "CAP_NET_RAW CAP_BPF",
        "CHOWN",
    ],
    "restrictions.secure_bits": ["noroot", "keep-caps noroot-locked", "x", ""],
    "restrictions.namespaces": ["yes", "no", "net user", "~ipc", "x", "", "~net mnt", "cgroup"],
    "restrictions.families": ["AF_UNIX", "~AF_INET", "none", "", "AF_NOPE", "AF_UNIX AF_INET6", "~AF_UNIX", "AF_LOCAL"],
    "restrictions.architectures": ["native", "x86-64 x86", "", "nope"],
    "restrictions.error_number": ["EPERM", "kill", "", "5", "x", "0"],
}
OF_SOCKETS = {
    "sockets.listen": [
        *(
            "/run/a",
            "@a",
            "80",
            "1.2.3.4:80",
            "[::1]:80",
            "a",
            "0",
            "65536",
            "",
            "/var/run/x",
            "[::1%lo]:80",
            "1.2.3:4",
        ),
        *("x%", "%p", "/run/%p", "route 1", "route", "[::]:443", "vsock::5", "[1:2::0:3]:8", "/a//b", "80 0"),
    ],
    "sockets.service": ["a.service", "b.target", "%p.service", ""],
    "sockets.interface": ["lo", "*", ""],
    "sockets.descriptor_name": ["a", "a:b", "", "%n", "a b"],
    "sockets.type_of_service": ["low-delay", "5", "x", ""],
    "sockets.ipv6_only": ["both", "default", "ipv6-only", "yes", "no", "x", ""],
    "sockets.timestamping": ["us", "ns", "off", "usec", "x", ""],
    "size": ["5", "1K", "1.5M", "1G 5", "x", "", "5 5", "1M 2K", "1K 2M", "5B", "1 K", "-1"],
    "integer": ["5", "-1", "0x10", "x", "", "2147483648"],
    "paths": ["/a /b", "a", "", "'/a b'", "/a/../b"],
}
LETTERS = "axz AB19\t'\"\\%~:;-=+!@/.,_$é#]"


def keys(rows: Rows) -> list[tuple[str, str]]:
    """The keys that are read, with their kinds."""
    kinds = {key: row[0] if isinstance(row[0], str) else str(row[0][0]) for key, row in rows.items()}
    return [(key, kind) for key, kind in kinds.items() if kind in VALUES | OF_SOCKETS]


def choices(key: str) -> list[str]:
    """The words of a directive that has its own."""
    kind = {**SERVICE, **EXEC, **SOCKET}[key][0]
    return [str(each) for each in kind[1:]] if isinstance(kind, tuple) and kind[0].__class__ is str else []


@st.composite
def values(draw: st.DrawFn, key: str, kind: str) -> str:
    """A value of a directive, perhaps over several lines."""
    known = (VALUES | OF_SOCKETS)[kind] + (choices(key) if kind.startswith("choice") else [])
    value = draw(st.one_of(st.sampled_from(known), st.sampled_from(known), st.text(LETTERS, max_size=12)))
    how = draw(st.integers(0, 9))
    if how == 0:
        value = value.replace(" ", " \\\n  ", 1)
    elif how == 1:
        value = value.replace(" ", "\\\n# a comment \\\n; another\n ", 1)
    return value


@st.composite
def line(draw: st.DrawFn, rows: list[tuple[str, str]]) -> str:
    """An assignment, and now and then something else."""
    how = draw(st.integers(0, 30))
    if how == 0:
        return draw(st.sampled_from(["# A=b", "; A=b", "", "nonsense", "=x", "X-A=b", "Unknown=1", "  # c \\", "\t"]))
    key, kind = draw(st.sampled_from(rows))
    blanks = draw(st.sampled_from(["", "", "", " ", "\t"]))
    return f"{blanks}{key}{blanks}={blanks}{draw(values(key, kind))}{blanks}"


OF_SERVICE = [each for each in keys(SERVICE) + keys(EXEC) if each[0] != "ExecReloadPost"]  # which 252 does not know
OF_UNIT = keys(UNIT)


@st.composite
def service(draw: st.DrawFn) -> str:
    """A whole service."""
    unit = draw(st.lists(line(OF_UNIT), max_size=3))
    lines = draw(st.lists(line(OF_SERVICE), min_size=1, max_size=8))
    kind = draw(st.sampled_from(["", "", "Type=oneshot\n", "Type=notify\n"]))
    return "\n".join(["[Unit]", *unit, "[Service]", "ExecStart=/bin/true", *lines, kind])


@st.composite
def socket(draw: st.DrawFn) -> str:
    """A whole socket unit."""
    lines = draw(st.lists(line(keys(SOCKET)), min_size=1, max_size=8))
    return "\n".join(["[Socket]", draw(st.sampled_from(["ListenStream=/run/x", "ListenFIFO=/run/x", ""])), *lines, ""])
