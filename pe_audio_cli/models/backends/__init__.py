"""The backends that run a checkpoint."""
