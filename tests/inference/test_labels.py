"""Labels from everywhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference import labels
from pe_audio_cli.inference.labels import LabelOptions, fill_template, gather_labels, label_set, label_set_names
from pe_audio_cli.models import registry


def test_labels_come_in_order_and_once(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("wind\nrain\n")
    options = LabelOptions(["rain, a dog barking ,"], ["hello, world"], [file], ["urbansound8k"])
    gathered = gather_labels(options)
    assert gathered[:4] == ["rain", "a dog barking", "hello, world", "wind"]
    assert gathered[4:] == [label for label in label_set("urbansound8k") if label != "a dog barking"]
    assert gather_labels(LabelOptions()) == []


@pytest.mark.parametrize(
    "content",
    [b"a cat\na dog\n", b"\xef\xbb\xbfa cat\r\n\r\n# no\r\na dog", b"  a cat \n# x\n\na dog\r"],
    ids=["plain", "bom and crlf", "blanks"],
)
def test_a_label_file_holds_one_a_line(tmp_path, content):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    assert gather_labels(LabelOptions(files=[file])) == ["a cat", "a dog"]


def test_a_hash_inside_a_label_and_a_line_separator_are_part_of_it(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("a C# chord\none\u2028two\n", encoding="utf-8")
    assert gather_labels(LabelOptions(files=[file])) == ["a C# chord", "one\u2028two"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (LabelOptions(lists=[" , "]), "names no label"),
        (LabelOptions(verbatim=[" "]), "blank"),
        (LabelOptions(files=[Path("/nowhere/labels.txt")]), "No such file"),
        (LabelOptions(sets=["nothing"]), "choose from audioset, desed"),
    ],
)
def test_no_labels_where_some_were_promised_is_refused(options, says):
    with pytest.raises(UsageError, match=says):
        gather_labels(options)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("rain\nñ".encode("latin-1"), "not UTF-8"),
        ("rain".encode("utf-16"), "not UTF-8"),
        (b"# only\n\n", "holds no label"),
        (b"rain\n" + b"x" * (65 << 20), "more than 64 MiB"),
    ],
)
def test_an_unreadable_label_file_is_refused(tmp_path, content, says):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        gather_labels(LabelOptions(files=[file]))


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("a" * 1_000_000, "1,000,000 characters.*shorten it"),
        (os.fsdecode(b"caf\xe9"), "not UTF-8"),
        ("\ud800", "not UTF-8"),
    ],
    ids=["a megabyte", "bytes", "half a character"],
)
def test_what_no_model_takes_for_a_label_is_refused_in_one_short_line(tmp_path, label, says):
    sources = [LabelOptions(lists=[label]), LabelOptions(verbatim=[label])]
    if label.isascii():
        (tmp_path / "labels.txt").write_text(label)
        sources.append(LabelOptions(files=[tmp_path / "labels.txt"]))
    for options in sources:
        with pytest.raises(UsageError, match=says) as raised:
            gather_labels(options)
        assert len(str(raised.value).encode()) < 200
    with pytest.raises(UsageError, match=says):
        labels.check_labels(["rain", label])


def test_a_template_wraps_each_label():
    assert fill_template("the sound of {}, {}!", ["rain"]) == ["the sound of rain, rain!"]
    with pytest.raises(UsageError, match="has no"):
        fill_template("the sound of", ["rain"])


SHIPPED_SETS = {"audioset": 527, "desed": 10, "esc50": 50, "fsd50k": 200, "urbansound8k": 10, "vggsound": 309}
PROPER = {"African", "Afrobeat", "American", "Asian", "Baltimore", "Bollywood", "Carnatic", "Christian", "Christmas"}
PROPER |= {"DJ", "Eastern", "French", "Hammond", "Latin", "Middle"}


@pytest.mark.parametrize("name", SHIPPED_SETS)
class TestShippedSet:
    def test_it_has_a_label_for_each_class_and_no_label_twice(self, name):
        assert len(label_set(name)) == len(set(label_set(name))) == SHIPPED_SETS[name]

    def test_its_labels_are_what_a_person_would_say(self, name):
        """Plain words, without a comma that ``--labels`` would cut at; capitals in proper names alone."""
        for label in label_set(name):
            assert re.fullmatch(r"[A-Za-z'-]+( [A-Za-z'-]+)*", label), label
            assert all(word == word.lower() or word in PROPER for word in label.split()), label

    def test_every_label_stands_beside_one_class_of_the_data_set(self, name):
        rows = [line.split("\t") for line in set_file(name) if not line.startswith("#")]
        assert [label for _, label in rows] == label_set(name)
        assert len({class_name for class_name, _ in rows}) == SHIPPED_SETS[name]

    def test_its_header_tells_how_many_they_are_whose_they_are_and_under_which_licence(self, name):
        header = " ".join(line for line in set_file(name) if line.startswith("#"))
        assert f"The {SHIPPED_SETS[name]} classes of " in header
        assert re.search(r"Source: .*https://.*Licence", header)


def set_file(name: str) -> list[str]:
    return (labels.SETS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("name", "place", "class_name", "label"),
    [
        ("audioset", 0, "Speech", "a person speaking"),
        ("audioset", 80, "Whimper (dog)", "a dog whimpering"),
        ("audioset", 526, "Field recording", "a field recording"),
        ("desed", 0, "Alarm_bell_ringing", "an alarm or a bell ringing"),
        ("esc50", 49, "hand_saw", "a hand saw"),
        ("fsd50k", 53, "Crushing", "something being crushed"),
        ("urbansound8k", 3, "dog_bark", "a dog barking"),
        ("vggsound", 308, "air horn", "an air horn"),
    ],
)
def test_classes_stand_in_the_order_of_the_data_set(name, place, class_name, label):
    rows = [line for line in set_file(name) if not line.startswith("#")]
    assert rows[place] == f"{class_name}\t{label}"
    assert label_set(name)[place] == label


def test_the_labels_of_a_shipped_checkpoint_are_a_set_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "mini").mkdir()
    (tmp_path / "mini" / "labels.txt").write_text("# ours\na cat\na dog\n")
    monkeypatch.setattr(registry, "SHIPPED", tmp_path)
    assert label_set_names() == sorted([*SHIPPED_SETS, "mini"])
    assert label_set("mini") == ["a cat", "a dog"]
