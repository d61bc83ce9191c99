"""Escaping of file names and labels, which hold any character, for outputs that cannot hold or show all of them."""

from __future__ import annotations

import re

__all__ = ["cell_text", "json_text", "one_line", "terminal_text", "text_of_cell", "tsv_cell", "utf8_text"]

# Lone surrogates are how Python carries the bytes of a file name that is not UTF-8; U+0085, U+2028 and U+2029 end a
# line for some readers; U+061C, U+200E to U+200F, U+202A to U+202E and U+2066 to U+2069 reorder the text around them.
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSAFE_ON_TERMINALS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# Some readers remove U+FEFF as a byte order mark anywhere in a text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
# What spreadsheets take for the start of a formula, in the full width of East Asian keyboards too. Some of them skip
# white space before it; the apostrophes before it are those that keep it from being one.
_FORMULA = re.compile(r"[\s']*[=+\-@\uff1d\uff0b\uff0d\uff20]")


def json_text(encoded: str) -> str:
    r"""Escape, as ``\uXXXX``, what is not UTF-8 in a JSON text, or ends a line for some readers."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", encoded)


def terminal_text(text: str) -> str:
    r"""``text`` on one line and unable to drive a terminal: controls as ``\n``, ``\x1b`` or ``\u202e``."""
    return _UNSAFE_ON_TERMINALS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def utf8_text(text: str) -> str:
    r"""``text`` with each lone surrogate, which is no UTF-8, as ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(text: str) -> str:
    """``text`` as UTF-8 on one line, without tabs: controls that are white space are a blank, the others U+FFFD."""
    return _CONTROLS.sub(lambda match: " " if match[0].isspace() else "\ufffd", utf8_text(text))


def tsv_cell(line: str) -> str:
    """``line``, which holds no tab, for a table that programs read which may or may not know quotes.

    It is quoted as in RFC 4180, but only if a quotation mark begins it: readers of CSV would take that for the start of
    a quoted cell and swallow rows. All other text is as it is to both kinds of programs.
    """
    return '"' + line.replace('"', '""') + '"' if line.startswith('"') else line


def cell_text(text: str) -> str:
    """``text`` as UTF-8 for a spreadsheet: an apostrophe before it where it could be taken for a formula.

    Different texts have different cells; to restore a text, remove one leading apostrophe from cells in which ``=``,
    ``+``, ``-`` or ``@`` comes first except for white space and apostrophes. See
    https://owasp.org/www-community/attacks/CSV_Injection.
    """
    cell = utf8_text(text)
    return "'" + cell if _FORMULA.match(cell) else cell


def text_of_cell(cell: str) -> str:
    """Return the text from which :func:`cell_text` made ``cell``."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
