"""Labels from everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pe_audio_cli.errors import UsageError
from pe_audio_cli.run.labels import LabelOptions, fill_template, gather_labels, label_set, label_set_names


def test_labels_come_in_order_and_once(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("wind\nrain\n")
    options = LabelOptions(["rain, a dog barking ,"], ["hello, world"], [file], ["urbansound8k"])
    labels = gather_labels(options)
    assert labels[:4] == ["rain", "a dog barking", "hello, world", "wind"]
    assert labels[4:] == [label for label in label_set("urbansound8k") if label != "a dog barking"]
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
        (LabelOptions(sets=["nothing"]), "choose from desed"),
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
    ],
)
def test_an_unreadable_label_file_is_refused(tmp_path, content, says):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        gather_labels(LabelOptions(files=[file]))


def test_a_template_wraps_each_label():
    assert fill_template("the sound of {}, {}!", ["rain"]) == ["the sound of rain, rain!"]
    with pytest.raises(UsageError, match="has no"):
        fill_template("the sound of", ["rain"])


@pytest.mark.parametrize(("name", "n_labels"), [("desed", 10), ("esc50", 50), ("urbansound8k", 10)])
def test_shipped_sets_are_whole(name, n_labels):
    assert name in label_set_names()
    assert len(set(label_set(name))) == n_labels
