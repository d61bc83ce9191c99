"""The parts that all pages share: the document with its style and scripts, and elements of data.

A page is one file that needs no network. Its style and scripts come from ``static``; the data are in ``<script>``
elements, which a browser ignores until the page's own script reads them. A content security policy in the page's head
lets no other script run, whatever a label contains.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template
from typing import Any, TextIO

from pe_audio_cli.report.quantize import base64_text

__all__ = ["frame", "json_text", "write_bytes", "write_element"]


def frame(title: str, body: str, styles: Sequence[str], scripts: Sequence[str]) -> tuple[str, str]:
    """Return the HTML before the data of a page, and the HTML after them.

    Args:
        title: the name of the page, until its script gives it another.
        body: the file of the document in ``static``, from the element ``body`` on.
        styles: those of its style sheets.
        scripts: those of its scripts, which run in this order and share one scope.
    """
    style = "".join(_static(name) for name in styles)
    script = '"use strict";\n' + "\n".join(_bare(_static(name)) for name in scripts)
    mark = "\0"
    page = Template(_static("head.html") + _static(body)).substitute(
        title=title, style=style, script=script, style_hash=_hash(style), script_hash=_hash(script), recordings=mark
    )
    head, tail = page.split(mark)
    return head, tail


def write_element(stream: TextIO, attributes: str, texts: Iterable[str]) -> None:
    """Write an element of data."""
    stream.write(f"<script {attributes}>")
    stream.writelines(texts)
    stream.write("</script>\n")


def write_bytes(stream: TextIO, name: str, pieces: Iterable[bytes]) -> None:
    """Write an element of bytes, with the id ``name``."""
    write_element(stream, f'id="{name}" type="text/plain"', base64_text(pieces))


def json_text(value: Any) -> str:
    r"""JSON that no HTML parser takes for the end of its element, nor for anything else: ``<`` is ``\u003c``."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _static(name: str) -> str:
    return files(__package__).joinpath("static").joinpath(name).read_text("utf-8")


def _bare(script: str) -> str:
    """Return a script without indentation and comment lines, to keep pages small."""
    lines = (line.strip() for line in script.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*", "* ", "*/")))


def _hash(text: str) -> str:
    """Return the hash source of an inline element (https://www.w3.org/TR/CSP3/#match-element-to-source-list)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
