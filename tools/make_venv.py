"""Make a virtual environment with the development tools in it: the set-up of "make test".

One that this interpreter has made of these requirements is left as it is.

usage: make_venv.py FOLDER REQUIREMENTS
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def ensure_venv_module() -> None:
    """Debian keeps ensurepip, which venv needs, in a package of its own; as root, install it. Exits with a line."""
    try:
        import ensurepip  # noqa: F401 (only whether it is there)
    except ImportError:
        package = f"python3.{sys.version_info.minor}-venv"
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            sys.exit(f"make_venv: {sys.executable} cannot make virtual environments: install {package}")
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environ)
        install = [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "-o",
            "DPkg::Lock::Timeout=120",
            package,
        ]
        if subprocess.run(install, check=False, env=environ).returncode:
            sys.exit(f"make_venv: installing {package} failed; install it by hand")


def main() -> None:
    """Make it, if there is none like it. Exits with a line if it cannot be made."""
    if sys.version_info < (3, 11):  # noqa: UP036 (whoever runs it may have any interpreter)
        sys.exit(f"make_venv: this is Python {sys.version.split()[0]}: 3.11 or newer is needed (make PYTHON=...)")
    folder, requirements = sys.argv[1:]
    made, wanted = Path(folder) / "ready", f"{sys.executable}\n{sys.version}\n{Path(requirements).read_text()}"
    if made.exists() and made.read_text() == wanted:
        return
    os.umask(0o022)  # other users, whom tests become, run it as well
    ensure_venv_module()
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "--requirement", requirements], check=False).returncode:
        sys.exit(f"make_venv: installing {requirements} from PyPI failed; is it reachable?")
    made.write_text(wanted)


if __name__ == "__main__":
    main()
