"""Who watches a daemon: the event loop, one daemon under watch, what is answered, noted and logged about it.

How it is seen that the daemon is ready is in readiness/; how the processes stand to each other in shapes/.
"""
