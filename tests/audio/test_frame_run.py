from __future__ import annotations

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pe_audio_cli.audio.decoders.frame_run import MAX_FRAMES, SAMPLE_FORMATS, FrameRun, likeness_of

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
FORMATS = [name + planar for name in SAMPLE_FORMATS for planar in ("", "p")]


def frame(name: str, channels: int, samples: int, rate: int = 8_000, seed: int = 0) -> av.AudioFrame:
    """A frame of any numbers of its type, those of floats within full scale."""
    made = av.AudioFrame(format=name, layout=LAYOUTS[channels], samples=samples, align=True)
    made.sample_rate = rate
    kind = np.dtype(SAMPLE_FORMATS[name.removesuffix("p")][0])
    rng = np.random.default_rng(seed)
    for plane in made.planes:
        content = rng.uniform(-1, 1, plane.buffer_size // kind.itemsize).astype(kind)
        plane.update(content.tobytes() if kind.kind == "f" else rng.bytes(plane.buffer_size))
    return made


def as_floats(one: av.AudioFrame) -> np.ndarray:
    """The content of a frame, ``(samples, channels)``, by exact arithmetic and one rounding."""
    channels, (kind, silence, full_scale) = (
        one.layout.nb_channels,
        SAMPLE_FORMATS[one.format.name.removesuffix("p")],
    )
    planes = [np.frombuffer(plane, kind) for plane in one.planes]
    if one.format.is_planar:
        rows = [plane[: one.samples] for plane in planes]
    else:
        rows = list(planes[0][: one.samples * channels].reshape(-1, channels).T)
    return ((np.stack(rows, axis=1).astype(np.longdouble) - silence) / full_scale).astype(np.float32)


def run_of(*frames: av.AudioFrame) -> FrameRun:
    """A run of frames that are all alike."""
    run = FrameRun(likeness_of(frames[0]))
    for each in frames:
        assert likeness_of(each) == run.likeness
        run.append(each, each.samples)
    return run


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("channels", [1, 2, 6])
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_a_run_is_its_frames_in_a_row(name: str, channels: int, lengths: list[int]) -> None:
    frames = [frame(name, channels, length, seed=number) for number, length in enumerate(lengths)]
    run = run_of(*frames)
    blocks = list(run.blocks())
    assert {(block.sample_rate, block.samples.dtype) for block in blocks} == {(8_000, np.dtype(np.float32))}
    wanted = np.concatenate([as_floats(each) for each in frames])
    rounded_twice = 2.0**-23 if name.startswith("s64") else 0.0  # to a double and from that to a float
    got = np.concatenate([block.samples for block in blocks])
    np.testing.assert_allclose(got, wanted, rtol=rounded_twice, atol=0)


@pytest.mark.parametrize(
    "other", [("s16p", 2, 8_000), ("s16", 1, 8_000), ("s16", 2, 16_000), ("flt", 2, 8_000)], ids=str
)
def test_a_run_ends_where_something_changes(other: tuple[str, int, int]) -> None:
    run = run_of(frame("s16", 2, 10))
    assert run.likeness == likeness_of(frame("s16", 2, 20))
    assert run.likeness != likeness_of(frame(other[0], other[1], 10, other[2]))


def test_a_run_is_full_after_a_second_or_very_many_frames() -> None:
    one, most = frame("s16", 1, 1), frame("s16", 1, 7_999)
    run = FrameRun(likeness_of(one))
    assert [run.append(each, each.samples) for each in (most, one)] == [False, True]
    short = FrameRun(likeness_of(one))
    assert [short.append(one, 1) for _ in range(MAX_FRAMES)] == [False] * (MAX_FRAMES - 1) + [True]


def test_nothing_makes_no_block() -> None:
    assert list(FrameRun().blocks()) == []


def test_very_large_frames_become_several_blocks() -> None:
    large = frame("s16p", 6, 400_000)
    run = run_of(large)
    blocks = [block.samples for block in run.blocks()]
    assert len(blocks) == 3
    assert (np.concatenate(blocks) == as_floats(large)).all()
