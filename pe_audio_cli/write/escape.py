"""File names and labels hold any character; each output has some that it cannot carry or must not show."""

from __future__ import annotations

import re

__all__ = ["json_text", "terminal_text", "utf8_text"]

# Lone surrogates are how Python carries the bytes of a file name that is not UTF-8; U+0085, U+2028 and U+2029 end a
# line for some readers; U+061C, U+200E to U+200F, U+202A to U+202E and U+2066 to U+2069 reorder the text around them.
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_ON_TERMINALS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def json_text(encoded: str) -> str:
    r"""A JSON text with everything escaped, as ``\uXXXX``, that is no UTF-8 or that ends a line for some readers."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded)


def terminal_text(text: str) -> str:
    r"""``text`` on one line and unable to drive a terminal: controls as ``\n``, ``\x1b`` or ``\u202e``."""
    return _UNSAFE_ON_TERMINALS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def utf8_text(text: str) -> str:
    r"""``text`` with each lone surrogate, which is no UTF-8, as ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
