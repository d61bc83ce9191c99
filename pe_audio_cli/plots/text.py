"""Text in pictures: fonts, widths, and characters that no font has."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal, TypeAlias

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import TextToPath

from pe_audio_cli.formats.escaping import terminal_text

__all__ = ["DPI", "LARGE", "NORMAL", "SMALL", "families", "fit", "measure", "points", "printable", "without_glyphs"]

DPI = 100  # pixels per inch
POINTS = 72  # per inch
LARGE, NORMAL, SMALL = 16, 13, 11  # pixels, the sizes of text
LONGEST = 500  # characters of a text that can possibly be shown
ELLIPSIS = "…"

Keep: TypeAlias = Literal["start", "end"]

OWN = "DejaVu Sans"  # comes with matplotlib
# Fonts for other scripts on common systems. Not for colour emoji: those are bitmaps, which cannot be drawn.
OTHERS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "WenQuanYi Zen Hei",
    "IPAGothic",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Yu Gothic",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Arial Unicode MS",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Noto Emoji",
    "Segoe UI Emoji",
    "Symbola",
)


@cache
def families() -> tuple[str, ...]:
    """Return the font families for text, each for the characters that those before it lack."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (OWN, *(name for name in OTHERS if name in installed))


def printable(text: str) -> str:
    r"""Return ``text`` on one line, with characters that no font has as ``\u72ac``, so that labels stay distinct."""
    return "".join(
        character if _has_glyph(character) else character.encode("unicode_escape").decode("ascii")
        for character in terminal_text(text)
    )


def without_glyphs(texts: Iterable[str]) -> list[str]:
    """Return the texts with a character, other than a control, that no installed font has."""
    return [text for text in texts if printable(text) != terminal_text(text)]


def measure(text: str, size: int = NORMAL) -> float:
    """Return the width of a line of text, in pixels."""
    font = FontProperties(family=list(families()), size=points(size))
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return width * DPI / POINTS


def points(pixels: float) -> float:
    """Convert pixels to points, the unit of matplotlib."""
    return pixels * POINTS / DPI


def fit(text: str, width: float, size: int = NORMAL, lines: int = 1, keep: Keep = "start") -> str:
    """``text`` made printable, and broken into at most ``lines`` lines of at most ``width`` pixels.

    Text that is still too long keeps its start or its end.
    """

    def fits(part: str) -> bool:
        return measure(part, size) <= width

    rest = printable(text[:LONGEST] if keep == "start" else text[-LONGEST:])
    rows: list[str] = []
    while len(rows) < lines - 1 and not fits(rest):
        row, rest = _broken(rest, fits)
        rows.append(row)
    return "\n".join([*rows, rest if fits(rest) else _shortened(rest, fits, keep)])


def _broken(text: str, fits: Callable[[str], bool]) -> tuple[str, str]:
    """Return as many words as fit, or as much of a word, and the rest."""
    n = _most(lambda n: fits(text[:n]), len(text))
    space = text.rfind(" ", 1, n + 1)
    end = n if space == -1 else space
    return text[:end].rstrip(), text[end:].lstrip()


def _shortened(text: str, fits: Callable[[str], bool], keep: Keep) -> str:
    if keep == "start":
        n = _most(lambda n: fits(text[:n] + ELLIPSIS), len(text))
        return text[:n].rstrip() + ELLIPSIS
    n = _most(lambda n: fits(ELLIPSIS + text[-n:]), len(text))
    return ELLIPSIS + text[-n:].lstrip()


def _most(fits: Callable[[int], bool], longest: int) -> int:
    """Return the largest number from 1 to ``longest`` that fits; 1 if none does."""
    return bisect_left(range(2, longest + 1), True, key=lambda n: not fits(n)) + 1


@cache
def _has_glyph(character: str) -> bool:
    return any(font.get_char_index(ord(character)) for font in _fonts())


@cache
def _fonts() -> tuple[FT2Font, ...]:
    paths = (font_manager.findfont(family, fallback_to_default=False) for family in families())
    return tuple(font_manager.get_font(path) for path in paths)
