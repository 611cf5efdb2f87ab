"""The two scripts of a wheel: bin/cross-init-bridge behind a head for the shell. All else is in pyproject.toml.

An installer replaces the first line of a script for Python, and drops the interpreter's options from it: so that one
was started twice, the first time not isolated, and not at all below a path with a blank. A script for the shell it
leaves as it is.
"""

# ruff: noqa: I001 (setuptools brings its own distutils, and has to come before it)
import sys
from pathlib import Path

from setuptools import setup
from distutils.command.build_scripts import build_scripts

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tools.shell_head import finder

# To Python the shell's lines are a text that nobody reads; to the shell the two first words are one, ":".
TEXT = """\
#!/bin/sh
''':'
# The Python that this was installed for stands beside it; if this is a link, then beside what it leads to.
_cross_init=$0
[ -h "$0" ] && _cross_init=$(readlink -f -- "$0")
{finder}'''
{script}"""
BESIDE = ('"${_cross_init%/*}/python3"',)


class BuildScripts(build_scripts):
    """Put the head before each."""

    def copy_scripts(self) -> tuple[list[str], list[str]]:
        """As setuptools does it; returns what was made, and what is new of it."""
        made, new = super().copy_scripts()
        for name in made:
            path = Path(name)
            _, _, script = path.read_text().partition("\n")
            path.write_text(TEXT.format(finder=finder('"$0"', BESIDE), script=script))
        return made, new


setup(cmdclass={"build_scripts": BuildScripts})
