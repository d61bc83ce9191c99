"""Embeddings to tags and events, in numpy."""
