"""Sockets that a daemon is passed: described, opened by --listen, taken over, waited on.

Not here: our own sockets, for questions (watch/) and for notifications (readiness/).
"""
