"""Ways to see that a daemon is ready: by what it says, or by what can be observed of it."""
