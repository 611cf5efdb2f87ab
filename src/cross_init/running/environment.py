"""The variables that a service starts with (systemd.exec(5), "Environment Variables in Spawned Processes").

A service of systemd's does not inherit its manager's variables, nor does one here its init's: PassEnvironment= says
which. EnvironmentFile= is read by us, before the user is changed.
"""

import posix

from cross_init.errors import Failure, why
from cross_init.launch import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cross_init.definitions.definition import Definition
    from cross_init.kernel.linux import Environment
    from cross_init.running.identity import Identity

LOCALES = ("/etc/locale.conf", "/etc/default/locale")  # locale.conf(5), and where Debian has it
LOCALE = ("LANG", "LANGUAGE", "LC_")
NO_SHELLS = ("nologin", "false", "true")  # which systemd does not tell of
FILE_MOST = 1 << 22  # bytes
PATTERN = "*?["


def encoded(text: str) -> bytes:
    """As the kernel has it."""
    return text.encode("utf-8", "surrogateescape")


def variables(definition: "Definition", identity: "Identity", given: "Environment") -> "Environment":
    """All of them. given: what we were started with. Raises Failure."""
    context = definition.context
    if definition.target == "upstart":
        from cross_init.running.job import variables as of_job

        return of_job(definition, given)
    found: Environment = dict(given) if definition.of_user else {b"PATH": DEFAULT_PATH, **_locale()}
    found[b"INVOCATION_ID"] = posix.urandom(16).hex().encode()
    is_login = context.set_login_environment
    if is_login or (is_login is None and identity.name):
        found |= _login(identity)
    elif not definition.of_user and not posix.geteuid():
        found[b"USER"] = b"root"  # systemd 257 and newer say it
    if context.has_terminal:
        from cross_init.running.terminals import term_of

        found[b"TERM"] = term_of(context)
    if definition.readiness.pid_file:
        found[b"PIDFILE"] = encoded(definition.readiness.pid_file)
    found |= folders(definition)
    if has_credentials(definition):
        from cross_init.running.credentials import VARIABLE, folder_of

        found[VARIABLE] = encoded(folder_of(definition))
    if context.private_tmp == "disconnected":
        from cross_init.sandbox.entries import is_tmp_alone

        if is_tmp_alone(definition):
            found[b"TMPDIR"] = b"/tmp"
    if context.exec_search_path:
        found[b"PATH"] = encoded(":".join(context.exec_search_path))
    for name in map(encoded, context.pass_environment):
        if name in given:
            found[name] = given[name]
    found |= {encoded(name): encoded(value) for name, value in context.environment}
    for path, may_lack in context.environment_files:
        for file in _files(path, may_lack, definition.where("environment_files")):
            found |= read_file(file, may_lack, definition.where("environment_files"))
    for said in map(encoded, context.unset_environment):
        name, equals, value = said.partition(b"=")
        if name in found and (not equals or found[name] == value):
            del found[name]
    return found


def has_credentials(definition: "Definition") -> bool:
    """Whether there are some to be provided."""
    context = definition.context
    return bool(context.load_credential or context.set_credential or context.import_credential)


def remove_made(definition: "Definition") -> None:
    """Remove what was made for it, and goes with it: credentials, runtime folders."""
    if has_credentials(definition):
        from cross_init.running.credentials import remove_all

        remove_all(definition)
    if definition.context.runtime_directory:
        from cross_init.running.directories import remove_runtime

        remove_runtime(definition)


def _login(identity: "Identity") -> "Environment":
    """HOME, LOGNAME, USER and SHELL."""
    if identity.name:
        name, home, shell = identity.name, identity.home, identity.shell
    else:
        from pwd import getpwuid

        try:
            entry = getpwuid(posix.geteuid())
        except KeyError:
            return {}
        name, home, shell = entry.pw_name, entry.pw_dir, entry.pw_shell
    said = {b"HOME": home, b"LOGNAME": name, b"USER": name, b"SHELL": shell}
    if home == "/":
        del said[b"HOME"]
    if shell.rpartition("/")[2] in NO_SHELLS:
        del said[b"SHELL"]
    return {variable: encoded(value) for variable, value in said.items() if value}


