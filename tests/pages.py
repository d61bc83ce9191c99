"""Reports of made-up recordings, and what stands in them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from support import logged

from pe_audio_cli.audio.spectrogram import StreamingSpectrogram
from pe_audio_cli.detection.events import find_events
from pe_audio_cli.options import EventOptions
from pe_audio_cli.report.page import PageOptions, PageWriter
from pe_audio_cli.results import FileError, LocalizeResult, Recording, Sound


def result_of(
    file: str | Path,
    frames: Mapping[str, np.ndarray],
    options: EventOptions,
    duration: float,
    samples: np.ndarray | None = None,
    sound: Sound | None = None,
) -> LocalizeResult:
    """Return the result of ``localize`` for these frame probabilities; without ``samples`` it is silent."""
    spectrogram = StreamingSpectrogram()
    silence = np.zeros(round(duration * 48_000), np.float32)
    list(spectrogram.pass_through([silence if samples is None else samples]))
    recording = Recording(str(file), duration, 48_000, 1, spectrogram.finish(), sound)
    events = find_events(frames, duration, options)
    return LocalizeResult(recording, "mini", 0.04, options.threshold, tuple(frames), events, frames)


def wandering(labels: Sequence[str], duration: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Frame probabilities that wander over all of the range, and are often exactly at a threshold."""
    generator = np.random.default_rng(seed)
    n_frames = math.ceil(round(duration * 25, 6))
    rows = {}
    for label in labels:
        logits = np.convolve(generator.standard_normal(n_frames + 6), np.ones(7), "valid")
        row = 1 / (1 + np.exp(-logits))
        row[::5] = row[::5].round(2)
        rows[label] = row.astype(np.float32)
    return rows


def write_page(
    path: Path, results: Sequence[LocalizeResult | FileError], options: EventOptions, embed: bool = False
) -> list[str]:
    """Write a page of these results; returns the warnings that were logged."""
    with logged() as warnings, path.open("w", encoding="utf-8", newline="") as stream:
        page = PageWriter(stream, PageOptions(os.fspath(path), options, embed))
        page.open()
        for result in results:
            page.write(result)
        page.close()
    return warnings


class Elements(HTMLParser):
    """The tags of a page, closing ones too: each one's name, attributes, and the text that follows it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", {}, ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data

    @property
    def recordings(self) -> list[dict[str, Any]]:
        """The data of each recording in the page."""
        return [json.loads(text) for _, attributes, text in self.found if attributes.get("class") == "recording"]
