"""The two stages of the pipeline, called as Ray calls them, without a cluster."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from support import REFERENCE, LevelEncoder, write_tone

from pe_audio_cli.audio.framing import WindowOptions
from pe_audio_cli.cluster.dispatch import Fault, RecordingResult
from pe_audio_cli.cluster.ray_pipeline import Encode, Work, decode
from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.inference.segments import SegmentResult, gathered
from pe_audio_cli.inference.tasks.base import EncodeOptions, LocalEngine
from pe_audio_cli.inference.tasks.embedding import Embedding
from pe_audio_cli.inference.tasks.localization import Localization
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.inference.tasks.tagging import Tagging
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import ModelOptions, anchored, find_checkpoint
from pe_audio_cli.options import EventOptions, TagOptions
from pe_audio_cli.results import FileError, LocalizeResult

pa = pytest.importorskip("pyarrow")

MODEL = ModelOptions(str(REFERENCE / "pe-a-frame-tiny"))
WINDOWS = WindowOptions(1.0, 0.4)
QUERY = Query(("loud", "deafening"), LevelEncoder().encode_text(["loud", "deafening"]))


def work(**more: object) -> Work:
    checkpoint = find_checkpoint(MODEL, "tag")
    task = Tagging(QUERY, TagOptions())
    model = (MODEL, "tag", "tiny", checkpoint.fingerprint, 2, DeviceOptions("cpu"))
    return replace(Work(*model, task, WINDOWS, None, False, None, audio_track=None), **more)


@pytest.fixture
def level_worker(monkeypatch: pytest.MonkeyPatch):
    """Makes a worker that encodes as LevelEncoder does."""
    monkeypatch.setattr(Work, "encoder", lambda self: LevelEncoder())
    return lambda **more: Encode(pickle.loads(pickle.dumps(work(**more))))


def rows(tables: object) -> list[tuple[int, int, bool, object]]:
    table = pa.concat_tables(tables)
    assert table.column_names == ["index", "place", "last", "content"]
    return [(row["index"], row["place"], row["last"], pickle.loads(row["content"])) for row in table.to_pylist()]


def decoded(files: list[str]) -> list[object]:
    inputs = pa.table({"index": range(10, 10 + len(files)), "path": [file.encode() for file in files]})
    return list(decode(inputs, WINDOWS, 2))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    files = [write_tone(tmp_path / f"{n}.wav", seconds=0.3 + 0.9 * n, level=0.1 * (n + 1)) for n in range(4)]
    files[1].write_text("no recording")
    return [str(file) for file in files]


@pytest.mark.parametrize(
    "task",
    [
        Tagging(QUERY, TagOptions(per_window=True)),
        Localization(QUERY, EventOptions(), frames=True),
        Embedding("recording"),
        Embedding("window"),
        Embedding("frame"),
    ],
    ids=repr,
)
def test_the_stages_come_to_what_this_process_would(files, level_worker, task):
    tables = decoded(files)
    found = rows([level_worker(task=task)(pa.concat_tables(tables))])
    assert [(index, place, last) for index, place, last, _ in found] == [(10 + n, 0, True) for n in range(4)]
    expected = LocalEngine().run(files, LevelEncoder(), task, EncodeOptions(WINDOWS))
    for (_, _, _, content), each in zip(found, expected, strict=True):
        if isinstance(each, FileError):
            assert content == each
            continue
        assert isinstance(content, RecordingResult)
        assert content.result == each
        assert content.recording == each.recording
        if isinstance(each, LocalizeResult):
            for label, probabilities in each.frames.items():
                np.testing.assert_array_equal(content.result.frames[label], probabilities)
        if isinstance(task, Embedding):
            np.testing.assert_array_equal(content.result.embeddings, each.embeddings)


def test_each_segment_of_a_longer_recording_is_a_row_of_its_own(tmp_path, level_worker):
    file = write_tone(tmp_path / "long.wav", seconds=610.0, rate=1_000)
    encode = level_worker()
    found = rows(encode(table) for table in decoded([str(file)]))  # each by itself, as several workers get them
    assert [(index, place, last) for index, place, last, _ in found] == [(10, 0, False), (10, 1, False), (10, 2, True)]
    parts = [content for _, _, _, content in found]
    assert all(isinstance(part, SegmentResult) for part in parts)
    (expected,) = LocalEngine().run([str(file)], LevelEncoder(), encode._work.task, EncodeOptions(WINDOWS))
    assert gathered(parts, encode._work.task.reducer(LevelEncoder())) == expected


def test_a_segment_that_cannot_be_encoded_costs_only_its_own_recording(files, monkeypatch, level_worker):
    monkeypatch.setattr(Work, "encoder", lambda self: LevelEncoder(too_loud=25))
    found = rows([level_worker(batch_size=4)(pa.concat_tables(decoded(files)))])
    kinds = [content.kind if isinstance(content, FileError) else "whole" for *_, content in found]
    assert kinds == ["whole", "decode", "whole", "encode"]


def test_spectrograms_and_sounds_are_made_where_recordings_are_decoded(files, level_worker):
    inputs = pa.table({"index": [0], "path": [files[0].encode()]})
    ((*_, whole),) = rows(map(level_worker(), decode(inputs, WINDOWS, 2, spectrograms=True, sounds=60.0)))
    assert whole.recording.spectrogram is not None
    with av.open(whole.recording.sound.file) as opened:
        assert opened.duration / av.time_base == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"fingerprint": "another"}, "is another one"),
        ({"version": "0.0.0"}, "install the same"),
        ({"model": ModelOptions("/nowhere/to/be/found")}, "no model folder"),
    ],
)
def test_a_worker_that_has_not_the_same_says_so_instead_of_answering(files, more, says):
    with pytest.raises(CheckpointError, match=says):
        work(**more).encoder()
    found = rows([Encode(work(**more))(pa.concat_tables(decoded(files)))])
    assert len(found) == 4
    assert all(isinstance(content, Fault) and says in content.message for *_, content in found)


def test_a_worker_has_the_model_under_the_user_s_name_for_it():
    encoder = work(name="./tiny").encoder()
    assert (encoder.facts.name, encoder.facts.fingerprint) == ("./tiny", work().fingerprint)


def test_a_local_folder_is_found_from_any_current_folder(monkeypatch):
    monkeypatch.chdir(REFERENCE)
    assert anchored(ModelOptions("pe-a-frame-tiny", offline=True)) == ModelOptions(
        str(REFERENCE / "pe-a-frame-tiny"), offline=True
    )
    assert anchored(ModelOptions("base")) == ModelOptions("base")
    assert anchored(ModelOptions("mini")) == ModelOptions("mini")
    assert anchored(ModelOptions("who/knows")) == ModelOptions("who/knows")


@pytest.mark.parametrize("stage", ["segments", "gathered", "encode"])
def test_what_a_stage_fails_on_is_the_error_of_its_recording(files, level_worker, monkeypatch, stage):
    from pe_audio_cli.cluster import ray_pipeline

    calls = []

    def second(real):
        def faulty(*arguments):
            calls.append(1)
            if len(calls) == 2:
                raise ZeroDivisionError("odd")
            return real(*arguments)

        return faulty

    files = [files[0], files[2], files[3]]
    if stage == "encode":
        monkeypatch.setattr(LevelEncoder, "encode_codec", second(LevelEncoder.encode_codec))
    else:
        monkeypatch.setattr(ray_pipeline, stage, second(getattr(ray_pipeline, stage)))
    found = rows([level_worker()(pa.concat_tables(decoded(files)))])
    assert [index for index, _, last, _ in found if last] == [10, 11, 12]
    assert [isinstance(content, FileError) for *_, content in found] == [False, True, False]
    assert "ZeroDivisionError: odd" in found[1][3].message
