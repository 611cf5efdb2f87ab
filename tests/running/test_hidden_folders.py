"""Folders of DynamicUser= under a real systemd and under cross-init run: where they are, and how they get there."""

from tests.support.containers import FRONT_DOOR
from tests.support.systemd import Host

LISTS = r"""
for place in /var/lib /run; do
    cd $place
    for each in NAME NAME-two NAME-linked private/NAME private/NAME-two; do
        find $each -printf '%p %y %m %u %g %l\n' 2>&1 | sort
    done
done
"""
THREE = "StateDirectory=NAME NAME/below NAME-two:NAME-linked"
# What a unit says, one after the other; each adds files to its folders.
STEPS = {
    "a user's": "User=games\nStateDirectory=NAME\nStateDirectoryMode=0750",
    "hidden": f"DynamicUser=yes\nUser=games\n{THREE}\nStateDirectoryMode=2750",
    "hidden again": f"DynamicUser=yes\nUser=games\n{THREE}",
    "another's": "User=mail\nStateDirectory=NAME NAME/below",
    "runtime": "DynamicUser=yes\nUser=games\nRuntimeDirectory=NAME\nRuntimeDirectoryPreserve=yes",
    "both are there": "DynamicUser=yes\nUser=games\nStateDirectory=NAME",
}


def test_they_move_as_under_systemd(host: Host) -> None:
    container = host.system.container
    found: dict[str, list[str]] = {}
    for who in ("hidden-theirs", "hidden-ours"):
        unit = host.system.folder / f"{who}.service"
        found[who] = []
        try:
            for step, lines in STEPS.items():
                command = "/bin/sh -c 'cd /var/lib/NAME; touch file; touch ../NAME-two/file'"
                text = f"[Service]\nType=oneshot\n{lines}\nExecStart={command}\n"
                unit.write_text(text.replace("NAME", who))
                if step == "both are there":
                    container.run("mkdir", "-p", f"/var/lib/private/{who}")
                if who == "hidden-ours":
                    container.run(FRONT_DOOR, "run", "--init", "none", unit.name, check=False)
                else:
                    host.system.systemctl("daemon-reload")
                    host.system.systemctl("start", unit.name, check=False)
                    host.system.have_ended(unit.name)
                listed = container.run("sh", "-c", LISTS.replace("NAME", who)).stdout
                found[who] += [f"{step}: {line}" for line in listed.replace(who, "NAME").splitlines()]
        finally:
            unit.unlink()
            for place in ("/var/lib", "/run"):
                container.run("sh", "-c", f"rm -rf {place}/{who}* {place}/private/{who}*")
    host.system.systemctl("daemon-reload")
    host.system.systemctl("reset-failed")
    # Where the file system can do that, 262 has them be nobody's on the disk, and shows them to the service as its own.
    theirs = [line.replace("nobody nogroup", "games games") for line in found["hidden-theirs"]]
    assert found["hidden-ours"] == theirs
    assert "hidden: private/NAME d 750 games games " in found["hidden-ours"]


def test_without_mounts_they_are_where_it_reaches_them(host: Host) -> None:
    container, name = host.system.container, "hidden-here"
    unit = host.system.folder / f"{name}.service"
    unit.write_text(
        f"[Service]\nType=oneshot\nDynamicUser=yes\nStateDirectory={name}\n"
        "ExecStart=/bin/sh -c 'readlink -f $STATE_DIRECTORY; touch $STATE_DIRECTORY/file && echo $STATE_DIRECTORY'\n"
    )
    try:
        said = [
            container.run(*words, FRONT_DOOR, "run", "--init", "none", unit.name).stdout
            for words in ((), ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"))
        ]
    finally:
        unit.unlink()
        container.run("sh", "-c", f"rm -rf /var/lib/{name} /var/lib/private/{name}")
    assert said == [f"/var/lib/private/{name}\n/var/lib/{name}\n", f"/var/lib/{name}\n/var/lib/{name}\n"]
