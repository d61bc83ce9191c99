"""Docstring roles, such as ``:class:`Model```, as code: mkdocstrings takes Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

__all__ = ["Roles"]

ROLE = re.compile(r":(?:class|func|meth|mod|attr):`~?([^`]+)`")


class Roles(Extension):
    """Replaces each role with its target in backquotes."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)
