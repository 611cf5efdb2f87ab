"""Make the completions of bash, zsh and fish, from commands/described*.py, as the help and the man pages are made.

usage: make_completions.py FOLDER

FOLDER gets bash/, zsh/ and fish/, with the files as each shell looks for them: by the command's name. What stands
behind the command that is to be run is completed as that command is.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src")]

from cross_init.commands.described import FILE, GROUPS, Option  # noqa: E402
from cross_init.commands.described_commands import COMMANDS  # noqa: E402
from cross_init.commands.help import FRONT_DOORS_OWN, own_options, plain  # noqa: E402
from cross_init.commands.options import CHOICES, OPTIONAL, OPTIONS  # noqa: E402

MADE = "# Made by tools/make_completions.py: do not edit.\n"
BRIDGES = tuple(option for group in GROUPS for option in group.options)
MEANS = {"inetd": ("inetd:wait", "inetd:nowait"), "dinit": ("dinit:fd=", "dinit:var=")}  # targets with more behind them


def values(option: Option) -> tuple[str, ...]:
    """How a value of it may begin; FILE for names of files; nothing if anything goes."""
    attribute = OPTIONS[option.name][0] if option.name in OPTIONS else ""
    found = option.completes or CHOICES.get(attribute, ())
    if attribute != "target":
        return tuple(found)
    return tuple(word for each in found for word in MEANS.get(each, (each,)))


def takes_value(option: Option) -> bool:
    """Whether its value may be the next word."""
    return bool(option.argument) and option.name not in OPTIONAL


def about(option: Option) -> str:
    """What it is for, in some words."""
    return option.brief or re.split(r"[.;:] |\.$", plain(option.text))[0]


def what(words: str) -> str:
    """The text where a shell's quotes and colons mean something."""
    return plain(words).replace("'", "").replace("[", "(").replace("]", ")").replace(":", "\\:")


def bash() -> str:
    """One function for both commands."""
    rows_of_bridge = [f"  {_bash_keys(option)}) {_bash_value(option)} ;;" for option in BRIDGES if option.argument]
    shorts = "".join(option.short[1] for option in BRIDGES if takes_value(option) and option.short)
    long = " ".join(option.name for option in BRIDGES)
    commands = " ".join(command.name for command in COMMANDS)
    rows = [
        f'    {command.name}) _cross_init_words "{" ".join(option.name for option in own_options(command))}"'
        f"{' files' if command.completes == FILE else ''} ;;"
        for command in COMMANDS
    ]
    own = " ".join(option.name for option in FRONT_DOORS_OWN)
    takes = "|".join(name for option in BRIDGES if takes_value(option) for name in (option.name, option.short) if name)
    newline = "\n"
    return f"""{MADE}
# $1: words; $2: "files" if it may be the name of a file as well. A word that ends in : or = is not the end of a value.
_cross_init_words() {{
  local word=$cur colon
  [[ $word == --*=* ]] && word=${{word#*=}}
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
  if [[ $2 == files ]]; then
    compopt -o filenames
    mapfile -t -O ${{#COMPREPLY[@]}} COMPREPLY < <(compgen -f -- "$word")
  fi
  [[ ${{#COMPREPLY[@]}} == 1 && $COMPREPLY == *[:=] ]] && compopt -o nospace
  # What stands before the last colon is a word of its own to readline, where COMP_WORDBREAKS has a colon.
  if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
    colon=${{word%"${{word##*:}}"}}
    COMPREPLY=("${{COMPREPLY[@]#"$colon"}}")
  fi
}}

# The words before the cursor as they were typed: readline parts them at = and : as well.
_cross_init_split() {{
  read -ra words <<< "${{COMP_LINE:0:COMP_POINT}}"
  [[ ${{COMP_LINE:0:COMP_POINT}} == *[[:space:]] ]] && words+=("")
  cur=${{words[-1]}} prev=${{words[-2]}}
}}

_cross_init_bridge() {{
  local words cur prev at
  _cross_init_split
  for ((at = 1; at < ${{#words[@]}} - 1; at++)); do
    case ${{words[at]}} in
    {takes}) ((at++)) ;;
    -*[{shorts}]) [[ ${{words[at]}} == --* ]] || ((at++)) ;;
    --|[!-]*)
      [[ ${{words[at]}} == -- ]] && ((at++))
      _cross_init_command $at
      return
      ;;
    esac
  done
  [[ $cur == --*=* ]] && prev=${{cur%%=*}}=
  case $prev in
{newline.join(rows_of_bridge)}
  *)
    case $cur in
    -*) _cross_init_words "{long}" ;;
    *) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
    esac
    ;;
  esac
}}

# What the command, the word with this number, would have completed: by bash-completion, if that is there.
_cross_init_command() {{
  if (($1 < ${{#words[@]}} - 1)) && declare -F _command_offset > /dev/null; then
    local at=0
    while [[ $at -lt ${{#COMP_WORDS[@]}} && ${{COMP_WORDS[at]}} != "${{words[$1]}}" ]]; do ((at++)); done
    _command_offset $at
  elif (($1 < ${{#words[@]}} - 1)); then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -c -- "$cur")
  fi
}}

_cross_init() {{
  local words cur prev
  _cross_init_split
  if ((${{#words[@]}} < 3)); then
    _cross_init_words "{commands} {own}"
    return
  fi
  case ${{words[1]}} in
{newline.join(rows)}
  esac
}}

complete -F _cross_init_bridge cross-init-bridge
complete -F _cross_init cross-init
"""


