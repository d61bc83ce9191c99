"""One recording of three meets a fault, in the model or where results go: the command does the others, and says so."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import FAULTS, FaultyEncoder, name, three_tones
from support import LevelEncoder
from typer.testing import CliRunner, Result

from pe_audio_cli.cli.app import app
from pe_audio_cli.formats.json import JsonLinesWriter, JsonWriter
from pe_audio_cli.formats.registry import WRITERS
from pe_audio_cli.plots import timeline
from pe_audio_cli.report.page import PageWriter

SOME = [fault for fault in FAULTS if isinstance(fault, (ZeroDivisionError, MemoryError, RecursionError, OSError))]
any_fault = pytest.mark.parametrize("fault", SOME, ids=name)


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return three_tones(tmp_path_factory.mktemp("tones"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def use(monkeypatch: pytest.MonkeyPatch, encoder: LevelEncoder) -> None:
    """Let commands encode with this one, instead of the one without a model."""
    monkeypatch.setattr(sys.modules["pe_audio_cli.models.backends.torch_encoder"], "PeEncoder", lambda *_: encoder)


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def check(result: Result, tones: list[str]) -> None:
    """One line on the second recording, beside the summary; no traceback, and nothing that ended the run."""
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    told = [line for line in result.stderr.splitlines() if line.startswith(f"peaudio: {tones[1]}: ")]
    assert len(told) == 1
    assert "2 done, 1 failed" in result.stderr


def fails_on_the_second(monkeypatch: pytest.MonkeyPatch, where: object, what: str, fault: Exception) -> None:
    """Let a function of a result fail on that of the second recording, once something is done."""
    real: Callable[..., object] = getattr(where, what)

    def faulty(*arguments: object, **more: object) -> object:
        done = real(*arguments, **more)
        for each in arguments:
            recording = getattr(each, "recording", None)
            if recording is not None and recording.file.endswith("1.wav"):
                raise fault
        return done

    monkeypatch.setattr(where, what, faulty)


@pytest.mark.parametrize("command", ["tag", "localize"])
@any_fault
def test_in_the_model(tones, command, fault, encoder_without_a_model, monkeypatch):
    import sys

    monkeypatch.setattr(
        sys.modules["pe_audio_cli.models.backends.torch_encoder"],
        "PeEncoder",
        lambda *_: FaultyEncoder(fault, "windows"),
    )
    result = run(command, *tones, "-l", "loud", "-f", "jsonl")
    check(result, tones)
    first, error, last = objects(result.stdout)
    assert [first["file"], error["file"], last["file"]] == tones
    assert error["schema"] == "peaudio.error/1" and error["error"]["kind"] in ("internal", "encode")


@pytest.mark.parametrize("output", ["stream", "file", "folder", "shards"])
@any_fault
def test_in_a_writer(tones, output, fault, encoder_without_a_model, monkeypatch, tmp_path):
    fails_on_the_second(monkeypatch, JsonLinesWriter, "write", fault)
    fails_on_the_second(monkeypatch, JsonWriter, "write", fault)
    out = tmp_path / "out"
    where = {"stream": [], "file": ["-o", out], "folder": ["-o", f"{out}/"], "shards": ["-o", out, "--shard-size", "2"]}
    form = "json" if output == "folder" else "jsonl"
    result = run("tag", *tones, "-l", "loud", "-f", form, *where[output])
    check(result, tones)
    if output == "stream":
        found = objects(result.stdout)
    elif output == "file":
        found = objects(out.read_text())
    elif output == "shards":
        found = [item for part in sorted(out.glob("part-*")) for item in objects(part.read_text())]
    else:
        assert sorted(path.name for path in out.iterdir()) == [".peaudio.journal", "0.wav.json", "2.wav.json"]
        return
    assert [item["schema"] for item in found] == ["peaudio.tag/1", "peaudio.error/1", "peaudio.tag/1"]
    assert [item["file"] for item in found] == tones


@pytest.mark.parametrize("form", [writer.name for writer in WRITERS if writer.several and writer.name != "table"])
def test_a_file_of_any_format_is_as_if_the_recording_had_failed(
    tones, form, encoder_without_a_model, monkeypatch, tmp_path
):
    command = "tag" if form in ("json", "jsonl", "csv", "tsv", "parquet") else "localize"
    (tmp_path / "1.wav").write_text("no recording")
    before, after = tmp_path / "before", tmp_path / "after"
    run(command, tones[0], tmp_path / "1.wav", tones[2], "-l", "loud", "-f", form, "-o", before)
    (writer,) = (writer for writer in WRITERS if writer.name == form)
    stage = "_row" if form == "parquet" else "write"
    fails_on_the_second(monkeypatch, writer, stage, ZeroDivisionError())
    check(run(command, *tones, "-l", "loud", "-f", form, "-o", after), tones)
    if form in ("json", "jsonl", "parquet"):  # where errors have words
        assert len(after.read_bytes()) > 0
    else:
        assert after.read_bytes() == before.read_bytes()


@any_fault
def test_in_a_picture(tones, fault, encoder_without_a_model, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    fails_on_the_second(monkeypatch, timeline, "draw_timeline", fault)
    result = run("localize", *tones, "-l", "loud", "-f", "jsonl", "--plot", f"{tmp_path}/plots/")
    check(result, tones)
    assert [item["schema"] for item in objects(result.stdout)].count("peaudio.error/1") == 1
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["0.wav.png", "2.wav.png"]


@any_fault
def test_in_the_report(tones, fault, encoder_without_a_model, monkeypatch, tmp_path):
    page = tmp_path / "r.html"
    fails_on_the_second(monkeypatch, PageWriter, "write", fault)
    result = run("localize", *tones, "-l", "loud", "-f", "jsonl", "--report", page)
    check(result, tones)
    assert reported(page) == [(tones[0], False), (tones[1], True), (tones[2], False)]


def test_an_output_that_fails_takes_the_result_back_from_the_report(
    tones, encoder_without_a_model, monkeypatch, tmp_path
):
    page = tmp_path / "r.html"
    fails_on_the_second(monkeypatch, JsonLinesWriter, "write", ZeroDivisionError())
    check(run("localize", *tones, "-l", "loud", "-f", "jsonl", "--report", page), tones)
    assert reported(page) == [(tones[0], False), (tones[1], True), (tones[2], False)]


def reported(page: Path) -> list[tuple[str, bool]]:
    """The recordings in a report, and whether each failed there."""
    parts = page.read_text(encoding="utf-8").split('<script class="recording" type="application/json">')[1:]
    facts = [json.loads(part.partition("</script>")[0]) for part in parts]
    return [(each["file"], "error" in each) for each in facts]


@pytest.mark.parametrize("extension", ["npz", "parquet"])
@any_fault
def test_in_embeddings(tones, extension, fault, encoder_without_a_model, monkeypatch, tmp_path):
    from pe_audio_cli.formats import embeddings

    out = tmp_path / f"out.{extension}"
    if extension == "parquet":
        fails_on_the_second(monkeypatch, embeddings.ParquetEmbeddingWriter, "_batch", fault)
    else:
        use(monkeypatch, FaultyEncoder(fault, "codec"))
    result = run("embed", *tones, "-o", out, "--per-window")
    check(result, tones)
    assert paths_in(out) == {tones[0], tones[2]}


def paths_in(file: Path) -> set[str]:
    if file.suffix == ".npz":
        import numpy as np

        with np.load(file) as archive:
            return set(archive["file"].tolist())
    import pyarrow.parquet as pq

    return set(pq.read_table(file)["file"].to_pylist())


@any_fault
def test_in_an_index(tones, fault, encoder_without_a_model, monkeypatch, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    from pe_audio_cli.index.database import Database

    real = Database.put

    def faulty(self: Database, entry: object, *arrays: object) -> None:
        if entry.path.endswith("1.wav") and not isinstance(fault, OSError):
            raise fault
        real(self, entry, *arrays)

    monkeypatch.setattr(Database, "put", faulty)
    if isinstance(fault, OSError):
        use(monkeypatch, FaultyEncoder(fault, "windows"))
    result = run("index", *tones, "--index", tmp_path / "x.index")
    check(result, tones)
    with duckdb.connect(str(tmp_path / "x.index"), read_only=True) as opened:
        assert {path for (path,) in opened.execute("SELECT path FROM recordings").fetchall()} == {tones[0], tones[2]}


@any_fault
def test_in_an_evaluation_the_recording_is_named(tones, fault, encoder_without_a_model, monkeypatch, tmp_path):
    table = tmp_path / "labels.tsv"
    with table.open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(
            [("filename", "onset", "offset", "event_label"), *((tone, 0.5, 1.0, "loud") for tone in tones)]
        )
    use(monkeypatch, FaultyEncoder(fault, "windows"))
    result = run("eval", table)
    assert result.exit_code in (1, 2)
    assert tones[1] in result.stderr and "Traceback" not in result.stderr and len(result.stderr.splitlines()) == 1


def test_verbose_shows_the_traceback_of_the_fault(tones, encoder_without_a_model, monkeypatch):
    use(monkeypatch, FaultyEncoder(ZeroDivisionError(), "codec"))
    loud, plain = (run("tag", *tones, "-l", "loud", *more) for more in (["-v"], []))
    assert "Traceback" in loud.stderr and "encode_codec" in loud.stderr
    assert "Traceback" not in plain.stderr and plain.exit_code == loud.exit_code == 1


def test_a_full_output_ends_the_run_in_one_line(tones, encoder_without_a_model, monkeypatch, tmp_path):
    from pe_audio_cli.formats.base import Writer

    def full(self: Writer, result: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "put", full)
    result = run("tag", *tones, "-l", "loud", "-f", "jsonl", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1 and "No space left" in result.stderr
