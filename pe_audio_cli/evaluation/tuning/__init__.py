"""Thresholds and event options that suit annotated recordings."""
