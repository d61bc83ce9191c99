"""The event rules that suit a checkpoint, which it carries as ``settings.toml``.

They are chosen on scenes (:mod:`training.strangers`) of one half of the origins; the other half measures them. One set
of rules serves all labels: a label of which there are a handful of events cannot have its own.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pe_audio_cli.options import EventOptions
from training.evaluate import Array
from training.strangers import FIRST_LABELS, Scene, Stranger, scene_figures

__all__ = ["RULES", "choose", "halves", "write"]

# All that is tried: threshold, what of it ends an event, seconds of a gap, seconds of the shortest event.
RULES = [
    EventOptions(
        threshold=threshold, offset_threshold=round(threshold * share, 3), merge_gap=gap, min_duration=shortest
    )
    for threshold, share, gap, shortest in itertools.product(
        (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5), (0.25, 0.4, 0.6), (0.4, 1.0), (0.4, 0.8)
    )
]
# Events that may be printed for each true one, with the labels of the scene and with all: a little less than the two
# that are wanted, since scenes of other origins print up to a tenth more.
MOST, MOST_OF_ALL = 1.5, 1.8

HEAD = """\
# The event rules that suit mini, chosen on scenes that training/events.py makes of recordings by strangers.
# Flags and --settings FILE win over them; --settings none leaves them out.

"""


def halves(strangers: Sequence[Stranger]) -> tuple[list[Stranger], list[Stranger]]:
    """To choose on and to measure on; an origin lies in one of them."""
    of_each = tuple([it for it in strangers if zlib.crc32(it.group.encode()) % 2 == half] for half in (0, 1))
    return of_each[0], of_each[1]


def choose(scenes: Sequence[Scene], scores: Sequence[Array]) -> EventOptions:
    """The rules with the best mean of the F1 of events and of segments, among those that do not print too much."""

    def merit(options: EventOptions) -> float:
        found = scene_figures(scenes, scores, dict.fromkeys(FIRST_LABELS, options))
        too_many = max(
            found["events printed for each true one, labels of the scene"] / MOST,
            found["events printed for each true one, all labels"] / MOST_OF_ALL,
            1.0,
        )
        f1 = (found["event F1, labels of the scene"] + found["segment F1, labels of the scene"]) / 2
        return f1 - (too_many - 1)

    return max(RULES, key=merit)


def write(folder: Path, options: EventOptions) -> None:
    """``settings.toml`` beside the weights, which holds for all labels."""
    lines = [f"{name} = {value:g}" for name, value in asdict(options).items() if value is not None]
    (folder / "settings.toml").write_text("\n".join([f"{HEAD}[localize]", *lines]) + "\n", encoding="utf-8")
