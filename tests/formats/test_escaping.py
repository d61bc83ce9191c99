"""Labels and names that a format has to change are known before anything is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from timelines import texts

from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.name_escaping import check_files_differ, check_labels_differ, escaped_names
from pe_audio_cli.formats.registry import WRITERS, writer_for

RTTM, RAVEN, SRT, JSON = (writer_for(name, "localize") for name in ("rttm", "raven", "srt", "json"))


def test_escaped_names_are_reported() -> None:
    labels, files = ["a dog", "rain", 'the "wind"'], ["in/my cat.wav", "in/dog.wav"]
    assert escaped_names(RTTM, labels, files) == {"a dog": "a_dog", 'the "wind"': "the_'wind'", "my cat": "my_cat"}
    assert escaped_names(RAVEN, [*labels, "a\tb"], files) == {"a\tb": "a b"}
    assert escaped_names(JSON, ["a\tb\n"], ["x\ny.wav"]) == {}


def test_labels_that_would_become_the_same_are_refused() -> None:
    with pytest.raises(UsageError, match="rttm writes both 'a dog' and 'a_dog' as a_dog"):
        check_labels_differ(RTTM, ["rain", "a dog", "a_dog"])
    check_labels_differ(JSON, ["rain", "a dog", "a_dog"])


def test_recordings_that_would_get_the_same_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rttm gives .*a/x.wav and .*b/x.flac the same name: .* -o FOLDER/"):
        check_files_differ(RTTM, ["a/x.wav", "a/y.wav", "b/x.flac"])
    check_files_differ(RTTM, ["a/x.wav", "a/../a/x.wav", "a/y.wav"])
    check_files_differ(RAVEN, ["a/x.wav", "b/x.wav"])


def test_several_recordings_are_refused_where_there_is_room_for_one() -> None:
    with pytest.raises(UsageError, match=r"srt holds one recording, not 2: .* -o FOLDER/"):
        check_files_differ(SRT, ["a.wav", "a.wav"])
    check_files_differ(SRT, ["a.wav"])


@pytest.mark.parametrize("writer_type", WRITERS, ids=lambda writer: writer.name)
@given(text=texts)
def test_escaping_is_idempotent(writer_type, text) -> None:
    escaped = writer_type.escape(text)
    assert writer_type.escape(escaped) == escaped
    assert bool(escaped.strip()) >= bool(text.strip())
