"""Prompts for the model: from a map, in templates, together and alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_audio_cli.errors import AnnotationError
from pe_audio_cli.evaluation.prompts import LabelPrompt, label_prompts, read_map


def written(tmp_path: Path, text: str) -> str:
    (tmp_path / "map").write_text(text, encoding="utf-8", newline="")
    return str(tmp_path / "map")


@pytest.mark.parametrize(
    "text",
    [
        'dog_bark,a dog barking,dog\n# of AudioSet\n\n/m/09x0r,"speech, or singing"\n',
        "dog_bark\ta dog barking\tdog\r\n/m/09x0r\tspeech, or singing\t\r\n",
    ],
    ids=["commas", "tabs"],
)
def test_a_map_gives_names_one_or_several_prompts(tmp_path: Path, text: str) -> None:
    assert read_map(written(tmp_path, text)) == {
        "dog_bark": ("a dog barking", "dog"),
        "/m/09x0r": ("speech, or singing",),
    }


def test_what_is_wrong_with_a_map_has_a_line_with_its_row(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,one\nb\na,two\n,three\n"c,four\n')
    with pytest.raises(AnnotationError) as raised:
        read_map(path)
    assert [problem.removeprefix(f"{path}, ") for problem in raised.value.problems] == [
        "row 2: not a name and its prompts, separated by commas or tabs",
        "row 3: 'a' has prompts already: put all of them in one row",
        "row 4: not a name and its prompts, separated by commas or tabs",
        "row 5: a cell begins with a quotation mark, but does not end with one",
    ]


def test_a_label_is_asked_for_in_all_its_words_and_templates_together() -> None:
    asked = label_prompts(["dog", "rain"], {"dog": ("a dog", "barking")}, ["{}", "the sound of {}"])
    assert asked == [
        LabelPrompt("dog", ("a dog", "barking", "the sound of a dog", "the sound of barking")),
        LabelPrompt("rain", ("rain", "the sound of rain")),
    ]


def test_templates_and_prompts_are_compared_alone() -> None:
    asked = label_prompts(["dog", "rain"], {"dog": ("a dog", "barking")}, ["{}"], ["{}", "hear {}"])
    assert asked[2:] == [
        LabelPrompt("dog", ("a dog", "barking"), template="{}"),
        LabelPrompt("rain", ("rain",), template="{}"),
        LabelPrompt("dog", ("hear a dog", "hear barking"), template="hear {}"),
        LabelPrompt("rain", ("hear rain",), template="hear {}"),
        LabelPrompt("dog", ("a dog",), text="a dog"),
        LabelPrompt("dog", ("barking",), text="barking"),
    ]
