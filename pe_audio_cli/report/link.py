"""Links from a page to recordings."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

__all__ = ["relative_url"]


def relative_url(file: str, folder: str) -> str:
    """Return the URL of ``file`` for a page in ``folder``, of percent-encoded bytes (RFC 3986, sections 2.1 and 4.2).

    The URL is relative, so that both can move together, except for a file on another drive.
    """
    target = os.path.abspath(file)
    try:
        path = os.path.relpath(target, os.path.abspath(folder))
    except ValueError:  # two drives of a Windows machine
        return Path(target).as_uri()
    return "/".join(quote(os.fsencode(part), safe="") for part in path.split(os.sep))
