"""Teaches the audio tower: sigmoid cross-entropy between scenes and kinds of sound, clip by clip and frame by frame.

What is heard in a scene is what somebody has labelled or what the teacher hears in the recordings that it is made of.
It goes on from a finished checkpoint where one is given, which saves most of a night.

Every step draws scenes (:mod:`training.mixtures`). What stands in for texts is one direction a kind
(:mod:`training.kinds`); :mod:`training.export` turns these to where the text tower puts its phrases. So no wording is
learned by the ear, and any wording that the text tower understands does as well as any other.

``python -m training.train WORK`` goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from training import bands, codec, refined
from training.concepts import FIRST
from training.features import Recordings
from training.going_on import take_up
from training.kinds import KINDS, any_of
from training.lessons import Imitation, Lessons
from training.logarithm import LogNetwork
from training.mixtures import SURE, Bank, Mixer, MixtureOptions, Scenes
from training.student import Student, hasten
from training.teacher import class_names

SHARE_EVERY = 20  # steps, after which processes share their weights and the first keeps its state
RANKING = 2.0  # of telling which of the concepts a sound is, against 1 for each kind by itself
FIRST_COUNT = 2.0  # of each of the first concepts, against 1 for any other
LIKELY, DOUBTFUL = 0.3, 0.2  # what takes part in telling apart, and what is left out of it


@dataclass(frozen=True)
class TrainOptions:
    """The size of the tower and how it learns."""

    hidden: int = 192
    layers: int = 3
    intermediate: int = 512
    codec_dim: int = 128
    shapes: tuple[tuple[int, float], ...] = ((16, 5.0), (16, 5.0), (8, 10.0))  # scenes, seconds, by turns
    lessons: tuple[tuple[int, float], ...] = ((16, 3.0), (16, 4.0), (12, 5.0))  # the same, of what the teacher heard
    between: int = 4  # every so many steps one without a lesson, where there are any
    muon: bool = False  # for the matrices of the transformer, where training goes on; from scratch always
    warm_up: int = 40
    heads: float = 0.5  # of the learning rate, for what every logit depends on
    weight_decay: float = 0.05
    average: float = 0.995  # decay of the running average of the weights, which is what ships
    compile: bool = False  # worth it where a night is at hand
    bfloat16: bool = False  # where the processor has it: for products of matrices; the weights stay float32
    start: Path | None = None  # the checkpoint to go on from
    teacher: Path | None = None  # YAMNet's folder
    minutes: float | None = None  # that a stage may take; the learning rate falls in time
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    """One stretch of the training: on which folds of ESC-10, how many steps, at which highest learning rate."""

    name: str
    folds: tuple[int, ...]
    steps: int
    rate: float

    @property
    def file(self) -> str:
        """The files that it leaves behind."""
        return f"audio-{self.name}.pt"


STAGES = (Stage("first", (1, 2, 3), 19_000, 7e-4),)  # fold 4 of ESC-10 is measured on


class Trainer:
    """Student and optimizers, and the step they take together."""

    def __init__(
        self,
        bank: Bank,
        weights: torch.Tensor,
        network: LogNetwork,
        options: TrainOptions,
        stage: Stage,
        lessons: Lessons | None = None,
    ) -> None:
        torch.manual_seed(options.seed)
        self.options, self.stage, self.lessons = options, stage, lessons
        # All processes begin with the same weights, and then each draws scenes of its own.
        self.mixer = Mixer(bank, weights, MixtureOptions(), options.seed + stage.steps)
        mean, whiten = whitening(self.mixer.draw(256, 5.0).energies)
        config = codec.encoder_config(
            options.hidden, options.layers, options.hidden // 32, options.intermediate, options.codec_dim
        )
        self.student = Student(config, len(KINDS), network.last.bias.item(), mean, whiten)
        hasten(self.student)
        if options.start is not None:
            take_up(self.student, options.start, network)
        self.averaged = {name: value.detach().clone() for name, value in self.student.state_dict().items()}
        self.imitation = nn.ModuleList() if lessons is None else Imitation(options.hidden, len(lessons.names))
        self.optimizers = self._optimizers()
        self.mixer.generator.manual_seed(options.seed + stage.steps + 1000 * _rank())
        self.step = 0
        self._hidden: Any = torch.compile(self.student.hidden) if options.compile else self.student.hidden

    @classmethod
    def new(cls, work: Path, options: TrainOptions, stage: Stage) -> Trainer:
        """From what the earlier steps left in ``WORK``."""
        bank, weights = drawn_from(work, options, stage)
        lessons = None
        if any((work / "scenes").glob("*.pt")):
            teacher = work / "yamnet" if options.teacher is None else options.teacher
            opinion = refined.build(work, teacher, stage.folds)
            lessons = Lessons(work, class_names(teacher), opinion, options.seed + stage.steps + 1000 * _rank())
        return cls(bank, weights, codec.fitted_network(work), options, stage, lessons)

    @classmethod
    def restored(cls, work: Path, stage: Stage, options: TrainOptions) -> Trainer:
        """With the averaged weights that a stage left behind, to look at or to ship."""
        trainer = cls.new(work, replace(options, compile=False), stage)
        trainer.student.load_state_dict(torch.load(work / stage.file)["averaged"])
        trainer.student.eval()
        return trainer

    def take_step(self, rate: float) -> float:
        """One batch at the learning rate ``rate``; the loss."""
        lesson = None
        if self.lessons is not None and self.step % self.options.between > 0:
            lesson = self.lessons.draw(*self.options.lessons[self.step % len(self.options.lessons)])
        scenes = (
            self.mixer.draw(*self.options.shapes[self.step % len(self.options.shapes)])
            if lesson is None
            else lesson.scenes
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bfloat16):
            pooled, hidden = self._hidden(scenes.energies)
            clip, frames = self.student.head(pooled), self.student.head(hidden)
        loss = self._loss(clip.float(), frames.float(), scenes)
        if lesson is not None:
            loss = loss + self.imitation(hidden.float(), lesson)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("share", 1.0)
            optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if not dist.is_initialized():
            self._average(self.options.average)
        elif self.step % SHARE_EVERY == 0:
            _share_weights(self.student)
            self._average(self.options.average**SHARE_EVERY)
        return loss.item()

    def _loss(self, clip: torch.Tensor, frames: torch.Tensor, scenes: Scenes) -> torch.Tensor:
        """``clip`` ``(n, kinds)`` and ``frames`` ``(n, frames, kinds)`` are products without scale and bias.

        A kind that takes in several concepts is right where any of them is heard.
        """
        scale, bias = self.student.scale, self.student.bias
        heard = any_of(scenes.clip)
        ignored = any_of(scenes.ignored) * (heard < SURE)
        counts = _counts()
        loss = _cross_entropy(clip * scale + bias, heard, counts * (1 - ignored))
        heard_frames = any_of(scenes.frames.transpose(1, 2))
        kept = (1 - ignored)[:, None] * (1 - any_of(scenes.ignored_frames.transpose(1, 2)) * (heard_frames < SURE))
        loss = loss + _cross_entropy(frames * scale + bias, heard_frames, counts * kept)
        return loss + RANKING * _ranking(clip[:, : scenes.clip.shape[1]] * scale, scenes)  # concepts come first

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices of the transformer, AdamW for the rest; AdamW for all where a start is given.

        Muon's products are in bfloat16, which takes four times as long as all else on a processor that has none.
        """
        hidden = [
            value
            for name, value in self.student.tower.named_parameters()
            if value.ndim == 2 and "layers" in name and (self.options.muon or self.options.start is None)
        ]
        taken = {id(value) for value in hidden}
        heads = [*self.student.head.parameters(), self.student.scale, self.student.bias]
        taken |= {id(value) for value in heads}
        rest = [value for value in self.student.parameters() if id(value) not in taken]
        rest += self.imitation.parameters()
        decay = self.options.weight_decay
        groups = [
            {"params": [value for value in rest if value.ndim > 1], "weight_decay": decay},
            {"params": [value for value in rest if value.ndim <= 1], "weight_decay": 0.0},
            # Every logit depends on all of these: at the full rate they would leap.
            {"params": heads, "weight_decay": 0.0, "share": self.options.heads},
        ]
        optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.98))]
        if hidden:
            optimizers.append(torch.optim.Muon(hidden, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
        return optimizers

    @torch.no_grad()
    def _average(self, decay: float) -> None:
        decay = min(decay, self.step / (self.step + 20))
        for name, value in self.student.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)

    def state(self) -> dict[str, Any]:
        """Everything that a stopped training needs to go on."""
        return {
            "student": self.student.state_dict(),
            "averaged": self.averaged,
            "imitation": self.imitation.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "mixer": self.mixer.generator.get_state(),
            "lessons": None if self.lessons is None else self.lessons.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""
        self.student.load_state_dict(state["student"])
        self.averaged = state["averaged"]
        self.imitation.load_state_dict(state["imitation"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.mixer.generator.set_state(state["mixer"])
        if self.lessons is not None:
            self.lessons.generator.set_state(state["lessons"])
        torch.set_rng_state(state["dropout"])
        self.step = state["step"]

    def follow(self, state: dict[str, Any]) -> None:
        """Begin with the averaged weights of the stage before."""
        self.student.load_state_dict(state["averaged"])
        self.averaged = {name: value.detach().clone() for name, value in self.student.state_dict().items()}


def drawn_from(work: Path, options: TrainOptions, stage: Stage) -> tuple[Bank, torch.Tensor]:
    """The recordings that a stage draws scenes from, and how often each; kept in a file that processes share."""
    kept = work / f"bank-{stage.name}.pt"
    if not kept.is_file():
        recordings = Recordings.load(work, class_names(work / "yamnet" if options.teacher is None else options.teacher))
        parts = {"bank": vars(recordings.bank(stage.folds)), "weights": recordings.weights(stage.folds)}
        torch.save(parts, kept.with_suffix(".part"))
        kept.with_suffix(".part").rename(kept)
    parts = torch.load(kept, mmap=True)
    return Bank(**parts["bank"]), parts["weights"]


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _share_weights(student: Student) -> None:
    """Every process goes on with the mean of all weights; between two meetings each learns by itself."""
    weights = [value.data for value in student.parameters()]
    flat = torch.cat([value.flatten() for value in weights])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for value, shared in zip(weights, flat.split([value.numel() for value in weights]), strict=True):
        value.copy_(shared.view_as(value))


def _furthest(done: float) -> float:
    """The progress of the furthest process."""
    if not dist.is_initialized():
        return done
    furthest = torch.tensor(done)
    dist.all_reduce(furthest, dist.ReduceOp.MAX)
    return furthest.item()


def whitening(energies: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``(bands,)`` and a matrix ``(bands, bands)`` that evens out how much the bands' common directions vary.

    The loudness of a moment has five hundred times the variance of the finest detail of a spectrum; without this the
    network learns ten times slower. It is not carried to full whitening, which would blow up noise.
    """
    values = energies.transpose(1, 2).reshape(-1, bands.N_BANDS)
    values = values[values[:, bands.N_BANDS // 2] > -0.98]
    mean = values.mean(0)
    variance, directions = torch.linalg.eigh(torch.cov((values - mean).T))
    whiten = (directions * (variance + 1e-4).pow(-0.35)) @ directions.T
    return mean, whiten / ((values - mean) @ whiten.T).std()


def _cross_entropy(logits: torch.Tensor, heard: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Summed over kinds, the mean over clips or frames."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits, heard, weight, reduction="none")
    return loss.sum(-1).mean()


def _counts() -> torch.Tensor:
    """The weight of each kind: the concepts that `mini` 1 had are what most people ask for."""
    first = {concept.id for concept in FIRST}
    return torch.tensor([FIRST_COUNT if first & set(ids) else 1.0 for ids in KINDS])


def _ranking(logits: torch.Tensor, scenes: Scenes) -> torch.Tensor:
    """The loss of the order of concepts ``(n, concepts)``, which sigmoids leave to chance.

    What somebody has labelled, or else what the teacher is surest of, shares the probability.
    """
    target = scenes.clip.square() * (scenes.clip > LIKELY)
    surest = scenes.clip.amax(1) * (target.sum(1) > 0)
    open_question = (scenes.ignored > 0) | (scenes.clip > DOUBTFUL)
    masked = logits.masked_fill(open_question & (target == 0), -1e4)
    share = target / target.sum(1, keepdim=True).clamp_min(1e-6)
    wrong = nn.functional.cross_entropy(masked, share, reduction="none")
    return (surest * wrong).sum() / surest.sum().clamp_min(1.0)


def rate_at(done: float, warm_up: float, highest: float) -> float:
    """Warm-up, then half a cosine down to a hundredth; ``done`` and ``warm_up`` are shares of the whole."""
    if done < warm_up:
        return highest * (done / warm_up + 0.01)
    since = (done - warm_up) / (1 - warm_up)
    return highest * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, since))))


def train(work: Path, options: TrainOptions, stages: Sequence[Stage] = STAGES) -> None:
    """All stages, from ``WORK``'s features; stopped, it goes on where it was."""
    for number, stage in enumerate(stages):
        if (work / stage.file).is_file():
            continue
        if _rank() == 0:
            drawn_from(work, options, stage)
        if dist.is_initialized():
            dist.barrier()
        trainer = Trainer.new(work, options, stage)
        if number > 0:
            trainer.follow(torch.load(work / stages[number - 1].file))
        _run(trainer, work / f"unfinished-{stage.file}")
        if _rank() == 0:
            torch.save(trainer.state(), work / f"{stage.file}.part")
            (work / f"{stage.file}.part").rename(work / stage.file)
        if dist.is_initialized():
            dist.barrier()


def _run(trainer: Trainer, saved: Path) -> None:
    """All steps of a stage, or as many as there is time for."""
    stage, options = trainer.stage, trainer.options
    if saved.is_file():
        trainer.restore(torch.load(saved))
        trainer.mixer.generator.manual_seed(trainer.step + 1000 * _rank())
    started, from_step, mean = time.monotonic(), trainer.step, 0.0
    warm_up = min(0.5, options.warm_up / stage.steps)
    done = trainer.step / stage.steps
    while done < 1:
        loss = trainer.take_step(rate_at(done, warm_up, stage.rate))
        mean = loss if mean == 0 else 0.98 * mean + 0.02 * loss
        seconds = time.monotonic() - started
        done = max(trainer.step / stage.steps, 0.0 if options.minutes is None else seconds / 60 / options.minutes)
        if trainer.step % SHARE_EVERY == 0:
            done = _furthest(done)
            pace = seconds / (trainer.step - from_step)
            if _rank() == 0:
                said = f"{stage.name}: step {trainer.step}, {done:.0%} done, loss {mean:.3f}, {pace:.2f} s a step"
                print(said, flush=True)
                torch.save(trainer.state(), saved.with_suffix(".part"))
                saved.with_suffix(".part").rename(saved)
        else:
            done = min(done, 0.999)


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m training.train WORK``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--start", type=Path, metavar="CHECKPOINT", help="go on from its audio tower")
    parser.add_argument("--teacher", type=Path, metavar="FOLDER", help="with yamnet.tflite; default: WORK/yamnet")
    parser.add_argument("--minutes", type=float, help="that each stage may take")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of steps of each stage")
    chosen = parser.parse_args(arguments)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    if "WORLD_SIZE" in os.environ:  # one of the processes that torchrun starts
        dist.init_process_group("gloo")
    stages = [replace(stage, steps=round(chosen.scale * stage.steps)) for stage in STAGES]
    options = TrainOptions(start=chosen.start, teacher=chosen.teacher, minutes=chosen.minutes)
    train(chosen.work, options, stages)


if __name__ == "__main__":
    main()
