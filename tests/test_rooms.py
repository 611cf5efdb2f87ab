"""The package's rooms: which folder may import which, and that circles of files are small. Types count as well."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src/cross_init"
LARGEST_CIRCLE = 3
# Folder, or file that stands in none: what it may import. docs/design.md says what lives where.
MAY_IMPORT = {
    "around": "kernel launch sockets watch",
    "as_json": "",
    "bounds": "",
    "bridge": "around errors gather kernel launch model plan request shapes sockets store unused watch",
    "commands": "as_json bounds bridge definitions detect errors gather kernel launch model notify plan readiness "
    "request resident running sandbox shapes sockets spelling start store systems unused version watch "
    "writers",
    "definitions": "errors kernel",
    "detect": "errors kernel model",
    "errors": "kernel",
    "gather": "errors kernel model notify plan readiness request sockets unused",
    "kernel": "bounds errors",
    "launch": "around errors kernel model readiness request sockets store watch",
    "model": "errors kernel offered readiness sockets watch",
    "notify": "bounds errors kernel model request sockets watch",
    "offered": "",
    "plan": "model request",
    "readiness": "bounds errors kernel model notify sockets spelling watch",
    "request": "commands detect errors kernel model notify readiness sockets",
    "resident": "bounds commands detect errors gather kernel launch model notify plan readiness request shapes "
    "sockets store watch",
    "running": "bounds definitions errors kernel launch model sandbox shapes sockets watch",
    "sandbox": "definitions errors kernel",
    "shapes": "around bounds errors kernel launch model notify plan readiness request resident sockets watch",
    "sockets": "bounds errors kernel model spelling",
    "spelling": "",
    "start": "bridge commands detect errors kernel launch request resident shapes version",
    "store": "bounds errors kernel model offered readiness request sockets watch",
    "systems": "bounds errors kernel model notify offered readiness sockets store watch",
    "unused": "errors model plan request",
    "version": "",
    "watch": "as_json bounds errors kernel launch model plan readiness request sockets store",
    "writers": "as_json definitions errors running",
}


def imports() -> dict[str, set[str]]:
    """Each module of the package with those that it imports, wherever in it that stands."""
    paths = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        named = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                named |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
        named = {each.removeprefix("cross_init.") for each in named}
        found[name] = named & paths.keys() - {name}
    return found


def room(module: str) -> str:
    """The folder that a module is in, or its own name."""
    return module.partition(".")[0]


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules of which each leads to each other one."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            new = arrows[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    reach = {name: reached(name) for name in arrows}
    found = [{other for other in reach[name] if name in reach[other]} for name in arrows if name in reach[name]]
    return [circle for at, circle in enumerate(found) if circle not in found[:at]]


def test_no_circle_of_files_is_larger_than_a_few() -> None:
    large = [sorted(circle) for circle in circles(imports()) if len(circle) > LARGEST_CIRCLE]
    assert not large


def test_each_room_imports_only_what_it_may() -> None:
    taken: dict[str, set[str]] = {}
    for module, others in imports().items():
        taken.setdefault(room(module), set()).update(room(other) for other in others)
    taken = {name: others - {name} for name, others in taken.items()}
    assert {name: " ".join(sorted(others)) for name, others in taken.items()} == MAY_IMPORT


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
    assert not circles({"a": {"b"}, "b": set()})


def test_each_folder_is_found_in_every_form() -> None:
    """Static, and in one file, only those that start.py names are there."""
    from cross_init.start import PACKAGES

    assert sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")) == list(PACKAGES)
