"""The inits that `cross-init translate --to` takes, each with the file beside this one that writes it."""

WRITERS = {
    "upstart": "upstart",
    "dinit": "dinit",
    "openrc": "openrc",
    "s6": "s6",
    "systemd": "systemd",
}
