"""The stanzas of an Upstart job (init(5)): how each is read, and what becomes of it.

STANZAS is a table. A row has the function that reads the rest of the stanza into the job, the directive of a systemd
unit that says the same ("" if there is none), and in some words why if there is none; the stanza then is in the class
that stands there. Where there is a directive, it is in that one's class. docs/directives.md is made from it.
"""

import _signal

from cross_init.definitions.classes import INITS, WEAKER
from cross_init.definitions.job import UNLIMITED, Job, Process
from cross_init.definitions.job_events import parse
from cross_init.definitions.job_syntax import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cross_init.definitions.classes import Row, Rows

    Handler = Callable[[Text, Job, str], str]  # the file's path; returns the stanza's whole name

INT_MAX, ULONG_MAX = (1 << 31) - 1, (1 << 64) - 1
LIMITS = (
    *("as", "core", "cpu", "data", "fsize", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
    *("sigpending", "stack"),
)


def read(text: Text, job: Job, file: str) -> "Iterator[tuple[str, int, str]]":
    """Read one stanza after the other into the job: the name of each, its line, and what it says. Raises Malformed."""
    while not text.is_at_end:
        while text.here() in (" ", "\t", "\r"):
            text.at += 1
        if not text.has_word():
            text.next_line()
            continue
        start, text.stanza_line = text.at, text.line
        name = text.word(unquote=False)
        if name not in READERS:
            raise text.fail(f"{name}: Upstart knows no such stanza")
        whole = READERS[name](text, job, file)
        job.origins[whole] = (file, text.stanza_line)
        said = text.text[start : text.at].strip().removeprefix(whole).strip()
        yield whole, text.stanza_line, said


def signal_number(name: str) -> int:
    """By its name, with or without SIG, as nih_signal_from_name() knows them; -1 if there is none."""
    short = name.removeprefix("SIG")
    found = getattr(_signal, f"SIG{short}", None)
    return int(found) if isinstance(found, int) and short.isalnum() and not short.startswith("RT") else -1


def number(text: Text, word: str, least: int, most: int, base: int = 10) -> int:
    """As strtol(3) has it. Raises Malformed."""
    digits = word.lstrip("+-")
    try:
        if len(word) - len(digits) > 1 or not digits.isalnum() or not digits.isascii():
            raise ValueError
        value = int(word, base)
    except ValueError:
        raise text.fail(f"{word}: it is no number") from None
    if not least <= value <= most:
        raise text.fail(f"{word}: it is not from {least} to {most}")
    return value


def unsigned(text: Text, word: str, most: int = INT_MAX) -> int:
    """As strtoul(3) has it, of which -1 is the largest. Raises Malformed."""
    value = number(text, word, -ULONG_MAX, ULONG_MAX) & ULONG_MAX
    if value > most:
        raise text.fail(f"{word}: it is not from 0 to {most}")
    return value


def _second(text: Text, *known: str) -> str:
    """The word that makes the stanza's name whole. Raises Malformed."""
    word = text.word(unquote=False)
    if word not in known:
        raise text.fail(f"{word}: it may be {', '.join(known)}")
    return word


def _text(field: str, stanza: str) -> "Handler":
    """What reads a stanza of one word."""

    def read_word(text: Text, job: Job, _: str) -> str:
        setattr(job, field, text.word())
        text.end_stanza()
        return stanza

    return read_word


def _env(text: Text, job: Job, _: str) -> str:
    job.variables.append(text.word())
    text.end_stanza()
    return "env"


def _export(text: Text, job: Job, _: str) -> str:
    job.exports += text.words()
    return "export"


def _emits(text: Text, job: Job, _: str) -> str:
    job.emits += text.words()
    return "emits"


def _start(text: Text, job: Job, _: str) -> str:
    _second(text, "on")
    job.start_on = parse(text)
    return "start on"


def _stop(text: Text, job: Job, _: str) -> str:
    _second(text, "on")
    job.stop_on = parse(text)
    return "stop on"


def _manual(_: Text, job: Job, __: str) -> str:
    """The rest of the line is another stanza, as Upstart has it."""
    job.start_on = None
    job.origins.pop("start on", None)
    return "manual"


def _debug(_: Text, __: Job, ___: str) -> str:
    return "debug"


def _exec(text: Text, job: Job, file: str) -> str:
    return _command(text, job, file, "main", "exec")


def _script(text: Text, job: Job, file: str) -> str:
    return _command(text, job, file, "main", "script")


def _process(which: str) -> "Handler":
    def read_process(text: Text, job: Job, file: str) -> str:
        _command(text, job, file, which, _second(text, "exec", "script"))
        return which

    return read_process


def _command(text: Text, job: Job, file: str, which: str, kind: str) -> str:
    line = text.stanza_line
    if kind == "exec" and not text.has_word():
        raise text.fail("a command is missing")
    said = text.command() if kind == "exec" else text.block("script")
    job.processes[which] = Process(said, kind == "script", (file, line))
    return kind


def _expect(text: Text, job: Job, _: str) -> str:
    word = text.word()
    if word not in ("stop", "daemon", "fork", "none"):
        raise text.fail(f"{word}: it may be stop, daemon, fork, none")
    job.expect = word
    text.end_stanza()
    return "expect"


def _task(text: Text, job: Job, _: str) -> str:
    job.is_task = True
    text.end_stanza()
    return "task"


def _kill(text: Text, job: Job, _: str) -> str:
    which = _second(text, "timeout", "signal")
    if which == "timeout":
        job.kill_timeout = number(text, text.word(), 0, INT_MAX)
    else:
        job.kill_signal = _signal_or_number(text)
    text.end_stanza()
    return f"kill {which}"


def _reload(text: Text, job: Job, _: str) -> str:
    _second(text, "signal")
    job.reload_signal = _signal_or_number(text)
    text.end_stanza()
    return "reload signal"


def _signal_or_number(text: Text) -> int:
    word = text.word()
    found = signal_number(word)
    return unsigned(text, word) if found < 0 else found


def _respawn(text: Text, job: Job, _: str) -> str:
    if not text.has_word():
        job.is_respawned = True
        text.end_stanza()
        return "respawn"
    _second(text, "limit")
    word = text.word()
    if word == "unlimited":
        job.respawn_limit = job.respawn_interval = 0
    else:
        job.respawn_limit = number(text, word, 0, INT_MAX)
        job.respawn_interval = number(text, text.word(), 0, INT_MAX)
    text.end_stanza()
    return "respawn limit"


def _normal(text: Text, job: Job, _: str) -> str:
    _second(text, "exit")
    for word in text.words():
        found = signal_number(word)
        job.normal_exits.append(unsigned(text, word) if found < 0 else found << 8)
    return "normal exit"


def _console(text: Text, job: Job, _: str) -> str:
    word = text.word()
    if word not in ("none", "output", "owner", "log"):
        raise text.fail(f"{word}: it may be none, output, owner, log")
    job.console = word
    text.end_stanza()
    return "console"


def _umask(text: Text, job: Job, _: str) -> str:
    job.umask = number(text, text.word(), 0, 0o777, 8)
    text.end_stanza()
    return "umask"


def _nice(text: Text, job: Job, _: str) -> str:
    job.nice = number(text, text.word(), -20, 19)
    text.end_stanza()
    return "nice"


def _oom(text: Text, job: Job, _: str) -> str:
    word = text.word()
    if word == "score":
        word = text.word()
        job.oom_score = -1000 if word == "never" else number(text, word, -1000, 1000)
    elif word == "never":
        job.oom_score = -1000
    else:  # the kernel's older scale
        value = number(text, word, -17, 15)
        job.oom_score = -(-value * 1000 // 17) if value < 0 else value * 1000 // 15
    text.end_stanza()
    return "oom score"


def _limit(text: Text, job: Job, _: str) -> str:
    name = text.word()
    if name not in LIMITS:
        raise text.fail(f"{name}: it may be {', '.join(LIMITS)}")
    soft, hard = (_bound(text, text.word()) for _ in range(2))
    job.limits[name] = soft, hard
    text.end_stanza()
    return "limit"


def _bound(text: Text, word: str) -> int:
    return UNLIMITED if word == "unlimited" else unsigned(text, word, ULONG_MAX)


def _apparmor(text: Text, job: Job, _: str) -> str:
    which = _second(text, "load", "switch")
    setattr(job, f"apparmor_{which}", text.word())
    text.end_stanza()
    return f"apparmor {which}"


def _cgroup(text: Text, job: Job, _: str) -> str:
    """CONTROLLER, and perhaps a name, and perhaps a key with its value. The last two words are these."""
    words = text.words()
    if len(words) > 4:
        raise text.fail(f"{words[4]}: nothing more is expected here")
    key, value = words[-2:] if len(words) > 2 else ("", "")
    job.cgroups.append((words[0], key, value))
    return "cgroup"


READERS: "dict[str, Handler]" = {
    "instance": _text("instance", "instance"),
    "description": _text("description", "description"),
    "author": _text("author", "author"),
    "version": _text("version", "version"),
    "usage": _text("usage", "usage"),
    "env": _env,
    "export": _export,
    "start": _start,
    "stop": _stop,
    "emits": _emits,
    "exec": _exec,
    "script": _script,
    **{which: _process(which) for which in ("pre-start", "post-start", "pre-stop", "post-stop")},
    "expect": _expect,
    "task": _task,
    "kill": _kill,
    "reload": _reload,
    "respawn": _respawn,
    "normal": _normal,
    "console": _console,
    "umask": _umask,
    "nice": _nice,
    "oom": _oom,
    "limit": _limit,
    "chroot": _text("chroot", "chroot"),
    "chdir": _text("chdir", "chdir"),
    "setuid": _text("setuid", "setuid"),
    "setgid": _text("setgid", "setgid"),
    "debug": _debug,
    "manual": _manual,
    "apparmor": _apparmor,
    "cgroup": _cgroup,
}
# Of each stanza by its whole name: the directive of a unit that says the same; or "", its class, and why.
STANZAS: dict[str, tuple[str, str, str]] = {
    "description": ("Description", "", ""),
    "author": ("", INITS, "for people"),
    "version": ("", INITS, "for people"),
    "usage": ("", INITS, "for people"),
    "emits": ("", INITS, "for people: events are Upstart's own"),
    "export": ("", INITS, "it is for events, which are Upstart's own"),
    "start on": ("", INITS, "when it is started"),
    "stop on": ("", INITS, "when it is stopped"),
    "manual": ("", INITS, "when it is started"),
    "instance": ("", INITS, "it becomes a template"),
    "exec": ("ExecStart", "", ""),
    "script": ("ExecStart", "", ""),
    "pre-start": ("ExecStartPre", "", ""),
    "post-start": ("ExecStartPost", "", ""),
    "pre-stop": ("ExecStop", "", ""),
    "post-stop": ("ExecStopPost", "", ""),
    "expect": ("Type", "", ""),
    "task": ("Type", "", ""),
    "respawn": ("Restart", "", ""),
    "respawn limit": ("StartLimitBurst", "", ""),
    "normal exit": ("SuccessExitStatus", "", ""),
    "kill timeout": ("TimeoutStopSec", "", ""),
    "kill signal": ("KillSignal", "", ""),
    "reload signal": ("ExecReload", "", ""),
    "env": ("Environment", "", ""),
    "console": ("StandardOutput", "", ""),
    "umask": ("UMask", "", ""),
    "nice": ("Nice", "", ""),
    "oom score": ("OOMScoreAdjust", "", ""),
    "limit": ("LimitNOFILE", "", ""),
    "chroot": ("RootDirectory", "", ""),
    "chdir": ("WorkingDirectory", "", ""),
    "setuid": ("User", "", ""),
    "setgid": ("Group", "", ""),
    "apparmor load": ("", WEAKER, "it is for a kernel with AppArmor"),
    "apparmor switch": ("AppArmorProfile", "", ""),
    "cgroup": ("", INITS, "control groups are the init's"),
    "debug": ("", INITS, "it is for Upstart's own developers"),
}


def row(stanza: str) -> "Row":
    """What there is to know of a stanza, as directives.row() says it of a directive."""
    from cross_init.definitions.directives import row as of_directive

    directive, said_class, reason = STANZAS[stanza]
    if directive:
        found = of_directive("Unit" if directive in ("Description", "StartLimitBurst") else "Service", directive)
        if found is not None:
            return "", found[1], found[2], found[3]
    return "", "", said_class, reason


def rows() -> "Rows":
    """All of them."""
    return {stanza: row(stanza) for stanza in STANZAS}
