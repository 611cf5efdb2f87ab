"""The first lines of the forms that a shell starts: they find an interpreter and become it, isolated.

The shell sets one variable, of a name that nobody else has: what it set under another's name the daemon would inherit.
An interpreter where a system has its own is known by its name; any other one is asked for its version, as a name on
PATH may be no more than somebody's wrapper.
"""

OPTIONS = "-ISXutf8"  # python3(1): no PYTHON... variable counts, no site packages, UTF-8 whatever the locale is
VERSIONS = (14, 13, 12, 11)  # of Python 3, the best first
FOLDERS = ("/usr/bin", "/usr/local/bin")
TEXT = """\
# A copy of this process has the variables that a shell does not pass on, until they have been read and 9 is closed.
[ -e /proc/self/fd/9 ] || {{
  exec 9<<_cross_init
_cross_init
  command eval "(while printf %9999s; do :; done) > /proc/self/fd/9 9<&- &" 2> /dev/null
}}
for _cross_init in {known}; do
  [ -x "$_cross_init" ] && exec "$_cross_init" ${{!:+-Xcross_init=$!}} {words} "$@"
done
for _cross_init in {asked}; do
  _cross_init=$(command -v "$_cross_init") &&
    "$_cross_init" -ISc 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null &&
    exec "$_cross_init" ${{!:+-Xcross_init=$!}} {words} "$@"
done
echo "cross-init-bridge: found no Python 3.11 or newer in /usr/bin, /usr/local/bin or PATH: install python3" >&2
exit 125
"""


def finder(words: str, first: tuple[str, ...] = ()) -> str:
    """Lines of sh(1) that become an interpreter.

    words: what it gets before our own words, quoted for the shell. first: where it is looked for before, so quoted.
    """
    names = [f"python3.{minor}" for minor in VERSIONS]
    known = [f"{folder}/{name}" for folder in FOLDERS for name in names]
    asked = [*(f"{folder}/python3" for folder in FOLDERS), "python3", *names]
    return TEXT.format(
        known=" ".join((*first, *known)),
        asked=" ".join(asked),
        words=f"{OPTIONS} {words}",
    )


def commented(text: str) -> str:
    """The text as comments."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())
