"""Paths of the files of a run."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pe_audio_cli._files import FileId, file_id, fitting
from pe_audio_cli._paths import is_dir, is_file
from pe_audio_cli.audio.addresses import is_address
from pe_audio_cli.errors import OutputError

__all__ = ["STANDARD_INPUT", "Tree", "is_folder", "refuse_inputs_among", "refuse_to_overwrite"]

STANDARD_INPUT = "-"
NAME_BYTES = 245  # of a result's file, whose helpers have longer names
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"\\|?*]')  # in names, on one system or another


class Tree:
    """A file for each recording, in a tree like that of the inputs.

    The tree begins at the deepest folder that holds all inputs. The extension is added to a recording's whole name, so
    that ``x.wav`` and ``x.mp3`` stay apart. What lies at an address has its place by machine and path,
    ``host/folder/x.wav``; the rest of the address, which may be a signature or a password, is in no name. Where
    addresses differ in nothing else, a digest of each stands in its name.

    A name is no longer than 245 bytes, so that there is room for those of its helpers: a longer one is shortened as
    :func:`~pe_audio_cli._files.fitting` does it.
    """

    def __init__(self, folder: Path, extension: str, files: Sequence[str]) -> None:
        """Raises :class:`OutputError` if the inputs have no folder in common."""
        self.folder = folder
        self._extension = extension
        self._root = _common_folder(files)
        addresses: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for file in files:
            if is_address(file):
                addresses[_parts_of_address(file)].add(file)
        self._alike = {file for same in addresses.values() if len(same) > 1 for file in same}

    def place(self, file: str) -> Path:
        """The file that belongs to a recording."""
        if file == STANDARD_INPUT:
            parts: tuple[str, ...] = ("stdin",)
        elif is_address(file):
            parts = _parts_of_address(file)
            if file in self._alike:
                parts = (*parts[:-1], f"{parts[-1]}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}")
        else:
            parts = tuple(os.path.relpath(os.path.abspath(file), self._root).split(os.sep))
        *folders, name = parts
        return self.folder.joinpath(*(fitting(part) for part in folders), fitting(name, self._extension, NAME_BYTES))


def is_folder(path: str) -> bool:
    """Return True if a path from the user means a folder: an existing one, or one that ends in a slash."""
    return path.endswith("/") or is_dir(path)


def refuse_to_overwrite(outputs: Mapping[str, str | Path], inputs: Mapping[str, Iterable[str | Path]]) -> None:
    """Raise :class:`OutputError` if an output, by its flag, is one of the files, by what they are, that are read."""
    flags = {identity: flag for flag, path in outputs.items() if (identity := _file_id(path)) is not None}
    for what, paths in inputs.items() if flags else ():
        for path in paths:
            identity = _file_id(path)
            if identity in flags:
                flag = flags[identity]
                raise OutputError(f"{flag} {outputs[flag]} is {what}: it would be overwritten, choose another name")


def refuse_inputs_among(places: Iterable[Path], files: Iterable[str]) -> None:
    """Raise :class:`OutputError` if one of the files that are to be written is one of the recordings."""
    inputs = {_file_id(file) for file in files} - {None}
    for place in places:
        if _file_id(place) in inputs:
            raise OutputError(f"{place} is one of the recordings: it would be overwritten, choose another folder")


def _file_id(path: str | Path) -> FileId | None:
    return file_id(path) if is_file(path) else None


def _common_folder(files: Sequence[str]) -> str:
    local = (file for file in files if file != STANDARD_INPUT and not is_address(file))
    folders = {os.path.dirname(os.path.abspath(file)) for file in local}
    try:
        return os.path.commonpath(folders) if folders else os.getcwd()
    except ValueError as error:  # two drives of a Windows machine have nothing in common
        raise OutputError("the inputs lie on different drives: give an output folder for each drive") from error


def _parts_of_address(address: str) -> tuple[str, ...]:
    """Machine, folders and name, without what a file system or a reader of logs had better not see."""
    place = address.partition("://")[2].partition("?")[0].partition("#")[0]
    machine, _, path = place.partition("/")
    parts = (part for part in (machine.rpartition("@")[2], *path.split("/")) if part not in ("", ".", ".."))
    return tuple(UNSAFE.sub("_", part) for part in parts) or ("address",)
