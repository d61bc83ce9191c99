"""Zero-shot audio tagging and event localization with Perception Encoder Audio.

::

    from pe_audio_cli import load

    for result in load("base").tag("dog.wav", ["a dog barking", "rain"]):
        print(result)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pe_audio_cli.api import Model, Teacher, load
    from pe_audio_cli.errors import PeAudioError
    from pe_audio_cli.index.search import Index
    from pe_audio_cli.options import EventOptions, TagOptions
    from pe_audio_cli.results import (
        EmbedResult,
        Event,
        FileError,
        Hit,
        LocalizeResult,
        Recording,
        SearchResult,
        Tag,
        TagResult,
        WindowTags,
    )

__version__ = "0.1.0"

__all__ = [
    "EmbedResult",
    "Event",
    "EventOptions",
    "FileError",
    "Hit",
    "Index",
    "LocalizeResult",
    "Model",
    "PeAudioError",
    "Recording",
    "SearchResult",
    "Tag",
    "TagOptions",
    "TagResult",
    "Teacher",
    "WindowTags",
    "load",
]

# Where each name lives. They are imported when first asked for, so that `peaudio --help` does not wait for torch.
_HOMES = {
    "pe_audio_cli.errors": ("PeAudioError",),
    "pe_audio_cli.options": ("EventOptions", "TagOptions"),
    "pe_audio_cli.results": (
        "EmbedResult",
        "Event",
        "FileError",
        "Hit",
        "LocalizeResult",
        "Recording",
        "SearchResult",
        "Tag",
        "TagResult",
        "WindowTags",
    ),
    "pe_audio_cli.index.search": ("Index",),
    "pe_audio_cli.api": ("Model", "Teacher", "load"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
