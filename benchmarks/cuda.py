"""A CUDA GPU: codec, full encoder and a recording end to end, each beside transformers on the same GPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import machine, mini, models, recording
from benchmarks.contender import Child, Contender, Measurement, alternate, running
from benchmarks.lineup import BFLOAT16, CODEC, ENCODER, OURS, TRANSFORMERS, Comparison
from benchmarks.options import Options, run_alone
from benchmarks.recording import TRANSFORMERS_BFLOAT16
from benchmarks.sound import n_frames, noise
from benchmarks.table import NOT_MEASURED, error, seconds, section, table, times

__all__ = ["measure"]

DEVICE = "cuda"
FLOAT16 = "peaudio, float16"
HEADER = ("", "seconds", "TFLOP/s", "times real time", "times transformers", "times transformers in bfloat16", "error")
MATRICES = {"torch.matmul": "float32", "torch.matmul, bfloat16": "bfloat16"}
MATRIX = 8192  # rows and columns


def measure(options: Options) -> str:
    """Tables for codec, full encoder and a recording; or a word on why there are none."""
    title = "On a CUDA GPU"
    if machine.gpu() is None:
        return section(title, f"This machine has no CUDA GPU: {NOT_MEASURED}.")
    text = (
        f"As above, {options.model}, on one {machine.gpu()}: samples in the computer's memory to embeddings there, "
        "one window at a time. Each turn begins with a pass over as much audio that is not timed, since libraries "
        "choose their ways by the shapes that they meet. Behind the codec torch lets cuDNN round float32 to TF32's ten "
        "bits, which transformers leaves so and peaudio does not; their codecs alone agree. `torch.matmul` is that of "
        f"matrices of {MATRIX} rows and columns."
    )
    parts = [_table("Codec", CODEC, options.folder, options.lengths[:1], options)]
    parts += [_table("Full encoder", ENCODER, options.folder, options.lengths, options)]
    if mini.MINI.is_dir():
        parts += [
            _table("Full encoder of the checkpoint that ships", ENCODER, mini.MINI, options.lengths[-1:], options)
        ]
    return section(title, text, *parts, _recording(options))


def _contenders(comparison: Comparison, folder: Path) -> list[Contender]:
    place = {"folder": folder, "device": DEVICE}
    return [
        Contender(TRANSFORMERS, comparison.transformers, place),
        Contender(TRANSFORMERS_BFLOAT16, comparison.transformers, {**place, "dtype": "bfloat16"}),
        Contender(OURS, comparison.ours, place),
        Contender(BFLOAT16, comparison.ours, {**place, "dtype": "bfloat16"}),
        Contender(FLOAT16, comparison.ours, {**place, "dtype": "float16"}),
    ]


def _table(title: str, comparison: Comparison, folder: Path, lengths: Sequence[float], options: Options) -> str:
    matrices = [
        Contender(name, models.card_product, {"dtype": dtype, "size": MATRIX, "device": DEVICE})
        for name, dtype in MATRICES.items()
    ]
    with running([*_contenders(comparison, folder), *matrices], options.threads) as children:
        measured = [_turns(children, length, options.rounds) for length in lengths]
    return "\n\n".join(
        f"{title}, {length:g} s of audio:\n\n"
        + table(HEADER, _rows(each, length, comparison.flops(folder, n_frames(length))))
        for length, each in zip(lengths, measured, strict=True)
    )


def _turns(children: list[Child], length: float, rounds: int) -> dict[str, Measurement]:
    samples = noise(length)
    alternate(children, samples, 1)  # the first pass over a length also takes the memory that later ones find
    return alternate(children, samples, rounds, samples)


def _rows(measured: dict[str, Measurement], length: float, flops: int) -> Iterator[list[str]]:
    baseline, half = measured[TRANSFORMERS], measured[TRANSFORMERS_BFLOAT16]
    for name, each in measured.items():
        if name in MATRICES:
            yield [name, seconds(each), _rate(2 * MATRIX**3, each), "", "", "", ""]
        else:
            yield [
                name,
                seconds(each),
                _rate(flops, each),
                f"{length / each.median:.0f}",
                times(baseline.median, each.median),
                times(half.median, each.median),
                error(each.output, baseline.output),
            ]


def _rate(flops: int, measured: Measurement) -> str:
    return f"{flops / measured.median / 1e12:.1f}"


def _recording(options: Options) -> str:
    with tempfile.TemporaryDirectory(prefix="peaudio-gpu-") as work:
        found = recording.compare(recording.on_gpu(options, Path(work)), options)
    return (
        f"A recording of {options.recording / 60:g} minutes from exec to exit, once each, start-up included: "
        f"`peaudio tag` against a script of the model card's way in pieces of 30 s. {recording.CACHED}\n\n{found}"
    )


if __name__ == "__main__":
    run_alone(measure, "cuda", __doc__)
