"""What a unit's service may not do or see: filters of system calls."""
