"""Recordings to results: read, encode in windows, reduce."""
