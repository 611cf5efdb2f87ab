"""Make cross-init-bridge one static file, which needs no Python and no library: for a container FROM scratch.

usage: make_static.py [--architecture aarch64] OUTPUT

Needs Debian's packages gcc, binutils, libc6-dev, libpython3-dev (a static libpython, of the machine's own python3),
zlib1g-dev, libseccomp-dev and python3-jeepney. Our modules, jeepney and what they reach of the standard library are
compiled, frozen in, and linked with static/main.c and static/asking.c. Nothing is left in the folder of OUTPUT but the
file and what it was made of, in build/. The same sources and packages give the same file, byte by byte.

For arm64 (--architecture aarch64), from amd64: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, and libpython3.11-dev (on
Debian 13: libpython3.13-dev), zlib1g-dev and libseccomp-dev of arm64 unpacked in a folder that --root names. apt-get
finds those without the machine's own being touched:

    apt="apt-get -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State::lists=$PWD/lists"
    apt="$apt -o Dir::Cache=$PWD/cache -o Dir::State::status=/dev/null"
    mkdir -p lists/partial cache/archives/partial
    $apt update && $apt download libpython3.11-dev zlib1g-dev libseccomp-dev
    for each in *_arm64.deb; do dpkg-deb -x "$each" root; done
"""

import argparse
import ast
import marshal
import re
import subprocess
import sys
from collections import Counter
from itertools import accumulate
from pathlib import Path
from zlib import DEF_MEM_LEVEL, DEFLATED, MAX_WBITS, Z_DEFAULT_STRATEGY, compress, compressobj

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # which -I leaves out
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "src"))

from cross_init.resident import asking
from tools.make_single_file import always

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "tools/static"
SOURCES = ("main.c", "asking.c")
LETTERS = ("PROGRAM", "CLOSE", "UNSET", "SET", "AT", "IGNORES", "LEADS")  # of what a resident answers
PYTHON = Path("/usr/bin/python3").resolve()  # Debian's own, as libpython is of it
MINOR = int(PYTHON.name.rpartition(".")[2] or 0) if "." in PYTHON.name else 0
NEWEST = 13  # whose libpython is whole: that of 3.14 wants a library of hash functions, which Debian does not ship
STANDARD = Path("/usr/lib") / PYTHON.name
LIBRARIES = Path("/usr/lib/python3/dist-packages")
# Run by that: imports what our modules do, and lists what came with it: name, file ("" for one that is built in).
# Without ssl, of which Debian has no static library.
REACH = """
import sys
sys.path.append(sys.argv[1])
for name in ("ssl", "_ssl", "ctypes", "_ctypes", "_hashlib", "unicodedata"):
    sys.modules[name] = None
for name in sys.argv[2].split():
    sys.modules[name] = type(sys)(name)
for name in sys.argv[3:]:
    __import__(name)
for name, module in sorted(sys.modules.items()):
    if module is not None and name not in ("__main__", "os.path"):
        file = getattr(module, "__file__", None) or ""
        print(name, file, int(hasattr(module, "__path__")), sep="\\t")
"""
# What email imports for the dates and the names of messages, of which http.client asks nothing: empty here.
EMPTY = ("calendar", "datetime", "random")
# Of which others ask for less than there is: our own.
LESSER = {"encodings.idna": "idna.py", "ipaddress": "ipaddress.py"}
# What is imported from C, by a name that is made only then, or by a function of the standard library.
BESIDE = ("encodings.ascii", "encodings.latin_1", "encodings.utf_8", "jeepney.io.blocking", "zlib")
NOW = ("encodings", "encodings.aliases", "encodings.utf_8", "encodings.ascii")  # what the interpreter starts with
# What most starts need of ours, beside what every start does. The rest is packed: it is large, and seldom wanted.
OFTEN = {
    *("kernel.orphans", "kernel.pidfds", "kernel.system_calls", "readiness.notify_socket", "sockets.passed"),
    *("shapes.guard", "shapes.guard_words", "shapes.processes", "shapes.supervise", "shapes.watch"),
    *("systems.container", "systems.none", "systems.s6", "systems.systemd", "systems.upstart"),
}
OURS = {"resource", "cross_init_calls"}  # in main.c
NOT_HERE = {"ctypes", "_ctypes", "ssl", "cross_init_calls"}
# In libpython already, up to 3.12 in a form that is faster still (Python's own Makefile, FROZEN_FILES_IN).
FROZEN_ALREADY = {"_frozen_importlib", "_frozen_importlib_external", "zipimport"}
FROZEN_ALREADY |= {"importlib._bootstrap", "importlib._bootstrap_external"}
FROZEN_OTHERS = {"abc", "codecs", "io", "_collections_abc", "genericpath", "posixpath", "os", "stat"}
# From 3.13 on they are in the form that we make, and all in one table of libpython's, with many that nobody needs here.
# So that is left out (main.c), and those that the interpreter starts with are ours to give.
IS_OURS_TO_FREEZE = MINOR >= 13
FIRST = {
    "_frozen_importlib": "importlib/_bootstrap.py",
    "_frozen_importlib_external": "importlib/_bootstrap_external.py",
    **{name: f"{name}.py" for name in ("zipimport", "abc", "codecs", "io")},
}
if not IS_OURS_TO_FREEZE:
    FROZEN_ALREADY |= FROZEN_OTHERS
    FIRST = {}
