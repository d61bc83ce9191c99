"""Whose modules run."""

from __future__ import annotations

import os

from pe_audio_cli.errors import UsageError

__all__ = ["pick_backend"]

ENGINES = ("fast", "reference")  # ours, and transformers' own


def pick_backend() -> str:
    """``fast``, unless ``PEAUDIO_ENGINE`` says otherwise. Raises :class:`UsageError` if it says what there isn't."""
    engine = os.environ.get("PEAUDIO_ENGINE", ENGINES[0])
    if engine not in ENGINES:
        raise UsageError(f"PEAUDIO_ENGINE={engine} is unknown: use {' or '.join(ENGINES)}")
    return engine
