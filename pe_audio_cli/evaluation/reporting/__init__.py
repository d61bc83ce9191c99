"""Figures as JSON, CSV and tables."""
