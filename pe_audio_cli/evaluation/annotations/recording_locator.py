"""A locator that finds the recordings on disk that annotations name."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePath, PureWindowsPath

from pe_audio_cli._paths import is_file
from pe_audio_cli.audio.find import find_recordings

__all__ = ["RecordingLocator"]

SHOWN = 3  # candidates that are listed for an ambiguous name


class RecordingLocator:
    """Finds recordings by the names that annotations have for them.

    A name that is a path relative to the folder of the recordings, or to the current folder, is that file. Any other is
    looked for in the whole folder: by its last part, or by that without its extension, and if several have it, by as
    many of the folders before it as it takes. Data sets are moved, converted and unpacked on other systems after they
    are annotated, so backslashes part folders as well, and neither case nor the form of Unicode counts, unless two
    recordings differ in nothing else.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @cached_property
    def recordings(self) -> list[str]:
        """All recordings in the folder."""
        return [found for found in find_recordings([self._folder]) if isinstance(found, str)]

    def find(self, name: str) -> str:
        """Return the path of the recording.

        Raises:
            LookupError: there is none, or there are several that could be meant; its text says so.
        """
        for place in (os.path.join(self._folder, name), name):
            if is_file(place):
                return place
        *folders, last = _parts(name) or ("",)
        for group, key, own in (
            (self._by_name, last, _name),
            (self._by_stem, last, _stem),
            (self._by_stem, _stem(last), _stem),
        ):
            if candidates := group.get(_folded(key)):
                nearest = _nearest(
                    [*folders, key], {file: [*PurePath(file).parts[:-1], own(file)] for file in candidates}
                )
                if len(nearest) > 1:
                    raise LookupError(f"{name!r} could be {' or '.join(nearest[:SHOWN])}: give more of its path")
                return nearest[0]
        raise LookupError(f"there is no recording {name!r} in {self._folder}: name its folder with --audio")

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _grouped(self.recordings, _name)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped(self.recordings, _stem)


def _name(file: str) -> str:
    return PurePath(file).name


def _stem(file: str) -> str:
    return PurePath(file).stem


def _grouped(files: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[_folded(key(file))].append(file)
    return groups


def _parts(name: str) -> tuple[str, ...]:
    """Return the folders of a path and its last part, for paths of any system."""
    return (PureWindowsPath(name) if "\\" in name else PurePath(name)).parts


def _composed(text: str) -> str:
    """Return the composed form of Unicode, since macOS decomposes file names."""
    return unicodedata.normalize("NFC", text)


def _folded(text: str) -> str:
    """Return a key that ignores case and the form of Unicode."""
    return _composed(_composed(text).casefold())


def _nearest(parts: Sequence[str], candidates: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the candidates that share the most parts with a path, from the end; ties go to exact matches."""
    shared = {
        file: [_shared(parts, own, normalize) for normalize in (_folded, _composed, str)]
        for file, own in candidates.items()
    }
    return [file for file in candidates if shared[file] == max(shared.values())]


def _shared(one: Sequence[str], other: Sequence[str], normalize: Callable[[str], str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if normalize(a) != normalize(b):
            break
        count += 1
    return count
