"""The Python API: results, options, and one pass for both questions."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import LevelEncoder, write_tone

import pe_audio_cli
from pe_audio_cli import EventOptions, FileError, LocalizeResult, TagOptions, load
from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.inference.runner import localize, tag, window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.models.caching import CachingEncoder
from pe_audio_cli.results import Embeddings


def encoding(task, window=30.0, overlap=None, **more) -> EncodeOptions:
    return EncodeOptions(window_options(task, window, overlap), **more)


@pytest.fixture
def rising(tmp_path) -> str:
    """Ten seconds, one second loud after another: 0.1, 0.2 ... 1.0."""
    import soundfile

    level = np.repeat(np.arange(1, 11) / 10, 48_000).astype(np.float32)
    soundfile.write(tmp_path / "rising.wav", level, 48_000, "FLOAT")
    return str(tmp_path / "rising.wav")


def test_probabilities_of_the_reference_through_the_api(reference, tolerance):
    model = load(reference.folder, device="cpu")
    files = [str(reference.audio(clip)) for clip in reference.clips]
    tagged = list(model.tag(files, reference.labels))
    localized = list(model.localize(files, reference.labels, frames=True))
    for expected, tags, events in zip(reference.clips.values(), tagged, localized, strict=True):
        by_label = {item.label: item.probability for item in tags.tags}
        clip = [by_label[label] for label in reference.labels]
        np.testing.assert_allclose(clip, expected["clip_probs"], rtol=0, atol=tolerance)
        frames = np.stack([events.frames[label] for label in reference.labels])
        np.testing.assert_allclose(frames, expected["frame_probs"], rtol=0, atol=tolerance)
        for label, spans in zip(reference.labels, expected["spans"], strict=True):
            found = [(event.start, event.end) for event in events.events if event.label == label]
            end = expected["samples"] / 48_000
            np.testing.assert_allclose(found, [(start, min(stop, end)) for start, stop in spans], rtol=0, atol=1e-9)


def test_tagging_and_localizing_the_same_recordings_costs_one_pass(reference, monkeypatch):
    from pe_audio_cli.models.backends.torch_encoder import PeEncoder

    passes = []
    for name in ("encode_codec", "encode_windows"):
        original = getattr(PeEncoder, name)
        monkeypatch.setattr(PeEncoder, name, lambda self, x, name=name, do=original: passes.append(name) or do(self, x))
    model = load(reference.folder, device="cpu")
    files = [str(reference.audio(clip)) for clip in reference.clips]
    list(model.tag(files, ["rain"]))
    list(model.localize(files, ["rain", "a dog barking"]))
    assert sorted(passes) == ["encode_codec"] * len(files) + ["encode_windows"] * len(files)


def test_a_memo_gives_what_the_encoder_gives_and_forgets_the_oldest():
    windows = np.random.default_rng(0).standard_normal((6, 10, 1)).astype(np.float32)
    plain = LevelEncoder()
    inner = LevelEncoder()
    memo = CachingEncoder(inner, cache_bytes=500)
    for chosen in ([0, 1], [1, 0, 2], [3, 3], [4, 5, 0]):
        got, wanted = memo.encode_windows(windows[chosen]), plain.encode_windows(windows[chosen])
        np.testing.assert_array_equal(got.clips, wanted.clips)
        np.testing.assert_array_equal(got.frames, wanted.frames)
    before = len(inner.batches)
    memo.encode_windows(windows[[0]])
    assert len(inner.batches) == before
    memo.encode_windows(windows[[1]])
    assert len(inner.batches) == before + 1


def test_windows_of_a_long_recording_are_aggregated(rising, encoder):
    query = Query.ask(encoder, ["x" * 50])
    options = {how: TagOptions(aggregate=how, per_window=True) for how in ("max", "mean")}
    (peak,) = tag([rising], encoder, query, options["max"], encoding("tag", 2.0))
    (mean,) = tag([rising], encoder, query, options["mean"], encoding("tag", 2.0))
    rows = [window.tags[0].probability for window in peak.per_window]
    assert peak.windows == len(rows) == 5
    assert [(w.start, w.end) for w in peak.per_window] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert peak.tags[0].probability == pytest.approx(max(rows))
    assert mean.tags[0].probability == pytest.approx(sum(rows) / 5)


def test_windows_do_not_change_when_a_thing_is_heard(rising, encoder):
    query = Query.ask(encoder, ["x" * 50])
    (whole,) = localize([rising], encoder, query, EventOptions(0.5), encoding("localize", None))
    (cut,) = localize([rising], encoder, query, EventOptions(0.5), encoding("localize", 1.48, 0.44))
    assert [(event.start, event.end) for event in whole.events] == [(5.0, 10.0)]
    assert cut.events == whole.events


class ContextEncoder(LevelEncoder):
    """Hears a frame by how it stands out from its window, as a group norm does, and softens its edges."""

    def encode_windows(self, features):
        level = features[..., 0]
        standing = 20 * (level - level.mean(1, keepdims=True)) / (level.std(1, keepdims=True) + 1)
        softened = np.apply_along_axis(lambda row: np.convolve(row, np.hanning(7)[1:-1] / 3, "same"), 1, standing)
        frames = np.stack([softened, np.ones_like(level)], axis=-1).astype(np.float32)
        return Embeddings(frames.mean(1), frames)


SEAM_TOLERANCE = 1  # frames by which an onset or offset may move with the place of the seams


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(onset=st.integers(0, 1475), length=st.integers(5, 24), window=st.sampled_from([10.0, 12.5, 20.0]))
def test_an_event_is_the_same_wherever_it_lies_relative_to_the_seams(tmp_path, onset, length, window):
    import soundfile

    rng = np.random.default_rng(0)
    level = np.full(1500, 0.01)
    level[onset : onset + length] = 0.3
    samples = np.repeat(level, 1920) * rng.choice([-1, 1], 1500 * 1920)
    soundfile.write(tmp_path / "event.wav", samples.astype(np.float32), 48_000, "FLOAT")
    query = Query.ask(ContextEncoder(), ["xxxxxxxx"])

    def spans(seconds: float | None) -> list[tuple[int, int]]:
        (result,) = localize(
            [str(tmp_path / "event.wav")], ContextEncoder(), query, EventOptions(), encoding("localize", seconds)
        )
        return [(round(event.start * 25), round(event.end * 25)) for event in result.events]

    ((start, end),) = spans(None)
    ((cut_start, cut_end),) = spans(window)
    assert abs(cut_start - start) <= SEAM_TOLERANCE
    assert abs(cut_end - end) <= SEAM_TOLERANCE


def test_what_is_amiss_with_a_recording_is_in_its_result(tmp_path, encoder):
    file = write_tone(tmp_path / "cut.wav", seconds=2.0)
    file.write_bytes(file.read_bytes()[:-100_000])
    query = Query.ask(encoder, ["loud"])
    (tagged,) = tag([str(file)], encoder, query, TagOptions(), encoding("tag"))
    (localized,) = localize([str(file)], encoder, query, EventOptions(), encoding("localize"))
    for result in (tagged, localized):
        (warning,) = result.recording.warnings
        assert "cut short" in warning


def test_no_labels_at_all_is_refused(reference):
    with pytest.raises(UsageError, match="no labels"):
        load(reference.folder, device="cpu").tag("x.wav")


def test_own_labels_of_a_checkpoint_are_used_all_of_them(checkpoint_copy, tmp_path):
    (checkpoint_copy / "labels.txt").write_text(
        "\n".join(["rain", "wind", "a dog", "a cat", "glass", "music", "a bell"])
    )
    model = load(checkpoint_copy, device="cpu")
    file = write_tone(tmp_path / "x.wav")
    (tags,) = model.tag(file)
    (events,) = model.localize(file, options=EventOptions(threshold=0))
    assert len(tags.tags) == 7
    assert len(events.labels) == 7


@pytest.mark.parametrize("name", ["bsae", "Base", "minni", "/nowhere/at/all", "~nobody-here/x", "a\0b", "b" * 5_000])
def test_a_model_that_nobody_knows_fails_at_once_with_the_nearest_names(name):
    with pytest.raises(CheckpointError) as raised:
        load(name)
    assert "\n" not in str(raised.value)
    if name in ("bsae", "Base", "minni"):
        assert re.search(r"unknown model .* \(did you mean (base|mini)", str(raised.value))


def test_a_folder_that_is_no_checkpoint_fails_at_once(tmp_path):
    with pytest.raises(CheckpointError, match=r"it holds no config\.json"):
        load(tmp_path)


def test_names_that_are_public_are_listed():
    assert set(pe_audio_cli.__all__) <= set(dir(pe_audio_cli))


def test_options_are_keywords_too(reference, tmp_path):
    model = load(reference.folder, device="cpu")
    file = write_tone(tmp_path / "x.wav", seconds=3)
    rules = {"threshold": 0.2, "offset_threshold": 0.1, "median": 0.2, "merge_gap": 0.4, "min_duration": 0.2}
    (plain,), (named,) = model.localize(file, "rain", EventOptions(**rules)), model.localize(file, "rain", **rules)
    assert plain == named
    (over,) = model.localize(file, "rain", EventOptions(0.9, merge_gap=0.4), threshold=0.2)
    assert over.threshold == 0.2
    (two,) = model.tag(file, ["rain", "wind", "a dog"], top_k=2, per_window=True, window=1, aggregate="mean")
    (same,) = model.tag(file, ["rain", "wind", "a dog"], TagOptions(2, None, "mean", True), window=1)
    assert two == same and len(two.tags) == 2
    for wrong in ({"threshold": 1.5}, {"merge_gap": "long"}):
        with pytest.raises(UsageError, match="must be from 0"):
            model.localize(file, "rain", **wrong)


def test_settings_that_a_checkpoint_carries_count_unless_options_are_given(checkpoint_copy, tmp_path):
    (checkpoint_copy / "settings.toml").write_text("[localize]\nthreshold = 0.01\nmerge_gap = 5\nmin_duration = 0.2\n")
    model, file = load(checkpoint_copy, device="cpu"), write_tone(tmp_path / "tone.wav", 2.0)
    own, tidy = EventOptions(0.01, None, None, 5, 0.2), EventOptions(0.01).tidied()

    def found(**given):
        (result,) = model.localize(file, "rain", **given)
        return result.threshold, result.events

    assert found() == found(options=own)
    assert found(threshold=0.2) == found(options=EventOptions(0.2, None, None, 5, 0.2))
    assert found(options=EventOptions())[0] == 0.3
    assert found(tidy=True) == found(options=tidy)


def test_bad_inputs_are_yielded_in_their_place(reference, tmp_path):
    good = write_tone(tmp_path / "good.wav")
    results = list(load(reference.folder, device="cpu").localize([tmp_path / "none.wav", good], "rain"))
    assert [type(result) for result in results] == [FileError, LocalizeResult]
    assert results[0].kind == "missing"


def test_recordings_may_be_paths_bytes_open_files_and_samples(reference, tmp_path):
    import soundfile

    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (100_000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 44_100, "FLOAT")
    content = (tmp_path / "a.wav").read_bytes()
    model = load(reference.folder, device="cpu")
    for ask in (model.tag, model.localize):
        (from_path,) = ask(tmp_path / "a.wav", ["rain", "a dog barking"])
        with (tmp_path / "a.wav").open("rb") as opened:
            several = list(ask([(samples, 44_100), content, io.BytesIO(content), opened], ["rain", "a dog barking"]))
        assert [result.recording.file for result in several] == ["<samples>", "<bytes>", "<bytes>", opened.name]
        for result in several:
            assert replace(result, recording=from_path.recording) == from_path
            assert replace(result.recording, file=from_path.recording.file) == from_path.recording
        (alone,) = ask((samples, 44_100), ["rain", "a dog barking"])
        assert alone == several[0]
    (from_path,), (embedded,) = model.embed(tmp_path / "a.wav"), model.embed(io.BytesIO(content))
    np.testing.assert_array_equal(embedded.embeddings, from_path.embeddings)


def test_bad_data_is_an_error_in_its_place(reference):
    good = np.zeros(48_000, np.float32)
    inputs = [(good, 48_000), (good, 0), (good[:0], 48_000), (good * np.nan, 48_000), b"no sound", (good, 48_000)]
    results = list(load(reference.folder, device="cpu").tag(inputs, "rain"))
    assert [getattr(result, "kind", "good") for result in results] == [
        *("good", "samples", "empty", "samples", "decode", "good")
    ]
    with pytest.raises(UsageError, match="samples need their rate"):
        load(reference.folder, device="cpu").tag(good, "rain")


def test_everything_that_is_promised_can_be_imported():
    for name in pe_audio_cli.__all__:
        assert getattr(pe_audio_cli, name).__name__ == name
    with pytest.raises(AttributeError):
        pe_audio_cli.nothing  # noqa: B018
