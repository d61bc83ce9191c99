"""Average precision of taught labels by the number of their examples, next to that of words.

``python -m benchmarks.taught ESC10`` teaches two classes of a folder for each class under names that mean nothing, from
recordings of folds 1 to 3, and measures them on fold 4; the fold is the first part of a file's name, as in ESC-10 and
ESC-50. ``--recordings TABLE`` does so with labels of a table with the columns file, label and group: of each draw, half
of the groups are learned from, and the other half is measured.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.table import table
from pe_audio_cli import load
from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.evaluation.annotations.folder import Annotated
from pe_audio_cli.inference.runner import embed, window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import embed_prompts
from pe_audio_cli.learning.examples import EXAMPLE, Examples, examples_of_windows, joined
from pe_audio_cli.learning.fit import Words
from pe_audio_cli.learning.teach import teach
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.results import EmbedResult, FileError

__all__ = ["average_precisions", "main"]

COUNTS = (1, 2, 5, 10, 20)  # recordings with an example
DRAWS = 5
FOLDS = ("1", "2", "3")  # that are learned from

# Names that mean nothing, the classes in their stead, and the words that say what they are.
ESC10 = (("klaxo", "dog_bark", "a dog barking"), ("brimm", "rain", "rain falling"))
OTHERS = (("klaxo", "x:saxophone", "a saxophone playing"), ("brimm", "x:clarinet", "a clarinet playing"))


@dataclass(frozen=True)
class Clip:
    """The embeddings of a recording's windows, its class, and what belongs together: a fold, or a group."""

    result: EmbedResult
    label: str
    group: str


def average_precisions(clips: Sequence[Clip], taught: Words, label: str, counts: Sequence[int]) -> dict[int, float]:
    """Return the average precision of one draw, by the number of examples; 0 are the words alone.

    Args:
        clips: of which those of the group ``learn`` are learned from, in their order, and the others are measured.
        taught: the words that the label starts from.
        label: the class that the label stands for.
        counts: numbers of examples; those that there are too few recordings for are left out.
    """
    from sklearn.metrics import average_precision_score

    tested = [clip for clip in clips if clip.group != "learn"]
    truth = [clip.label == label for clip in tested]

    def precision(words: Words, bias: float = 0.0) -> float:
        scores = [float((words.logits(clip.result.embeddings) + bias).max()) for clip in tested]
        return float(average_precision_score(truth, scores))

    found = {0: precision(taught)}
    positives, others = (
        [clip for clip in clips if clip.group == "learn" and (clip.label == label) == wanted]
        for wanted in (True, False)
    )
    for count in (count for count in counts if count <= len(positives)):
        examples = _examples([*positives[:count], *others], label, taught)
        learned = teach(examples, taught, 0.5).learned
        words = Words(learned.embeddings, taught.scale, taught.bias)
        found[count] = precision(words, float(learned.biases[0]))
    return found


def _examples(clips: Sequence[Clip], label: str, words: Words) -> Examples:
    annotated = [Annotated(clip.result.recording.file, (label,) if clip.label == label else ()) for clip in clips]
    parts = [
        examples_of_windows(clip.result, each, (label,), words) for clip, each in zip(clips, annotated, strict=True)
    ]
    examples = joined(parts)
    assert examples.n_recordings(0, EXAMPLE) == sum(clip.label == label for clip in clips)
    return examples


def by_fold(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Yield draws in which other recordings of the first folds come first."""
    for seed in range(DRAWS):
        order = np.random.default_rng(seed).permutation(len(clips))
        yield [_in_group(clips[at], clips[at].group in FOLDS) for at in order]


def by_half(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Yield draws in which one half of the groups of each class is learned from."""
    for seed in range(DRAWS):
        generator = np.random.default_rng(seed)
        groups = sorted({(clip.label, clip.group) for clip in clips})
        place = {group: generator.random() for _, group in groups}
        learned = set()
        for label in {label for label, _ in groups}:
            own = sorted((group for each, group in groups if each == label), key=place.__getitem__)
            learned |= set(own[: len(own) // 2])
        order = generator.permutation(len(clips))
        yield [_in_group(clips[at], clips[at].group in learned) for at in order]


def _in_group(clip: Clip, learned: bool) -> Clip:
    return Clip(clip.result, clip.label, "learn" if learned else "test")


def embedded(named: Sequence[tuple[str, str, str]], encoder: Encoder) -> list[Clip]:
    """Embed recordings: (file, label, group) of each."""
    results = embed([file for file, _, _ in named], encoder, "window", EncodeOptions(window_options("tag")))
    clips = []
    for (file, label, group), result in zip(named, results, strict=True):
        if isinstance(result, FileError):
            raise SystemExit(f"{file}: {result.message}")
        clips.append(Clip(result, label, group))
    return clips


def rows_of(
    draws: Sequence[Sequence[Clip]], asked: Sequence[tuple[str, str, str]], encoder: Encoder
) -> Iterator[list[str]]:
    """Yield a row of the table for each label: means over the draws, and their range."""
    facts = encoder.facts
    for name, label, words in asked:
        nonsense, known = (
            Words(embed_prompts(encoder, [(text,)]), facts.logit_scale, facts.logit_bias) for text in (name, words)
        )
        found = [average_precisions(draw, nonsense, label, COUNTS) for draw in draws]
        by_words = [average_precisions(draw, known, label, ())[0] for draw in draws]
        cells = [_cell(np.array([each[count] for each in found if count in each])) for count in (0, *COUNTS)]
        yield [f"{name} ({label.removeprefix('x:')})", _cell(np.array(by_words)), *cells]


def _cell(values: NDArray[np.float64]) -> str:
    if len(values) < DRAWS:
        return ""
    spread = f" ({values.min():.2f} to {values.max():.2f})" if np.ptp(values) > 0.005 else ""
    return f"{values.mean():.2f}{spread}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the folders that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.taught", description=__doc__)
    parser.add_argument("classes", nargs="?", type=Path, help="a folder for each class, such as ESC-10")
    parser.add_argument("--recordings", type=Path, help="a table with the columns file, label and group")
    options = parser.parse_args(arguments)
    if options.classes is None and options.recordings is None:
        parser.error("no recordings: name a folder of ESC-10, or a table with --recordings")
    encoder = load().encoder("tag")
    header = ["label", "its own words", "the name alone", *(f"{n} examples" if n > 1 else "1 example" for n in COUNTS)]
    if options.classes is not None:
        files = [Path(file) for file in find_recordings([str(options.classes)]) if isinstance(file, str)]
        clips = embedded([(str(file), file.parent.name, file.name.partition("-")[0]) for file in files], encoder)
        print(table(header, [*rows_of(list(by_fold(clips)), ESC10, encoder)]))
    if options.recordings is not None:
        with options.recordings.open(encoding="utf-8", newline="") as stream:
            read = [
                (str(options.recordings.parent / row["file"]), row["label"], row["group"])
                for row in csv.DictReader(stream)
            ]
        print(table(header, [*rows_of(list(by_half(embedded(read, encoder))), OTHERS, encoder)]))


if __name__ == "__main__":
    main()
