"""Find a library that is not part of Python, for the few starts that need one.

The interpreter runs without site packages. A library is looked for where this program itself was installed from: in
the single file, beside an installed wheel, in a checkout's .venv, and at last where the system keeps its own. All of
these are as trustworthy as the program is; the working directory and PYTHONPATH are not asked.
"""

import posix
import sys

from cross_init.errors import Failure


def find_library(name: str, what_for: str) -> None:
    """Make it importable. Raises Failure."""
    if name in sys.modules or is_built_in(name):
        return
    for folder in places():
        try:
            posix.stat(f"{folder}/{name}/__init__.py")
        except OSError:
            continue
        sys.path.append(folder)  # behind the standard library, so that nothing there is replaced
        break
    try:
        __import__(name)
    except ImportError:
        raise Failure(
            f"{what_for}: needs the Python library {name}, which is not here: install python3-{name} (Debian), "
            f"or {name} from PyPI beside this program"
        ) from None


def is_built_in(name: str) -> bool:
    """Whether it is in the program itself, as in the static file."""
    try:
        __import__(name)
    except ImportError:
        return False
    return True


def places() -> list[str]:
    """Where to look, the nearest first."""
    here = __file__.rpartition("/cross_init/")[0]  # src of a checkout, site-packages of an installation, or the archive
    python = f"python3.{sys.version_info.minor}"
    prefix = here.rpartition("/")[0]
    return [
        here,
        f"{prefix}/.venv/lib/{python}/site-packages",
        f"/usr/local/lib/{python}/dist-packages",
        "/usr/lib/python3/dist-packages",
        f"{sys.base_prefix}/lib/{python}/site-packages",
        f"/usr/lib/{python}/site-packages",
    ]
