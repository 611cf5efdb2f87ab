"""What the documents name is there, and what is there is named."""

import re
from pathlib import Path

from cross_init.commands.front_door import COMMANDS
from cross_init.commands.options import OPTIONS

ROOT = Path(__file__).resolve().parents[1]


def test_each_file_has_its_row_in_the_design() -> None:
    rooms = (ROOT / "docs/design.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
    rows = "\n".join(line.split("|")[1] for line in rooms.splitlines() if line.startswith("| `"))
    package = ROOT / "src/cross_init"
    files = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    folders = [f"{path.name}/" for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(re.findall(r"`([^`]+)`", rows)) == sorted(files + folders)


def test_the_options_and_commands_of_the_readme_are_there() -> None:
    text = (ROOT / "README.md").read_text()
    redis, ours = {"--supervised", "--port"}, {*OPTIONS, "--json"}
    others = {"--stop", "--pidfile", "--notify-await"}  # of start-stop-daemon
    others |= {"--sdnotify", "--interval", "--timeout"}  # of podman run, and of a Containerfile's HEALTHCHECK
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) <= ours | redis | others
    assert set(re.findall(r"`cross-init ([a-z]+)", text)) == set(COMMANDS)


def test_links_lead_somewhere() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)[)#]", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_files_that_are_named_are_there() -> None:
    ours = [str(path.relative_to(ROOT)) for path in (*ROOT.glob("src/**/*.py"), *ROOT.glob("t*/**/*.py"))]
    texts = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.py"))
    named = {
        (path.name, name) for path in texts for name in re.findall(r"(?<![\w/.}])\w[\w/]*\.py\b", path.read_text())
    }
    assert [each for each in sorted(named) if not any(f"/{path}".endswith(f"/{each[1]}") for path in ours)] == []
