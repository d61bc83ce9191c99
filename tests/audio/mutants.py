"""Recordings in every container that FFmpeg writes, damaged by chance; run as a script, the process that decodes them.

Each line that the script is given is a container's name and a seed. It answers each with a line of JSON, so that who
asks can tell which mutant was never answered.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import random
import resource
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.errors import InputError

SECONDS = 0.5
FORMS = ((44_100, "stereo"), (48_000, "stereo"), (16_000, "mono"), (8_000, "mono"))
CODECS = (
    *("aac", "libmp3lame", "pcm_s16le", "pcm_s16be", "flac", "libopus", "libvorbis", "ac3", "mp2", "alac", "wavpack"),
    *("adpcm_ms", "adpcm_ima_wav", "adpcm_swf", "pcm_mulaw", "pcm_u8", "g722", "libopencore_amrnb", "truehd", "tta"),
)
NO_CONTAINERS = frozenset({"data", "framecrc", "framehash", "framemd5", "mkvtimestamp_v2", "rawvideo", "rcwt"})
MORE = (
    *(("matroska", codec) for codec in ("libopus", "flac")),
    *(("ogg", codec) for codec in ("flac", "libvorbis")),
    *((name, "pcm_s16le") for name in ("wav", "w64")),
    *(("mov", "alac"), ("gxf", "pcm_s16le"), ("mxf_opatom", "pcm_s16le")),
)
NUMBERS = (0, 1, *(2**bits - less for bits in (7, 8, 15, 16, 24, 28, 31, 32, 62) for less in (0, 1)))
HEAD = 512  # bytes from the start or the end, where a container keeps what it claims


def write_corpus(folder: Path) -> None:
    """A short recording in each container, under the name of the container and, where there are several, the codec."""
    for name in sorted(av.formats_available):
        form = av.ContainerFormat(name)
        if form.is_output and not form.no_file and "," not in name and name not in NO_CONTAINERS:
            _write(folder / name, name, [codec for codec in CODECS if _holds(name, codec)])
    for name, codec in MORE:
        _write(folder / f"{name}-{codec}", name, [codec])


def _holds(container: str, codec: str) -> bool:
    with contextlib.suppress(Exception), av.open(io.BytesIO(), "w", format=container) as output:
        return codec in output.supported_codecs
    return False


def _write(path: Path, container: str, codecs: list[str]) -> None:
    """The recording with the first of the codecs that works, if any does."""
    for codec, (rate, layout) in itertools.product(codecs, FORMS):
        buffer = io.BytesIO()
        with contextlib.suppress(Exception):
            _encode(buffer, container, codec, rate, layout)
            if len(buffer.getvalue()) > HEAD:
                path.write_bytes(buffer.getvalue())
                return


def _encode(buffer: io.BytesIO, container: str, codec: str, rate: int, layout: str) -> None:
    time_ = np.arange(round(SECONDS * rate)) / rate
    tone = (8_000 * np.sin(2 * np.pi * 440 * time_)).astype(np.int16)
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})
        samples = np.repeat(tone[None], 1 if layout == "mono" else 2, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(stream.format, layout, rate, stream.frame_size or 1_024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))


def mutant(content: bytes, other: bytes, seed: int) -> bytes:
    """The content, damaged in a few places; the same seed damages it in the same way."""
    dice = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        _damage(damaged, other, dice)
    return bytes(damaged)


def _damage(damaged: bytearray, other: bytes, dice: random.Random) -> None:
    size = len(damaged)
    anywhere, in_head, in_tail = dice.randrange(size + 1), dice.randrange(HEAD), size - dice.randrange(HEAD)
    at = dice.choice((anywhere, min(in_head, size), max(in_tail, 0)))
    length = dice.choice((1, 2, 4, 8, 64, 1_024, 16_384))
    kind = dice.randrange(8)
    if kind <= 2:  # a number that some program claims
        form, top = dice.choice((("B", 8), (">H", 16), ("<H", 16), (">I", 32), ("<I", 32), (">Q", 64), ("<Q", 64)))
        number = struct.pack(form, dice.choice((*NUMBERS, dice.getrandbits(top))) & ((1 << top) - 1))
        damaged[at : at + len(number)] = number
    elif kind == 3:
        damaged[at : at + length] = bytes([dice.choice((0, 255, dice.randrange(256)))]) * length
    elif kind == 4:
        damaged[at : at + length] = dice.randbytes(length)
    elif kind == 5:
        del damaged[at : at + length if dice.random() < 0.7 else size]
    elif kind == 6:
        damaged[at:at] = damaged[at : at + length] * dice.choice((1, 2, 8))
    else:
        begin = dice.randrange(len(other))
        damaged[at : at + length] = other[begin : begin + length]
    if not damaged:
        damaged[:] = b"\0"


def main(corpus: Path) -> None:
    """Answer each line of standard input with what became of that mutant, and what it cost."""
    contents = {path.name: path.read_bytes() for path in sorted(corpus.iterdir())}
    names = list(contents)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mutant"
        for line in sys.stdin:
            name, seed = line.split()
            other = contents[names[int(seed) % len(names)]]
            file.write_bytes(contents[name] if int(seed) < 0 else mutant(contents[name], other, int(seed)))
            begun = time.process_time()
            outcome, seconds = _outcome(file)
            answer = {"outcome": outcome, "seconds": seconds, "cpu": time.process_time() - begun}
            print(json.dumps({**answer, "megabytes": _peak_megabytes()}), flush=True)


def _peak_megabytes() -> float:
    """Of this process, as /proc tells where it is there: getrusage counts what the parent held at the fork, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _outcome(file: Path) -> tuple[str, float]:
    n_samples = 0
    try:
        with open_audio(str(file)) as stream:
            for block in stream.blocks():
                n_samples += len(block)
    except InputError as error:
        return f"error {error.kind}", 0.0
    except Exception as error:
        return f"raised {type(error).__name__}: {error}", 0.0
    return "decoded", n_samples / 48_000


if __name__ == "__main__":
    if sys.argv[1] == "corpus":
        write_corpus(Path(sys.argv[2]))
    else:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        main(Path(sys.argv[2]))
