"""The lineup for work on audio: the stock forward, the same with glibc tuned, ours, and plain matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import machine, models
from benchmarks.contender import Contender, Measurement, alternate, running
from benchmarks.options import Options
from benchmarks.sound import n_frames, noise
from benchmarks.table import NOT_MEASURED, error, seconds, table, times

__all__ = [
    "BFLOAT16",
    "CODEC",
    "ENCODER",
    "OURS",
    "STOCK",
    "TUNED",
    "WARM_TURNS",
    "Task",
    "able",
    "compare",
    "take_turns",
]

Measured: TypeAlias = "dict[str, Measurement]"

STOCK, TUNED, STOCK_BFLOAT16 = "transformers", "transformers, mallopt", "transformers, mallopt, bfloat16"
OURS, BFLOAT16 = "peaudio", "peaudio, bfloat16"
MATRICES = {"torch.matmul": "float32", "torch.matmul, bfloat16": "bfloat16"}
MATRIX = 4096  # rows and columns, which makes 64 MiB in float32
WARM_UP = 1.0  # seconds of audio
WARM_TURNS = f"Each turn begins with {WARM_UP:g} s of audio that is not timed."

HEADER = ("", "seconds", "GFLOP/s", "times stock", "times stock with mallopt", "error", "seconds on CUDA")


@dataclass(frozen=True)
class Task:
    """What is compared: how transformers does it, and how peaudio; ``only_codec`` where that is not the full encoder.

    Of the codec alone, transformers' bfloat16 is measured too: for the full encoder it would take minutes.
    """

    stock: Callable[..., Any]
    ours: Callable[..., Any]
    only_codec: bool = False

    def contenders(self, folder: Path, device: str = "cpu") -> list[Contender]:
        """All of them, in the order of the table."""
        place = {"folder": folder, "device": device}
        half = {**place, "dtype": "bfloat16"}
        return [
            Contender(STOCK, self.stock, place),
            Contender(TUNED, self.stock, place, keeps_blocks=True),
            *([Contender(STOCK_BFLOAT16, self.stock, half, keeps_blocks=True)] if self.only_codec else []),
            Contender(OURS, self.ours, place, keeps_blocks=True),
            Contender(BFLOAT16, self.ours, half, keeps_blocks=True),
        ]

    def flops(self, folder: Path, frames: int) -> int:
        """Floating-point operations for so many frames."""
        in_codec, in_tower = models.flops(folder, frames)
        return in_codec if self.only_codec else in_codec + in_tower


CODEC = Task(models.stock_codec, models.our_codec, only_codec=True)
ENCODER = Task(models.stock_encoder, models.our_encoder)


def able(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that this CPU has the instructions for; without, bfloat16 is emulated and takes minutes."""
    return [each for each in contenders if machine.has_bfloat16() or each.arguments.get("dtype") != "bfloat16"]


def compare(task: Task, folder: Path, lengths: Sequence[float], options: Options) -> str:
    """A table with the contenders' rows for each length, in seconds of audio."""
    matrices = [
        Contender(name, models.matrix_product, {"dtype": dtype, "size": MATRIX}) for name, dtype in MATRICES.items()
    ]
    on_cpu = take_turns(able([*task.contenders(folder), *matrices]), lengths, options)
    cuda = [each for each in task.contenders(folder, "cuda") if each.name != TUNED] if machine.card() else []
    on_card = take_turns(cuda, lengths, options)
    names = [each.name for each in (*task.contenders(folder), *matrices)]
    return "\n\n".join(
        f"{length:g} s of audio:\n\n" + table(HEADER, _rows(names, task.flops(folder, n_frames(length)), cpu, card))
        for length, cpu, card in zip(lengths, on_cpu, on_card, strict=True)
    )


def take_turns(contenders: Sequence[Contender], lengths: Sequence[float], options: Options) -> list[Measured]:
    """What each contender needs for each length."""
    with running(contenders, options.threads) as children:
        return [alternate(children, noise(length), options.rounds, noise(WARM_UP)) for length in lengths]


def _rows(names: Sequence[str], flops: int, cpu: Measured, card: Measured) -> Iterator[list[str]]:
    stock, tuned = cpu[STOCK], cpu[TUNED]
    for name in names:
        on_card = seconds(card[name]) if name in card else NOT_MEASURED
        if name not in cpu:
            yield [name, *[NOT_MEASURED] * (len(HEADER) - 2), on_card]
        elif name in MATRICES:
            yield [name, seconds(cpu[name]), _rate(2 * MATRIX**3, cpu[name]), "", "", "", ""]
        else:
            yield [
                name,
                seconds(cpu[name]),
                _rate(flops, cpu[name]),
                times(stock.median, cpu[name].median),
                times(tuned.median, cpu[name].median),
                error(cpu[name].output, stock.output),
                on_card,
            ]


def _rate(flops: int, measured: Measurement) -> str:
    return f"{flops / measured.median / 1e9:.0f}"
