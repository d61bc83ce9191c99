"""Annotated recordings and what the tool makes of them: metrics, and the settings that suit them best."""
