"""Readers of annotations in common formats."""
