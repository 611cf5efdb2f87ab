"""launchd's property lists, which nobody here can run: they are property lists, and every key is the manual's."""

import plistlib
from pathlib import Path

import pytest

from cross_init.definitions.load import load
from cross_init.writers.launchd import WRITES, write
from tests.writers.corpus import SCRIPTS_LEAST, written

# launchd.plist(5), with the kind of each.
KEYS: dict[str, type | tuple[type, ...]] = {
    "Label": str,
    "UserName": str,
    "GroupName": str,
    "ProgramArguments": list,
    "EnvironmentVariables": dict,
    "KeepAlive": (bool, dict),
    "RunAtLoad": bool,
    "WorkingDirectory": str,
    "Umask": int,
    "ExitTimeOut": int,
    "ThrottleInterval": int,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
    "Nice": int,
}


@pytest.mark.parametrize("expand", [False, True], ids=["unit", "expanded"])
def test_debians_units_are_property_lists(expand: bool) -> None:
    found = written(write, WRITES, "launchd", expand)
    assert len(found) > SCRIPTS_LEAST
    for texts in found.values():
        ((name, text),) = texts.items()
        said = plistlib.loads(text.encode())
        assert name == f"{said['Label']}.plist"
        assert said["ProgramArguments"][0].startswith("/")
        for key, value in said.items():
            assert isinstance(value, KEYS[key])


def test_what_a_unit_says_is_there(tmp_path: Path) -> None:
    unit = (
        '[Unit]\nDescription=A <b> & -- "c"\n[Service]\nExecStart=/bin/cat "a <&> b"\nUser=daemon\nNice=3\nUMask=0027\n'
        'Environment="A=<x> & y"\nRestart=on-failure\nRestartSec=3\nTimeoutStopSec=7\n[Install]\nWantedBy=a.target\n'
    )
    (tmp_path / "web.service").write_text(unit)
    remarks: list[str] = []
    text = write(load(str(tmp_path / "web.service")).definition, remarks, True)["web.plist"]
    assert remarks[0] == "launchd: this was written to its manual, and nobody has tried it"
    assert f"<!-- {remarks[0]} -->\n" in text
    said = plistlib.loads(text.encode())
    variables = said.pop("EnvironmentVariables")
    assert variables["A"] == "<x> & y"
    assert said.pop("ProgramArguments")[-1] == "a <&> b"
    assert said == {
        "Label": "web",
        "UserName": "daemon",
        "GroupName": "daemon",
        "WorkingDirectory": "/",
        "Umask": 0o027,
        "Nice": 3,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 3,
        "ExitTimeOut": 7,
        "StandardOutPath": "/var/log/web.log",
        "StandardErrorPath": "/var/log/web.log",
    }
