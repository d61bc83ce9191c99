"""Evaluation on annotated recordings: metrics, and tuning of settings."""
