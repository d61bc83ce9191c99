"""The page at ``/``, for those who have no terminal."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

__all__ = ["PAGE_POLICY", "page_routes"]

# No script or style but the server's own files, none within the page.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>peaudio</title>
<h1>peaudio</h1>
<p>This server tags, localizes and embeds recordings over HTTP: see <a href="/openapi.json">its description</a>.</p>
</html>
"""


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page and of its files."""
    return [Route("/", _page, methods=["GET"])]


async def _page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers={"content-security-policy": PAGE_POLICY})
