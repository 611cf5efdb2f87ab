"""One file per init system; each holds both halves: we run on it (Init), we stand in for it (Target)."""
