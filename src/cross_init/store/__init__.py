"""The descriptor store: what a daemon wants to find again at its next start (FDSTORE=1, sd_notify(3))."""
