"""How an init is told of readiness otherwise than in its own way: by a PID file, by a descriptor.

The inits' own ways are in systems/, one file each.
"""
