"""Listening to sound that never ends: sources, streaming, events as they happen, actions."""
