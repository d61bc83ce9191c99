"""Settings files: what is written is read, what is edited by hand counts, what makes no sense is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pe_audio_cli.detection.label_settings import (
    LabelSettings,
    SettingsFile,
    carried_settings,
    read_settings,
    settings_in,
)
from pe_audio_cli.errors import UsageError
from pe_audio_cli.evaluation.tuning.settings_writer import settings_text
from pe_audio_cli.options import EventOptions, TagOptions

texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
seconds = st.none() | st.floats(0, 3600)


@st.composite
def label_settings(draw: st.DrawFn) -> LabelSettings:
    threshold = draw(st.none() | st.floats(0, 1))
    lower = draw(st.none() | st.floats(0, 0.3 if threshold is None else threshold))
    scale, bias = draw(st.floats(1e-6, 1e6)), draw(st.floats(-1e6, 1e6))
    lengths = {name: draw(seconds) for name in ("median", "merge_gap", "min_duration")}
    rules = {"threshold": threshold, "offset_threshold": lower, **lengths}
    chosen = {name: value for name, value in rules.items() if value is not None}
    return LabelSettings(tuple(draw(st.lists(texts, max_size=3))), chosen, scale, bias)


@given(st.dictionaries(texts, label_settings(), min_size=1, max_size=4), texts)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, labels: dict, model: str) -> None:
    settings = SettingsFile("tuned.toml", model, "0123", labels)
    path = tmp_path_factory.mktemp("settings") / "tuned.toml"
    remarks = dict.fromkeys(labels, "F1 0.81")
    path.write_bytes(settings_text(settings, "localize", "Tuned on\nthis.", remarks).encode())
    assert read_settings(path, "localize") == settings


def edited(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = edited(
        tmp_path,
        "[localize.labels.rain]\nthreshold = 0.4\noffset_threshold = 0.2\nmedian = 1\n"
        "[localize.labels.dog]\nmerge_gap = 0.5\n[tag.labels.rain]\nthreshold = 0.6\n",
    )
    settings = read_settings(path, "localize")
    plain = settings.event_options(EventOptions())
    assert plain.of("rain") == EventOptions(0.4, 0.2, median=1)
    assert plain.of("dog") == EventOptions(merge_gap=0.5)
    assert plain.of("wind") == EventOptions()
    won = settings.event_options(EventOptions(0.5, min_duration=0.1), {"threshold", "min_duration"})
    assert won.of("rain") == EventOptions(0.5, 0.2, median=1, min_duration=0.1)
    tags = read_settings(path, "tag").tag_options(TagOptions(top_k=3))
    assert tags.of("rain") == TagOptions(3, 0.6) and tags.of("dog") == TagOptions(3)
    with pytest.raises(UsageError, match=r"own.toml, 'rain': the offset threshold must be from 0 to the threshold"):
        settings.event_options(EventOptions(0.1), {"threshold"})


def test_no_file_sets_nothing() -> None:
    assert settings_in(None, "tag") is None
    assert settings_in(Path("none"), "tag") == SettingsFile()


def test_what_stands_above_the_labels_holds_for_all_of_them(tmp_path: Path) -> None:
    path = edited(
        tmp_path, "[localize]\nthreshold = 0.4\nmerge_gap = 1\n[localize.labels.rain]\nmerge_gap = 2\nscale = 3\n"
    )
    rules = read_settings(path, "localize").event_options(EventOptions())
    assert rules.of("wind") == EventOptions(0.4, merge_gap=1)
    assert rules.of("rain") == EventOptions(0.4, merge_gap=2)
    alone = edited(tmp_path, "[localize]\nmin_duration = 0.5\n")
    assert read_settings(alone, "localize").event_options(EventOptions()).own == {}
    again = edited(tmp_path, settings_text(read_settings(alone, "localize"), "localize", "", {}))
    assert read_settings(again, "localize").default == LabelSettings(rules={"min_duration": 0.5})


def test_prompts_under_their_former_name_are_read(tmp_path: Path) -> None:
    path = edited(tmp_path, "[tag.labels.rain]\nwordings = ['rain falling']\n")
    settings = read_settings(path, "tag")
    assert settings.labels["rain"].prompts == ("rain falling",)
    assert 'prompts = ["rain falling"]' in settings_text(settings, "tag", "", {})
    both = edited(tmp_path, "[tag.labels.rain]\nwordings = ['rain falling']\nprompts = ['rain']\n")
    with pytest.raises(UsageError, match="'rain': unknown setting 'wordings'"):
        read_settings(both, "tag")


def test_a_checkpoint_may_carry_settings_for_either_command(tmp_path: Path) -> None:
    assert carried_settings(tmp_path, "localize") == SettingsFile()
    (tmp_path / "settings.toml").write_text("[localize]\nthreshold = 0.4\noffset_threshold = 0.1\n")
    settings = carried_settings(tmp_path, "localize")
    assert settings.event_options(EventOptions()).default == EventOptions(0.4, 0.1)
    assert carried_settings(tmp_path, "tag") == SettingsFile()
    (tmp_path / "settings.toml").write_text("[localize]\nscale = 2\n")
    with pytest.raises(UsageError, match=r"settings.toml: unknown setting 'scale': localize has median"):
        carried_settings(tmp_path, "localize")


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_a_threshold_of_ones_own_moves_the_offset_threshold_that_a_checkpoint_carries(
    given: float, carried: float, share: float
) -> None:
    own = LabelSettings(rules={"threshold": carried, "offset_threshold": carried * share, "merge_gap": 0.5})
    settings = SettingsFile("settings.toml", default=own, carried=True)
    rule = settings.event_options(EventOptions(given), {"threshold"}).default
    assert (rule.threshold, rule.merge_gap) == (given, 0.5)
    assert rule.offset_threshold == pytest.approx(given * share)


TIDY = EventOptions(0.3, 0.1, None, 1.0, 0.4)


def test_tidy_wins_over_settings_and_flags_over_tidy(tmp_path: Path) -> None:
    assert EventOptions().tidied() == TIDY
    assert SettingsFile().event_options(EventOptions(), tidy=True).default == TIDY
    path = edited(tmp_path, "[localize.labels.rain]\nthreshold = 0.6\nmedian = 1\nmerge_gap = 3\n")
    rules = read_settings(path, "localize").event_options(EventOptions(min_duration=2), {"min_duration"}, tidy=True)
    assert rules.of("rain") == EventOptions(0.6, 0.2, None, 1.0, 2)
    assert rules.of("wind") == EventOptions(0.3, 0.1, None, 1.0, 2)
    low = SettingsFile().event_options(EventOptions(0.03), {"threshold"}, tidy=True).default
    assert low == EventOptions(0.03, 0.01, None, 1.0, 0.4)


REFUSED = {
    "threshold = 1.5": "'rain': the threshold must be from 0 to 1: got 1.5",
    "threshold = nan": "'rain': the threshold must be from 0 to 1: got nan",
    "threshold = '0.5'": "'rain': threshold must be a number",
    "threshold = true": "'rain': threshold must be a number",
    "treshold = 0.5": "'rain': unknown setting 'treshold': localize has bias, ",
    "offset_threshold = 0.4": "'rain': the offset threshold must be from 0 to the threshold (0.3): got 0.4",
    "median = -1": "'rain': the median must be from 0 to 3600 s: got -1",
    "scale = 0": "'rain': the scale must be above 0, so that it keeps the order: got 0",
    "scale = inf": "'rain': the scale must be above 0",
    "bias = nan": "'rain': the bias must be a number: got nan",
    "prompts = 'rain'": "'rain': prompts must be a list of texts",
    "prompts = ['']": "'rain': prompts must be a list of texts",
    "threshold = 1" + "0" * 400: "'rain': the threshold must be from 0 to 1: got a number of hundreds of digits",
    "median = 1" + "0" * 400: "'rain': the median must be from 0 to 3600 s: got a number of hundreds of digits",
    "scale = 1" + "0" * 400: "'rain': the scale must be above 0",
    "scale = 1e300": "'rain': the scale must be above 0",
    "bias = -1" + "0" * 400: "'rain': the bias must be a number: got a number of hundreds of digits",
    "scale = false": "'rain': scale must be a number",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_bad_value_is_refused_with_its_label(tmp_path: Path, line: str) -> None:
    path = edited(tmp_path, f"[localize.labels.rain]\n{line}\n")
    with pytest.raises(UsageError, match=re.escape(f"own.toml, {REFUSED[line]}")):
        read_settings(path, "localize")


def test_a_file_that_holds_no_such_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the settings .*: No such file"):
        read_settings(tmp_path / "none.toml", "tag")
    with pytest.raises(UsageError, match="are not TOML"):
        read_settings(edited(tmp_path, "threshold: 1"), "tag")
    with pytest.raises(UsageError, match=r"own.toml has no settings for tag: tune some with peaudio eval --tune"):
        read_settings(edited(tmp_path, "[localize.labels.rain]\nthreshold = 0.5\n"), "tag")
    with pytest.raises(UsageError, match="unknown setting 'median'"):
        read_settings(edited(tmp_path, "[tag.labels.rain]\nmedian = 0.5\n"), "tag")
    with pytest.raises(UsageError, match="model must be text"):
        read_settings(edited(tmp_path, "[tag]\nmodel = 1\n[tag.labels.rain]\nthreshold = 0.5\n"), "tag")


@pytest.mark.parametrize(
    "text",
    [
        "[localize.labels.rain]\nwordings = " + "[" * 20_000 + "]" * 20_000,
        "a = " + "{a = " * 5_000,
        "[localize.labels." + ".".join("a" * 1_000) + "]\nthreshold = 0.5",
        "[localize.labels]\nrain = " + "[" * 300 + "]" * 300,
        "[localize.labels.rain]\nthreshold = 1" + "0" * 5_000,
        "[localize]\nlabels = 1",
        "localize = true",
    ],
    ids=["lists", "tables", "dotted", "no table", "thousands of digits", "no labels", "no command"],
)
def test_what_is_nested_or_no_table_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_settings(edited(tmp_path, text), "localize")
    assert "own.toml" in str(raised.value) and "\n" not in str(raised.value) and len(str(raised.value)) < 500


@pytest.mark.parametrize("value", [True, "0.5", 10**400, float("nan"), None, [0.5]])
def test_options_in_python_are_numbers(value: object) -> None:
    with pytest.raises(UsageError, match="the threshold must be from 0 to 1"):
        EventOptions(threshold=value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [True + 0.5, "3", 0, -(10**400), float("nan")])
def test_top_k_is_a_whole_number(value: object) -> None:
    with pytest.raises(UsageError, match="top-k must be 1 or more"):
        TagOptions(top_k=value)  # type: ignore[arg-type]
