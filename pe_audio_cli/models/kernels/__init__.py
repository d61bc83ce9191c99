"""Fast twins of the modules, each held against them by a test."""
