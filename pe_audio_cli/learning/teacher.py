"""Teaching for one command: annotated recordings to learned labels, from the start or on top of earlier examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.errors import UsageError
from pe_audio_cli.evaluation.marked import MarkedSpan, of_spans
from pe_audio_cli.inference.tasks.query import embed_prompts
from pe_audio_cli.learning.collect import UNIT_OF_COMMAND, from_embeddings
from pe_audio_cli.learning.examples import Examples, joined
from pe_audio_cli.learning.fit import Words
from pe_audio_cli.learning.label_file import TaughtFor
from pe_audio_cli.learning.teach import teach
from pe_audio_cli.options import EventOptions
from pe_audio_cli.results import EmbedResult, FileError

if TYPE_CHECKING:
    from pe_audio_cli.detection.label_settings import Command
    from pe_audio_cli.evaluation.annotations.folder import Annotations
    from pe_audio_cli.inference.tasks.embedding import Unit
    from pe_audio_cli.models.encoder import Encoder

    # Embeds the recordings of teaching data, one result or error for each.
    Embed = Callable[["TeachingData", Unit], Iterable[EmbedResult | FileError]]
    # Embeds recordings, one result or error for each, in their order.
    EmbedFiles = Callable[[Iterable[str | FileError], Unit], Iterable[EmbedResult | FileError]]

__all__ = ["DEFAULT_THRESHOLDS", "TeachingData", "default_commands", "embeddings_of", "teach_for"]

# Of labels with too few examples to choose one by: that of localize, and for whole recordings that of eval.
DEFAULT_THRESHOLDS: dict[Command, float] = {"tag": 0.5, "localize": EventOptions().threshold}


def default_commands(annotations: Annotations) -> list[Command]:
    """Return the commands that labels are taught for if none is named: times are needed to localize."""
    return ["tag", "localize"] if annotations.kind == "strong" else ["tag"]


@dataclass(frozen=True)
class TeachingData:
    """The annotations, recordings and prompts to learn from.

    ``background`` are more recordings, without any of the labels. ``prompts`` are the words for labels that have
    others than their names. ``earlier`` are labels that were taught before, whose examples count as well. With
    ``curve``, the figures that fewer examples give are measured too; ``strict`` refuses whatever cannot be used.
    """

    annotations: Annotations
    background: Sequence[str | FileError] = ()
    prompts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    earlier: TaughtFor | None = None
    curve: bool = False
    strict: bool = False

    @property
    def files(self) -> list[str | FileError]:
        """All recordings."""
        return [*(recording.file for recording in self.annotations.recordings), *self.background]

    def words(self, encoder: Encoder, labels: Sequence[str]) -> tuple[Words, tuple[tuple[str, ...], ...]]:
        """The words that labels start from, and their embeddings."""
        before = {} if self.earlier is None else dict(zip(self.earlier.labels, self.earlier.prompts, strict=True))
        prompts = tuple(tuple(self.prompts.get(label, before.get(label, (label,)))) for label in labels)
        facts = encoder.facts
        return Words(embed_prompts(encoder, prompts), facts.logit_scale, facts.logit_bias), prompts


def embeddings_of(
    data: TeachingData, unit: Unit, embed: EmbedFiles, audio_track: int | None = None
) -> Iterator[EmbedResult | FileError]:
    """Yield the embeddings of each recording, of one that a listener has marked those of the marked excerpts."""
    if data.annotations.kind != "marked":
        yield from embed(data.files, unit)
        return
    asked = of_spans(data.annotations.recordings, lambda inputs: embed(inputs, unit), audio_track)
    for annotated, results in groupby(asked, lambda pair: pair[0].annotated):
        yield _together(annotated.file, list(results))
    yield from embed(data.background, unit)


def _together(file: str, results: Sequence[tuple[MarkedSpan, EmbedResult | FileError]]) -> EmbedResult | FileError:
    """Return the embeddings of a recording's excerpts at their times in it, or the error of one."""
    parts: list[EmbedResult] = []
    for span, result in results:
        if isinstance(result, FileError):
            return result
        parts.append(replace(result, starts=result.starts + span.onset, ends=result.ends + span.onset))
    recording = replace(parts[0].recording, file=file, duration=max(span.offset for span, _ in results))
    starts, ends, embeddings = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends", "embeddings")
    )
    return replace(parts[0], recording=recording, starts=starts, ends=ends, embeddings=embeddings)


def teach_for(
    command: Command,
    data: TeachingData,
    encoder: Encoder,
    embed: Embed,
    on_done: Callable[[EmbedResult | FileError], None] | None = None,
) -> TaughtFor:
    """Teach labels for a command.

    Args:
        command: ``tag`` learns from windows, ``localize`` from frames.
        data: what to learn from.
        encoder: of the checkpoint that the labels are for.
        embed: what embeds recordings.
        on_done: receives each recording's embeddings or error.

    Raises:
        AnnotationError: no recording could be used, or one could not and that is refused.
        UsageError: there is nothing to tell a label by, or the earlier labels are another checkpoint's.
    """
    facts = encoder.facts
    if data.earlier is not None and data.earlier.fingerprint != facts.fingerprint:
        raise UsageError(
            f"the labels were taught for another checkpoint ({data.earlier.model}) than this {facts.name}: go on "
            f"with -m {data.earlier.model}"
        )
    labels = data.annotations.labels
    if not labels:
        raise UsageError("the annotations have no label: there is nothing to learn")
    words, _ = data.words(encoder, labels)
    if data.earlier is not None:
        data.earlier.check_width("the file of labels", facts.name, words.embeddings.shape[1])
    results = embed(data, UNIT_OF_COMMAND[command])
    examples = from_embeddings(results, data.annotations, labels, words, command, on_done, strict=data.strict)
    if data.earlier is not None:
        examples = joined([data.earlier.examples, examples], by_row=data.annotations.kind == "marked")
    _check(examples)
    words, prompts = data.words(encoder, examples.labels)
    taught = teach(examples, words, DEFAULT_THRESHOLDS[command], curve=data.curve)
    return TaughtFor(facts.name, facts.fingerprint, taught.learned, taught.outcomes, prompts, examples)


def _check(examples: Examples) -> None:
    """Raise :class:`UsageError` if there is nothing to tell a label by."""
    if len(examples.recordings) < 2:
        raise UsageError(
            "one recording is too little to learn from: annotate another, or add recordings without the labels with "
            "--background FOLDER"
        )
    for column, label in enumerate(examples.labels):
        truth = examples.truth[:, column]
        if not (truth == 1).any():
            raise UsageError(f"{label!r} has no example that could be used: annotate a recording of it")
        if not (truth == 0).any():
            raise UsageError(
                f"{label!r} has no counter-example: add recordings without it, such as with --background FOLDER"
            )
