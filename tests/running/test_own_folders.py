"""A folder that a service gets with what is in it (systemd.exec(5)): nothing of anybody else is given away with it."""

import os
from pathlib import Path

import pytest

from cross_init.running.directories_there import own_all

MALLORY, SERVICE = 12001, 12002


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_what_another_user_has_linked_into_it_stays_whose_it_is(tmp_path: Path) -> None:
    secret, folder = tmp_path / "secret", tmp_path / "folder"
    secret.touch()
    (folder / "below").mkdir(parents=True)
    (folder / "below/file").touch()
    (folder / "below/twice").touch()
    os.link(folder / "below/twice", folder / "below/again")
    (folder / "below/link").symlink_to(secret)
    for path in (folder, folder / "below", *(folder / "below").iterdir()):
        os.chown(path, MALLORY, MALLORY, follow_symlinks=False)
    os.link(secret, folder / "below/hard")
    fd = os.open(folder, os.O_RDONLY)
    try:
        own_all(fd, (SERVICE, SERVICE), MALLORY)
    finally:
        os.close(fd)
    assert secret.stat().st_uid == 0
    owners = {path.name: path.lstat().st_uid for path in (folder / "below").iterdir()}
    assert owners == {"file": SERVICE, "twice": SERVICE, "again": SERVICE, "link": SERVICE, "hard": 0}
