"""Fixtures of a server's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def served() -> Iterator[object]:
    """A server with a root, the examples."""
    from serving import EXAMPLES, running

    with running(roots=[str(EXAMPLES)]) as server:
        yield server
