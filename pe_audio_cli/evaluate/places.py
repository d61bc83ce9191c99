"""Which recordings on the disk the names in an annotation stand for."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePath

from pe_audio_cli.audio.find import find_recordings

__all__ = ["Places"]

SHOWN = 3  # candidates that a message about an ambiguous name lists


class Places:
    """Finds recordings by the names that annotations have for them.

    A name that leads to a file from the folder of the recordings, or from where the command runs, is that file. Any
    other is looked for in the whole folder: by its last part, or by that without its extension, and if several have
    it, by as many of the folders before it as it takes. Data sets are moved, and converted, after they are annotated.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @cached_property
    def recordings(self) -> list[str]:
        """All recordings in the folder."""
        return [found for found in find_recordings([self._folder]) if isinstance(found, str)]

    def find(self, name: str) -> str:
        """The path of the recording.

        Raises:
            LookupError: there is none, or there are several that could be meant; its text says so.
        """
        for place in (os.path.join(self._folder, name), name):
            if Path(place).is_file():
                return place
        path = PurePath(name)
        candidates = self._by_name.get(path.name) or self._by_stem.get(path.name) or self._by_stem.get(path.stem)
        if not candidates:
            raise LookupError(f"there is no recording {name!r} in {self._folder}: name its folder with --audio")
        nearest = _nearest(name, candidates)
        if len(nearest) > 1:
            raise LookupError(f"{name!r} could be any of {', '.join(nearest[:SHOWN])}: write more of its path")
        return nearest[0]

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        return _grouped(self.recordings, lambda file: PurePath(file).name)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _grouped(self.recordings, lambda file: PurePath(file).stem)


def _grouped(files: Sequence[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return groups


def _nearest(name: str, candidates: Sequence[str]) -> list[str]:
    """Those candidates that share the most folders with ``name``, counted from the end."""
    shared = [_shared(PurePath(name).parts[:-1], PurePath(each).parts[:-1]) for each in candidates]
    return [each for each, n_shared in zip(candidates, shared, strict=True) if n_shared == max(shared)]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
