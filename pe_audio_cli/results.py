"""Values that subpackages exchange: recordings, results and errors.

Times are seconds from the start of the recording, as floats; probabilities are plain floats in [0, 1].
"""

from __future__ import annotations

import errno
import io
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Literal, TypeAlias

from pe_audio_cli._paths import reason
from pe_audio_cli.errors import InputError, PeAudioError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "EmbedResult",
    "Embeddings",
    "Event",
    "FileError",
    "Hit",
    "LocalizeResult",
    "Measure",
    "Outcome",
    "Recording",
    "Result",
    "SearchResult",
    "Sound",
    "Spectrogram",
    "Tag",
    "TagResult",
    "WindowTags",
    "Written",
]


Measure: TypeAlias = Literal["probability", "similarity"]

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """The level of a recording in each frequency band over time, for a picture.

    ``levels``, float32 of shape ``(n_columns, n_bands)``, are decibels relative to a full-scale sine. A column stands
    for ``column_seconds``, the last one perhaps for less; ``frequencies``, of shape ``(n_bands,)``, are the bands'
    centres in Hz.
    """

    column_seconds: float
    frequencies: NDArray[np.float64]
    levels: NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """A recording to be listened to: a file of the media type ``media_type``, open as long as this object lives."""

    media_type: str
    file: IO[bytes]

    def __reduce__(self) -> tuple[type[Sound], tuple[str, io.BytesIO]]:
        """All of its bytes go along: the file stays where it is."""
        self.file.seek(0)
        return Sound, (self.media_type, io.BytesIO(self.file.read()))


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read to its end.

    ``file`` is the path as the user gave it (``-`` for standard input), ``duration`` the seconds that were decoded,
    ``sample_rate`` and ``channels`` those of the source, before it was mixed down and resampled. ``spectrogram`` and
    ``sound`` are there where they were asked for, else None. ``warnings`` say what was amiss with it, one by one.
    """

    file: str
    duration: float
    sample_rate: int
    channels: int
    spectrogram: Spectrogram | None = field(default=None, compare=False, repr=False)
    sound: Sound | None = field(default=None, compare=False, repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tag:
    """A label and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class WindowTags:
    """The tags of one window of a longer recording, sorted by falling probability."""

    start: float
    end: float
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A label that is present from ``start`` to ``end``, in seconds; ``probability`` is that of its highest frame."""

    label: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class TagResult:
    """Clip-level probabilities of one recording.

    ``windows`` is the number of windows that it was cut into; ``per_window`` holds their tags where they were asked
    for, in order of time, else None. ``taught`` are the labels that were learned from examples.
    """

    recording: Recording
    model: str
    windows: int
    tags: tuple[Tag, ...]
    per_window: tuple[WindowTags, ...] | None = None
    taught: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LocalizeResult:
    """Events of one recording, sorted by start, then label.

    ``frames`` maps each label to its frame probabilities, float32 of shape ``(n_frames,)``, one every
    ``frame_seconds``, where they were asked for, else None. ``labels`` are all labels that were looked for, in the
    user's order, whether or not any was found. ``thresholds`` are those of the labels that have one of their own.
    ``taught`` are the labels that were learned from examples.
    """

    recording: Recording
    model: str
    frame_seconds: float
    threshold: float
    labels: tuple[str, ...]
    events: Sequence[Event]
    frames: Mapping[str, NDArray[np.float32]] | None = field(default=None, compare=False)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    taught: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """Audio embeddings of one recording: of all of it, of its windows, or of its frames, in order of time.

    ``starts`` and ``ends``, of shape ``(n,)``, are what each embedding is of. ``embeddings``, float32 of shape
    ``(n, dim)``, may lie in a temporary file that is mapped into memory. ``fingerprint`` is the checkpoint's.
    """

    recording: Recording
    model: str
    fingerprint: str
    starts: NDArray[np.float64] = field(compare=False)
    ends: NDArray[np.float64] = field(compare=False)
    embeddings: NDArray[np.float32] = field(compare=False)


@dataclass(frozen=True, slots=True)
class FileError:
    """A recording that gave no result: ``kind`` is one of the words that :class:`InputError` lists.

    ``traceback`` is that of an exception that nobody foresaw, for a report of the fault; else None.
    """

    file: str
    kind: str
    message: str
    traceback: str | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, error: InputError) -> FileError:
        """The error, as a value that writers can write."""
        told = "".join(traceback.format_exception(error)) if error.kind == "internal" else None
        return cls(error.file, error.kind, error.message, told)

    @classmethod
    def caused_by(cls, error: Exception, file: str) -> FileError:
        """Return an exception during the work on ``file`` as this recording's error: one line with a remedy."""
        if isinstance(error, InputError):
            return replace(cls.of(error), file=file)
        system = error.__cause__ if isinstance(error, PeAudioError) else error
        if isinstance(system, OSError) and _is_about_temporary_files(system):
            full = "the temporary folder is full or missing: free space there, or set TMPDIR to another folder"
            return cls(file, "no-space", str(error) if isinstance(error, PeAudioError) else full)
        if isinstance(error, PeAudioError):
            return cls(file, "encode", str(error))
        if isinstance(error, MemoryError):
            return cls(file, "encode", "it does not fit into memory: use a shorter --window, such as --window 30")
        what = f"{type(error).__name__}: {reason(error)}" if str(error) else type(error).__name__
        message = f"it failed unexpectedly ({what}): leave it out, or run again with --verbose and report what it says"
        return cls(file, "internal", message, "".join(traceback.format_exception(error)))


def _is_about_temporary_files(error: OSError) -> bool:
    """Return True if there is no space, or no temporary folder: for that, tempfile's error names no path."""
    return error.errno in NO_SPACE or (isinstance(error, FileNotFoundError) and error.filename is None)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Audio embeddings of a batch of equal windows, float32.

    ``clips`` has the shape ``(batch, dim)``, ``frames`` ``(batch, n_frames, dim)``.
    """

    clips: NDArray[np.float32]
    frames: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hit:
    """A window of an indexed recording, and its score for the query.

    ``file`` is the absolute path or the address of the recording, ``duration`` its whole length in seconds. The
    ``measure`` of the :class:`SearchResult` names the unit of ``score``.
    """

    file: str
    start: float
    end: float
    duration: float
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best hits of one query, the best first.

    ``query`` is the words or the sound file that were searched for. ``measure`` is ``probability`` for words, the
    model's own that the sound is in the window, and for a sound ``similarity``, the cosine of the two embeddings;
    ``warnings`` say what was amiss with that sound. ``taught`` is True for a label that was learned from examples.
    """

    query: str
    measure: Measure
    hits: tuple[Hit, ...]
    warnings: tuple[str, ...] = ()
    taught: bool = False


Result: TypeAlias = TagResult | LocalizeResult | FileError

# What can become of a recording, whatever was asked.
Outcome: TypeAlias = Result | EmbedResult

# What the output formats hold.
Written: TypeAlias = Result | SearchResult
