"""The self-test of an engine: a made sound through the shipped checkpoint, against the numbers it must give.

``self_test.json`` of the shipped checkpoint holds them, as transformers computed them; ``python -m training.self_test``
writes it. Each engine is tested in a process of its own, since a broken library may end the process that imports it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pe_audio_cli.audio.framing import HOP, SAMPLE_RATE
from pe_audio_cli.models.backends.engines import VARIABLE
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import DEFAULT_MODEL, SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pe_audio_cli.models.backends.text_encoder import TextEncoder
    from pe_audio_cli.models.encoder import Encoder

__all__ = ["EXPECTED", "TOLERANCE", "Device", "EngineTest", "answers", "check_engine", "serve"]

EXPECTED = "self_test.json"
TOLERANCE = 2e-4  # of probabilities, between any two engines
SECONDS = 2  # of sound
PATIENCE = 300.0  # seconds of wall-clock time, on a busy machine
PROGRAM = "import sys; sys.path[:] = {path}; from pe_audio_cli.models.self_test import serve; serve({engine!r})"
LONGEST_ERROR = 300  # characters


@dataclass(frozen=True)
class Device:
    """A device as torch names it; ``n_bytes`` is its own memory, None where it has none or is not told."""

    name: str
    description: str
    n_bytes: int | None = None


@dataclass(frozen=True)
class EngineTest:
    """The result of an engine's self-test.

    Attributes:
        engine: one of :data:`~pe_audio_cli.models.backends.engines.ENGINES`.
        error: the reason why it does not work, on one line; None if it works.
        backend: the dtype, device and backend, for people; None if it could not be loaded.
        difference: the largest difference of a probability from the expected one; None if it gave none.
        seconds: wall-clock time of the test, imports included.
        devices: the devices that torch sees; none from onnxruntime, or if torch cannot be imported.
    """

    engine: str
    error: str | None = None
    backend: str | None = None
    difference: float | None = None
    seconds: float = 0.0
    devices: tuple[Device, ...] = ()


def check_engine(engine: str) -> EngineTest:
    """Test an engine in another process. Whatever happens there is in the result."""
    if not sys.executable or getattr(sys, "frozen", False):
        return EngineTest(engine, "no process of Python can be started from this program")
    started = time.monotonic()
    try:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(path=ascii(sys.path), engine=engine)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", VARIABLE: engine},
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return EngineTest(engine, f"no answer within {PATIENCE:.0f} s", seconds=PATIENCE)
    except OSError as error:
        return EngineTest(engine, f"no process of Python can be started: {_line(error)}")
    if not ran.stdout.endswith(b"\n"):
        return EngineTest(engine, _end(ran), seconds=time.monotonic() - started)
    found = json.loads(ran.stdout)
    return EngineTest(**{**found, "devices": tuple(Device(**each) for each in found["devices"])})


def serve(engine: str) -> None:
    """Test an engine in this process, and print the result as JSON; libraries print to standard error meanwhile."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    started = time.monotonic()
    found: dict[str, Any] = {"engine": engine, "devices": []}
    try:
        if engine != "onnx":
            found["devices"] = [asdict(each) for each in _devices()]
        found["backend"], difference = _difference(engine, SHIPPED / DEFAULT_MODEL)
        found["difference"] = difference
        if not difference <= TOLERANCE:
            found["error"] = f"wrong numbers: a probability is off by {difference:.1g}, and may be by {TOLERANCE:.0e}"
    except BaseException as error:  # a broken library raises anything, and a panic of Rust is no Exception
        found["error"] = _line(error)
    found["seconds"] = round(time.monotonic() - started, 3)
    answer.write(json.dumps(found) + "\n")
    answer.close()


def answers(checkpoint: Checkpoint, engine: str, labels: Sequence[str]) -> tuple[str, NDArray[np.float64]]:
    """Return the backend of an engine, and its probabilities of labels in the made sound.

    They have the shape ``(1 + n_frames, n_labels)``, the whole sound first. Nothing is read from or written to caches.
    """
    encoder, text = _load(checkpoint, engine)
    embedded = encoder.encode_windows(encoder.encode_codec(_sound())[None])
    audio = np.concatenate([embedded.clips, embedded.frames[0]])
    texts = np.stack([text.encode(label) for label in labels])
    facts = encoder.facts
    logits = facts.logit_scale * (audio.astype(np.float64) @ texts.astype(np.float64).T) + facts.logit_bias
    return facts.backend, (1 + np.tanh(logits / 2)) / 2


def _difference(engine: str, folder: Path) -> tuple[str, float]:
    """Return the backend, and the largest difference from the expected probabilities.

    Raises :class:`ValueError` if those are of other weights, and whatever the engine raises.
    """
    checkpoint = Checkpoint.open(folder, DEFAULT_MODEL)
    expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
    if expected["fingerprint"] != checkpoint.fingerprint:
        raise ValueError(f"{EXPECTED} of {checkpoint.name} was made for other weights: install peaudio again")
    backend, found = answers(checkpoint, engine, expected["labels"])
    return backend, float(np.abs(found - np.array(expected["probabilities"])).max())


def _load(checkpoint: Checkpoint, engine: str) -> tuple[Encoder, TextEncoder]:
    """Load both towers with this engine and no other."""
    options = DeviceOptions("cpu", "float32", threads=1)
    if engine == "onnx":
        from pe_audio_cli.models.backends.labels import graph_text_encoder
        from pe_audio_cli.models.backends.onnx_encoder import OnnxEncoder

        return OnnxEncoder(checkpoint, options), graph_text_encoder(checkpoint)
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder
    from pe_audio_cli.models.backends.torch_text import native_text_encoder, transformers_text_encoder

    if engine == "transformers":
        return PeEncoder(checkpoint, options, "transformers"), transformers_text_encoder(checkpoint)
    return PeEncoder(checkpoint, options), native_text_encoder(checkpoint)


def _sound() -> NDArray[np.float32]:
    """Return bursts of noise above a rising tone, as frames ``(n_frames, 1920)``, the same on every machine.

    The samples are multiples of 2**-15, so that the last digits of a sine do not matter.
    """
    time_ = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    tone = 0.1 * np.sin(2 * np.pi * (200 + 400 * time_) * time_)
    noise = np.random.default_rng(0).random(len(time_)) - 0.5
    burst = np.exp(-12 * (time_ % 0.5))
    samples = np.round((tone + 0.6 * burst * noise) * 2**15) / 2**15
    return samples.astype(np.float32).reshape(-1, HOP)


def _devices() -> list[Device]:
    """Return the devices that torch sees."""
    import torch

    devices = [Device("cpu", "processor")]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            devices.append(Device(f"cuda:{index}", f"{facts.name}, CUDA {torch.version.cuda}", facts.total_memory))
    if torch.backends.mps.is_available():
        devices.append(Device("mps", "Apple GPU"))
    return devices


def _end(ran: subprocess.CompletedProcess[bytes]) -> str:
    """Return the reason of a process that ended without an answer."""
    last = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    code = ran.returncode
    names = {number.value: number.name for number in signal.Signals}
    how = f"by {names.get(-code, f'signal {-code}')}" if code < 0 else f"with exit code {code}"
    return _cut(": ".join([f"it ended its process {how}", *last]))


def _line(error: BaseException) -> str:
    return _cut(f"{type(error).__name__}: {error}")


def _cut(text: str) -> str:
    return " ".join(text.split())[:LONGEST_ERROR]
