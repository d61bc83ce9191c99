"""``peaudio eval`` and ``--settings``, from the annotation to the tuned run, on an encoder that needs no model."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from invoked import Result
from support import REFERENCE

from pe_audio_cli.evaluation.annotations.formats import FORMATS
from pe_audio_cli.results import FileError

NAMES = ["loud", "=loud!", 'l"oud, ev']  # the longer, the louder it has to be
ALL_ONE = ("auroc", "average_precision", "psds1", "psds2", "event_f1", "event_precision", "event_recall", "segment_f1")


class Ran(Result):
    """A command that succeeds."""

    @property
    def result(self) -> dict:
        assert self.code == 0, self
        return json.loads(self.out)

    @property
    def objects(self) -> list[dict]:
        assert self.code == 0, self
        return super().objects


pytestmark = pytest.mark.usefixtures("encoder_without_a_model")


def bursts(path: Path, seconds: float, rate: int, *heard: tuple[float, float, float]) -> Path:
    """Silence, and from an onset to an offset a constant level, a hundredth of which is a unit of logit."""
    time = np.arange(round(seconds * rate)) / rate
    samples = sum((level * ((time >= start) & (time < stop)) for start, stop, level in heard), np.zeros(len(time)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), rate, "FLOAT", format="WAV")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings with sounds of three levels, one to its very end, and one with none."""
    bursts(tmp_path / "in" / "a.wav", 4.013, 48_000, (0.5, 1.3, 0.06), (2.0, 4.013, 0.1))
    bursts(tmp_path / "in" / "sub" / "b.wav", 3.271, 44_100, (0.0, 0.7, 0.12), (1.5, 2.6, 0.05))
    bursts(tmp_path / "in" / "quiet.wav", 2.5, 8_000)
    return tmp_path / "in"


def label_flags(names: list[str] = NAMES) -> list[str]:
    return [part for name in names for part in ("--label", name)]


ONE_EACH = ("audacity", "textgrid", "vtt", "srt")  # forms of which a file holds one recording


@pytest.mark.parametrize("several", [True, False], ids=["a file", "a folder"])
@pytest.mark.parametrize("form", ["csv", "tsv", "json", "jsonl", "raven", "dcase", "rttm", *ONE_EACH])
def test_ones_own_output_is_right_in_every_form(form: str, several: bool, folder: Path, tmp_path: Path) -> None:
    if several and form in ONE_EACH:
        pytest.skip("a file of this form holds one recording")
    place = tmp_path / "labels"
    place.mkdir()
    annotations = str(place / f"labels.{form}") if several else str(place) + "/"
    made = Ran("localize", folder, *label_flags(), "-f", form, "-o", annotations)
    assert made.code == 0, made
    result = Ran("eval", annotations, "--audio", folder, "-f", "json").result
    spelt = {name.replace('"', "'") for name in NAMES} if form == "rttm" else set(NAMES)
    assert {row["label"] for row in result["labels"]} == spelt
    for figures in (result["overall"], *(row["figures"] for row in result["labels"])):
        assert {name: figures[name]["value"] for name in ALL_ONE} == dict.fromkeys(ALL_ONE, 1.0)


def test_annotations_beside_the_recordings_need_no_audio(folder: Path) -> None:
    Ran("localize", folder, "-l", "loud", "-f", "audacity", "-o", f"{folder}/")
    assert Ran("eval", folder, "-f", "json").result["overall"]["event_f1"]["value"] == 1


def test_weak_labels_and_a_folder_for_each_class(tmp_path: Path) -> None:
    for number in range(3):
        bursts(tmp_path / "in" / "loud" / f"{number}.wav", 1.0, 8_000, (0, 1, 0.05))
        bursts(tmp_path / "in" / "loudest" / f"{number}.wav", 1.0, 8_000, (0, 1, 0.09))
    result = Ran("eval", tmp_path / "in", "-f", "json").result
    assert result["kind"] == "weak" and result["n_recordings"] == 6
    assert result["labels"][1]["figures"]["auroc"]["value"] == 1 and result["labels"][1]["threshold"] == 0.5
    assert result["overall"]["top1"]["value"] == 0.5  # what is loudest is always loud too, and more so
    assert result["confusion"] == {"labels": ["loud", "loudest"], "counts": [[3, 0], [3, 0]]}


