"""Recordings in, results out: the rooms put together."""
