"""Fast implementations of the modules; tests compare each with the plain ones."""
