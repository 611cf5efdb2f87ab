"""What the kernel is asked: system calls that Python lacks, what /proc knows of processes.

Nothing here knows of inits, daemons or services.
"""
