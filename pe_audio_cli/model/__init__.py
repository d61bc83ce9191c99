"""Checkpoints and encoders: the only room that imports torch and transformers."""
