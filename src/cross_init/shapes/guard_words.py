"""What the bridge and its guard say to each other (guard.py, guarding.py): one packet each, which begins so."""

# To the guard: end this process as well if we are killed (its pidfd is with it); whether it was sent this signal too
# (the number stands behind); look whether the init has heard; it is all over.
FOLLOW, ASK, LOOK, GOODBYE = b"f", b"a", b"l", b"g"
# A variable by which the guard knows processes that have left those that it was told of, in the moment in which the
# bridge is killed. systemd gives it to all services, a new value at each start (systemd.exec(5)).
MARK = b"INVOCATION_ID"
# Its answers to ASK.
YES, NO = b"y", b"n"
