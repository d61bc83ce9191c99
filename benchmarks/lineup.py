"""The contenders for work on audio: transformers, the same with tuned glibc, peaudio, and plain matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import machine, models
from benchmarks.contender import Contender, Measurement, alternate, running
from benchmarks.options import Options
from benchmarks.sound import n_frames, noise
from benchmarks.table import error, seconds, table, times

__all__ = [
    "BFLOAT16",
    "CODEC",
    "COMPILED",
    "ENCODER",
    "OURS",
    "TRANSFORMERS",
    "TUNED",
    "WARM_TURNS",
    "Comparison",
    "able",
    "compare",
    "take_turns",
]

Measured: TypeAlias = "dict[str, Measurement]"

TRANSFORMERS, TUNED, TRANSFORMERS_BFLOAT16 = "transformers", "transformers, mallopt", "transformers, mallopt, bfloat16"
OURS, BFLOAT16 = "peaudio", "peaudio, bfloat16"
BFLOAT16_MARK = "bfloat16"  # in the names of all that compute in it
COMPILED, COMPILED_BFLOAT16 = "peaudio, --compile", "peaudio, bfloat16, --compile"
MATRIX = 4096  # rows and columns, which makes 64 MiB in float32
MATRICES = {
    "torch.matmul": (models.matrix_product, "float32"),
    "torch.matmul, bfloat16": (models.matrix_product, "bfloat16"),
    "oneDNN matrix product": (models.packed_product, "float32"),
    "oneDNN matrix product, bfloat16": (models.packed_product, "bfloat16"),
}
WARM_UP = 1.0  # seconds of audio
WARM_TURNS = f"Each turn begins with {WARM_UP:g} s of audio that is not timed."

HEADER = (
    "",
    "seconds",
    "GFLOP/s",
    "of the best product",
    "times transformers",
    "times transformers with mallopt",
    "error",
)


@dataclass(frozen=True)
class Comparison:
    """The same work in transformers and in peaudio; ``only_codec`` if it is not the full encoder.

    Of the codec alone, transformers' bfloat16 is measured too, which for the full encoder would take minutes, and
    ``--compile``, which concerns nothing else.
    """

    transformers: Callable[..., Any]
    ours: Callable[..., Any]
    only_codec: bool = False

    def contenders(self, folder: Path) -> list[Contender]:
        """All of them, in the order of the table."""
        place: dict[str, Any] = {"folder": folder}
        half = {**place, "dtype": "bfloat16"}
        compiled = [
            Contender(COMPILED, self.ours, {**place, "compile": True}, keeps_blocks=True),
            Contender(COMPILED_BFLOAT16, self.ours, {**half, "compile": True}, keeps_blocks=True),
        ]
        return [
            Contender(TRANSFORMERS, self.transformers, place),
            Contender(TUNED, self.transformers, place, keeps_blocks=True),
            *(
                [Contender(TRANSFORMERS_BFLOAT16, self.transformers, half, keeps_blocks=True)]
                if self.only_codec
                else []
            ),
            Contender(OURS, self.ours, place, keeps_blocks=True),
            Contender(BFLOAT16, self.ours, half, keeps_blocks=True),
            *(compiled if self.only_codec else []),
        ]

    def flops(self, folder: Path, frames: int) -> int:
        """Floating-point operations for so many frames."""
        in_codec, in_tower = models.flops(folder, frames)
        return in_codec if self.only_codec else in_codec + in_tower


CODEC = Comparison(models.transformers_codec, models.our_codec, only_codec=True)
ENCODER = Comparison(models.transformers_encoder, models.our_encoder)


def able(contenders: Sequence[Contender]) -> list[Contender]:
    """Those that this machine has instructions and compiler for; without, bfloat16 is emulated and takes minutes."""
    return [
        each
        for each in contenders
        if (machine.has_bfloat16() or each.arguments.get("dtype") != "bfloat16")
        and (machine.has_compiler() or not each.arguments.get("compile"))
    ]


def compare(comparison: Comparison, folder: Path, lengths: Sequence[float], options: Options) -> str:
    """A table with the contenders' rows for each length, in seconds of audio."""
    matrices = [
        Contender(name, build, {"dtype": dtype, "size": MATRIX}, keeps_blocks=True)
        for name, (build, dtype) in MATRICES.items()
    ]
    contenders = [*comparison.contenders(folder), *matrices]
    measured = take_turns(able(contenders), lengths, options)
    names = [each.name for each in contenders]
    return "\n\n".join(
        f"{length:g} s of audio:\n\n" + table(HEADER, _rows(names, comparison.flops(folder, n_frames(length)), each))
        for length, each in zip(lengths, measured, strict=True)
    )


def take_turns(contenders: Sequence[Contender], lengths: Sequence[float], options: Options) -> list[Measured]:
    """Measure each contender for each length, by turns."""
    with running(contenders, options.threads) as children:
        return [alternate(children, noise(length), options.rounds, noise(WARM_UP)) for length in lengths]


def _rows(names: Sequence[str], flops: int, measured: Measured) -> Iterator[list[str]]:
    baseline, tuned = measured[TRANSFORMERS], measured[TUNED]
    for name in names:
        if name not in measured:
            yield [name]
        elif name in MATRICES:
            yield [name, seconds(measured[name]), f"{_rate(2 * MATRIX**3, measured[name]):.0f}", "", "", "", ""]
        else:
            yield [
                name,
                seconds(measured[name]),
                f"{_rate(flops, measured[name]):.0f}",
                f"{_rate(flops, measured[name]) / _best_rate(BFLOAT16_MARK in name, measured):.2f}",
                times(baseline.median, measured[name].median),
                times(tuned.median, measured[name].median),
                error(measured[name].output, baseline.output),
            ]


def _rate(flops: int, measured: Measurement) -> float:
    """Return GFLOP/s."""
    return flops / measured.median / 1e9


def _best_rate(bfloat16: bool, measured: Measured) -> float:
    """Return the GFLOP/s of the fastest matrix product in the dtype: what this machine can do."""
    return max(
        _rate(2 * MATRIX**3, measured[name])
        for name in MATRICES
        if name in measured and bfloat16 == (BFLOAT16_MARK in name)
    )
