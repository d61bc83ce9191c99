"""Results to pictures, in matplotlib's object-oriented interface: pyplot and its global state are never touched."""
