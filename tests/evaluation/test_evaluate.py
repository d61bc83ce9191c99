"""The scores of an evaluation become a result: metrics, what they leave out, comparisons, and tuning."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from pe_audio_cli.detection.label_settings import LabelSettings, SettingsFile
from pe_audio_cli.evaluation.annotations.folder import Annotated, Annotations, Reference
from pe_audio_cli.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate_scores
from pe_audio_cli.evaluation.prompts import LabelPrompt, label_prompts
from pe_audio_cli.evaluation.reporting.evaluation_result import EvaluationResult
from pe_audio_cli.evaluation.reporting.render import render
from pe_audio_cli.evaluation.tuning.settings_writer import tuned_text
from pe_audio_cli.evaluation.tuning.tuning import TuningOptions
from pe_audio_cli.options import EventOptions, PerLabel, TagOptions

LABELS = ["dog", "rain", "wind"]


def weak(truth: list[str], labels: list[str], asked: list[LabelPrompt] | None = None) -> Evaluation:
    """One recording for each text of ``truth``, which names its labels."""
    recordings = tuple(Annotated(f"{number}.wav", tuple(text.split())) for number, text in enumerate(truth))
    durations = {recording.file: 10.0 for recording in recordings}
    return Evaluation(
        "x.csv",
        Annotations("weak", recordings),
        durations,
        label_prompts(labels, {}, ["{}"]) if asked is None else asked,
    )


def columns(*probabilities: list[float]) -> list[np.ndarray]:
    """Return the scores of each recording's prompts."""
    return [np.array(row, np.float32)[:, None] for row in probabilities]


SINGLE = weak(["dog", "dog", "rain", "rain", "wind", "wind"], LABELS)
ANSWERS = columns([0.9, 0.2, 0.1], [0.6, 0.7, 0.1], [0.1, 0.8, 0.2], [0.3, 0.6, 0.1], [0.2, 0.1, 0.4], [0.4, 0.3, 0.3])


def test_figures_of_single_labels() -> None:
    result = evaluate_scores(SINGLE, "m", ANSWERS, EvaluationOptions())
    scores = np.concatenate(ANSWERS, axis=1).T
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 1, 2, 2]]
    overall = {name: figure.value for name, figure in result.overall.items()}
    assert overall["auroc"] == pytest.approx(np.mean([roc_auc_score(truth[:, i], scores[:, i]) for i in range(3)]))
    assert overall["average_precision"] == pytest.approx(
        np.mean([average_precision_score(truth[:, i], scores[:, i]) for i in range(3)])
    )
    assert overall["top1"] == pytest.approx(4 / 6) and "top5" not in overall  # of three labels
    assert result.confusion is not None
    assert result.confusion.counts == ((1, 1, 0), (0, 2, 0), (1, 0, 1))
    dog, rain, wind = result.labels
    assert [row.count for row in result.labels] == [2, 2, 2]
    assert dog.figures["f1"].value == 1 and dog.threshold == 0.5
    assert (rain.figures["precision"].value, rain.figures["recall"].value) == (pytest.approx(2 / 3), 1)
    assert "precision" not in wind.figures and wind.figures["f1"].value == 0  # nothing was taken for wind
    assert all(figure.low <= figure.high for name, figure in result.overall.items() if name != "calibration_error")


def test_a_label_without_positives_or_negatives_is_named_and_in_no_mean() -> None:
    evaluation = weak(["dog rain", "rain", "dog rain", "rain"], LABELS)
    answers = columns([0.9, 0.2, 0.9], [0.1, 0.7, 0.9], [0.8, 0.1, 0.9], [0.2, 0.9, 0.9])
    result = evaluate_scores(evaluation, "m", answers, EvaluationOptions())
    assert result.without_positives == ("wind",) and result.without_negatives == ("rain",)
    assert result.overall["auroc"].value == result.overall["average_precision"].value == 1  # of dog alone
    assert "auroc" not in result.labels[1].figures and "f1" not in result.labels[2].figures
    assert result.overall["f1"].value == pytest.approx((1 + 2 / 3) / 2)  # rain has an F1, wind has not
    assert result.confusion is None and "top1" not in result.overall
    shown = render(result, "table", 100)
    assert "no positive, so in no mean that needs one: wind" in shown
    assert "no negative, so in no mean that needs one: rain" in shown


