"""Checks of labels and names that a format has to escape."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.base import Writer

__all__ = ["check_files_differ", "check_labels_differ", "escaped_names"]


def escaped_names(writer: type[Writer], labels: Iterable[str], files: Iterable[str]) -> dict[str, str]:
    """Return the labels and names of recordings that the format escapes, with their escaped forms."""
    texts = (*labels, *map(writer.name_of, files))
    return {text: writer.escape(text) for text in texts if writer.escape(text) != text}


def check_labels_differ(writer: type[Writer], labels: Sequence[str]) -> None:
    """Raise :class:`UsageError` if two labels would be identical in the output."""
    pair = _same(writer.escape, labels)
    if pair is not None:
        raise UsageError(
            f"{writer.name} writes both {pair[0]!r} and {pair[1]!r} as {writer.escape(pair[0])}: choose other labels, "
            "or another format"
        )


def check_files_differ(writer: type[Writer], files: Iterable[str]) -> None:
    """Raise :class:`UsageError` if an output would give two recordings the same name, or can hold only one."""
    paths = list(map(os.path.abspath, files))
    if len(paths) > 1 and not writer.several:
        raise UsageError(
            f"{writer.name} holds one recording, not {len(paths)}: give each a file of its own with -o FOLDER/"
        )
    pair = _same(lambda path: writer.escape(writer.name_of(path)), paths)
    if pair is not None:
        raise UsageError(
            f"{writer.name} gives {pair[0]} and {pair[1]} the same name: give each a file of its own with -o FOLDER/"
        )


def _same(key: Callable[[str], str], texts: Iterable[str]) -> tuple[str, str] | None:
    """Return two different texts with the same key, or None."""
    first: dict[str, str] = {}
    for text in texts:
        if first.setdefault(key(text), text) != text:
            return first[key(text)], text
    return None
