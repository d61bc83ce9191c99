"""Measures of tags, events and timelines."""
