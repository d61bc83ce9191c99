"""The label cache: labels that were asked before, and those that were not."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import mini, models
from benchmarks.contender import Contender, alternate, running
from benchmarks.lineup import TRANSFORMERS, TUNED
from benchmarks.options import Options, run_alone
from benchmarks.table import error, seconds, section, table, times
from pe_audio_cli.inference.labels import LabelOptions, gather_labels

__all__ = ["measure"]

COLD, WARM = "peaudio, empty cache", "peaudio, cached"
HEADER = ("", "", "seconds", "times transformers", "times transformers with mallopt", "error")


def measure(options: Options) -> str:
    """A row for each contender, and for each checkpoint that is there."""
    folders = {"small text tower": options.folder, **({"mini": mini.MINI} if mini.MINI.is_dir() else {})}
    labels = gather_labels(LabelOptions(sets=("esc50",)))
    text = (
        f"Text embeddings of {len(labels)} labels, on {options.cpu}. transformers keeps the text tower "
        "loaded and takes all labels in one padded batch; with an empty cache peaudio loads the tower each time, takes "
        "one label after the other, and writes the cache. The small text tower is that of the checkpoint of full "
        "width, which is as small as a test's: with a published one, all but the last row would be far slower."
    )
    with tempfile.TemporaryDirectory(prefix="peaudio-labels-") as caches:
        rows = [
            [name, *row] for name, folder in folders.items() for row in _rows(folder, Path(caches), labels, options)
        ]
    return section("Label cache", text, table(HEADER, rows))


def _rows(folder: Path, caches: Path, labels: list[str], options: Options) -> list[list[str]]:
    place = {"folder": folder, "caches": caches}
    contenders = [
        Contender(TRANSFORMERS, models.transformers_labels, {"folder": folder}),
        Contender(TUNED, models.transformers_labels, {"folder": folder}, keeps_blocks=True),
        Contender(COLD, models.our_labels, {**place, "cached": False}, keeps_blocks=True),
        Contender(WARM, models.our_labels, {**place, "cached": True}, keeps_blocks=True),
    ]
    with running(contenders, options.threads) as children:
        alternate(children, labels, 1)
        measured = alternate(children, labels, options.rounds)
    baseline, tuned = measured[TRANSFORMERS], measured[TUNED]
    return [
        [
            name,
            seconds(each),
            times(baseline.median, each.median),
            times(tuned.median, each.median),
            error(each.output, baseline.output),
        ]
        for name, each in measured.items()
    ]


if __name__ == "__main__":
    run_alone(measure, "labels", __doc__)
