"""Plain implementations of the checkpoint's modules."""
