"""Every init × every kind of daemon: drivers for the real inits, and one test for all pairs."""
