"""Recordings passed from Python as data: bytes, open files, and samples with their rate.

Nothing is read or checked here: :mod:`pe_audio_cli.audio.opening` and :mod:`pe_audio_cli.audio.decoding` do that when
a recording's turn has come, so that what is wrong with one is that one's error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from pe_audio_cli.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["DataInput", "Input", "Inputs", "OwnFile", "Samples", "listed"]

# One recording: a path, a folder, a pattern or an address; encoded bytes; a file opened for reading bytes; samples of
# shape (samples,) or (samples, channels) and their rate in Hz.
Input: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | tuple[ArrayLike, int]"
Inputs: TypeAlias = "Input | Iterable[Input]"

SAMPLES_NAME, BYTES_NAME = "<samples>", "<bytes>"


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples and their rate as they were passed: neither has been checked yet."""

    values: Any
    sample_rate: Any


@dataclass(frozen=True, eq=False)
class OwnFile:
    """A file of the system's that is open for this recording alone: it is read as it is, without a copy."""

    file: BinaryIO


class DataInput(str):
    """The name of a recording passed from Python; ``content`` is the recording: bytes, an open file, or samples."""

    content: bytes | bytearray | memoryview | BinaryIO | OwnFile | Samples

    def __new__(cls, name: str, content: bytes | bytearray | memoryview | BinaryIO | OwnFile | Samples) -> DataInput:
        """Call ``content`` by a name, which need not be unique."""
        named = super().__new__(cls, name)
        named.content = content
        return named


def listed(inputs: Inputs) -> list[str]:
    """One or several inputs as a list of names, each a path, an address or a :class:`DataInput`.

    Raises :class:`UsageError` for what is none of the kinds of :data:`Input`.
    """
    one = _named(inputs)
    if one is not None:
        return [one]
    if not isinstance(inputs, Iterable) or _is_array(inputs):
        raise UsageError(_unknown(inputs))
    names = []
    for each in inputs:
        name = _named(each)
        if name is None:
            raise UsageError(_unknown(each))
        names.append(name)
    return names


def _named(value: Any) -> str | None:
    """Return the name of one input; None for other values."""
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return DataInput(BYTES_NAME, value)
    if callable(getattr(value, "read", None)):
        name = getattr(value, "name", None)  # a temporary file's is the number of its descriptor
        return DataInput(os.fsdecode(name) if isinstance(name, (str, bytes)) and name else BYTES_NAME, value)
    return DataInput(SAMPLES_NAME, Samples(*value)) if _is_samples(value) else None


def _is_samples(value: Any) -> bool:
    """Return True for samples with a rate, even an invalid one; False for a tuple of two inputs."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return value[1] is None or isinstance(value[1], Number) or _is_array(value[0])


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__")


def _unknown(value: Any) -> str:
    if _is_array(value):
        return "samples need their rate: give a pair such as (samples, 44100)"
    kinds = "a path, bytes, a file opened for reading, or a pair such as (samples, 44100)"
    return f"a recording is {kinds}: got {type(value).__name__}"
