"""Units as they are written anew of what was read of them. Run inside a container, as a program, with their names.

usage: python -m tests.support.rewritten NAME...   prints one object as JSON: the texts of the files, by their names
"""

import json
import sys

from cross_init.definitions.units import load
from cross_init.errors import Failure
from cross_init.writers.systemd import write


def main() -> None:
    """Print all. A unit that is not loaded, or cannot be written, has an error in the place of its text."""
    found: dict[str, str] = {}
    for name in sys.argv[1:]:
        try:
            definition = load(name).definition
            definition.sockets = tuple(each for each in definition.sockets if each.name == name)
            texts = write(definition)
        except Failure as failure:
            texts = {name: f"error: {failure}"}
        found[name] = texts.get(name, "error: it is not among what was written")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
