"""Tag, localize or embed recordings, one result or error for each, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.embedding import Embedding, Unit
from pe_audio_cli.inference.tasks.localization import Localization
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.inference.tasks.tagging import Tagging
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.options import EventOptions, PerLabel, TagOptions
from pe_audio_cli.results import EmbedResult, FileError, LocalizeResult, TagResult

if TYPE_CHECKING:
    from pe_audio_cli.models.registry import TaskName

__all__ = ["DEFAULT_WINDOW", "embed", "localize", "tag", "window_options"]

DEFAULT_WINDOW = 30.0  # seconds, the length of the excerpts on which the published checkpoints were trained
OVERLAP_OF_WINDOW = {"tag": 0.0, "localize": 1 / 6}  # events near the end of a window are complete in the next


def window_options(
    task: TaskName, window: float | None = DEFAULT_WINDOW, overlap: float | None = None
) -> WindowOptions:
    """Return the window options of a task; ``overlap`` None is its default: none for tag, 5 s of 30 for localize."""
    if overlap is None:
        overlap = 0.0 if window is None else window * OVERLAP_OF_WINDOW[task]
    return WindowOptions(window, overlap)


def tag(
    files: Iterable[str | FileError],
    encoder: Encoder,
    query: Query,
    options: TagOptions | PerLabel[TagOptions],
    encoding: EncodeOptions,
) -> Iterator[TagResult | FileError]:
    """The clip-level probability of each label, recording by recording, in order."""
    return encoding.engine.run(files, encoder, Tagging(query, options), encoding)


def localize(
    files: Iterable[str | FileError],
    encoder: Encoder,
    query: Query,
    options: EventOptions | PerLabel[EventOptions],
    encoding: EncodeOptions,
    frames: bool = False,
) -> Iterator[LocalizeResult | FileError]:
    """Yield the events of each label, recording by recording, in order; with ``frames``, frame probabilities too."""
    return encoding.engine.run(files, encoder, Localization(query, options, frames), encoding)


def embed(
    files: Iterable[str | FileError], encoder: Encoder, per: Unit, encoding: EncodeOptions
) -> Iterator[EmbedResult | FileError]:
    """The audio embeddings themselves, one for each recording, window or frame; recording by recording, in order."""
    return encoding.engine.run(files, encoder, Embedding(per), encoding)
