"""Every flag, every format, every exit code, as a shell sees them."""

from __future__ import annotations

import csv
import dataclasses
import gc
import inspect
import io
import json
import shutil
from pathlib import Path

import pytest
from invoked import Result
from support import REFERENCE, write_tone

from pe_audio_cli import __version__
from pe_audio_cli.cli.commands.localize import localize
from pe_audio_cli.cli.commands.tag import tag
from pe_audio_cli.options import EventOptions, TagOptions

MODEL = str(REFERENCE / "pe-a-frame-tiny")
LABELS = "a dog barking,rain falling,door knock"
NAMES = LABELS.split(",")


@pytest.fixture(autouse=True)
def model(monkeypatch):
    monkeypatch.setenv("PEAUDIO_MODEL", MODEL)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three recordings, the second of which is none."""
    write_tone(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "b.wav").write_text("text")
    write_tone(tmp_path / "in" / "sub" / "c.wav", seconds=2.5)
    return tmp_path / "in"


@pytest.fixture
def tone(tmp_path) -> Path:
    return write_tone(tmp_path / "tone.wav", seconds=3.3)


def test_version_and_help():
    assert Result("--version").out == f"peaudio {__version__}\n"
    assert "tag" in Result("--help").out
    assert Result().code in (0, 2)


@pytest.mark.parametrize(
    ("command", "options"), [(tag, TagOptions()), (localize, EventOptions())], ids=["tag", "localize"]
)
def test_the_flags_defaults_are_those_of_the_python_api(command, options):
    flags = inspect.signature(command).parameters
    for field in dataclasses.fields(options):
        assert flags[field.name].default == getattr(options, field.name), field.name


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_the_example_in_the_help_of_a_command_works(command, tmp_path, monkeypatch):
    (line,) = [line for line in Result(command, "--help").out.splitlines() if "Example: peaudio" in line]
    import shlex

    write_tone(tmp_path / "recordings" / "x.wav")
    write_tone(tmp_path / "night.flac")
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(line.split("Example: peaudio", 1)[1].strip(" │"))
    assert Result(*arguments).code == 0


@pytest.mark.parametrize("command", ["tag", "localize"])
def test_one_bad_file_is_one_error_and_the_rest_is_done(folder, command):
    result = Result(command, folder, "-l", LABELS)
    assert result.code == 1
    assert [Path(item["file"]).name for item in result.objects] == ["a.wav", "b.wav", "c.wav"]
    bad = result.objects[1]
    assert bad["schema"] == "peaudio.error/1"
    assert bad["error"]["kind"] == "decode"
    line, numbers, again = result.err.splitlines()
    assert line.startswith(f"peaudio: {folder / 'b.wav'}: ")
    assert numbers.startswith("peaudio: 2 done, 1 failed; 3.5 s of audio in ")
    assert again == line.replace("peaudio: ", "peaudio: failed: ", 1)
    assert Result(command, folder, "-l", LABELS, "-q").err.splitlines() == [line]


def test_fail_fast_stops_at_the_first_bad_file(folder):
    result = Result("tag", folder, "-l", LABELS, "--fail-fast")
    assert result.code == 1
    assert len(result.objects) == 2


def test_tag_json_has_the_promised_shape(tone):
    (item,) = json.loads(Result("tag", tone, "-l", LABELS, "-f", "json").out)
    tags = item.pop("tags")
    assert item == {
        "schema": "peaudio.tag/1",
        "file": str(tone),
        "duration": 3.3,
        "sample_rate": 48_000,
        "channels": 1,
        "model": MODEL,
        "windows": 1,
    }
    assert sorted(tag["label"] for tag in tags) == sorted(NAMES)
    assert [tag["probability"] for tag in tags] == sorted((tag["probability"] for tag in tags), reverse=True)


def test_localize_json_has_the_promised_shape(tone):
    (item,) = json.loads(Result("localize", tone, "-l", LABELS, "-f", "json", "--frames").out)
    events, frames = item.pop("events"), item.pop("frames")
    assert item == {
        "schema": "peaudio.localize/1",
        "file": str(tone),
        "duration": 3.3,
        "sample_rate": 48_000,
        "channels": 1,
        "model": MODEL,
        "frame_seconds": 0.04,
        "threshold": 0.3,
    }
    assert list(frames) == NAMES
    assert {len(row) for row in frames.values()} == {83}
    assert [(e["start"], e["label"]) for e in events] == sorted((e["start"], e["label"]) for e in events)
    for event in events:
        first, last = round(event["start"] / 0.04), round(event["end"] / 0.04 + 0.49)
        assert event["probability"] == max(frames[event["label"]][first:last])
        assert 0 <= event["start"] < event["end"] <= 3.3


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_rows_have_the_promised_columns(tone, name, delimiter):
    def rows(*arguments):
        return list(csv.reader(io.StringIO(Result(*arguments, "-f", name).out), delimiter=delimiter))

    tags = rows("tag", tone, "-l", LABELS)
    assert tags[0] == ["file", "label", "probability"]
    assert len(tags) == 1 + len(NAMES)
    windows = rows("tag", tone, "-l", LABELS, "--per-window", "--window", "2")
    assert windows[0] == ["file", "start", "end", "label", "probability"]
    assert len(windows) == 1 + 2 * len(NAMES)
    events = rows("localize", tone, "-l", LABELS)
    assert events[0] == ["file", "label", "start", "end", "probability"]
    assert len(events) > 1


def test_a_table_is_for_people(tone):
    result = Result("tag", tone, "-l", LABELS, "-f", "table")
    assert all(label in result.out for label in NAMES)
    assert max(map(len, result.out.splitlines())) <= 80


def probabilities(*arguments) -> dict[str, float]:
    (item,) = Result("tag", *arguments).objects
    return {tag["label"]: tag["probability"] for tag in item["tags"]}


def test_labels_from_all_flags(tone, tmp_path):
    listed = tmp_path / "labels.txt"
    listed.write_text("wind\n")
    asked = ("-l", "rain, a cat", "-l", "glass", "--label", "x, y", "--labels-file", listed, "--label-set", "desed")
    found = probabilities(tone, *asked)
    assert {"rain", "a cat", "glass", "x, y", "wind", "a blender"} <= set(found)
    assert probabilities(tone, "-l", "rain") == {"rain": found["rain"]}


def test_the_label_sets_are_listed_without_any_input():
    result = Result("tag", "--label-set", "list")
    assert result.code == 0
    assert {"audioset", "desed", "esc50", "fsd50k", "urbansound8k", "vggsound"} <= set(result.out.splitlines())


def test_a_template_changes_what_is_asked_and_not_what_is_shown(tone):
    plain = probabilities(tone, "-l", "rain")
    wrapped = probabilities(tone, "-l", "rain", "--template", "the sound of {}")
    assert list(wrapped) == ["rain"]
    assert wrapped != plain
    assert list(probabilities(tone, "-l", "the sound of rain").values()) == list(wrapped.values())


def test_top_k_and_threshold_of_tag(tone):
    all_ = probabilities(tone, "-l", LABELS)
    ranked = sorted(all_.values(), reverse=True)
    assert list(probabilities(tone, "-l", LABELS, "--top-k", "2").values()) == ranked[:2]
    kept = probabilities(tone, "-l", LABELS, "--threshold", str(ranked[1] - 1e-4))
    assert list(kept.values()) == ranked[:2]


def test_windows_of_tag(tone):
    def item(*arguments):
        return Result("tag", tone, "-l", LABELS, "--window", "2", *arguments).objects[0]

    peak, mean = item("--per-window"), item("--aggregate", "mean", "--overlap", "0.5")
    assert peak["windows"] == mean["windows"] == 2
    assert [(window["start"], window["end"]) for window in peak["per_window"]] == [(0, 2), (1.32, 3.3)]
    for best in peak["tags"]:
        rows = [t["probability"] for w in peak["per_window"] for t in w["tags"] if t["label"] == best["label"]]
        assert best["probability"] == max(rows)
    assert Result("tag", tone, "-l", LABELS, "--window", "full").objects[0]["windows"] == 1


def events(*arguments) -> list[tuple[str, float, float]]:
    (item,) = Result("localize", *arguments).objects
    return [(event["label"], event["start"], event["end"]) for event in item["events"]]


def test_each_step_of_localize_changes_the_timeline(tone):
    plain = events(tone, "-l", LABELS)
    assert events(tone, "-l", LABELS, "--threshold", "0.3") == plain
    assert len(events(tone, "-l", LABELS, "--threshold", "1")) == 0
    assert len(events(tone, "-l", LABELS, "--merge-gap", "10")) == len({label for label, _, _ in plain})
    assert all(end - start >= 0.2 - 1e-9 for _, start, end in events(tone, "-l", LABELS, "--min-duration", "0.2"))
    held = events(tone, "-l", LABELS, "--offset-threshold", "0")
    assert len(held) < len(plain)
    assert {label for label, _, _ in held} == {label for label, _, _ in plain}
    assert events(tone, "-l", LABELS, "--median", "0.2") != plain


@pytest.mark.parametrize(
    "flags",
    [
        ("--device", "cpu"),
        ("--dtype", "float32"),
        ("--threads", "1"),
        ("--batch-size", "3"),
        ("--offline",),
        ("-q",),
        ("--model", MODEL),
        ("-m", MODEL),
    ],
    ids=" ".join,
)
def test_flags_that_change_no_result(tone, flags):
    import torch

    before = torch.get_num_threads()
    try:
        assert Result("tag", tone, "-l", LABELS, *flags).out == Result("tag", tone, "-l", LABELS).out
    finally:
        torch.set_num_threads(before)


@pytest.mark.timeout(400)
@pytest.mark.skipif(shutil.which("g++") is None, reason="--compile needs a C++ compiler")
def test_a_compiled_model_gives_the_same_within_rounding(tone):
    plain = probabilities(tone, "-l", LABELS)
    compiled = Result("tag", tone, "-l", LABELS, "--compile", "-v")
    assert "float32 on cpu, compiled" in compiled.err
    found = {tag["label"]: tag["probability"] for tag in compiled.objects[0]["tags"]}
    assert found == pytest.approx(plain, abs=1e-4)


def test_what_transformers_runs_is_not_compiled(tone, monkeypatch):
    monkeypatch.setenv("PEAUDIO_ENGINE", "reference")
    refused = Result("tag", tone, "-l", LABELS, "--compile")
    assert (refused.code, refused.out) == (2, "")
    assert "by transformers: leave it out" in refused.err


def test_bfloat16_is_rougher(tone):
    exact, rough = (probabilities(tone, "-l", LABELS, "--dtype", dtype) for dtype in ("float32", "bfloat16"))
    assert rough != exact
    assert rough == pytest.approx(exact, abs=0.15)


@pytest.mark.parametrize(("device", "code"), [("cpu", 0), ("abacus", 2)])
def test_garbage_is_looked_for_again_once_a_model_is_loaded_or_is_not(folder, device, code):
    assert Result("tag", folder / "a.wav", "-l", LABELS, "--device", device).code == code
    assert gc.isenabled()


def test_verbose_says_what_runs_and_shows_the_traceback(folder):
    result = Result("tag", folder / "a.wav", "-l", LABELS, "-v", "--device", "cpu")
    assert "float32 on cpu" in result.err
    refused = Result("tag", folder, "-l", LABELS, "-v", "-m", "./nowhere")
    assert "Traceback" in refused.err
    assert "Traceback" not in Result("tag", folder, "-l", LABELS, "-m", "./nowhere").err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tag", "{tone}", "--no-such-flag"], "No such option"),
        (["tag"], "no input given"),
        (["tag", "{tone}"], "no labels"),
        (["tag", "{tone}", "-l", ","], "no label"),
        (["tag", "{tone}", "--labels-file", "/nowhere.txt"], "cannot read the label file"),
        (["tag", "{tone}", "-l", "x", "--template", "y"], "--template"),
        (["tag", "{tone}", "-l", "x", "-m", "huge"], "unknown model"),
        (["tag", "{tone}", "-l", "x", "-m", "base", "--offline"], "hf download"),
        (["tag", "{tone}", "-l", "x", "--revision", "main"], "--revision"),
        (["tag", "{tone}", "-l", "x", "--device", "abacus"], "--device abacus"),
        (["tag", "{tone}", "-l", "x", "--dtype", "int4"], "--dtype int4"),
        (["tag", "{tone}", "-l", "x", "--threads", "0"], "--threads"),
        (["tag", "{tone}", "-l", "x", "--batch-size", "0"], "--batch-size"),
        (["tag", "{tone}", "-l", "x", "--window", "soon"], "--window"),
        (["tag", "{tone}", "-l", "x", "--window", "-1"], "window"),
        (["tag", "{tone}", "-l", "x", "--window", "nan"], "window"),
        (["tag", "{tone}", "-l", "x", "--overlap", "29"], "overlap"),
        (["tag", "{tone}", "-l", "x", "--top-k", "0"], "--top-k"),
        (["tag", "{tone}", "-l", "x", "--threshold", "2"], "threshold"),
        (["tag", "{tone}", "-l", "x", "--aggregate", "sum"], "--aggregate"),
        (["tag", "{tone}", "-l", "x", "-f", "xml"], "'xml'"),
        (["tag", "{tone}", "-l", "x", "-o", "{tmp}/out.xyz"], "--format"),
        (["tag", "{tone}", "-l", "x", "-o", "{tmp}/no/such/out.csv"], "cannot write"),
        (["tag", "{tone}", "-l", "x", "--resume"], "--output"),
        (["tag", "{tone}", "-l", "x", "-o", "{tmp}/o.csv", "--resume", "--overwrite"], "choose one"),
        (["localize", "{tone}", "-l", "x", "--threshold", "-0.1"], "threshold"),
        (["localize", "{tone}", "-l", "x", "--offset-threshold", "0.4"], "offset threshold"),
        (["localize", "{tone}", "-l", "x", "--median", "-1"], "median"),
        (["localize", "{tone}", "-l", "x", "--merge-gap", "nan"], "merge gap"),
        (["localize", "{tone}", "-l", "x", "--min-duration", "-1"], "minimum duration"),
        (["localize", "{tone}", "-l", "x", "--frames", "-f", "csv"], "--frames"),
        (["sing", "{tone}"], "No such command"),
    ],
    ids=lambda value: " ".join(value[2:]) if isinstance(value, list) else None,
)
def test_bad_usage_is_exit_2_with_one_reason_and_starts_nothing(tone, tmp_path, arguments, says):
    before = sorted(tmp_path.rglob("*"))
    result = Result(*(argument.format(tone=tone, tmp=tmp_path) for argument in arguments))
    assert result.code == 2
    assert result.out == ""
    assert says in " ".join(result.err.replace("│", " ").split())
    assert "Traceback" not in result.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["json", "jsonl", "csv", "tsv", "table"])
def test_a_file_holds_what_standard_output_would(folder, tmp_path, name):
    extension = "txt" if name == "table" else name
    target = tmp_path / f"out.{extension}"
    printed = Result("tag", folder, "-l", LABELS, "-f", name)
    written = Result("tag", folder, "-l", LABELS, "-f", name, "-o", target)
    assert written.out == ""
    assert written.code == 1
    assert target.read_text() == printed.out
    journal = f"{target.name}.journal"  # by which --resume tries again what failed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", target.name, journal]


@pytest.mark.parametrize("name", ["json", "jsonl", "csv", "tsv"])
def test_the_format_is_guessed_from_the_name(tone, tmp_path, name):
    Result("localize", tone, "-l", LABELS, "-o", tmp_path / f"out.{name}")
    assert (tmp_path / f"out.{name}").read_text() == Result("localize", tone, "-l", LABELS, "-f", name).out


def test_an_existing_file_is_refused_unless_it_may_be_replaced(tone, tmp_path):
    target = tmp_path / "out.csv"
    target.write_text("mine")
    refused = Result("tag", tone, "-l", LABELS, "-o", target)
    assert refused.code == 2
    assert "exists" in refused.err
    assert target.read_text() == "mine"
    assert Result("tag", tone, "-l", LABELS, "-o", target, "--resume").code == 2
    assert target.read_text() == "mine"
    assert Result("tag", tone, "-l", LABELS, "-o", target, "--overwrite").code == 0
    assert target.read_text().startswith("file,label")


@pytest.mark.parametrize("given", ["out/", "out"])
def test_a_folder_gets_a_file_for_each_recording(folder, tmp_path, given):
    if not given.endswith("/"):
        (tmp_path / given).mkdir()
    write_tone(folder / "sub" / "c.flac")
    result = Result("tag", folder, "-l", LABELS, "-f", "csv", "-o", f"{tmp_path}/{given}")
    assert result.code == 1
    out = tmp_path / "out"
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert written == [".peaudio.journal", "a.wav.csv", "sub/c.flac.csv", "sub/c.wav.csv"]
    assert Result("tag", folder, "-l", LABELS, "-f", "csv", "-o", f"{out}/").code == 2
    assert Result("tag", folder, "-l", LABELS, "-f", "csv", "-o", f"{out}/", "--overwrite").code == 1


def test_folders_with_equal_names_inside_do_not_collide(tmp_path):
    a, b = write_tone(tmp_path / "a" / "x.wav"), write_tone(tmp_path / "b" / "x.wav", level=0.5)
    assert Result("tag", a, b, a, "-l", LABELS, "-o", f"{tmp_path}/out/").code == 0
    files = [json.loads((tmp_path / "out" / name / "x.wav.json").read_text())[0]["file"] for name in "ab"]
    assert files == [str(a), str(b)]


def test_the_same_file_named_twice_is_two_results(tone):
    assert [item["file"] for item in Result("tag", tone, tone, "-l", LABELS).objects] == [str(tone)] * 2


def test_standard_input(tone):
    result = Result("tag", "-", "-l", LABELS, stdin=tone.read_bytes())
    (item,) = result.objects
    assert item["file"] == "-"
    (named,) = Result("tag", tone, "-l", LABELS).objects
    assert item["tags"] == named["tags"]


@pytest.mark.parametrize("where", ["missing.wav", "empty", "*.wav"])
def test_nothing_to_read_is_one_error(tmp_path, where):
    (tmp_path / "empty").mkdir()
    result = Result("tag", tmp_path / where, "-l", LABELS)
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert result.objects[0]["error"]["kind"] == "missing"


def test_a_damaged_recording_is_a_result_and_a_warning(tmp_path):
    file = write_tone(tmp_path / "cut.wav", seconds=3)
    file.write_bytes(file.read_bytes()[: 44 + 4 * 48_000])
    result = Result("tag", file, "-l", LABELS)
    assert result.code == 0
    assert 0.9 < result.objects[0]["duration"] <= 1.0
    (line,) = result.err.splitlines()
    assert line.startswith(f"peaudio: warning: {file}: ")
    assert Result("tag", file, "-l", LABELS, "-q").err == ""


@pytest.mark.parametrize("command", ["tag", "localize"])
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_warning_is_in_the_object_of_its_recording_even_when_it_is_not_said(tmp_path, command, format):
    cut, whole = write_tone(tmp_path / "cut.wav", seconds=3), write_tone(tmp_path / "whole.wav")
    cut.write_bytes(cut.read_bytes()[: 44 + 4 * 48_000])
    result = Result(command, cut, whole, "-l", LABELS, "-q", "-f", format)
    first, second = json.loads(result.out) if format == "json" else result.objects
    (warning,) = first["warnings"]
    assert warning.startswith("cut short")
    assert "warnings" not in second


def test_names_and_labels_cannot_drive_the_terminal(tmp_path):
    file = write_tone(tmp_path / "a\x1b[31mred\nline.wav")
    (tmp_path / "b\x1b[31m.wav").write_text("no")
    result = Result("tag", tmp_path, "-l", "rain,\x1b[2Jclear", "-f", "table", "-q")
    assert "\x1b" not in result.out + result.err
    assert len(result.err.splitlines()) == 1
    assert file.exists()


def test_own_labels_of_a_checkpoint_are_used_when_none_are_given(tone, checkpoint_copy):
    (checkpoint_copy / "labels.txt").write_text("\n".join(["rain", "wind", "a dog", "a cat", "glass", "music"]))
    (item,) = Result("tag", tone, "-m", checkpoint_copy).objects
    assert len(item["tags"]) == 6
    assert len(Result("tag", tone, "-m", checkpoint_copy, "-f", "csv").out.splitlines()) == 1 + 6
    assert len(Result("tag", tone, "-m", checkpoint_copy, "--top-k", "4").objects[0]["tags"]) == 4
    assert Result("localize", tone, "-m", checkpoint_copy).code == 0


def test_a_table_of_a_checkpoint_s_own_labels_shows_five_and_says_so(tone, checkpoint_copy):
    labels = ["rain", "wind", "a dog", "a cat", "glass", "music"]
    (checkpoint_copy / "labels.txt").write_text("\n".join(labels))
    said = "the 5 most probable of 6 labels are shown"

    def table(*arguments):
        out = Result("tag", tone, "-m", checkpoint_copy, "-f", "table", *arguments).out
        return sum(any(f" {label} " in line for label in labels) for line in out.splitlines()), said in out

    assert table() == (5, True)
    assert table("--per-window", "--window", "2") == (10, True)
    assert table("--top-k", "6") == table("-l", ",".join(labels)) == table("--threshold", "0") == (6, False)


def test_a_limit_that_is_no_number_is_bad_usage(tone, monkeypatch):
    monkeypatch.setenv("PEAUDIO_MAX_GAP_SECONDS", "an hour")
    refused = Result("tag", tone, "-l", LABELS)
    assert (refused.code, refused.out) == (2, "")
    assert "PEAUDIO_MAX_GAP_SECONDS must be a number above 0" in refused.err


def test_a_sound_track_that_is_not_there(tone):
    assert Result("tag", tone, "-l", LABELS, "--audio-track", "1").code == 0
    for command in ("tag", "localize"):
        result = Result(command, tone, "-l", LABELS, "--audio-track", "2")
        assert (result.code, result.objects[0]["error"]["kind"]) == (1, "no-audio")
        assert Result(command, tone, "-l", LABELS, "--audio-track", "0").code == 2


def test_a_run_on_another_sound_track_is_not_continued(tone, tmp_path):
    output = tmp_path / "out.jsonl"
    first = Result("tag", tone, tmp_path / "gone.wav", "-l", LABELS, "-o", output, "--fail-fast", "--audio-track", "1")
    assert first.code == 1
    again = Result("tag", tone, tmp_path / "gone.wav", "-l", LABELS, "-o", output, "--resume")
    assert again.code == 2, again