def folders(definition: "Definition") -> "Environment":
    """RUNTIME_DIRECTORY and its like."""
    context = definition.context
    if not context.has_folders:
        return {}
    from cross_init.running.directories import KINDS, shown

    return {
        kind.upper().encode() + b"_DIRECTORY": encoded(":".join(found))
        for kind in KINDS
        if (found := shown(definition, kind))
    }


def _locale() -> "Environment":
    """What the machine's language is, or what systemd takes where nothing says it."""
    for path in LOCALES:
        try:
            said = parse(_content(path))
        except OSError:
            continue
        found = {name: value for name, value in said.items() if name.decode("latin-1").startswith(LOCALE)}
        if found:
            return found
    return {b"LANG": b"C.UTF-8"}


def _files(path: str, may_lack: bool, where: str) -> list[str]:
    """The files that a pattern stands for, in order. Raises Failure if there is none and there has to be one."""
    if not any(letter in path for letter in PATTERN):
        return [path]
    from glob import glob

    found = sorted(glob(path))
    if not found and not may_lack:
        raise Failure(f"{where}: EnvironmentFile={path}: there is no such file")
    return found


def read_file(path: str, may_lack: bool, where: str) -> "Environment":
    """Raises Failure."""
    try:
        return parse(_content(path))
    except OSError as error:
        if may_lack and isinstance(error, FileNotFoundError):
            return {}
        raise Failure(f"{where}: EnvironmentFile={path}: {why(error)}") from None


def _content(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY)
    try:
        text = b""
        while len(text) < FILE_MOST and (part := posix.read(fd, 65536)):
            text += part
        return text
    finally:
        posix.close(fd)


def parse(data: bytes) -> "Environment":
    """What an environment file says (systemd's env-file.c, parse_env_file_internal()).

    As in a shell: quotation marks, a backslash before one letter, and a line's end behind a backslash goes; a comment
    begins with # or ; where a line begins. Nothing is put in for $.
    """
    found: Environment = {}
    text = data.decode("utf-8", "surrogateescape")
    at, end = 0, len(text)
    while at < end:
        while at < end and text[at] in " \t\r\n":
            at += 1
        if at < end and text[at] in "#;":
            at = _comment(text, at)
            continue
        name, at = _name(text, at)
        if at >= end or text[at] != "=":
            at += 1  # a line without an assignment
            continue
        value, at = _value(text, at + 1)
        if name and name.isascii() and name.replace("_", "a").isalnum() and not name[0].isdigit():
            found[encoded(name)] = encoded(value)
    return found


def _comment(text: str, at: int) -> int:
    """Where it ends: a backslash before the line's end goes on with it."""
    while at < len(text) and text[at] not in "\r\n":
        at += 2 if text[at] == "\\" else 1
    return at


def _name(text: str, at: int) -> tuple[str, int]:
    begin = at
    while at < len(text) and text[at] not in "=\r\n":
        at += 1
    name = text[begin:at].strip(" \t")
    return name.removeprefix("export ").lstrip(" \t") if name.startswith("export ") else name, at


def _value(text: str, at: int) -> tuple[str, int]:
    """Quotation marks count where nothing but quoted text is before them, and blanks around that do not."""
    end = len(text)
    value, kept = "", 0  # kept: what is not to be stripped at the end
    is_begun = False
    while at < end and text[at] not in "\r\n":
        letter = text[at]
        at += 1
        if letter == "\\":
            is_begun = True
            if at < end and text[at] not in "\r\n":
                value += text[at]
                kept = len(value)
            at += 1
        elif letter in "'\"" and not is_begun:
            quoted, at = _quoted(text, at, letter)
            value += quoted
            kept = len(value)
        elif is_begun or letter not in " \t":
            is_begun = True
            value += letter
            if letter not in " \t":
                kept = len(value)
    return value[:kept], at


def _quoted(text: str, at: int, mark: str) -> tuple[str, int]:
    found = ""
    while at < len(text) and text[at] != mark:
        letter = text[at]
        if letter == "\\" and mark == '"' and at + 1 < len(text):
            at += 1
            if text[at] in '"\\`$':
                found += text[at]
            elif text[at] != "\n":
                found += f"\\{text[at]}"
        else:
            found += letter
        at += 1
    return found, at + 1