def marks(folder: Path, *rows: str) -> Path:
    (folder / "marks.csv").write_text("file,label,start,end,probability,mark\n" + "".join(f"{row}\n" for row in rows))
    return folder / "marks.csv"


def test_marked_excerpts_are_evaluated_by_themselves(tmp_path: Path) -> None:
    bursts(tmp_path / "a.wav", 4.0, 48_000, (2, 4, 0.09))
    bursts(tmp_path / "b.wav", 4.0, 48_000, (0, 4, 0.05))
    rows = ["a.wav,loud,2.0,4.0,1,yes", "a.wav,loud,0.0,2.0,1,no", "b.wav,loud,1.0,3.0,1,yes"]
    more = [
        "b.wav,louder,1.0,3.0,1,no",
        "a.wav,louder,2.0,4.0,1,yes",
        "b.wav,loud,0.0,1.0,1,unsure",
        "b.wav,loud,3,4,,",
    ]
    result = Ran("eval", marks(tmp_path, *rows, *more), "-f", "json").result
    assert (result["kind"], result["n_recordings"]) == ("marked", 2) and "confusion" not in result
    assert {row["label"]: row["count"] for row in result["labels"]} == {"loud": 2, "louder": 1}
    for row in result["labels"]:  # a sound of the whole of a.wav would be too quiet for `louder`
        assert {name: row["figures"][name]["value"] for name in ("auroc", "precision", "recall")} == {
            "auroc": 1.0,
            "precision": 1.0,
            "recall": 1.0,
        }
    assert sum(bin["count"] for bin in result["reliability"]) == 5, "of each excerpt, what was marked"
    assert "marked excerpts" in Ran("eval", tmp_path / "marks.csv", "-f", "table").out


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.wav,loud,0,2,1,perhaps", "the mark 'perhaps' is none of yes, no, unsure"),
        ("a.wav,loud,2,1,1,no", "is not before the offset"),
        ("a.wav,loud,0,1,1,no", "contradicts the mark of"),
        ("a.wav,loud,3,9,1,no", "beyond the end"),
        ("nothing.wav,loud,0,1,1,no", "there is no recording 'nothing.wav'"),
    ],
)
def test_a_bad_mark_is_named_by_its_row(tmp_path: Path, row: str, said: str) -> None:
    bursts(tmp_path / "a.wav", 4.0, 48_000, (2, 4, 0.09))
    path = marks(tmp_path, "a.wav,loud,0,1,1,yes", row)
    ran = Ran("eval", path, "-f", "json")
    assert ran.code == 0 and f"{path}, row 3: " in ran.err and said in ran.err
    strict = Ran("eval", path, "--strict")
    assert strict.code == 2 and strict.out == "" and said in strict.err


def test_marks_that_say_nothing_are_told(tmp_path: Path) -> None:
    bursts(tmp_path / "a.wav", 1.0, 48_000, (0, 1, 0.09))
    ran = Ran("eval", marks(tmp_path, "a.wav,loud,0,1,1,unsure"))
    assert ran.code == 2 and "no mark but unsure" in ran.err
    tuned = Ran("eval", marks(tmp_path, "a.wav,loud,0,1,1,yes"), "--tune", tmp_path / "x.toml")
    assert tuned.code == 2 and "chosen for their scores" in tuned.err and not (tmp_path / "x.toml").exists()


def test_what_is_amiss_with_a_recording_is_said_once(folder: Path) -> None:
    Ran("localize", folder, "-l", "loud", "-f", "audacity", "-o", f"{folder}/")
    quiet = folder / "quiet.wav"
    quiet.write_bytes(quiet.read_bytes()[:-20_000])
    ran = Ran("eval", folder, "-f", "json")
    (line,) = [line for line in ran.err.splitlines() if "cut short" in line]
    assert line.startswith(f"peaudio: warning: {quiet}: ")


