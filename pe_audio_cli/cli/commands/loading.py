"""The commands, each of which is imported when it is asked for: a search waits for no module of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.main import get_command

from pe_audio_cli.cli.flags import Command

__all__ = ["Commands"]

# In the order of the help: the module of each, and its function, or the app of its own commands.
PLACES = {
    "tag": ("tag", "tag"),
    "localize": ("localize", "localize"),
    "listen": ("listen", "listen"),
    "eval": ("evaluate", "evaluate"),
    "embed": ("embed", "embed"),
    "index": ("index", "index"),
    "search": ("search", "search"),
    "teach": ("teach", "teach"),
    "labels": ("teach", "show_labels"),
    "serve": ("serve", "serve"),
    "models": ("models", "models"),
    "doctor": ("doctor", "doctor"),
}


class Commands(MutableMapping[str, Any]):
    """The commands by their names, as a group of Typer's has them."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._names = dict.fromkeys(PLACES)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(name, *PLACES[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __setitem__(self, name: str, command: Any) -> None:
        self._names[name], self._loaded[name] = None, command

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _load(name: str, module: str, function: str) -> Any:
    found = import_module(f"pe_audio_cli.cli.commands.{module}")
    command = getattr(found, function)
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name, help=getattr(found, "HELP", None), cls=Command)(command)
        command = app
    loaded = get_command(command)
    loaded.name = name
    return loaded
