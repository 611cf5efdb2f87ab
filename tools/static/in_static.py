"""Where Python begins in the static file: every module is in it (make_static.py).

Ours are frozen; what they need of others (a URL's client, D-Bus) few starts need, so that is packed.
"""

import _imp
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType

    from cross_init.resident.asking import Unstarted

PLACE = "/proc/self/exe"  # a file, so that nobody can have put modules below it


class Packed:
    """Finds modules that are packed."""

    dictionary = b""  # by which they are unpacked, once that was needed

    @staticmethod
    def find_spec(name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """One of them, if there is one of this name."""
        places = __import__("packed").PLACES
        if name not in places:
            return None
        from _frozen_importlib import ModuleSpec

        return ModuleSpec(name, Packed, is_package=places[name][2], loader_state=places[name])  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: "ModuleSpec") -> None:
        """Nothing special."""

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        """Run its code."""
        from marshal import loads
        from zlib import MAX_WBITS, decompress, decompressobj

        from cross_init_calls import packed

        assert module.__spec__ is not None
        if not Packed.dictionary:
            offset, size, _ = __import__("packed").PLACES[""]
            Packed.dictionary = decompress(packed(offset, size))
        offset, size, _ = module.__spec__.loader_state
        exec(loads(decompressobj(-MAX_WBITS, Packed.dictionary).decompress(packed(offset, size))), module.__dict__)


def code_of(folder: str, name: str) -> "CodeType | None":
    """A module's code; None if there is no such module."""
    name = f"{folder[len(PLACE) + 1 :].replace('/', '.')}.{name}"
    found: CodeType | None = _imp.get_frozen_object(name) if _imp.is_frozen(name) else None
    return found


def ask_resident(argv: list[str]) -> "Unstarted | None":
    """What start.ask_resident() returns. The asking itself was done before there was an interpreter (asking.c)."""
    from cross_init_calls import resident_said

    said = resident_said()
    if not isinstance(said, str):
        programs, command, variables, ignores_sigpipe = said
        environ = dict(variable.split(b"=", 1) for variable in variables)
        return programs, command, environ, ignores_sigpipe
    if said:
        from cross_init.resident import asking

        asking.silence = said
    return None


sys.meta_path.append(Packed)
if sys.argv[1:2] == ["-ISc"]:  # as sys.executable it stands for Python
    exec(sys.argv[2])
    posix._exit(0)
try:
    sys.executable = posix.readlink(PLACE)
except OSError:  # no /proc
    sys.executable = sys.argv[0]
start = sys.modules["cross_init.start"] = type(sys)("cross_init.start")
start.__file__ = f"{PLACE}/cross_init/start.py"
exec(code_of(f"{PLACE}/cross_init", "start"), vars(start))  # type: ignore[arg-type]
start.find_modules(code_of)
vars(start)["ask_resident"] = ask_resident
start.main(sys.argv)
