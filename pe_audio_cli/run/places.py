"""Where the files of a run lie, and how they appear: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pe_audio_cli.errors import OutputError

__all__ = ["STANDARD_INPUT", "Tree", "is_folder", "reason", "whole_file"]

STANDARD_INPUT = "-"


class Tree:
    """A file for each recording, in a tree like that of the inputs.

    The tree begins at the deepest folder that holds all inputs. The extension is added to a recording's whole name, so
    that ``x.wav`` and ``x.mp3`` stay apart.
    """

    def __init__(self, folder: Path, extension: str, files: Sequence[str]) -> None:
        """Raises :class:`OutputError` if the inputs have no folder in common."""
        self.folder = folder
        self._extension = extension
        self._root = _common_folder(files)

    def place(self, file: str) -> Path:
        """The file that belongs to a recording."""
        name = "stdin" if file == STANDARD_INPUT else os.path.relpath(os.path.abspath(file), self._root)
        return self.folder / (name + self._extension)


def is_folder(path: str) -> bool:
    """Whether a path that the user gave stands for a folder: one that is there, or that ends in a slash."""
    return path.endswith("/") or Path(path).is_dir()


def reason(error: OSError) -> str:
    """What the system says, without the path that it adds."""
    return error.strerror if error.strerror else str(error)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` for the file to grow under; it gets its own when it is whole, and is gone if it fails."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _common_folder(files: Sequence[str]) -> str:
    folders = {os.path.dirname(os.path.abspath(file)) for file in files if file != STANDARD_INPUT}
    try:
        return os.path.commonpath(folders) if folders else os.getcwd()
    except ValueError as error:  # two drives of a Windows machine have nothing in common
        raise OutputError("the inputs lie on different drives: give an output folder for each drive") from error