# Those that the interpreter itself imports or cannot do without.
ALWAYS_BUILT_IN = {"_abc", "_codecs", "_io", "_signal", "_thread", "_weakref", "errno", "faulthandler", "itertools"}
ALWAYS_BUILT_IN |= {"_tracemalloc", "posix", "pwd", "time", "atexit", "_functools", "_collections", "_stat", "_locale"}
IN_MAIN_C = {"marshal", "_imp", "builtins", "sys", "gc", "_warnings", "_string", "_frozen_importlib", *OURS}
DICTIONARY = ""  # its name among what is packed
STRINGS = re.compile(rb"[ -~]{4,}")
IN_MANY = 4  # modules
TYPICAL = ("cross_init.shapes.control", "cross_init.writers.supervisord", "cross_init.systems.dinit")
WINDOW = 1 << 15  # bytes that zlib looks back
COMPILE = """
import marshal, sys
texts = marshal.loads(sys.stdin.buffer.read())

def lean(code):
    kept = tuple(lean(each) if hasattr(each, "co_code") else each for each in code.co_consts)
    return code.replace(co_linetable=b"", co_consts=kept)

def compiled(name, text):
    code = compile(text, f"<frozen {name}>", "exec", 0, True, 2)
    return code if name.startswith("cross_init") else lean(code)

made = [(name, marshal.dumps(compiled(name, text))) for name, text in texts]
sys.stdout.buffer.write(marshal.dumps(made))
"""
FLAGS = (
    "-O2",
    "-g0",
    "-static",
    "-no-pie",
    "-fno-pie",
    "-fno-strict-aliasing",
    "-Wl,--gc-sections",
    "-Wl,-s",
    "-Wl,-z,noseparate-code",
    "-Wl,--build-id=none",
)


def imported() -> list[str]:
    """What our modules import that is not ours."""
    found = set(BESIDE)
    for path in (ROOT / "src/cross_init").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module or "")
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return sorted(name for name in found - NOT_HERE if not name.startswith("cross_init"))


def reached() -> tuple[dict[str, tuple[Path, bool]], list[str]]:
    """The modules that are files, each with whether it is a package; and those that are built in."""
    words = [str(PYTHON), "-ISXutf8", "-c", REACH, str(LIBRARIES), " ".join(EMPTY), *imported()]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    files: dict[str, tuple[Path, bool]] = {}
    built_in = set(ALWAYS_BUILT_IN)
    for name, file, is_package in (line.split("\t") for line in said.splitlines()):
        if file.endswith(".py"):
            files[name] = (Path(file), is_package == "1")
        elif not file and name.isidentifier():
            built_in.add(name)
    return {name: file for name, file in files.items() if name not in FROZEN_ALREADY}, sorted(built_in - IN_MAIN_C)


