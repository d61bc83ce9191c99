"""A review page of search hits: decodes what they are of, and writes the page whole or not at all."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pe_audio_cli._files import NewFile
from pe_audio_cli._paths import reason
from pe_audio_cli.audio.spans import read_spans
from pe_audio_cli.audio.spectrogram import StreamingSpectrogram
from pe_audio_cli.errors import OutputError, RunError, UsageError
from pe_audio_cli.outputs.files import is_folder
from pe_audio_cli.outputs.report_page import EXTENSIONS
from pe_audio_cli.outputs.side_outputs import refuse_existing, refuse_unwritable
from pe_audio_cli.report.review import ReviewItem, ReviewOptions, ReviewWriter
from pe_audio_cli.results import FileError, SearchResult, Sound

__all__ = ["ReviewPage", "items_of"]

logger = logging.getLogger(__name__)


def items_of(result: SearchResult) -> list[ReviewItem]:
    """Return the hits of a query as items; one by a recording is called by the recording's name, without extension."""
    label = result.query if result.measure == "probability" else os.path.splitext(os.path.basename(result.query))[0]
    return [ReviewItem(label, hit.file, hit.start, hit.end, hit.score) for hit in result.hits]


class ReviewPage:
    """A review page that appears whole or not at all."""

    def __init__(self, options: ReviewOptions, *, overwrite: bool = False) -> None:
        """Raises :class:`UsageError` if ``options.path`` stands for no page, :class:`OutputError` if one is there."""
        self._options, self._path = options, Path(options.path)
        if is_folder(options.path) or self._path.suffix.lower() not in EXTENSIONS:
            raise UsageError(f"--review {options.path} is not a page: its name must end in .html")
        refuse_unwritable(self._path.parent, "a review page")
        refuse_existing([self._path], "--review", overwrite)
        self._overwrite = overwrite

    def write(self, items: Sequence[ReviewItem], on_done: Callable[[str], None] | None = None) -> None:
        """Write the page; ``on_done`` is called for each recording.

        A recording that cannot be read is logged, and its items have neither a picture nor a sound. Raises
        :class:`RunError` if the page cannot be written.
        """
        new = NewFile(self._path, overwrite=self._overwrite)
        try:
            stream = io.TextIOWrapper(new.open(), encoding="utf-8", newline="")
            page = ReviewWriter(stream, self._options, items)
            page.open()
            for file in dict.fromkeys(item.file for item in items):
                self._write_items_of(file, items, page)
                if on_done is not None:
                    on_done(file)
            page.close()
            stream.flush()
            new.publish()
        except FileExistsError as error:
            raise OutputError(f"{self._path} exists already: choose another name, or add --overwrite") from error
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {reason(error)}; there is no page") from error
        finally:
            new.discard()

    def _write_items_of(self, file: str, items: Sequence[ReviewItem], page: ReviewWriter) -> None:
        numbers = [number for number, item in enumerate(items) if item.file == file]
        missing = set(numbers)
        message = "it ends before this excerpt begins: the file has changed since it was indexed"
        try:
            for place, samples in read_spans(file, [(items[number].start, items[number].end) for number in numbers]):
                if len(samples):
                    spectrogram = StreamingSpectrogram()
                    list(spectrogram.pass_through([samples]))
                    sound = _encoded(samples) if self._options.embed_audio else None
                    page.write(numbers[place], spectrogram.finish(), sound)
                    missing.discard(numbers[place])
        except OSError:
            raise
        except Exception as error:
            message = FileError.caused_by(error, file).message
        if missing:
            logger.warning("%s: %s", file, message)
        for number in sorted(missing):
            page.write_problem(number, message)


def _encoded(samples: NDArray[np.float32]) -> Sound | None:
    from pe_audio_cli.audio.opus_encoder import OpusEncoder  # PyAV takes a moment, and few embed sound

    encoder = OpusEncoder(float("inf"))
    list(encoder.pass_through([samples]))
    return encoder.finish()