def test_thresholds_of_single_labels_count() -> None:
    options = EvaluationOptions(tags=PerLabel(TagOptions(threshold=0.5), {"wind": TagOptions(threshold=0.3)}))
    result = evaluate_scores(SINGLE, "m", ANSWERS, options)
    assert [row.threshold for row in result.labels] == [0.5, 0.5, 0.3]
    assert result.labels[2].figures["recall"].value == 1


def events(*recordings: tuple[list[tuple[str, float, float]], float]) -> Annotations:
    return Annotations(
        "strong",
        tuple(
            Annotated(
                f"{n}.wav", tuple(sorted({x[0] for x in found})), tuple(Reference(*each) for each in sorted(found))
            )
            for n, (found, _) in enumerate(recordings)
        ),
    )


def strong() -> tuple[Evaluation, list[np.ndarray]]:
    """Two recordings of 4 s in which a dog is heard as annotated, at 0.8 for 0.2, and rain is not."""
    annotations = events(([("dog", 1.0, 2.0)], 4.0), ([("dog", 2.0, 3.0), ("rain", 0.0, 1.0)], 4.0))
    evaluation = Evaluation("x.tsv", annotations, {"0.wav": 4.0, "1.wav": 4.0}, label_prompts(LABELS, {}, ["{}"]))
    answers = np.full((2, 3, 100), 0.2, np.float32)
    answers[0, 0, 25:50] = answers[1, 0, 50:75] = 0.8
    return evaluation, list(answers)


def test_figures_of_events() -> None:
    evaluation, answers = strong()
    result = evaluate_scores(evaluation, "m", answers, EvaluationOptions())
    dog, rain, _ = result.labels
    assert {name: figure.value for name, figure in dog.figures.items() if name != "calibration_error"} == dict.fromkeys(
        ("auroc", "average_precision", "psds1", "psds2", "event_f1", "event_precision", "event_recall", "segment_f1"), 1
    )
    assert rain.figures["event_f1"].value == 0 and rain.figures["auroc"].value == 0.5
    assert result.without_positives == ("wind",)
    assert result.overall["event_f1"].value == 0.5
    assert (result.subject.n_recordings, result.subject.seconds) == (2, 8.0)
    strict = evaluate_scores(evaluation, "m", answers, EvaluationOptions(events=PerLabel(EventOptions(0.9))))
    assert strict.labels[0].figures["event_f1"].value == 0 and strict.labels[0].figures["auroc"].value == 1


def test_an_offset_that_was_rounded_up_ends_with_the_recording() -> None:
    evaluation, answers = strong()
    annotations = events(([("dog", 1.0, 2.0)], 4.0), ([("dog", 3.0, 4.02), ("rain", 0.0, 1.0)], 4.0))
    answers[1][0] = np.where(np.arange(100) >= 75, 0.8, 0.2)
    result = evaluate_scores(replace(evaluation, annotations=annotations), "m", answers, EvaluationOptions())
    assert result.labels[0].figures["psds1"].value == result.labels[0].figures["auroc"].value == 1


def test_templates_and_prompts_are_compared_best_first() -> None:
    asked = [
        *label_prompts(["dog"], {}, ["{}"]),
        LabelPrompt("dog", ("bad dog",), template="bad {}"),
        LabelPrompt("dog", ("good dog",), template="good {}"),
        LabelPrompt("dog", ("hound",), text="hound"),
        LabelPrompt("dog", ("puppy",), text="puppy"),
    ]
    answers = columns([0.9, 0.1, 0.9, 0.5, 0.9], [0.2, 0.8, 0.2, 0.6, 0.1], [0.8, 0.1, 0.8, 0.7, 0.6])
    result = evaluate_scores(weak(["dog", "", "dog"], ["dog"], asked), "m", answers, EvaluationOptions())
    assert [(each.label, each.text) for each in result.compared] == [
        (None, "good {}"),
        (None, "bad {}"),
        ("dog", "puppy"),
        ("dog", "hound"),
    ]
    assert result.compared[0].figures["average_precision"].value == 1


