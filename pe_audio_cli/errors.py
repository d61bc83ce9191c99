"""Everything that peaudio refuses, drawn once.

::

    PeAudioError                 the root; the command line catches it once
    ├── UsageError               exit 2: bad flags, labels, label files; nothing was started
    │   ├── OutputError          exit 2: the output exists, cannot be written, or cannot be resumed
    │   ├── AnnotationError      exit 2: annotations, or the recordings that they are of, cannot be used
    │   ├── CheckpointError      exit 2: unknown, incomplete, damaged or unreachable model
    │   └── StoreError           exit 2: no index there, or one that is damaged, in use, or of another model or version
    ├── InputError               exit 1: one recording could not be read; the others go on
    └── RunError                 exit 1: the run itself could not go on (disk full, out of memory)

A message is one line: what is wrong, and what to do about it. It does not repeat the name of the recording, which
:class:`InputError` carries in ``file``.

All of them can be pickled and copied, so that they pass between processes: ``args`` are what the exception was made of.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AnnotationError",
    "CheckpointError",
    "InputError",
    "OutputError",
    "PeAudioError",
    "RunError",
    "StoreError",
    "UsageError",
    "first_problems",
]

MOST_PROBLEMS = 20  # of annotations that are told at once


def first_problems(problems: Sequence[str]) -> list[str]:
    """Return the first problems, and the number of the others."""
    n_more = len(problems) - MOST_PROBLEMS
    return [*problems[:MOST_PROBLEMS], *([f"... and {n_more} problems more"] if n_more > 0 else [])]


class PeAudioError(Exception):
    """Root of every error that peaudio raises on purpose."""

    exit_code = 1

    @property
    def lines(self) -> Sequence[str]:
        """The message, line by line."""
        return [str(self)]


class UsageError(PeAudioError):
    """An invalid argument or input; nothing was started."""

    exit_code = 2


class OutputError(UsageError):
    """The output exists already, cannot be created, or belongs to another run."""


class AnnotationError(UsageError):
    """Annotations cannot be used as they are; ``problems`` are all that is wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "; ".join(self.problems)

    @property
    def lines(self) -> Sequence[str]:
        """A line for each of the first problems."""
        return first_problems(self.problems)


class CheckpointError(UsageError):
    """A model is unknown, incomplete, damaged, of another kind, or out of reach."""


class StoreError(UsageError):
    """An index is missing, damaged, in use by another process, or made by another model or version."""


class InputError(PeAudioError):
    """One recording could not be read.

    ``file`` is the recording as the user named it. ``kind`` is a short, stable word for scripts:

    ``missing`` nothing is there; ``unreadable`` the system will not let us read it; ``empty`` it holds no samples;
    ``no-audio`` a video, picture or container without sound; ``decode`` not a recording, or damaged beyond use;
    ``samples`` it holds NaN or infinite samples; ``changed`` it changed while it was read; ``encode`` the model
    could not process it (out of memory, or numbers that are not finite); ``output`` its results cannot be
    written where they belong; ``no-space`` the temporary folder is full
    for it; ``internal`` something failed on it that should not have, which is a fault in peaudio.
    """

    def __init__(self, file: str, kind: str, message: str) -> None:
        super().__init__(file, kind, message)
        self.file = file
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.file}: {self.message}"


class RunError(PeAudioError):
    """The run could not go on; what was finished is kept."""