def _bash_keys(option: Option) -> str:
    """What stands before its value: a word, or the beginning of one."""
    words = (option.short, option.name) if takes_value(option) else ()
    return "|".join(filter(None, (*words, f"{option.name}=")))


def _bash_value(option: Option) -> str:
    found = values(option)
    if found == FILE:
        return '_cross_init_words "" files'
    return f'_cross_init_words "{" ".join(found)}"'


def zsh() -> str:
    """One file for both commands."""
    lines = [_zsh_option(option) for option in BRIDGES]
    own = [_zsh_option(option) for option in FRONT_DOORS_OWN]
    commands = [f"    '{command.name}:{what(command.brief)}'" for command in COMMANDS]
    cases = []
    for command in COMMANDS:
        words = [_zsh_option(option) for option in own_options(command)]
        words += ["'*:file:_files'"] if command.completes == FILE else []
        cases.append(f"    {command.name}) _arguments {' '.join(words)} ;;")
    newline = "\n"
    return f"""#compdef cross-init-bridge cross-init
{MADE}
# A word that ends in : or = is not the end of a value.
_cross_init_words() {{
  compadd -S "" -- ${{(M)@:#*[:=]}}
  compadd -- ${{@:#*[:=]}}
}}

_cross_init_bridge() {{
  _arguments -s -S \\
{newline.join(f"    {line} {chr(92)}" for line in lines)}
    '(-)1:command:_command_names -e' \\
    '*::arguments:_normal'
}}

_cross_init() {{
  local context state line
  local -a commands=(
{newline.join(commands)}
  )
  _arguments -C {" ".join(own)} '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
{newline.join(cases)}
    esac
    ;;
  esac
}}

case $service in
cross-init) _cross_init "$@" ;;
*) _cross_init_bridge "$@" ;;
esac
"""


