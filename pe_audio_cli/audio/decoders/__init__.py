"""Decoders: libsndfile, and FFmpeg for what it cannot read."""
