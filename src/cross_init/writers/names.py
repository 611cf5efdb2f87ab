"""The inits that `cross-init translate --to` takes, each with the file beside this one that writes it."""

WRITERS = {
    "systemd": "systemd",
    "s6": "s6",
    "s6-rc": "s6_rc",
    "runit": "runit",
    "daemontools": "daemontools",
    "openrc": "openrc",
    "dinit": "dinit",
    "upstart": "upstart",
    "sysv": "sysv",
    "supervisord": "supervisord",
    "circus": "circus",
    "finit": "finit",
    "shepherd": "shepherd",
    "launchd": "launchd",
    "container": "container",
}
