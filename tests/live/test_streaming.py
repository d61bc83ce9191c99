"""A window of a live sound is what localize makes of a recording that ends there."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import LevelEncoder

from pe_audio_cli.audio.framing import HOP, WindowOptions, whole_frames
from pe_audio_cli.inference.pipeline import EncodedWindow, encode
from pe_audio_cli.live.streaming import FrameCutter, WindowStream
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.models.registry import ModelOptions, find_checkpoint
from pe_audio_cli.results import FileError, Recording

SCENE = Path(__file__).parents[2] / "examples" / "recordings" / "scene.mp3"
TOLERANCE = 1e-5  # of a logit of order 1 in float32, in which some hundred products are summed in another order


class Windows:
    """A reducer that keeps the windows of a recording as they are."""

    def __init__(self) -> None:
        self.windows: list[EncodedWindow] = []

    def score(self, window: EncodedWindow) -> EncodedWindow:
        return window

    def add(self, scored: EncodedWindow) -> None:
        self.windows.append(scored)

    def finish(self, recording: Recording) -> list[EncodedWindow]:
        return self.windows


def localized(samples: np.ndarray, encoder: Encoder, options: WindowOptions, tmp_path: Path) -> list[EncodedWindow]:
    """The windows that localize would score."""
    import soundfile

    file = tmp_path / f"{len(samples)}.wav"
    soundfile.write(file, samples, 48_000, "FLOAT", format="WAV")
    (windows,) = encode([str(file)], encoder, options, Windows)
    assert not isinstance(windows, FileError)
    return windows


def streamed(samples: np.ndarray, encoder: Encoder, window: int, hop: int, block: int) -> list[EncodedWindow]:
    cutter, stream = FrameCutter(hop), WindowStream(encoder, window)
    windows = [
        stream.push(frames)
        for start in range(0, len(samples), block)
        for frames in cutter.push(samples[start : start + block])
    ]
    last = cutter.finish()
    return windows if last is None else [*windows, stream.push(last)]


def scene() -> np.ndarray:
    from pe_audio_cli.audio.decoding import open_audio

    with open_audio(str(SCENE)) as stream:
        return np.concatenate(list(stream.blocks()))


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_windows_are_those_of_localize(engine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Inside a recording, at its end, which is within a frame, and of one that is shorter than a window."""
    monkeypatch.setenv("PEAUDIO_ENGINE", engine)
    encoder = load_encoder(find_checkpoint(ModelOptions("mini", None, True), "localize"))
    samples = scene()[: 9 * 48_000 + 777]
    windows = {window.start_frame + len(window.frames): window for window in streamed(samples, encoder, 100, 20, 4_800)}
    n_frames = -(-len(samples) // HOP)
    assert sorted(windows) == [*range(20, n_frames, 20), n_frames]
    for end in (40, 100, 160, n_frames):  # of recordings that end there
        part = samples[: end * HOP]
        expected = localized(part, encoder, WindowOptions(4.0, 2.0), tmp_path)[-1]
        assert windows[end].start_frame == expected.start_frame
        assert np.abs(windows[end].frames - expected.frames).max() < TOLERANCE * np.abs(expected.frames).max()
        assert np.abs(windows[end].clip - expected.clip).max() < TOLERANCE * np.abs(expected.clip).max()


@given(st.integers(0, 6 * HOP), st.integers(1, 4), st.integers(1, 3 * HOP))
def test_frames_are_those_of_a_recording(n_samples: int, hop: int, block: int) -> None:
    samples = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    cutter = FrameCutter(hop)
    cut = [frames for start in range(0, n_samples, block) for frames in cutter.push(samples[start : start + block])]
    assert all(len(frames) == hop for frames in cut)
    last = cutter.finish()
    cut += [] if last is None else [last]
    assert last is None or len(last) <= hop
    expected = list(whole_frames([samples]))
    if not expected:
        assert cut == []
    else:
        np.testing.assert_array_equal(np.concatenate(cut), np.concatenate(expected))


def test_memory_is_bounded() -> None:
    stream = WindowStream(LevelEncoder(), 50)
    frames = np.zeros((10, HOP), np.float32)
    tracemalloc.start()
    try:
        for _ in range(20):
            stream.push(frames)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2_000):
            stream.push(frames.copy())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # 2,000 pushes are 150 MB of samples; LevelEncoder notes each call in some bytes.
    assert after - before < 1e6