def compiled(texts: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Each text as the code that marshal reads there; without docstrings, and assert, which is for readers.

    Of others' also without the numbers of lines, which are a fifth of it: a mistake of ours is told with ours.
    """
    words = [str(PYTHON), "-ISXutf8", "-Xno_debug_ranges", "-c", COMPILE]
    made = subprocess.run(words, input=marshal.dumps(texts, 2), stdout=subprocess.PIPE, check=True).stdout
    codes: list[tuple[str, bytes]] = marshal.loads(made)
    return codes


def frozen(folder: Path, declared: set[str]) -> None:
    """Write frozen.bin, packed.bin and frozen.h. declared: the modules that libpython has built in."""
    files, built_in = reached()
    built_in = [name for name in built_in if name in declared]
    packages = {name for name, (_, is_package) in files.items() if is_package}
    texts = {name: path.read_bytes() for name, (path, _) in files.items()}
    texts |= dict.fromkeys(EMPTY, b"")
    texts |= {name: (STATIC / file).read_bytes() for name, file in LESSER.items()}
    ours = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts): path.read_bytes()
        for path in (ROOT / "src").glob("cross_init/**/*.py")
        if path.name != "__init__.py"  # nothing but a docstring
    }
    often = {name.replace("/", ".") for name in always()} | {f"cross_init.{name}" for name in OFTEN}
    texts |= {name: text for name, text in ours.items() if name not in often}
    texts |= {name: (STANDARD / file).read_bytes() for name, file in FIRST.items()}
    later = [name for name in sorted(texts) if name not in NOW and name not in FIRST]
    codes = compiled([(name, texts[name]) for name in later])
    common = dictionary(dict(codes))
    packs = [(DICTIONARY, compress(common, 9)), *((name, pack(code, common)) for name, code in codes)]
    ends = list(accumulate(len(pack) for _, pack in packs))
    places = {
        name: (end - len(pack), len(pack), name in packages) for (name, pack), end in zip(packs, ends, strict=True)
    }
    now = {name: texts[name] for name in (*NOW, *FIRST)}
    now["packed"] = f"PLACES = {places}".encode()
    now["in_static"] = (STATIC / "in_static.py").read_bytes()
    now |= {name: text for name, text in ours.items() if name not in texts}
    codes = compiled(sorted(now.items()))
    (folder / "frozen.bin").write_bytes(b"".join(code for _, code in codes))
    (folder / "packed.bin").write_bytes(b"".join(pack for _, pack in packs))
    rows = ", ".join(f'{{"{name}", {len(code)}, {int(name in packages)}}}' for name, code in codes)
    inits = " ".join(f'{{"{name}", PyInit_{name}}},' for name in built_in)
    functions = " ".join(f"extern PyObject *PyInit_{name}(void);" for name in built_in)
    lines = (f"#define FROZEN {rows}", f"#define INITS {inits}", f"#define DECLARED {functions}")
    (folder / "frozen.h").write_text("".join(f"{line}\n" for line in lines))


def asked(folder: Path) -> None:
    """Write asked.h: what asking.c has to know of asking.py."""
    texts = {name: getattr(asking, name).decode() for name in ("BEGINNING", "TAKEN", "OURS")}
    letters = {name: getattr(asking, name).decode() for name in LETTERS}
    numbers = {name: getattr(asking, name) for name in ("LONGEST", "PASSED_MAX", "NOEXEC_SEAL", "BEHIND")}
    numbers["PATIENCE_MS"] = int(asking.PATIENCE_S * 1000)
    lines = [f'#define {name} "{text}"' for name, text in texts.items()]
    lines += [f"#define {name} '{letter}'" for name, letter in letters.items()]
    lines += [f"#define {name} {number}" for name, number in numbers.items()]
    (folder / "asked.h").write_text("".join(f"{line}\n" for line in lines))


def dictionary(codes: dict[str, bytes]) -> bytes:
    """What many of these codes hold, by which each packed alone is an eighth smaller (zdict, zlib's manual).

    The likeliest stands last: it is the nearest.
    """
    places = Counter(string for code in codes.values() for string in set(STRINGS.findall(code)))
    often = [string for string, count in places.items() if count >= IN_MANY]
    often.sort(key=lambda string: (places[string] * len(string), string))
    return b"".join((*often, *(codes[name] for name in TYPICAL)))[-WINDOW:]


def pack(code: bytes, common: bytes) -> bytes:
    """Packed, to be unpacked with the same dictionary."""
    packer = compressobj(9, DEFLATED, -MAX_WBITS, DEF_MEM_LEVEL, Z_DEFAULT_STRATEGY, common)  # without head and sum
    return packer.compress(code) + packer.flush()


def run(*words: str, cwd: Path) -> None:
    """Run a tool. Exits with a line if it fails."""
    try:
        ran = subprocess.run(words, cwd=cwd, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit(f"make_static: no {words[0]}: install gcc and binutils, for that architecture")
    if ran.returncode:
        sys.exit(f"make_static: {words[0]} failed: {ran.stderr}")


def main() -> None:
    """Make it. Exits with a line if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--architecture", default="")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the other architecture's packages are")
    parser.add_argument("output", type=Path)
    wish = parser.parse_args()
    tools = f"{wish.architecture}-linux-gnu-" if wish.architecture else ""
    python, config = PYTHON.name, f"config-3.{MINOR}-"
    found = sorted(wish.root.glob(f"usr/lib/{python}/{config}*/lib{python}.a"))
    if not found:
        sys.exit(f"make_static: no static libpython below {wish.root}: install lib{python}-dev")
    if MINOR > NEWEST:
        sys.exit(f"make_static: Debian's static lib{python} has no hash functions in it: make it on Debian 12 or 13")
    if not (LIBRARIES / "jeepney").is_dir():
        sys.exit("make_static: no jeepney: install python3-jeepney")
    library = found[0]
    declared = set(re.findall(r'\{"(\w+)", PyInit_', (library.parent / "config.c").read_text()))
    folder = wish.output.resolve().parent / "build"
    folder.mkdir(parents=True, exist_ok=True)
    frozen(folder, declared)
    asked(folder)
    for path in (*(STATIC / name for name in (*SOURCES, "asking.h")), ROOT / "LICENSE"):
        (folder / path.name).write_text(path.read_text())
    include = wish.root / "usr/include"
    triplet = library.parent.name.removeprefix(config)
    places = [f"-I{include}/{python}", f"-L{wish.root}/usr/lib/{triplet}"]
    if wish.root != Path("/"):
        places.append(f"-idirafter{include}")
    # Tables for C++ and debuggers, half a megabyte that nobody reads.
    run(f"{tools}objcopy", "-R", ".eh_frame", "-R", ".rela.eh_frame", str(library), "libpython.a", cwd=folder)
    run(f"{tools}gcc", *FLAGS, *places, *SOURCES, "libpython.a", "-lseccomp", "-lz", "-lm", "-o", "bridge", cwd=folder)
    made = folder / "bridge"
    made.chmod(0o755)
    made.replace(wish.output)
    print(f"{wish.output}: {wish.output.stat().st_size / (1 << 20):.2f} MiB, needs nothing")


if __name__ == "__main__":
    main()