def test_tuning_mends_a_bad_threshold_and_says_what_that_is_worth() -> None:
    truth = ["dog" if number % 2 else "" for number in range(20)]
    answers = columns(*([0.2 + 0.05 * bool(text) + 0.001 * number, 0.5] for number, text in enumerate(truth)))
    evaluation = weak(truth, ["dog", "rain"])
    settings = SettingsFile("old.toml", "m", "0", {"dog": LabelSettings(("a dog",), scale=2.0, bias=1.0)})
    options = EvaluationOptions(settings=settings, tune=TuningOptions(calibration=True))
    tuning = evaluate_scores(evaluation, "m", answers, options).tuning
    assert tuning is not None and tuning.not_tuned == ("rain",)
    (dog,) = tuning.labels
    assert dog.before["f1"].value == 0 and dog.after["f1"].value > 0.9
    assert dog.after["calibration_error"].value < dog.before["calibration_error"].value
    assert dog.settings.prompts == ("dog",)
    # What was fitted comes on top of the calibration that the scores have already.
    again = evaluate_scores(evaluation, "m", answers, replace(options, settings=SettingsFile())).tuning
    assert again is not None
    fitted = again.labels[0].settings
    assert dog.settings.scale == pytest.approx(2 * fitted.scale, rel=1e-3)
    assert dog.settings.bias == pytest.approx(fitted.scale + fitted.bias, rel=1e-3)


def full_result() -> EvaluationResult:
    """One with all of its parts."""
    evaluation, answers = strong()
    asked = [
        *evaluation.prompts,
        LabelPrompt("dog", ("hound",), template="x {}"),
        LabelPrompt("dog", ("a",), text="=a[/b]\x1b"),
    ]
    wide = [np.concatenate([rows, rows[:2]]) for rows in answers]
    options = EvaluationOptions(tune=TuningOptions(postprocessing=True, calibration=True))
    return evaluate_scores(replace(evaluation, prompts=asked), "m", wide, options)


def test_json_holds_every_figure_and_no_nan() -> None:
    result = full_result()
    told = json.loads(render(result, "json"), parse_constant=lambda name: pytest.fail(name))
    assert told["schema"] == "peaudio.eval/1" and told["kind"] == "strong" and told["model"] == "m"
    assert told["overall"]["auroc"]["value"] == round(result.overall["auroc"].value, 6)
    assert [row["label"] for row in told["labels"]] == LABELS
    assert told["without_positives"] == ["wind"]
    assert told["tuning"]["labels"][0]["settings"]["threshold"] < 0.8
    assert {each["text"] for each in told["compared"]} == {"x {}", "=a[/b]\x1b"}


def test_csv_has_a_row_for_each_figure() -> None:
    result = full_result()
    rows = list(csv.DictReader(io.StringIO(render(result, "csv"), newline="")))
    found = {(row["scope"], row["label"], row["figure"]): row["value"] for row in rows}
    assert found["overall", "", "psds1"] == f"{result.overall['psds1'].value:.6f}"
    assert found["label", "dog", "event_f1"] == "1.000000" and found["label", "wind", "count"] == "0"
    assert ("label", "wind", "auroc") not in found
    assert ("after tuning", "dog", "event_f1") in found
    assert ("prompt", "dog: =a[/b]\x1b", "auroc") in found


def test_the_table_shows_all_parts_and_drives_no_terminal() -> None:
    shown = render(full_result(), "table", 120)
    for part in ("AUROC", "PSDS1", "event F1", "annotated", "tuned for F1", "=a[/b]\\x1b", "cross-validated"):
        assert part in shown, part
    assert "\x1b" not in shown and max(map(len, shown.splitlines())) <= 120


def test_settings_hold_tuned_labels_and_those_that_were_not_tuned(tmp_path) -> None:
    from pe_audio_cli.detection.label_settings import read_settings

    result = full_result()
    assert result.tuning is not None
    prompts = {"dog": ("dog",), "rain": ("rain falling",), "wind": ("wind",)}
    text = tuned_text(result, result.tuning, SettingsFile("", "m", "0123"), prompts)
    (tmp_path / "out.toml").write_text(text, encoding="utf-8")
    read = read_settings(tmp_path / "out.toml", "localize")
    assert list(read.labels) == LABELS and (read.model, read.fingerprint) == ("m", "0123")
    assert read.labels["dog"].rules["threshold"] == result.tuning.labels[0].settings.rules["threshold"]
    assert read.labels["dog"].prompts == () and read.labels["wind"] == LabelSettings()
    assert "# not annotated, so not tuned" in text and "cross-validated" in text
