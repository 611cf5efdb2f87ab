"""What a unit's service may see and do: filters of system calls."""
