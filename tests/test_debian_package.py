"""The Debian package: built, looked at and installed in trees, and its autopkgtests under a real s6 and runit."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import INSIDE
from tests.support.roots import Root, rooted
from tests.support.trees import tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for trees of its own")
UNWANTED = ("./.git", "./.venv", "./build", "./dist", "__pycache__", "*.egg-info", ".*_cache", "./.hypothesis")
# $1: where.
UNPACK = f"""
mkdir -p "$1"
cd {INSIDE}
tar {" ".join(f"--exclude='{each}'" for each in UNWANTED)} -cf - . | tar -C "$1" -xf -
"""
BUILD = """
cd "$1"
dpkg-buildpackage -us -uc -b
"""
SOURCE = "/usr/src/build/cross-init-tools"
DEB = "cross-init-tools_*_all.deb"
FILES = (
    *("usr/bin/cross-init", "usr/bin/cross-init-bridge", "usr/lib/python3/dist-packages/cross_init/py.typed"),
    *(f"usr/share/man/man1/{name}.1.gz" for name in ("cross-init", "cross-init-bridge", "cross-init-status")),
    *("usr/share/man/man1/cross-init-check.1.gz", "usr/share/man/man7/cross-init.7.gz"),
    *(f"usr/share/bash-completion/completions/{name}" for name in ("cross-init", "cross-init-bridge")),
    *(f"usr/share/fish/vendor_completions.d/{name}.fish" for name in ("cross-init", "cross-init-bridge")),
    *("usr/share/zsh/vendor-completions/_cross-init-bridge", "usr/share/doc/cross-init-tools/copyright"),
)
REDIS = "redis-server --supervised systemd --daemonize no --port 0 --unixsocket /run/redis --dir /run"
BRIDGED = f"""
cross-init-bridge -t systemd -N --init none --daemonize --pid-file /run/redis.pid -- {REDIS} > /run/redis.log 2>&1
redis-cli -s /run/redis ping
cat /proc/$(cat /run/redis.pid)/comm
kill $(cat /run/redis.pid)
"""


def shell(root: Root, script: str, *words: str) -> str:
    return root.run("/bin/sh", "-ec", script, "sh", *words).stdout


@pytest.fixture(scope="module")
def builder() -> Iterator[Root]:
    """A Debian 12 in which the package has been built."""
    with rooted(tree("bookworm-build")) as root:
        shell(root, UNPACK + BUILD, SOURCE)
        yield root


@pytest.fixture(scope="module")
def package(builder: Root, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package's file, to be put into a root."""
    (built,) = (builder.root / SOURCE.lstrip("/")).parent.glob(DEB)
    kept = tmp_path_factory.mktemp("package") / built.name
    kept.write_bytes(built.read_bytes())
    return str(kept)


def installed(root: Root, package: str, *options: str) -> None:
    (root.root / "root/package.deb").write_bytes(Path(package).read_bytes())
    root.run("/usr/bin/dpkg", *options, "--install", "/root/package.deb")


def test_lintian_finds_nothing_and_all_is_there(builder: Root) -> None:
    ran = builder.run(
        "/bin/sh", "-c", f"lintian --display-info --fail-on error,warning {SOURCE}/../*.changes", check=False
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout
    listed = shell(builder, f"dpkg-deb --fsys-tarfile {SOURCE}/../{DEB} | tar -t").split()
    assert sorted(f"./{name}" for name in FILES if f"./{name}" not in listed) == []
    fields = shell(builder, f"dpkg-deb --field {SOURCE}/../{DEB}")
    assert "\nRecommends: python3-jeepney\n" in fields
    assert "\nDepends: python3:any (>= 3.11)" in fields


def test_another_build_gives_the_same_package(builder: Root) -> None:
    shell(builder, f"umask 077; {UNPACK}{BUILD}cmp ../{DEB} {SOURCE}/../{DEB}", "/usr/src/again/cross-init-tools")


def test_setuptools_of_this_debian_makes_the_wheel_and_the_sdist(builder: Root) -> None:
    made = shell(builder, UNPACK + 'cd "$1"; make packages PYTHON=/usr/bin/python3; ls dist', "/usr/src/packages")
    assert ".tar.gz\n" in made
    assert "-py3-none-any.whl\n" in made


def test_a_real_redis_under_a_real_s6_and_runit(builder: Root, package: str) -> None:
    """What autopkgtest(1) runs when the package is installed."""
    installed(builder, package)
    assert builder.exists("/usr/lib/python3/dist-packages/cross_init/__pycache__/start.cpython-311.pyc")
    assert "run a daemon that was written for" in shell(builder, "man cross-init-bridge")
    for init in ("s6", "runit"):
        said = shell(builder, f"cd {SOURCE}; exec debian/tests/redis-under-{init}")
        assert f"Redis is ready under {init}, as its main process" in said


@pytest.mark.parametrize("name", ["trixie", "sid"])
def test_it_is_installed_on_newer_debians(name: str, package: str) -> None:
    with rooted(tree(name)) as root:
        installed(root, package)
        assert shell(root, BRIDGED).split() == ["PONG", "redis-server"]
        assert list((root.root / "usr/lib/python3/dist-packages/cross_init/__pycache__").glob("start.*.pyc"))
        root.run("/usr/bin/dpkg", "--remove", "cross-init-tools")
        assert not root.exists("/usr/lib/python3/dist-packages/cross_init")


def test_python3_minimal_is_enough_where_somebody_knows_what_they_do(package: str) -> None:
    with rooted(tree("bookworm-python3-minimal")) as root:
        installed(root, package, "--force-depends")
        bridged = "cross-init-bridge -t systemd -N --init none -- sh -c 'exit 4'"
        assert root.run("/bin/sh", "-c", bridged, check=False).returncode == 4
        assert "--ready-when" in shell(root, "cross-init-bridge --help=all")
