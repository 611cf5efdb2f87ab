"""Each directive of a service that is class done is in a case that systemd runs as well, or in a test of its own."""

import re

from cross_init.definitions.classes import DONE
from cross_init.definitions.table_exec import EXEC
from cross_init.definitions.table_service import SERVICE
from tests.running import (
    test_calls,
    test_ending_like_systemd,
    test_filters,
    test_hidden_folders,
    test_ipc_like_systemd,
    test_like_systemd,
    test_restart,
    test_sandbox_like_systemd,
    test_terminals_like_systemd,
)
from tests.support.command import ROOT

COMPARED = (
    *(test_calls, test_ending_like_systemd, test_filters, test_hidden_folders, test_ipc_like_systemd),
    *(test_like_systemd, test_restart, test_sandbox_like_systemd, test_terminals_like_systemd),
)
# What a process does not see of itself, and where else it is.
ELSEWHERE = {
    "tests/running/test_run.py": ("ExecCondition", "ExecStartPost", "PIDFile"),
    "tests/running/test_sockets_like_systemd.py": ("NonBlocking", "Sockets"),
    "tests/running/test_terminals_like_systemd.py": ("TTYPath",),
    "tests/writers/test_supervised.py": ("BusName", "RemainAfterExit"),
    "tests/writers/test_like_run.py": ("PermissionsStartOnly",),
    "tests/store/test_fd_store_systemd.py": ("FileDescriptorStoreMax",),
    "tests/systems/test_systemd_start.py": ("NotifyAccess",),
}


def named(text: str) -> set[str]:
    """The directives in a text, where the end of a line may be written as in Python."""
    return set(re.findall(r"\b([A-Z][A-Za-z0-9]+)=", text.replace("\\n", "\n")))


def test_each_directive_that_is_done_is_in_a_case() -> None:
    found = {"ExecStart", "Type"}
    for module in COMPARED:
        found |= named("\n".join(str(value) for name, value in vars(module).items() if name.isupper()))
    for file, keys in ELSEWHERE.items():
        assert set(keys) <= named((ROOT / file).read_text()), file
        found.update(keys)
    done = {key for rows in (SERVICE, EXEC) for key, row in rows.items() if row[2] == DONE}
    assert done - found == set()
