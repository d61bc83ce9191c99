"""Runs on many machines, with Ray."""
