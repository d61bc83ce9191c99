"""Results to bytes: one class a format, one registry."""
