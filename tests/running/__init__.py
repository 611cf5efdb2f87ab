"""cross-init run."""
