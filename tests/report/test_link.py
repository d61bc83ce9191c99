"""Links that a browser resolves to the file, wherever it lies and whatever it is called."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.report.link import relative_url

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in {".", ".."}
)


@given(st.lists(names, min_size=1, max_size=4), st.lists(names, max_size=4))
def test_the_link_leads_from_the_page_to_the_file(file, folder):
    page = "file:///" + "/".join(["page"] * len(folder)) + "/x.html"
    target, start = "/" + "/".join(file), "/" + "/".join(["page"] * len(folder))
    parts = urlsplit(urljoin(page, relative_url(target, start)))
    assert (parts.scheme, parts.query, parts.fragment) == ("file", "", "")
    assert unquote_to_bytes(parts.path).replace(b"//", b"/") == os.fsencode(target)


@pytest.mark.parametrize(
    ("file", "folder", "url"),
    [
        ("a.wav", "", "a.wav"),
        ("in/a b#1?.wav", ".", "in/a%20b%231%3F.wav"),
        ("a:b%.wav", "", "a%3Ab%25.wav"),
        ("../x/a.wav", "out", "../../x/a.wav"),
        (os.fsdecode(b"caf\xe9.wav"), "", "caf%E9.wav"),
        ('<i>&".wav', "", "%3Ci%3E%26%22.wav"),
    ],
)
def test_links_are_relative_and_percent_encoded(file, folder, url):
    assert relative_url(file, folder) == url
