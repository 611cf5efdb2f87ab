"""What the documents name is there, and what is there is named."""

import json
import re
import subprocess
from pathlib import Path

from cross_init.commands.front_door import COMMANDS
from cross_init.commands.options import OPTIONS
from cross_init.commands.status import MAY_BE_SAID, SAID
from cross_init.detect import INITS
from cross_init.errors import CANNOT_RUN, FAILED, NOT_FOUND
from tests.support.command import FRONT_DOOR, PATH
from tests.support.command import run as run_bridge
from tests.support.sphinx import interpreter

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
    assert len(text.splitlines()) <= 120
    assert set(re.findall(r"[`$] ?cross-init ([a-z]+)", text)) <= set(COMMANDS)


def test_the_options_that_the_pages_name_are_there() -> None:
    others = {
        "--sdnotify",
        "--preserve-env",
        "--help",
        "--notify-await",
        "--prefix",
    }  # of podman, sudo, ours, dpkg, pip
    for path in ROOT.glob("docs/**/*.md"):
        if path.parent.name in ("start", "systems", "move") or path.name in ("troubleshooting.md", "reference.md"):
            named = set(re.findall(r"`(--[a-z][\w-]*)", path.read_text()))
            assert named <= {*OPTIONS, *others}, path


def test_links_lead_somewhere() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)[)#]", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_files_that_are_named_are_there() -> None:
    places = ("*.py", "src/**/*.py", "[et]*/**/*.py")
    ours = [str(path.relative_to(ROOT)) for place in places for path in ROOT.glob(place)]
    texts = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/**/*.py"))
    named = {
        (path.name, name) for path in texts for name in re.findall(r"(?<![\w/.}])\w[\w/]*\.py\b", path.read_text())
    }
    assert [each for each in sorted(named) if not any(f"/{path}".endswith(f"/{each[1]}") for path in ours)] == []


REFERENCE = ROOT / "docs/reference.md"


def fields(heading: str) -> set[str]:
    """The fields that the reference has below this heading, as it writes them in its first column."""
    section = REFERENCE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_reference_has_every_field_that_explain_prints() -> None:
    for words in (["-t", "systemd", "--", "true"], []):
        explained = run_bridge("--explain=json", *words)
        assert set(json.loads(explained.out)) == fields("Explain JSON")


def test_the_reference_has_every_field_of_a_service() -> None:
    ours = {"bridge", "user", "daemon_user"}
    assert fields("`cross-init status --json`") == {*SAID, *MAY_BE_SAID, *ours}


def test_the_reference_has_every_field_that_which_prints() -> None:
    asked = subprocess.run([FRONT_DOOR, "which", "--json"], env={"PATH": PATH}, capture_output=True, timeout=60)
    assert set(json.loads(asked.stdout)) == fields("`cross-init which --json`")


def test_the_reference_has_every_field_that_show_prints(tmp_path: Path) -> None:
    unit = tmp_path / "x.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    asked = subprocess.run([FRONT_DOOR, "show", "--json", unit], env={"PATH": PATH}, capture_output=True, timeout=60)
    assert set(json.loads(asked.stdout)) == fields("`cross-init show --json`")


def test_the_reference_has_every_exit_code_and_command() -> None:
    text = REFERENCE.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == {FAILED, CANNOT_RUN, NOT_FOUND}
    assert set(re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE)) == set(COMMANDS)


def test_what_the_symptoms_are_told_by_is_what_is_said() -> None:
    """In the tables whose first column is what "it says": each piece of it stands in the code."""
    code = "".join(path.read_text() for path in ROOT.glob("src/**/*.py"))
    code = re.sub(r"\{[^{}]*\}", "", re.sub(r'"\s*\n\s*f?"', "", code))
    kernels = {"nothing", "Address already in use", "clients are refused while the service restarts"}
    tables = (ROOT / "docs/troubleshooting.md").read_text().split("| it says | what to do |\n|---|---|\n")[1:]
    said = [line.split("|")[1].strip() for table in tables for line in table.partition("\n\n")[0].splitlines()]
    assert len(said) > 8
    pieces = {piece.strip() for line in said if line not in kernels for piece in line.split("...")}
    assert [piece for piece in sorted(pieces) if piece.replace("NOTIFY_SOCKET", "") not in code] == []


def test_every_init_has_its_page() -> None:
    pages = {path.stem for path in ROOT.glob("docs/systems/*.md")} - {"index"}
    called = {"sysv": "sysvinit", "none": "shell"}
    assert pages == {called.get(name, name) for name in INITS} - {"launchd"}
    listed = (ROOT / "docs/systems/index.md").read_text()
    assert all(f"\n{page}\n" in listed for page in pages)


def test_the_site_is_made_without_a_warning(tmp_path: Path) -> None:
    words = [str(interpreter()), "-m", "sphinx", "-W", "--keep-going", "-q", str(ROOT / "docs"), str(tmp_path)]
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    assert (tmp_path / "systems/s6.html").exists()
