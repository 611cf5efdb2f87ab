"""A service of a unit's, run: what its process gets and is, what runs before and after it (systemd.exec(5))."""
