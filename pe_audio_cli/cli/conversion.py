"""The conversion of flags' values, put off: Typer's is pydantic, which takes a sixth of the time of a short command."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, get_origin

__all__ = ["convert_late"]


def convert_late(parameters: list[Any]) -> list[Any]:
    """Let Typer make the conversion of a parameter when there is a value that is not of its type already."""
    for parameter in parameters:
        make = getattr(parameter, "get_runtime_param", None)  # earlier releases have another conversion, which is quick
        if make is not None and not isinstance(make, functools.partial):
            parameter.get_runtime_param = functools.partial(_Conversion, make)
    return parameters


class _Conversion:
    """Stands for Typer's own conversion, which ``make`` makes."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a value as the command takes it; Typer's error for one that it cannot take."""
        wanted, takes_many = param.type_descriptor.annotation, param.multiple or param.nargs == -1
        if value is None:
            return () if takes_many else None
        if takes_many and wanted == list[str] and isinstance(value, (list, tuple)) and _all_texts(value):
            return list(value)
        return value if _is_of(wanted, value) else self._make().coerce(value, param=param, ctx=ctx)


def _all_texts(values: Iterable[Any]) -> bool:
    return all(type(value) is str for value in values)


def _is_of(wanted: Any, value: Any) -> bool:
    """True for a text, or for a number or a choice that is a default: such come as texts from a command line."""
    if get_origin(wanted) is Literal:
        return value in get_args(wanted)
    return wanted in (str, int, float) and type(value) is wanted
