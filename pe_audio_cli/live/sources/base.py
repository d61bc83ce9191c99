"""The protocol of a source of live sound, and its blocks on the way to the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from pe_audio_cli.audio.decoders.base import Block
from pe_audio_cli.audio.mixing import SEGMENT_SECONDS, Mixer
from pe_audio_cli.audio.resampling import resampled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BLOCK_SECONDS", "Source", "block_seconds", "mono"]

BLOCK_SECONDS = 0.1  # of a block: what waits until it is full comes that much later


class Source(Protocol):
    """A source of sound.

    Attributes:
        name: what messages and outputs call it; nothing in it is secret.
        is_live: True if time goes on without it, as for a microphone: it is connected to again when it is lost, and
            what nobody takes in time is lost. False for what waits until it is read.
    """

    name: str
    is_live: bool

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Connect, and yield mono blocks at 48 kHz, of shape ``(samples,)``, as they come, until the sound ends.

        May be called again once it has ended. Raises :class:`InputError` if there is none, or no more.
        """

    def close(self) -> None:
        """Let a thread that waits for a block end soon, as far as that is possible."""


def block_seconds(channels: int) -> float:
    """Return the length of blocks to be mixed: of several channels, what the mixer decides on at once."""
    return BLOCK_SECONDS if channels == 1 else SEGMENT_SECONDS


def mono(blocks: Iterable[Block]) -> Iterator[NDArray[np.float32]]:
    """Mix blocks to one channel at 48 kHz, as those of a recording."""
    mixer = Mixer()
    for rate, alike in groupby(blocks, key=lambda block: block.sample_rate):
        yield from resampled((mixer.mix(block.samples, rate) for block in alike), rate)