@pytest.fixture
def labelled(folder: Path) -> Path:
    """Annotations of the recordings, under names that mean nothing to the model."""
    path = folder.parent / "labels.tsv"
    path.write_text(
        "filename\tonset\toffset\tevent_label\n"
        "a.wav\t0.5\t1.3\tany\na.wav\t2\t4.013\tany\na.wav\t2\t4.013\thigh\n"
        "b.wav\t0\t0.7\tany\nb.wav\t0\t0.7\thigh\nb.wav\t1.5\t2.6\tany\nquiet.wav\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def words(folder: Path) -> Path:
    path = folder.parent / "words.csv"
    path.write_text("any,loud,loudly\nhigh,very loud\nunheard,something too quiet for anybody\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["/m/0bt9lr", "dog_bark"])
def test_a_name_that_is_no_words_is_told(name: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.tsv"
    path.write_text(f"segment_id\tstart_time_seconds\tend_time_seconds\tlabel\na\t0.5\t1.3\t{name}\n", encoding="utf-8")
    assert (
        f"asked for '{name}' as it is written; --map maps names to prompts" in Ran("eval", path, "--audio", folder).err
    )


def test_labels_whose_goal_no_threshold_reaches_are_named_once(folder: Path) -> None:
    path = folder.parent / "labels.tsv"  # of what is no louder than what is around it
    path.write_text("file,label,onset,offset\na.wav,low,1.4,1.8\nb.wav,lower,0.9,1.3\n", encoding="utf-8")
    flags = ("--tune", folder.parent / "out.toml", "--for", "precision=0.9", "-f", "table")
    ran = Ran("eval", path, "--audio", folder, *flags)
    assert ran.out.count("no threshold reaches") == 1
    assert "no threshold reaches precision 0.9, so the nearest was taken: low, lower" in ran.out


def test_a_map_gives_names_their_words_and_names_more_to_look_for(labelled: Path, words: Path, folder: Path) -> None:
    result = Ran("eval", labelled, "--audio", folder, "--map", words, "-f", "json").result
    assert [row["label"] for row in result["labels"]] == ["any", "high", "unheard"]
    assert result["without_positives"] == ["unheard"]
    assert result["overall"]["auroc"]["value"] > 0.99


def test_a_map_may_be_a_shipped_set_which_only_tells_the_words(tmp_path: Path) -> None:
    bursts(tmp_path / "in" / "sea_waves" / "1.wav", 1.0, 8_000, (0, 1, 0.1))
    bursts(tmp_path / "in" / "else" / "1.wav", 1.0, 8_000, (0, 1, 0.05))
    out = tmp_path / "out.toml"
    ran = Ran("eval", tmp_path / "in", "--map", "esc50", "--tune", out, "-f", "json")
    assert [row["label"] for row in ran.result["labels"]] == ["else", "sea_waves"]
    assert 'prompts = ["sea waves"]' in out.read_text(encoding="utf-8")


def test_templates_and_prompts_are_compared(labelled: Path, words: Path, folder: Path) -> None:
    ran = Ran("eval", labelled, "--audio", folder, "--map", words, "--compare-templates", "-f", "json")
    found = [(each.get("label"), each["text"]) for each in ran.result["compared"]]
    assert {text for label, text in found if label is None} >= {"{}", "the sound of {}"}
    assert {text for label, text in found if label == "any"} == {"loud", "loudly"}
    given = ("--template", "{}", "--template", "so {}")
    ran = Ran("eval", labelled, "--audio", folder, *given, "--compare-templates", "-f", "json")
    assert sorted(each["text"] for each in ran.result["compared"]) == ["so {}", "{}"]


def tuned(labelled: Path, words: Path, folder: Path, *more: str) -> Path:
    out = folder.parent / "out.toml"
    ran = Ran("eval", labelled, "--audio", folder, "--map", words, "--tune", out, "-f", "json", *more)
    assert ran.code == 0, ran
    assert ran.result["tuning"]["not_tuned"] == ["unheard"]
    return out


def test_tuned_settings_make_a_detector(labelled: Path, words: Path, folder: Path, tmp_path: Path) -> None:
    out = tuned(labelled, words, folder, "--tune-postprocessing", "--tune-calibration")
    assert sorted(path.name for path in folder.parent.iterdir() if path.is_file()) == [
        "labels.tsv",
        "out.toml",
        "words.csv",
    ]
    before, after = (
        Ran("eval", labelled, "--audio", folder, "-f", "json", *flags).result
        for flags in (("--map", words), ("--settings", out))
    )
    assert after["overall"]["event_f1"]["value"] >= before["overall"]["event_f1"]["value"]
    assert after["model"] == "level, calibrated by out.toml" and before["model"] == "level"
    found = Ran("localize", folder / "a.wav", "--settings", out, "-f", "jsonl").objects[0]
    assert found["model"] == "level, calibrated by out.toml"
    assert {event["label"] for event in found["events"]} == {"any", "high"}
    assert found["thresholds"].keys() == {"any", "high", "unheard"} and found["threshold"] == 0.3


def test_flags_win_over_settings(folder: Path) -> None:
    out = folder.parent / "own.toml"
    out.write_text("[localize.labels.loud]\nthreshold = 0.99\n[tag.labels.loud]\nthreshold = 0.99\n", encoding="utf-8")
    strict = Ran("localize", folder / "a.wav", "--settings", out).objects[0]
    assert strict["thresholds"] == {"loud": 0.99}
    assert [event["start"] for event in strict["events"]] == [2.0]
    won = Ran("localize", folder / "a.wav", "--settings", out, "--threshold", "0.3").objects[0]
    assert won["thresholds"] == {"loud": 0.3} and len(won["events"]) == 2
    other = Ran("localize", folder / "a.wav", "--settings", out, "-l", "louder").objects[0]
    assert "thresholds" not in other and {event["label"] for event in other["events"]} == {"louder"}
    assert Ran("tag", folder / "a.wav", "--settings", out).objects[0]["tags"] == []
    shown = Ran("tag", folder / "a.wav", "--settings", out, "--threshold", "0").objects[0]["tags"]
    assert [tag["label"] for tag in shown] == ["loud"]


@pytest.fixture
def carrying(tmp_path: Path) -> Path:
    """A checkpoint that carries settings."""
    checkpoint = tmp_path / "carrying"
    checkpoint.mkdir()
    for file in (REFERENCE / "pe-a-frame-tiny").iterdir():
        (checkpoint / file.name).symlink_to(file)
    (checkpoint / "settings.toml").write_text("[localize]\nthreshold = 0.9\noffset_threshold = 0.3\nmerge_gap = 1\n")
    return checkpoint


def test_settings_of_the_checkpoint_count_where_nothing_else_is_said(carrying: Path, folder: Path) -> None:
    recording = bursts(folder / "pair.wav", 4, 48_000, (0.4, 1.2, 0.1), (1.6, 2.4, 0.1))

    def spans(*flags: str | Path) -> list[tuple[float, float]]:
        found = Ran("localize", recording, "-l", "loud", *flags).objects[0]
        assert found["model"] == "level"
        return [(event["start"], event["end"]) for event in found["events"]]

    pieces = [(0.4, 1.2), (1.6, 2.4)]
    assert spans() == pieces
    assert spans("-m", carrying) == [(0.4, 2.4)]
    assert spans("-m", carrying, "--merge-gap", "0") == pieces
    assert spans("-m", carrying, "--settings", "none") == pieces
    assert spans("--tidy") == [(0.4, 2.4)]
    assert spans("--tidy", "--merge-gap", "0.2") == pieces
    page = folder.parent / "page.html"
    assert spans("-m", carrying, "--report", page) == [(0.4, 2.4)]
    assert '"gap": 25' in page.read_text(encoding="utf-8")


def test_eval_finds_events_as_localize_does(carrying: Path, folder: Path) -> None:
    bursts(folder / "pair.wav", 4, 48_000, (0.4, 1.2, 0.1), (1.6, 2.4, 0.1))
    labelled = folder.parent / "pair.tsv"
    labelled.write_text("filename\tonset\toffset\tevent_label\npair.wav\t0.4\t2.4\tloud\n")

    def f1(*flags: str | Path) -> float:
        return Ran("eval", labelled, "--audio", folder, "-f", "json", *flags).result["overall"]["event_f1"]["value"]

    assert (f1(), f1("-m", carrying), f1("-m", carrying, "--settings", "none"), f1("--tidy")) == (0, 1, 0, 1)


def test_a_run_is_not_resumed_under_other_rules(carrying: Path, folder: Path) -> None:
    out = folder.parent / "out.csv"
    run = ("localize", folder / "a.wav", "-l", "loud", "-m", carrying, "-o", out, "--resume")
    assert Ran(*run).code == 0
    ran = Ran(*run, "--settings", "none")
    assert ran.code == 2 and "cannot resume" in ran.err


def test_a_report_which_finds_all_events_alike_is_refused_with_settings_that_do_not(folder: Path) -> None:
    out = folder.parent / "own.toml"
    out.write_text("[localize.labels.loud]\nthreshold = 0.99\n", encoding="utf-8")
    flags = ("--settings", out, "--report", folder.parent / "page.html")
    ran = Ran("localize", folder / "a.wav", *flags)
    assert ran.code == 2 and "a report has the same event options for all labels" in ran.err
    assert Ran("localize", folder / "a.wav", *flags, "--threshold", "0.3").code == 0


def test_calibration_and_words_of_settings_count_in_tag_too(folder: Path) -> None:
    out = folder.parent / "own.toml"
    out.write_text('[tag.labels.x]\nwordings = ["loud", "loudly"]\nscale = 2\nbias = -1\n', encoding="utf-8")
    plain = Ran("tag", folder / "a.wav", "-l", "loud,loudly").objects[0]["tags"]
    logits = [np.log(tag["probability"] / (1 - tag["probability"])) for tag in plain]
    (tag,) = Ran("tag", folder / "a.wav", "--settings", out).objects[0]["tags"]
    assert tag["probability"] == pytest.approx(1 / (1 + np.exp(1 - 2 * np.mean(logits))), abs=1e-4)


def test_a_run_is_not_resumed_with_other_settings(folder: Path) -> None:
    settings, out = folder.parent / "own.toml", folder.parent / "out.csv"
    for threshold in (0.5, 0.6):
        settings.write_text(f"[localize.labels.loud]\nthreshold = {threshold}\n", encoding="utf-8")
        ran = Ran("localize", folder / "a.wav", "--settings", settings, "-o", out, "--resume")
        assert ran.code == (0 if threshold == 0.5 else 2)
    assert "cannot resume: settings was" in ran.err


def test_settings_for_another_model_or_command_are_told(folder: Path) -> None:
    out = folder.parent / "own.toml"
    out.write_text('[tag]\nmodel = "base"\nfingerprint = "other"\n[tag.labels.loud]\nthreshold = 0\n', encoding="utf-8")
    ran = Ran("tag", folder / "a.wav", "--settings", out)
    assert ran.code == 0 and "own.toml was tuned for base, not for this level: tune again" in ran.err
    assert "own.toml has no settings for localize" in Ran("localize", folder / "a.wav", "--settings", out).err


BAD = {
    "unknown": ("z.wav\t0\t1\tx", "row 2: there is no recording 'z.wav'"),
    "reversed": ("a.wav\t2\t1\tx", "row 2: the onset 2 s is not before the offset 1 s"),
    "beyond": ("a.wav\t1\t5\tx", "row 2: the offset 5 s is beyond the end of"),
    "separators": ("a.wav,1,2,x", "row 2: 1 cells, where the first row has 4: commas here, tabs there"),
    "twice": ("a.wav\t1\t2\tx\na.wav\t1\t2\tx", "row 3: a duplicate of"),
    "undecodable": ("bad.wav\t0\t1\tx", "bad.wav: "),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_annotations_have_a_line_each_and_nothing_is_evaluated(case: str, folder: Path) -> None:
    (folder / "bad.wav").write_text("no sound")
    rows, line = BAD[case]
    path, out = folder / "labels.tsv", folder / "out.toml"
    path.write_text(f"filename\tonset\toffset\tevent_label\n{rows}\n", encoding="utf-8")
    ran = Ran("eval", path, "--tune", out, "--strict")
    assert ran.code == 2 and ran.out == "" and not out.exists()
    assert len(ran.err.splitlines()) == 1 and line in ran.err


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named_and_the_rest_evaluated_unless_it_is_strict(case: str, folder: Path) -> None:
    (folder / "bad.wav").write_text("no sound")
    rows, line = BAD[case]
    good = "quiet.wav\nb.wav\t0\t0.7\tloud\nb.wav\t1.5\t2.6\tloud\n"
    path = folder / "labels.tsv"
    path.write_text(f"filename\tonset\toffset\tevent_label\n{rows}\n{good}", encoding="utf-8")
    ran = Ran("eval", path, "-f", "json")
    assert line in ran.err
    if case == "undecodable":  # a recording that fails is no bad row
        assert ran.code == 1
    else:
        n_rows = 4 + rows.count("\n")
        assert ran.code == 0 and f"1 of {n_rows} rows are invalid and left out" in ran.err
    result = json.loads(ran.out)
    assert result["n_recordings"] == 2 + (case == "twice")
    assert len(result["warnings"]) == 1 and line in result["warnings"][0]
    (loud,) = (row for row in result["labels"] if row["label"] == "loud")
    assert case == "twice" or loud["figures"]["event_f1"]["value"] == 1
    strict = Ran("eval", path, "-f", "json", "--strict")
    assert (strict.code, strict.out) == (2, "") and line in strict.err
    path.write_text(f"filename\tonset\toffset\tevent_label\n{good}", encoding="utf-8")
    for flags in ([], ["--strict"]):
        assert "warnings" not in Ran("eval", path, "-f", "json", *flags).result


def test_a_recording_that_cannot_be_encoded_is_left_out_too(
    folder: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pe_audio_cli.evaluation import runner as run

    real = run.localize

    def failing(*arguments, **options):
        for number, result in enumerate(real(*arguments, **options)):
            yield FileError(result.recording.file, "encode", "out of memory") if number == 1 else result

    monkeypatch.setattr(run, "localize", failing)
    ran = Ran("eval", labelled, "--audio", folder, "-f", "json")
    assert ran.code == 1 and "b.wav: out of memory" in ran.err
    assert json.loads(ran.out)["n_recordings"] == 2 and "out of memory" in json.loads(ran.out)["warnings"][0]
    strict = Ran("eval", labelled, "--audio", folder, "-f", "json", "--strict")
    assert (strict.code, strict.out) == (1, "") and "nothing was evaluated" in strict.err


def test_an_offset_a_little_beyond_the_end_is_clipped_and_said_as_in_desed(folder: Path) -> None:
    path = folder / "labels.tsv"
    rows = "a.wav\t0.5\t1.3\tloud\na.wav\t2\t4.128\tloud\nb.wav\t0\t0.7\tloud\nb.wav\t1.5\t2.6\tloud\n"
    path.write_text(f"filename\tonset\toffset\tevent_label\n{rows}", encoding="utf-8")
    ran = Ran("eval", path, "-f", "json")
    said = f"{path}, row 3: the offset 4.128 s is beyond the end of {folder / 'a.wav'}, which is at 4.013 s"
    assert ran.result["overall"]["event_f1"]["value"] == 1 and ran.result["labels"][0]["count"] == 4
    assert f"warning: {said}, so the event ends there" in ran.err and "left out" not in ran.err
    assert ran.result["warnings"] == [f"{said}, so the event ends there"]
    strict = Ran("eval", path, "-f", "json", "--strict")
    assert strict.code == 2 and said in strict.err


def test_slices_of_urbansound8k_have_weak_labels(tmp_path: Path) -> None:
    rows = [("dog_bark", 0.09), ("siren", 0.02)]
    table = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
    for number, (name, level) in enumerate(rows):
        bursts(tmp_path / "audio" / f"fold{number + 1}" / f"{number}-3-0-0.wav", 1.0, 8_000, (0, 1, level))
        table += f"{number}-3-0-0.wav,{number},{70.5 + number},{74.5 + number},1,{number + 1},{number},{name}\n"
    for head in ("slice_file_name", "filename"):  # as it is, and as people rename its column
        (tmp_path / "UrbanSound8K.csv").write_text(table.replace("slice_file_name", head), encoding="utf-8")
        ran = Ran("eval", tmp_path / "UrbanSound8K.csv", "--audio", tmp_path / "audio", "--map", "urbansound8k")
        assert ran.result["kind"] == "weak" and ran.result["n_recordings"] == 2
        assert [row["label"] for row in ran.result["labels"]] == ["dog_bark", "siren"]


@pytest.mark.parametrize("there", ["folder", "file", "nothing"])
def test_the_name_of_a_shipped_set_is_the_set_whatever_lies_there(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bursts(Path("in/Alarm_bell_ringing/1.wav"), 1.0, 8_000, (0, 1, 0.1))
    bursts(Path("in/Speech/1.wav"), 1.0, 8_000, (0, 1, 0.05))
    if there == "folder":
        Path("desed").mkdir()
    elif there == "file":
        Path("desed").write_text("Speech,my own words\n", encoding="utf-8")
    ran = Ran("eval", "in", "--map", "desed", "--tune", "out.toml", "-f", "json")
    assert ran.code == 0, ran
    assert "my own words" not in Path("out.toml").read_text(encoding="utf-8")
    said = "--map desed is the built-in label set; for the file of that name, write ./desed"
    assert (said in ran.err) == (there != "nothing")
    if there == "file":
        Ran("eval", "in", "--map", "./desed", "--tune", "out.toml", "--overwrite", "-f", "json")
        assert "my own words" in Path("out.toml").read_text(encoding="utf-8")
    if there == "folder":
        assert "cannot read ./desed" in Ran("eval", "in", "--map", "./desed").err


def test_many_problems_are_cut_short(folder: Path) -> None:
    rows = "".join(f"z{number}.wav\t0\t1\tx\n" for number in range(30))
    (folder / "labels.tsv").write_text(f"filename\tonset\toffset\tevent_label\n{rows}", encoding="utf-8")
    lines = Ran("eval", folder / "labels.tsv").err.splitlines()
    assert len(lines) == 21 and lines[-1] == "peaudio: ... and 10 problems more"


def test_events_that_became_one_are_told(folder: Path) -> None:
    path = folder / "labels.tsv"
    rows = "a.wav\t0.5\t1\tloud\na.wav\t1\t1.3\tloud\na.wav\t2\t4.013\tloud\n"
    path.write_text(f"filename\tonset\toffset\tevent_label\n{rows}", encoding="utf-8")
    ran = Ran("eval", path, "-f", "json")
    assert "overlap or touch others of their label were merged: 1" in ran.err
    assert ran.result["labels"][0]["count"] == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--tune-calibration"], "tuning needs an output file: name it with --tune out.toml"),
        (["--tune", "x.toml", "--for", "precision=2"], "--for is f1, precision=P or recall=P"),
        (["--template", "x"], "--template 'x' has no {} in it"),
        (["--threshold", "2"], "the threshold must be from 0 to 1: got 2"),
        (["--tune", "labels.tsv"], "labels.tsv exists: choose another name, or --overwrite"),
        (["-o", "x.json", "--tune", "x.json"], "--output and --tune are both x.json"),
        (["-o", "none/x.json"], "there is no folder none"),
        (["-o", "x.pdf"], "cannot infer the format from x.pdf"),
        (["--map", "none.csv"], "cannot read none.csv"),
        (["--settings", "none.toml"], "cannot read the settings none.toml"),
        (["--audio", "none"], "--audio none is not a folder"),
        (["-m", "./none"], "./none"),
        (["--window", "0.1"], "the window must be 1 s or longer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_is_refused_in_one_line(
    flags: list[str], said: str, labelled: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    ran = Ran("eval", "labels.tsv", "--audio", "in", *flags)
    assert ran.code == 2 and ran.out == "" and said in ran.err and len(ran.err.splitlines()) == 1


def test_weak_annotations_have_no_events_to_tune(tmp_path: Path) -> None:
    bursts(tmp_path / "loud" / "a.wav", 1.0, 8_000, (0, 1, 0.05))
    for flags in (["--median", "0.2"], ["--tune", str(tmp_path / "x.toml"), "--tune-postprocessing"]):
        assert "these annotations have no times" in Ran("eval", tmp_path, *flags).err


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    labelled: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    ran = Ran("eval", labelled, "--audio", folder)
    assert ran.code == 2 and "pip install 'pe-audio-cli[eval]'" in ran.err


def test_a_dash_stands_for_standard_output(labelled: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    before = set(os.listdir())
    plain = Ran("eval", labelled, "--audio", folder, "-f", "csv")
    for flags in ([], ["--overwrite"]):
        ran = Ran("eval", labelled, "--audio", folder, "-f", "csv", "-o", "-", *flags)
        assert (ran.code, ran.out) == (0, plain.out) and plain.out.startswith("scope,")
    assert Ran("eval", labelled, "--audio", folder, "-o", "-").result["schema"]
    assert set(os.listdir()) == before


def test_a_dash_is_no_file_for_tuned_settings(labelled: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    ran = Ran("eval", labelled, "--audio", folder, "--tune", "-")
    assert (ran.code, ran.out, Path("-").exists()) == (2, "", False)
    assert "name it with --tune out.toml" in ran.err


def test_the_report_goes_to_a_file_as_a_whole(labelled: Path, folder: Path) -> None:
    out = folder.parent / "report.csv"
    assert Ran("eval", labelled, "--audio", folder, "-o", out).out == ""
    assert out.read_text(encoding="utf-8").startswith("scope,label,figure,value,low,high\n")
    assert Ran("eval", labelled, "--audio", folder, "-o", out).code == 2
    assert Ran("eval", labelled, "--audio", folder, "-o", out, "--overwrite", "-f", "table").code == 0
    assert "AUROC" in out.read_text(encoding="utf-8")


def test_the_help_shows_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = Ran("eval", "--help").out
    assert [form.example for form in FORMATS if form.example not in shown] == []
