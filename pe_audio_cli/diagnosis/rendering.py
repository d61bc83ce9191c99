"""An examination as plain text, to paste into a bug report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from pe_audio_cli.models.download import size_text

__all__ = ["text"]

Rows: TypeAlias = Iterable[tuple[str, str]]
MOST_COLUMNS = 20  # of the first column, beyond which it is not aligned


def text(report: dict[str, Any]) -> str:
    """Return the text of an object of the schema ``peaudio.doctor/1``, without a newline at its end."""
    sections = [
        ("Versions", report["versions"].items()),
        ("Engines", ((each["name"], _engine(each)) for each in report["engines"])),
        ("Devices", ((each["name"], _device(each)) for each in report["devices"])),
        ("Decoders", ((each["name"], _decoder(each)) for each in report["decoders"])),
        ("Processor", _processor(report["processor"])),
        ("Memory", _memory(report["memory"])),
        ("Disks", ((each["use"], _disk(each)) for each in report["disks"])),
        ("Caches", ((each["name"], _cache(each)) for each in report["caches"])),
        ("Environment", report["environment"].items()),
        ("Packages", ((name, version or "not installed") for name, version in report["packages"].items())),
    ]
    blocks = ["\n".join([title, *_lines(list(rows))]) for title, rows in sections]
    return "\n\n".join([*blocks, _verdict(report)])


def _lines(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Yield indented lines of two columns."""
    if not rows:
        yield "  none"
    width = min(max((len(name) for name, _ in rows), default=0), MOST_COLUMNS)
    yield from (f"  {name:{width}}  {value}" for name, value in rows)


def _verdict(report: dict[str, Any]) -> str:
    if report["ok"]:
        return "All that mini needs works."
    return "\n".join(["Problems", *(f"  {each}" for each in report["problems"])])


def _engine(engine: dict[str, Any]) -> str:
    use = ", runs mini" if engine["needed"] else ""
    if engine["error"] is not None:
        return f"does not work{use}: {engine['error']}"
    difference = f"differs by {engine['difference']:.0e}, of {engine['tolerance']:.0e} allowed"
    return f"works{use}: {engine['backend']}; {difference}; {engine['seconds']:.1f} s"


def _device(device: dict[str, Any]) -> str:
    return f"{device['description']}{'' if device['bytes'] is None else ', ' + size_text(device['bytes'])}"


def _decoder(decoder: dict[str, Any]) -> str:
    if decoder["error"] is not None:
        return f"does not work: {decoder['error']}"
    return ", ".join(each for each in (decoder["version"], decoder["details"]) if each)


def _processor(processor: dict[str, Any]) -> Rows:
    sets = processor["instruction_sets"]
    yield "name", f"{processor['name']}, {processor['architecture']}"
    yield "instruction sets", "unknown" if sets is None else " ".join(sets) or "none of those that matter"
    yield "cores", f"{processor['cores']}, of which peaudio may use {processor['threads']}"


def _memory(memory: dict[str, Any]) -> Rows:
    for name in ("total", "available"):
        yield name, _size(memory[name])
    if memory["limit"] is not None:
        yield "limit", _size(memory["limit"])


def _disk(disk: dict[str, Any]) -> str:
    return f"{_size(disk['free'])} free of {_size(disk['total'])}, {disk['folder']}"


def _cache(cache: dict[str, Any]) -> str:
    if cache["error"] is not None:
        return f"unknown: {cache['error']}"
    if cache["folder"] is None:
        return "no folder, since there is no home folder"
    return f"{_size(cache['bytes'])} in {cache['files']:,} files, {cache['folder']}"


def _size(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else size_text(n_bytes)
