"""Validation of label texts, before a text tower takes them."""

from __future__ import annotations

from collections.abc import Iterable

from pe_audio_cli.errors import UsageError

__all__ = ["MOST_CHARACTERS", "check_label_text"]

MOST_CHARACTERS = 10_000  # some two thousand words; no text tower takes as many


def check_label_text(texts: Iterable[str]) -> None:
    """Raise :class:`UsageError` for a text that is blank, too long, or not Unicode."""
    for text in texts:
        if not isinstance(text, str):
            raise UsageError(f"a label is text: got {type(text).__name__}")
        if not text.strip():
            raise UsageError("a label is blank: describe a sound in plain words")
        if len(text) > MOST_CHARACTERS:
            raise UsageError(
                f"the label {text[:40]!r}... has {len(text):,} characters, and {MOST_CHARACTERS:,} are the most: "
                "shorten it"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:  # bytes of a command line that are no UTF-8, or half of a surrogate pair
            raise UsageError(f"the label {text[:40]!r} is not UTF-8: write it in UTF-8") from error
