"""One process for all tokenizers with the same files: its start takes longer than most tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pe_audio_cli.models import tokenizer
from pe_audio_cli.models.checkpoint import Checkpoint


@contextmanager
def shared() -> Iterator[None]:
    """Within it a tokenizer's process is used again, whichever copy of a checkpoint asks for it."""
    processes: dict[tuple[object, ...], tokenizer._Subprocess] = {}
    anew = tokenizer._Subprocess

    def found(checkpoint: Checkpoint, kind: tokenizer.Kind) -> tokenizer.Tokenize:
        files = sorted(checkpoint.folder.glob("*.json"))
        key = (kind, *((file.name, file.read_bytes()) for file in files))
        if key not in processes or processes[key]._process.poll() is not None:
            processes[key] = anew(checkpoint, kind)
        return processes[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "_Subprocess", found)
        yield
    processes.clear()
