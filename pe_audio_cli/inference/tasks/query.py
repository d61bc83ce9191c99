"""The labels of a run and their text embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pe_audio_cli.detection.label_settings import SettingsFile
from pe_audio_cli.detection.scoring import logits
from pe_audio_cli.inference.labels import check_labels, fill_template
from pe_audio_cli.models.encoder import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Query", "TaughtLabel"]

NO_SETTINGS = SettingsFile()


@dataclass(frozen=True)
class TaughtLabel:
    """A label that was learned from examples: ``embedding``, ``(dim,)``, and ``bias``, added to the checkpoint's."""

    embedding: NDArray[np.float32]
    bias: float


@dataclass(frozen=True)
class Query:
    """The labels of a run, and the text embedding of each.

    ``calibration``, of shape ``(n_labels, 2)``, is each label's scale and bias on top of the model's own, from settings
    of the name ``calibrated_by``, which is None if the checkpoint carries them; both are None for the model's own
    probabilities. ``taught`` are the labels that were learned from examples.
    """

    labels: tuple[str, ...]
    embeddings: NDArray[np.float32]
    calibration: NDArray[np.float64] | None = None
    calibrated_by: str | None = None
    taught: frozenset[str] = frozenset()

    @classmethod
    def ask(
        cls,
        encoder: Encoder,
        labels: Sequence[str],
        template: str = "{}",
        settings: SettingsFile = NO_SETTINGS,
        taught: Mapping[str, TaughtLabel] | None = None,
    ) -> Query:
        """Encode the prompts of labels: those of ``settings``, else the filled template.

        Labels that were ``taught`` have their own embedding and bias, whatever ``settings`` say.

        Raises :class:`UsageError` if there are none, or the model cannot take one.
        """
        check_labels(labels)
        learned = {label: each for label, each in (taught or {}).items() if label in labels}
        own = {label: each for label, each in settings.labels.items() if label not in learned}
        plain = dict(zip(labels, fill_template(template, labels), strict=True))
        prompts = [
            own[label].prompts if label in own and own[label].prompts else (plain[label],)
            for label in labels
            if label not in learned
        ]
        prompted = iter(embed_prompts(encoder, prompts) if prompts else ())
        embeddings = [learned[label].embedding if label in learned else next(prompted) for label in labels]
        query = cls(tuple(labels), np.stack(embeddings), taught=frozenset(learned))
        calibrates = any(own[label].calibrates for label in labels if label in own)
        if not calibrates and not any(each.bias for each in learned.values()):
            return query
        calibration = [(own[label].scale, own[label].bias) if label in own else (1.0, 0.0) for label in labels]
        for label, each in learned.items():
            calibration[labels.index(label)] = (1.0, each.bias)
        name = settings.name if calibrates and not settings.carried else None
        return replace(query, calibration=np.array(calibration), calibrated_by=name)

    def logits(self, audio: NDArray[np.float32], encoder: Encoder) -> NDArray[np.float64]:
        """Return the logits of the labels, ``(..., n_labels)``, in embeddings of clips or frames, ``(..., dim)``."""
        scores = logits(audio, self.embeddings, encoder.facts.logit_scale, encoder.facts.logit_bias)
        return scores if self.calibration is None else scores * self.calibration[:, 0] + self.calibration[:, 1]

    def model_name(self, encoder: Encoder) -> str:
        """Return the model's name for results, with that of the calibration, if any."""
        name = encoder.facts.name
        return name if self.calibrated_by is None else f"{name}, calibrated by {self.calibrated_by}"


def embed_prompts(encoder: Encoder, prompts: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    """Text embeddings of shape ``(len(prompts), dim)``, each the mean of those of one or several prompts.

    A logit is linear in the text's embedding, so that the mean embedding gives the mean logit.
    """
    distinct = list(dict.fromkeys(text for texts in prompts for text in texts))
    embeddings = encoder.encode_text(distinct)
    rows = {text: row for row, text in enumerate(distinct)}
    return np.stack([embeddings[[rows[text] for text in texts]].mean(axis=0) for texts in prompts])