def _zsh_option(option: Option) -> str:
    found = values(option)
    does = what(about(option))
    if not option.argument:
        behind, value = "", ""
    else:
        name = re.sub(r"[^A-Za-z]+", " ", option.argument).strip().lower().split()[-1]
        open_ended = [word for word in found if word.endswith((":", "="))]
        words = [word.replace(":", "\\:") for word in found]
        if found == FILE:
            action = "_files"
        elif open_ended:
            action = f"_cross_init_words {' '.join(words)}"
        else:
            action = f"({' '.join(words)})" if found else ""
        behind = "=-" if option.name in OPTIONAL else "="
        colon = "::" if option.name in OPTIONAL else ":"
        value = f"{colon}{name}:{' ' if open_ended else ''}{action}"
    repeated = "*" if option.name in ("--listen", "--ready-when") else ""
    if not option.short:
        return f"'{repeated}{option.name}{behind}[{does}]{value}'"
    exclusive = f"({option.short} {option.name})"
    short = f"{option.short}{'+' if takes_value(option) else ''}"
    if option.name in OPTIONAL:
        return f"'{exclusive}{option.short}[{does}]' '{exclusive}{option.name}{behind}[{does}]{value}'"
    return f"'{exclusive}'{{{short},{option.name}{behind}}}'[{does}]{value}'"


def fish(name: str) -> str:
    """The file of one of the two commands."""
    lines = [MADE.rstrip()]
    if name == "cross-init-bridge":
        lines += [FISH_BRIDGE.replace("@TAKES@", " ".join(_fish_takes()))]
        lines += [f"complete -c {name} -n 'not __cross_init_bridge_command' -f"]
        lines += [f"complete -c {name} -n __cross_init_bridge_command -x -a '(__cross_init_bridge_rest)'"]
        lines += [_fish_option(name, option, "not __cross_init_bridge_command") for option in BRIDGES]
        return "\n".join(lines) + "\n"
    lines += [f"complete -c {name} -f"]
    lines += [_fish_option(name, option, "__fish_use_subcommand") for option in FRONT_DOORS_OWN]
    for command in COMMANDS:
        lines.append(f"complete -c {name} -n __fish_use_subcommand -a {command.name} -d '{what(command.brief)}'")
        seen = f"__fish_seen_subcommand_from {command.name}"
        lines += [_fish_option(name, option, seen) for option in own_options(command)]
        if command.completes == FILE:
            lines.append(f"complete -c {name} -n '{seen}' -F")
    return "\n".join(lines) + "\n"


FISH_BRIDGE = """
# The words of the command that is to be run, as far as they are there, if there is one, or -- before it.
function __cross_init_bridge_rest_of
    set -l words (commandline -opc)[2..-1]
    set -l skip 0
    for at in (seq (count $words))
        if test $skip = 1
            set skip 0
        else if test "$words[$at]" = --
            set -e words[1..$at]
            printf '%s\\n' -- $words
            return
        else if contains -- "$words[$at]" @TAKES@
            set skip 1
        else if string match -qv -- '-*' "$words[$at]"
            printf '%s\\n' -- $words[$at..-1]
            return
        end
    end
end

function __cross_init_bridge_command
    test (count (__cross_init_bridge_rest_of)) -gt 0
end

# What that command would have completed.
function __cross_init_bridge_rest
    set -l words (__cross_init_bridge_rest_of)
    complete -C (string join ' ' -- (string escape -- $words[2..-1]) (commandline -ct))
end
"""


def _fish_takes() -> list[str]:
    return [name for option in BRIDGES if takes_value(option) for name in (option.short, option.name) if name]


def _fish_option(name: str, option: Option, when: str) -> str:
    words = [f"complete -c {name} -n '{when}' -l {option.name[2:]}"]
    if option.short:
        words.append(f"-s {option.short[1]}")
    found = values(option)
    if takes_value(option):
        words.append("-r -F" if found == FILE else "-x")
    if found and found != FILE:
        words.append(f"-a '{' '.join(found)}'")
    return " ".join([*words, f"-d '{what(about(option)).replace(chr(92), '')}'"])


def main() -> None:
    """Write them."""
    folder = Path(sys.argv[1])
    made = {
        "bash/cross-init-bridge": bash(),
        "zsh/_cross-init-bridge": zsh(),
        "fish/cross-init-bridge.fish": fish("cross-init-bridge"),
        "fish/cross-init.fish": fish("cross-init"),
    }
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
