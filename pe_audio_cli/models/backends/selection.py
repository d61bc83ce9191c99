"""Selection of the backend: our own modules, or those of transformers."""

from __future__ import annotations

import os

from pe_audio_cli.errors import UsageError

__all__ = ["pick_backend"]

BACKENDS = ("fast", "reference")  # our own modules, and those of transformers


def pick_backend() -> str:
    """Return ``PEAUDIO_ENGINE``, or ``fast`` if it is not set. Raises :class:`UsageError` for an unknown backend."""
    backend = os.environ.get("PEAUDIO_ENGINE", BACKENDS[0])
    if backend not in BACKENDS:
        raise UsageError(f"PEAUDIO_ENGINE={backend} is unknown: use {' or '.join(BACKENDS)}")
    return backend
