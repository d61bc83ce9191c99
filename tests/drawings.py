"""What is written in a picture, read by others: SVG as XML, PDF by pypdf."""

from __future__ import annotations

import html
import io
import xml.etree.ElementTree as ElementTree

import pypdf


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
