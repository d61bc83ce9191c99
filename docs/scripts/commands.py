"""Writes docs/reference/commands.md, the help of every command, from the command line application itself.

``python docs/scripts/commands.py`` writes the page; :func:`page` returns it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from pe_audio_cli.cli.app import app

__all__ = ["page"]

TARGET = Path(__file__).parents[1] / "reference" / "commands.md"
HEAD = """# Commands

<!-- Written by docs/scripts/commands.py; do not edit. -->

`peaudio COMMAND --help` prints the same. `peaudio --install-completion` sets up completion of commands, flags, formats,
models and label sets for bash, zsh, fish and PowerShell.
"""
WITHOUT_PANEL = "Options"
SKIPPED = {"help", "install_completion", "show_completion"}  # every command has the first


def page() -> str:
    """The whole page, in Markdown."""
    root: Any = get_command(app)
    return "\n".join([HEAD, *(text for name, command in _leaves("peaudio", root) for text in _section(name, command))])


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command and its subcommands, in the order of the help, each with its full name."""
    yield name, command
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from _leaves(f"{name} {child}", subcommand)


def _section(name: str, command: Any) -> Iterator[str]:
    yield f"## {name}\n\n```text\n{name} {_usage(command)}\n```\n"
    yield from map(_paragraph, inspect.cleandoc(command.help or "").split("\n\n"))
    shown = [each for each in command.params if each.name not in SKIPPED and not getattr(each, "hidden", False)]
    choices = _choices(command)
    for panel, parameters in groupby(sorted(shown, key=_place), _panel):
        yield f"### {panel} {{: #{_anchor(name, panel)} }}\n\n| flag | meaning |\n| --- | --- |"
        yield "\n".join(_row(each, choices) for each in parameters) + "\n"


def _usage(command: Any) -> str:
    if hasattr(command, "commands"):
        return "[OPTIONS] COMMAND [ARGS]..."
    arguments = [each for each in command.params if _is_argument(each)]
    return " ".join(["[OPTIONS]", *(each.metavar if each.required else f"[{each.metavar}]" for each in arguments)])


def _paragraph(text: str) -> str:
    """A paragraph of a help text; one that begins with the mark of preformatted text is a block of code."""
    lines = text.splitlines()
    if lines[0] == "\b":
        return "```text\n" + "\n".join(line.strip() for line in lines[1:]) + "\n```\n"
    if text.startswith("Example: "):
        return f"Example:\n\n```console\n$ {text.removeprefix('Example: ')}\n```\n"
    return f"{_escaped(' '.join(lines))}\n"


def _panel(parameter: Any) -> str:
    return "Arguments" if _is_argument(parameter) else getattr(parameter, "rich_help_panel", None) or WITHOUT_PANEL


def _anchor(name: str, panel: str) -> str:
    return "-".join([*name.split(), *panel.lower().replace(",", "").split()])


def _place(parameter: Any) -> tuple[bool, bool]:
    """Arguments first, then what is in no panel; the order of the help within each."""
    return (not _is_argument(parameter), _panel(parameter) != WITHOUT_PANEL)


def _row(parameter: Any, choices: dict[str, str]) -> str:
    value = "" if getattr(parameter, "is_flag", False) else f" {parameter.metavar or choices[parameter.name]}"
    names = parameter.metavar if _is_argument(parameter) else f"{', '.join(parameter.opts)}{value}"
    notes = [_escaped(parameter.help or "")]
    if parameter.required:
        notes.append("Required.")
    if _has_default(parameter):
        notes.append(f"Default: `{parameter.default}`.")
    if parameter.envvar:
        notes.append(f"Environment variable: `{parameter.envvar}`.")
    return f"| `{names.strip()}` | {' '.join(notes)} |"


def _choices(command: Any) -> dict[str, str]:
    """Return the choices of each parameter that lists them, by name; a pipe would end the cell of a table."""
    found = {}
    for name, parameter in inspect.signature(command.callback, eval_str=True).parameters.items():
        for each in _parts(parameter.annotation):
            if get_origin(each) is Literal:
                found[name] = "{" + ",".join(get_args(each)) + "}"
    return found


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation, and those that it is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for each in get_args(annotation):
            yield from _parts(each)


def _has_default(parameter: Any) -> bool:
    shown = getattr(parameter, "show_default", True)
    return bool(shown) and not getattr(parameter, "is_flag", False) and parameter.default not in (None, (), [])


def _is_argument(parameter: Any) -> bool:
    return parameter.param_type_name == "argument"


def _escaped(text: str) -> str:
    """Text without characters that Markdown or a table would take for its own."""
    for mark in "\\|<>*_{}[]`":
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return text


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
