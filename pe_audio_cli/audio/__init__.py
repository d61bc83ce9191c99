"""Paths in, windows of 48 kHz mono out."""
