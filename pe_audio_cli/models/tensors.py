"""The table of tensors at the beginning of a safetensors file, read and checked before any tensor is.

A file begins with the length of its table, eight bytes, little endian; the table, a JSON object; then the numbers. The
format is described at https://huggingface.co/docs/safetensors. The safetensors package checks the same once more; here
sizes are compared with the file first, so that none of them leads to a large allocation.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli._small_files import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Tensor", "read_scalar", "read_table", "read_tensors", "tensor_bytes"]

LENGTH_BYTES = 8
MOST_TABLE_BYTES = 32 << 20  # a hundred thousand tensors
MOST_DIMENSIONS = 8
METADATA = "__metadata__"
ENTRY = ("dtype", "shape", "data_offsets")
FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}  # bytes of a number
OTHERS = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Tensor:
    """The type and shape of a tensor, from the table of its file, and the place of its first byte in that file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def is_float(self) -> bool:
        """True if its type is a floating-point one."""
        return self.dtype in FLOATS


def read_table(file: Path) -> dict[str, Tensor]:
    """Read the table of a file: its tensors, by their names.

    Raises :class:`OSError` if it cannot be read or is no regular file, and :class:`ValueError` if it does not begin
    with a table whose sizes are those of the file; the text says what is wrong.
    """
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
        room = status.st_size - LENGTH_BYTES
        if not 0 < length <= min(room, MOST_TABLE_BYTES):
            raise ValueError(f"its header claims a table of {length} bytes, and the file has {max(room, 0)}")
        table = parse_json(opened.read(length))
    if not isinstance(table, dict):
        raise ValueError("its table of tensors is not a JSON object")
    first = LENGTH_BYTES + length
    return {name: _tensor(entry, first, room - length) for name, entry in table.items() if name != METADATA}


def read_tensors(file: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read a whole file: its tensors as NumPy arrays, by their names, and its metadata.

    Raises :class:`OSError` if it cannot be read, and :class:`ValueError` if it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    table = read_table(file)
    try:
        with safe_open(file, framework="np") as opened:
            return {name: opened.get_tensor(name) for name in table}, dict(opened.metadata() or {})
    except (SafetensorError, TypeError) as error:  # the latter for a type that NumPy does not have
        raise ValueError(str(error)) from error


def tensor_bytes(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Return the content of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(each) for name, each in tensors.items()}, dict(metadata))


def _tensor(entry: Any, first: int, room: int) -> Tensor:
    """Return the tensor of an entry, which must lie within the ``room`` bytes of all tensors, from ``first`` on."""
    values: list[Any] = [entry.get(key) if isinstance(entry, dict) else None for key in ENTRY]
    dtype, shape, place = values
    if not (isinstance(dtype, str) and _are_sizes(shape) and _are_sizes(place) and len(place) == 2):
        raise ValueError("an entry of its table of tensors has no type, shape and place")
    begin, end = place
    size = {**FLOATS, **OTHERS}.get(dtype)
    n_bytes = None if size is None else size * math.prod(shape)
    if len(shape) > MOST_DIMENSIONS or not begin <= end <= room or n_bytes not in (None, end - begin):
        raise ValueError("the size of a tensor in the table differs from that in the file")
    return Tensor(dtype, tuple(shape), first + begin)


def read_scalar(file: Path, tensor: Tensor) -> float:
    """Read a tensor of one number. Raises :class:`OSError`, or :class:`ValueError` for a type of less than 16 bits."""
    size = FLOATS.get(tensor.dtype, 0)
    if size < 2:
        raise ValueError(f"a number of type {tensor.dtype[:20]}")
    with file.open("rb") as opened:
        opened.seek(tensor.offset)
        content = opened.read(size)
    if tensor.dtype == "BF16":  # the upper half of a float32
        content, size = bytes(2) + content, 4
    (number,) = struct.unpack({2: "<e", 4: "<f", 8: "<d"}[size], content)
    return float(number)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 62 for value in values)
