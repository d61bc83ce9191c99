"""The content of pictures, read by other libraries: PNG by PyAV, SVG as XML, PDF by pypdf."""

from __future__ import annotations

import html
import io
import xml.etree.ElementTree as ElementTree

import av
import numpy as np
import pypdf
from numpy.typing import NDArray


def png_pixels(png: bytes) -> NDArray[np.uint8]:
    """Red, green and blue of each pixel, of shape ``(height, width, 3)``."""
    with av.open(io.BytesIO(png), format="png_pipe") as container:
        (frame,) = container.decode(video=0)
        return frame.to_ndarray(format="rgb24")


def svg_texts(svg: bytes) -> list[str]:
    """All that is written in an SVG picture, in order: letters are shapes there, with the text in a comment."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.fromstring(svg, parser)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return [html.unescape(str(comment.text)[1:-1]) for comment in root.iter(ElementTree.Comment)]


def pdf_texts(pdf: bytes) -> list[str]:
    """The lines of text on the one page of a PDF picture."""
    (page,) = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return page.extract_text().splitlines()
