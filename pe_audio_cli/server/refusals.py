"""Errors as answers: the command line's error object, with a status of HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pe_audio_cli.errors import CheckpointError, InputError, PeAudioError, StoreError, UsageError
from pe_audio_cli.formats.escaping import json_text
from pe_audio_cli.formats.json import error_object
from pe_audio_cli.results import FileError

__all__ = ["STATUS", "Refusal", "error_body", "refusal_of"]

# The status of each kind of error: first those of recordings, as errors.py lists them, then those of a server.
STATUS: Mapping[str, int] = {
    "missing": 404,
    "unreadable": 422,
    "empty": 422,
    "no-audio": 422,
    "decode": 422,
    "samples": 422,
    "changed": 409,
    "encode": 500,
    "output": 422,
    "no-space": 507,
    "internal": 500,
    "usage": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not-found": 404,
    "method": 405,
    "timeout": 504,
    "slow-upload": 408,
    "too-large": 413,
    "too-long": 413,
    "wrong-host": 421,
    "busy": 503,
}


class Refusal(PeAudioError):
    """A request that gets an error for an answer; ``kind`` is one of :data:`STATUS`."""

    def __init__(self, kind: str, message: str, file: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(kind, message, file)
        self.error = FileError(file, kind, message)
        self.headers = dict(headers or {})

    def __str__(self) -> str:
        return self.error.message

    @property
    def status(self) -> int:
        """The status of HTTP."""
        return STATUS[self.error.kind]


def refusal_of(error: Exception, file: str = "") -> Refusal:
    """Return any exception as a refusal."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, InputError):
        return Refusal(error.kind, error.message, error.file)
    if isinstance(error, UsageError) and not isinstance(error, (CheckpointError, StoreError)):
        return Refusal("usage", "; ".join(error.lines), file)
    failed = FileError.caused_by(error, file)
    return Refusal(failed.kind, failed.message, file)


def error_body(error: FileError) -> bytes:
    """Return the object of an error as ``-f jsonl`` prints it."""
    return (json_text(json.dumps(error_object(error), ensure_ascii=False)) + "\n").encode()
