"""Builds the sdist and the wheel: setuptools, whose archives are then written anew so that a commit gives one file.

pip and others call the functions (PEP 517); "make packages" calls this by itself, with the setuptools that is there.
What would differ is who owns a file, its time, its rights (the builder's umask), the order, and what an earlier build
has left.

usage: build_backend.py FOLDER
"""

import gzip
import os
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = (
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
)

# 2020-01-01: archives that know no earlier time than 1980 take it, and Debian's tools find it not too old.
TIME = int(os.environ.get("SOURCE_DATE_EPOCH") or 1577836800)
LEFT = ("build/lib", "build/bdist.*", "build/scripts-*", "src/*.egg-info/SOURCES.txt")

Settings = Mapping[str, object] | None


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Make the sdist; returns its file name."""
    remove_left()
    name = build_meta.build_sdist(sdist_directory, config_settings)
    rewrite_tar(Path(sdist_directory) / name)
    return name


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Make the wheel; returns its file name."""
    remove_left()
    name = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    rewrite_zip(Path(wheel_directory) / name)
    return name


def remove_left() -> None:
    """Remove what an earlier build has left, which would become part of this one."""
    for pattern in LEFT:
        for path in Path().glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def rights(mode: int) -> int:
    """A file's rights, whatever the umask was."""
    return 0o755 if mode & 0o100 else 0o644


def rewrite_tar(path: Path) -> None:
    """Write a tar archive anew (gzip)."""
    with tarfile.open(path) as archive:
        members = [(member, archive.extractfile(member)) for member in archive.getmembers()]
        unfinished = path.with_name(f".{path.name}")
        with (
            unfinished.open("wb") as file,
            gzip.GzipFile("", "wb", mtime=TIME, fileobj=file) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as made,
        ):
            for member, data in sorted(members, key=lambda each: each[0].name):
                entry = tarfile.TarInfo(member.name)
                entry.type, entry.linkname, entry.size, entry.mtime = member.type, member.linkname, member.size, TIME
                entry.mode = 0o755 if member.isdir() else rights(member.mode)
                made.addfile(entry, data)
    unfinished.rename(path)


def rewrite_zip(path: Path) -> None:
    """Write a zip archive anew."""
    from time import gmtime

    year, month, day, hour, minute, second, *_ = gmtime(TIME)
    unfinished = path.with_name(f".{path.name}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(unfinished, "w") as made:
        for member in sorted(archive.infolist(), key=lambda each: (".dist-info/" in each.filename, each.filename)):
            entry = zipfile.ZipInfo(member.filename, (year, month, day, hour, minute, second))
            entry.external_attr = (0o100000 | rights(member.external_attr >> 16)) << 16
            made.writestr(entry, archive.read(member), zipfile.ZIP_DEFLATED)
    unfinished.rename(path)


def main() -> None:
    """Make both."""
    folder = Path(sys.argv[1]).resolve()
    os.chdir(Path(__file__).resolve().parent.parent)
    folder.mkdir(parents=True, exist_ok=True)
    made = [build_sdist(str(folder)), build_wheel(str(folder))]
    print(*(folder / name for name in made), sep="\n")


if __name__ == "__main__":
    main()
