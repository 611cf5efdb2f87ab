"""How the processes stand to each other: one file per shape."""
