"""Sound that was kept, decoded again: as long, at the same times, and only if it is not too long."""

from __future__ import annotations

import av
import numpy as np
import pytest

from pe_audio_cli.audio import opus_encoder as keeping
from pe_audio_cli.audio.opus_encoder import OpusEncoder
from pe_audio_cli.errors import RunError

RATE = 48_000


def kept(samples: np.ndarray, longest: float = 60.0, block: int = RATE):
    encoder = OpusEncoder(longest)
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    passed = list(encoder.pass_through(iter(blocks)))
    assert [id(each) for each in passed] == [id(each) for each in blocks]
    return encoder.finish()


def decoded(sound) -> np.ndarray:
    sound.file.seek(0)
    with av.open(sound.file, "r") as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.layout.name) == ("opus", RATE, "mono")
        frames = [frame for frame in container.decode(stream) if frame.pts is not None]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def clicks(n_samples: int, *seconds: float) -> np.ndarray:
    """Short tones at these times."""
    samples = np.zeros(n_samples, np.float32)
    for second in seconds:
        start = round(second * RATE)
        samples[start : start + 480] = 0.8 * np.sin(np.arange(480) * 0.3)
    return samples


@pytest.mark.parametrize(("n_samples", "block"), [(3 * RATE + 1, RATE), (RATE, 777), (100, 100)])
def test_the_sound_is_as_long_as_the_recording(n_samples, block):
    sound = kept(clicks(n_samples), block=block)
    assert sound.media_type == "audio/webm"
    assert len(decoded(sound)) == pytest.approx(n_samples, abs=960)


def test_sounds_are_heard_when_they_were():
    heard = decoded(kept(clicks(5 * RATE, 0.5, 3.25), block=10_000))
    loud = np.flatnonzero(np.abs(heard) > 0.3) / RATE
    assert loud[0] == pytest.approx(0.5, abs=0.01)
    assert loud[-1] == pytest.approx(3.26, abs=0.01)
    assert not ((loud > 0.53) & (loud < 3.24)).any()


def test_a_minute_takes_less_than_half_a_megabyte():
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * RATE).astype(np.float32)
    sound = kept(noise)
    assert sound.file.seek(0, 2) < 550_000


def test_samples_beyond_full_scale_are_cut_off_rather_than_wrapped_around():
    time = np.arange(RATE) / RATE
    heard = decoded(kept((3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)))
    middle = heard[RATE // 4 : -RATE // 4]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.93, abs=0.1)


def test_of_a_recording_that_is_too_long_nothing_is_kept():
    assert kept(clicks(2 * RATE), longest=2.0) is not None
    assert kept(clicks(2 * RATE + 1), longest=2.0) is None


def test_a_temporary_folder_without_room_is_one_error_with_a_remedy(monkeypatch):
    class Full:
        def __init__(self, *_):
            self.file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
            self.write = self.file.write

        def close(self):
            self.file.close()

    monkeypatch.setattr(keeping.tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(RunError, match="TMPDIR"):
        kept(np.random.default_rng(0).uniform(-0.5, 0.5, 60 * RATE).astype(np.float32))
