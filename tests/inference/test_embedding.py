"""Embeddings through the Python API: they are those that tag and localize judge by."""

from __future__ import annotations

import numpy as np
import pytest
from support import LevelEncoder, write_tone

from pe_audio_cli import EmbedResult, FileError, load
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.runner import embed, window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.embedding import TASK_OF_UNIT

UNITS = ("recording", "window", "frame")
WIDTH = 2  # of a LevelEncoder's embeddings
LEVELS = np.repeat([10, 20, 30, 40], [25, 25, 25, 13])  # of the frames of ``steps``


def embedded(files, per, window=1.0, overlap=None, encoder=None):
    encoding = EncodeOptions(window_options(TASK_OF_UNIT[per], window, overlap))
    return list(embed(files, LevelEncoder() if encoder is None else encoder, per, encoding))


@pytest.fixture
def steps(tmp_path) -> str:
    """Three and a half seconds, each louder than the one before."""
    import soundfile

    level = np.repeat([0.1, 0.2, 0.3, 0.4], 48_000)[: 48_000 * 7 // 2].astype(np.float32)
    soundfile.write(tmp_path / "steps.wav", level, 48_000, "FLOAT")
    return str(tmp_path / "steps.wav")


def judged(model, embeddings, labels, task) -> np.ndarray:
    encoder = model.encoder(task)
    facts = encoder.facts
    return probabilities(logits(embeddings, encoder.encode_text(labels), facts.logit_scale, facts.logit_bias))


def test_they_are_what_tag_and_localize_judge_by(reference):
    model = load(reference.folder, device="cpu")
    files, labels = [str(reference.audio(clip)) for clip in reference.clips], reference.labels
    for window in (30.0, 1.0):
        tagged = [
            {tag.label: tag.probability for tag in result.tags} for result in model.tag(files, labels, window=window)
        ]
        localized = list(model.localize(files, labels, window=window, frames=True))
        windows = list(model.embed(files, "window", window=window))
        frames = list(model.embed(files, "frame", window=window))
        for tags, events, window_result, frame_result in zip(tagged, localized, windows, frames, strict=True):
            highest = judged(model, window_result.embeddings, labels, "tag").max(axis=0)
            np.testing.assert_array_equal(highest, np.array([tags[label] for label in labels], np.float32))
            by_frame = judged(model, frame_result.embeddings, labels, "localize")
            assert set(events.frames) == set(labels)
            for place, label in enumerate(labels):
                np.testing.assert_allclose(by_frame[:, place], events.frames[label], rtol=0, atol=2e-6)


def test_a_short_recording_is_embedded_as_it_is_tagged(reference):
    model = load(reference.folder, device="cpu")
    files, labels = [str(reference.audio(clip)) for clip in reference.clips], reference.labels
    for result, tagged in zip(model.embed(files), model.tag(files, labels), strict=True):
        tags = {tag.label: tag.probability for tag in tagged.tags}
        (row,) = judged(model, result.embeddings, labels, "tag")
        np.testing.assert_array_equal(row, np.array([tags[label] for label in labels], np.float32))
        assert (result.starts, result.ends) == ([0.0], [result.recording.duration])


def test_windows_are_told_with_their_times(steps):
    (result,) = embedded([steps], "window")
    assert isinstance(result, EmbedResult)
    assert (result.model, result.fingerprint) == ("level", "0123")
    np.testing.assert_allclose(result.starts, [0, 1, 2, 2.52])
    np.testing.assert_allclose(result.ends, [1, 2, 3, 3.5])
    np.testing.assert_allclose(result.embeddings[:3, 0], [10, 20, 30], rtol=1e-6)


def test_a_recording_is_the_mean_of_its_windows(steps):
    (whole,), (windows,) = embedded([steps], "recording"), embedded([steps], "window")
    np.testing.assert_allclose(whole.embeddings, windows.embeddings.mean(axis=0, keepdims=True), rtol=1e-6)
    assert (whole.starts, whole.ends) == ([0.0], [3.5])
    (full,) = embedded([steps], "recording", window=None)
    assert full.embeddings[0, 0] == pytest.approx(LEVELS.mean(), rel=1e-5)


@pytest.mark.parametrize(("window", "overlap"), [(1.0, 0.0), (1.0, 0.4), (None, 0.0)])
def test_every_frame_is_there_once(steps, window, overlap):
    (result,) = embedded([steps], "frame", window, overlap)
    assert result.embeddings.shape == (88, WIDTH)
    np.testing.assert_allclose(result.starts, 0.04 * np.arange(88))
    np.testing.assert_allclose(result.ends[:-1], result.starts[1:])
    assert result.ends[-1] == 3.5
    np.testing.assert_allclose(result.embeddings[:, 0], LEVELS, rtol=1e-5)


@pytest.mark.parametrize("per", UNITS)
def test_a_bad_file_is_an_error_in_its_place(tmp_path, per):
    good, bad = write_tone(tmp_path / "a.wav"), tmp_path / "b.wav"
    bad.write_text("no recording")
    first, error, last = embedded([str(good), str(bad), str(good)], per)
    assert isinstance(error, FileError)
    np.testing.assert_array_equal(first.embeddings, last.embeddings)


@pytest.mark.parametrize("per", UNITS)
def test_what_was_amiss_is_said(tmp_path, per):
    file = write_tone(tmp_path / "cut.wav", seconds=3)
    file.write_bytes(file.read_bytes()[: 44 + 4 * 48_000])
    (result,) = embedded([str(file)], per)
    (warning,) = result.recording.warnings
    assert "cut short" in warning


def test_another_unit_is_refused(reference):
    with pytest.raises(UsageError, match="recording, window, frame: got 'second'"):
        load(reference.folder).embed("x.wav", "second")
