"""Every annotation format is detected from the content; problems are reported by row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import remove_tree

from pe_audio_cli.errors import AnnotationError, UsageError
from pe_audio_cli.evaluation.annotations.folder import Annotations, Reference, check_durations, read_annotations

EVENTS = {"a.wav": [("a dog", 0.5, 1.25), ("rain", 0.0, 3.0)], "sub/b.wav": [("rain", 1.0, 2.0)], "c.wav": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files that stand for recordings: annotations are read before any sound is."""
    for name in ("a.wav", "sub/b.wav", "c.wav"):
        path = tmp_path / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "audio"


def write(folder: Path, name: str, *lines: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="")
    return str(path)


def events(annotations: Annotations, folder: Path) -> dict[str, list[tuple[str, float, float]]]:
    assert annotations.kind == "strong"
    return {
        Path(recording.file).relative_to(folder).as_posix(): [
            (each.label, each.onset, each.offset) for each in recording.references
        ]
        for recording in annotations.recordings
    }


def tags(annotations: Annotations, folder: Path) -> dict[str, tuple[str, ...]]:
    assert annotations.kind == "weak"
    return {
        Path(recording.file).relative_to(folder).as_posix(): recording.labels for recording in annotations.recordings
    }


def problems(path: str, audio: Path | None = None) -> list[str]:
    with pytest.raises(AnnotationError) as raised:
        read_annotations(path, None if audio is None else str(audio))
    assert all("\n" not in problem for problem in raised.value.problems)
    return [problem.removeprefix(path).removeprefix(", ") for problem in raised.value.problems]


STRONG = {
    "dcase.tsv": [
        "filename\tonset\toffset\tevent_label",
        "a.wav\t0.5\t1.25\ta dog",
        "a.wav\t0\t3.0\train",
        "b.wav\t1\t2\train",
        "c.wav\t\t\t",
    ],
    "names_alone.tsv": [
        "filename\tonset\toffset\tevent_label",
        "c.wav",
        "",
        "a.wav\t0\t3.0\train",
        "a.wav\t0.5\t1.25\ta dog",
        "sub/b.wav\t1\t2\train",
    ],
    "audioset_strong.tsv": [
        "segment_id\tstart_time_seconds\tend_time_seconds\tlabel",
        "a\t0.500\t1.250\ta dog",
        "a\t0.000\t3.000\train",
        "b\t1.000\t2.000\train",
        "c\t\t\t",
    ],
    "ours.csv": [
        "file,label,start,end,probability",
        "a.wav,a dog,0.500,1.250,0.9",
        "a.wav,rain,0.000,3.000,0.9",
        '"b.wav",rain,1.000,2.000,0.9',
        "c.wav,,,,",
    ],
    "semicolons.csv": [
        "File;Start;End;Label;Who",
        "b.mp3;1;2;rain;me",
        "a.wav;0.5;1.25;a dog;you",
        "a.wav;0;3;rain;me",
        "c.wav;;;;",
    ],
    "ours.json": [
        '[{"file": "a.wav", "events": [{"label": "a dog", "start": 0.5, "end": 1.25},',
        '{"label": "rain", "start": 0, "end": 3.0}]},',
        '{"schema": "peaudio.error/1", "file": "gone.wav", "error": {"kind": "missing", "message": "gone"}},',
        '{"file": "sub/b.wav", "events": [{"label": "rain", "start": 1, "end": 2}]}, {"file": "c.wav", "events": []}]',
    ],
    "ours.jsonl": [
        '{"file": "a.wav", "events": [{"label": "a dog", "start": 0.5, "end": 1.25, "probability": 1},'
        '{"label": "rain", "start": 0, "end": 3.0}]}',
        '{"file": "b.wav", "events": [{"label": "rain", "start": 1, "end": 2}]}',
        "",
        '{"file": "c.wav", "events": []}',
    ],
}


@pytest.mark.parametrize("name", STRONG)
def test_a_file_of_strong_labels(name: str, folder: Path) -> None:
    read = read_annotations(write(folder.parent, name, *STRONG[name]), str(folder))
    assert events(read, folder) == EVENTS
    assert read.labels == ("a dog", "rain")


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"], ids=repr)
def test_byte_order_marks_and_any_newline(ending: bytes, folder: Path) -> None:
    path = folder / "marked.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + ending.join(line.encode() for line in STRONG["dcase.tsv"]))
    assert events(read_annotations(str(path)), folder) == EVENTS


def test_raven_selections_in_two_views_with_their_own_offsets(folder: Path) -> None:
    path = write(
        folder,
        "all.selections.txt",
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation",
        "1\tWaveform 1\t1\t0.5\t1.25\ta.wav\t0.5\ta dog",
        "1\tSpectrogram 1\t1\t0.5\t1.25\ta.wav\t0.5\ta dog",
        "2\tSpectrogram 1\t1\t31.0\t32.0\tb.wav\t1.0\train",
    )
    found = events(read_annotations(path), folder)
    assert found == {"a.wav": [("a dog", 0.5, 1.25)], "sub/b.wav": [("rain", 1.0, 2.0)]}


def test_a_raven_table_is_of_the_recording_that_it_is_called_after(folder: Path) -> None:
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tLabel"
    path = write(folder, "a.Table.1.selections.txt", header, "1\t0.5\t1.25\ta dog")
    assert events(read_annotations(path), folder) == {"a.wav": [("a dog", 0.5, 1.25)]}


def test_audacity_labels_beside_the_recordings(folder: Path) -> None:
    write(folder, "a.txt", "0.5\t1.25\ta dog", "\\\t100.0\t2000.0", "0\t3\train")
    write(folder, "sub/b.wav.txt", "1.000000\t2.000000\train")
    write(folder, "c.txt")
    write(folder, "ATTRIBUTION.txt", "These recordings are from a data set.")
    assert events(read_annotations(str(folder)), folder) == EVENTS
    assert events(read_annotations(str(folder / "a.txt")), folder) == {"a.wav": EVENTS["a.wav"]}


def test_audacity_labels_in_another_folder(folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "labels", "sub/b.wav.txt", "1\t2\train")
    found = events(read_annotations(str(tmp_path / "labels"), str(folder)), folder)
    assert found == {"sub/b.wav": [("rain", 1.0, 2.0)]}


def test_weak_labels_in_every_form(folder: Path, tmp_path: Path) -> None:
    expected = {"a.wav": ("a dog", "rain"), "sub/b.wav": ("rain",), "c.wav": ()}
    formats = {
        "rows.csv": ["file,label", "a.wav,rain", "a.wav,a dog", "b.wav,rain", "c.wav,"],
        "cells.csv": ["file,label", "a.wav,rain;a dog", "b.wav,rain", "c.wav,"],
        "cells.tsv": ["filename\tevent_labels", "a.wav\train,a dog", "b.wav\train", "c.wav\t"],
    }
    for name, lines in formats.items():
        assert tags(read_annotations(write(tmp_path, name, *lines), str(folder)), folder) == expected, name


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for name in ("a dog/1.wav", "a dog/more/2.flac", "rain/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    write(tmp_path, "ATTRIBUTION.txt", "These recordings are from a data set.")
    read = read_annotations(str(tmp_path))
    assert tags(read, tmp_path) == {"a dog/1.wav": ("a dog",), "a dog/more/2.flac": ("a dog",), "rain/1.wav": ("rain",)}
    assert read.single_label
    (tmp_path / "stray.wav").touch()
    assert problems(str(tmp_path)) == [
        "/stray.wav: not in the folder of a class: put each recording in a folder with the name of its label"
    ]


def test_cells_that_we_kept_from_being_formulas_are_labels_again(folder: Path) -> None:
    header = "file,label,start,end,probability"
    path = write(folder, "ours.csv", header, "a.wav,'=1+1,0,1,1", "b.wav,'tis,0,1,1")
    assert read_annotations(path).labels == ("'tis", "=1+1")
    others = write(folder, "theirs.csv", "file,label,start,end", "a.wav,'=1+1,0,1")
    assert read_annotations(others).labels == ("'=1+1",)


def test_events_of_a_label_that_overlap_or_touch_are_one(folder: Path) -> None:
    header = "filename\tonset\toffset\tevent_label"
    rows = ["a.wav\t2\t3\train", "a.wav\t0\t1\train", "a.wav\t1\t1.5\train", "a.wav\t0.5\t2.5\ta dog"]
    read = read_annotations(write(folder, "x.tsv", header, *rows))
    assert read.n_joined == 1
    assert read.recordings[0].references == (
        Reference("a dog", 0.5, 2.5),
        Reference("rain", 0.0, 1.5),
        Reference("rain", 2.0, 3.0),
    )


spans = st.tuples(st.integers(0, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.sets(spans, min_size=1, max_size=12))
def test_joining_keeps_each_moment(found: set[tuple[int, int]]) -> None:
    from pe_audio_cli.evaluation.annotations.folder import _joined

    joined = _joined(Reference("x", *span) for span in found)
    assert {t for r in joined for t in range(int(r.onset), int(r.offset))} == {t for a, b in found for t in range(a, b)}
    assert all(one.offset < next.onset for one, next in pairwise(joined))


DCASE = "filename\tonset\toffset\tevent_label"
BAD = {
    "unknown file": ([DCASE, "z.wav\t0\t1\train"], ["row 2: there is no recording 'z.wav' in"]),
    "onset after offset": ([DCASE, "a.wav\t2\t1\train"], ["row 2: the onset 2 s is not before the offset 1 s"]),
    "empty event": ([DCASE, "a.wav\t1\t1\train"], ["row 2: the onset 1 s is not before the offset 1 s"]),
    "before the beginning": ([DCASE, "a.wav\t-1\t1\train"], ["row 2: the onset -1 s is before the recording begins"]),
    "not a number": ([DCASE, "a.wav\t0,5\tnan\train"], ["row 2: the onset '0,5' is not a number of seconds"]),
    "not finite": ([DCASE, "a.wav\t0\tinf\train"], ["row 2: the offset 'inf' is not a number of seconds"]),
    "no label": ([DCASE, "a.wav\t0\t1\t"], ["row 2: there is no label"]),
    "no name": ([DCASE, "\t0\t1\train"], ["row 2: there is no file name"]),
    "no header": (["a.wav\t0\t1\train"], ["row 1: no header"]),
    "half a header": (["file,label,start", "a.wav,rain,0"], ["row 1: the header has a column of onsets or"]),
    "mixed separators": (
        [DCASE, "a.wav\t0\t1\train", "a.wav,1,2,rain"],
        ["row 3: 1 cells, where the first row has 4: commas here, tabs there"],
    ),
    "missing cells": ([DCASE, "a.wav\t0\t1"], ["row 2: 3 cells, where the first row has 4"]),
    "duplicate": (
        [DCASE, "a.wav\t0\t1\train", "./a.wav\t0.0\t1.0\train"],
        ["row 3: a duplicate of PATH, row 2"],
    ),
    "contradiction": (
        [DCASE, "a.wav\t0\t1\train", "a.wav\t\t\t"],
        ["row 3: it says that a.wav has no labels, but other rows have some"],
    ),
    "an open quotation mark": ([DCASE, '"a.wav\t0\t1\train'], ["row 2: a cell begins with a quotation mark"]),
    "several": (
        [DCASE, "z.wav\t0\t1\train", "", "a.wav\t2\t1\train", "a.wav\t0\t1\train"],
        ["row 4: the onset", "row 2: there is no recording"],
    ),
    "nothing": ([DCASE], [" has no annotations of any recording"]),
    "an empty file": ([], [" has no annotations of any recording"]),
    "JSON that is torn": (['[{"file": "a.wav", "events": ['], ["row 2: not JSON"]),
    "tags": (
        ['{"schema": "peaudio.tag/1", "file": "a.wav", "tags": []}'],
        ["row 1: no 'events': annotations are what peaudio localize writes, not peaudio tag"],
    ),
    "a bad event": (
        ['[{"file": "a.wav", "events": [{"label": "rain", "start": 3, "end": 2}]}]'],
        ["recording 1, event 1: the onset 3 s is not before the offset 2 s"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_has_a_line_with_its_row(case: str, folder: Path) -> None:
    lines, expected = BAD[case]
    path = write(folder, "bad", *lines)
    said = problems(path)
    assert len(said) == len(expected)
    for line in expected:
        assert any(each.startswith(line.replace("PATH", path)) for each in said), (line, said)


def test_a_label_file_that_is_none_is_named(folder: Path) -> None:
    write(folder, "a.txt", "0.5 1.25 a dog")
    (problem,) = problems(str(folder))
    assert problem.startswith("/a.txt, row 1: not an onset, an offset and a label between tabs")


def test_a_name_that_could_be_several_recordings_is_refused_unless_its_folder_tells(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "b.wav").touch()
    header = "file,label"
    (problem,) = problems(write(folder.parent, "bare.csv", header, "b.wav,rain"), folder)
    assert "could be" in problem and "other/b.wav" in problem
    told = read_annotations(write(folder.parent, "told.csv", header, "elsewhere/sub/b.wav,rain"), str(folder))
    assert tags(told, folder) == {"sub/b.wav": ("rain",)}


def test_an_event_beyond_the_end_is_named_by_its_row(folder: Path) -> None:
    path = write(folder, "x.tsv", DCASE, "a.wav\t0\t1\train", "a.wav\t2\t3.2\train", "a.wav\t3\t3.05\ta dog")
    read = read_annotations(path)
    file = read.recordings[0].file
    check_durations(read, {file: 3.15})
    with pytest.raises(AnnotationError) as raised:
        check_durations(read, {file: 3.0})
    assert raised.value.problems == (
        f"{path}, row 3: the offset 3.2 s is beyond the end of {file}, which is at 3 s",
        f"{path}, row 4: the onset 3 s is beyond the end of {file}, which is at 3 s",
    )


def test_what_is_not_there_is_said_in_one_line(folder: Path) -> None:
    with pytest.raises(UsageError, match="there are no annotations at"):
        read_annotations(str(folder / "none.tsv"))
    with pytest.raises(UsageError, match=r"--audio .* is not a folder"):
        read_annotations(str(folder), str(folder / "a.wav"))
    (folder / "latin.csv").write_bytes(b"file,label\na.wav,caf\xe9\n")
    with pytest.raises(AnnotationError, match="not UTF-8"):
        read_annotations(str(folder / "latin.csv"))


A_DOG, RAIN = ("a dog", 0.5, 1.25), ("rain", 0.0, 3.0)
LONG_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 4
tiers? <exists>
size = 2
item [1]:
    class = "IntervalTier"
    name = "animals"
    xmin = 0
    xmax = 4
    intervals: size = 3
    intervals [1]:
        xmin = 0
        xmax = 0.5
        text = ""
    intervals [2]:
        xmin = 0.5
        xmax = 1.25
        text = "a dog"
    intervals [3]:
        xmin = 1.25
        xmax = 4
        text = ""
item [2]:
    class = "IntervalTier"
    name = "a ""quoted"" name ! of 3 [1]: tiers"
    xmin = 0
    xmax = 4
    intervals: size = 2
    intervals [1]:
        xmin = 0
        xmax = 3.0
        text = "rain"
    intervals [2]:
        xmin = 3.0
        xmax = 4
        text = " "
"""
SHORT_TEXTGRID = '''"ooTextFile"
"TextGrid"

0
4
<exists>
1
"IntervalTier"
"all"
0
4
3
0
3.0
"rain"
3.0
3.5
""
3.5
4
"a ""dog"""
'''
BIRDNET_TABLE = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tCommon Name\tSpecies Code\t"
    "Confidence\tBegin Path\tFile Offset (s)\n"
)
OF_ONE_RECORDING = {
    "a.TextGrid": (LONG_TEXTGRID, [A_DOG, RAIN]),
    "a.wav.textgrid": (SHORT_TEXTGRID, [('a "dog"', 3.5, 4.0), RAIN]),
    "a.vtt": (
        "WEBVTT - a title\n\nSTYLE\n::cue { color: red }\n\nNOTE no cue\n\n00:00.500 --> 00:01.250 align:start\n"
        "<v Rex>a</v>\ndog\n\nsecond\n00:00:00.000 --> 00:00:03.000\nrain\n",
        [A_DOG, RAIN],
    ),
    "a.srt": (
        "1\n00:00:00,500 --> 00:00:01,250\na dog\n\n2\n00:00:00,000 --> 00:00:03,000\nrain\n",
        [A_DOG, RAIN],
    ),
    "a.Table.2.selections.txt": (
        "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n1\t0.5\t1.25\ta dog\n2\t0\t3,0\train\n",
        [A_DOG, RAIN],
    ),
    "a.wav.Table.13.selections.txt": ("Selection\tBegin Time (s)\tEnd Time (s)\tLabel\n1\t0\t3\train\n", [RAIN]),
    "a.BirdNET.selection.table.txt": (
        BIRDNET_TABLE + "1\tSpectrogram 1\t1\t0\t3.0\t0\t15000\train\train1\t0.8141\t/data/a.wav\t0\n",
        [RAIN],
    ),
    "a.BirdNET.results.csv": (
        "Start (s),End (s),Scientific name,Common name,Confidence,File\n"
        "0.5,1.25,Canis lupus,a dog,0.8141,D:\\x\\a.wav\n"
        "0.0,3.0,Pluvia,rain,0.9,D:\\x\\a.wav\n",
        [A_DOG, RAIN],
    ),
    "a.csv": ("Start (s),End (s),Scientific name,Common name,Confidence\n0.5,1.25,Canis lupus,a dog,0.8\n", [A_DOG]),
    "a.BirdNET.results.txt": ("0.5\t1.25\tCanis lupus, a dog\t0.8141\n0.0\t3.0\train\t0.1000\n", [A_DOG, RAIN]),
    "a.txt": ("0,5\t1,250000\ta dog\n\\\t100,0\t2000,0\n\\\t50,0\t60,0\n0,000000\t3,0\train\n", [A_DOG, RAIN]),
}


@pytest.mark.parametrize("name", OF_ONE_RECORDING)
def test_what_programs_write_for_one_recording(name: str, folder: Path) -> None:
    text, expected = OF_ONE_RECORDING[name]
    path = write(folder, name, *text.splitlines())
    assert events(read_annotations(path), folder) == {"a.wav": expected}
    assert events(read_annotations(str(folder)), folder) == {"a.wav": expected}


def test_birdnet_tables_in_which_nothing_was_found_say_so(folder: Path) -> None:
    nothing = "1\tSpectrogram 1\t1\t0\t3\t0\t15000\tnocall\tnocall\t1.0\tc.wav\t0"
    write(folder, "c.BirdNET.selection.table.txt", BIRDNET_TABLE.rstrip(), nothing)
    write(folder, "sub/b.BirdNET.results.txt")
    write(folder, "a.srt")
    read = read_annotations(str(folder))
    said = {Path(each.file).name: each.references for each in read.recordings}
    assert said == {"a.wav": (), "b.wav": (), "c.wav": ()}


def test_rttm_with_other_lines_and_blanks_for_underscores(folder: Path) -> None:
    path = write(
        folder,
        "all.rttm",
        ";; a comment",
        "SPKR-INFO a 1 <NA> <NA> <NA> unknown a_dog <NA>",
        "SPEAKER a 1 0.5 0.75 <NA> <NA> a_dog 0.9 <NA>",
        "SPEAKER b 1 1 1 <NA> <NA> rain <NA>",
        "NON-LEX a 1 0.5 0.75 breath other a_dog <NA> <NA>",
    )
    assert events(read_annotations(path), folder) == {"a.wav": [A_DOG], "sub/b.wav": [("rain", 1.0, 2.0)]}


@pytest.mark.parametrize(
    ("said", "expected"), [("-0.5", "-0.5 s is before"), ("-5", "-5 s is before"), ("x", "'x' is not")]
)
def test_a_file_offset_of_raven_before_the_recording_is_a_bad_row(said: str, expected: str, folder: Path) -> None:
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tLabel"
    path = write(folder, "t.selections.txt", header, f"1\t0.5\t1.25\ta.wav\t{said}\train", "2\t4\t5\ta.wav\t1\train")
    assert [problem.startswith(f"row 2: the file offset {expected}") for problem in problems(path)] == [True]
    read = read_annotations(path, strict=False)
    assert events(read, folder) == {"a.wav": [("rain", 1.0, 2.0)]} and len(read.problems) == 1


BAD_OF_ONE = {
    "a.txt": ("1.5\t1.5\ta dog\n0\t3\train\n", "row 1: a label of a point, 1.5 s, which has no length"),
    "a.TextGrid": (
        LONG_TEXTGRID.replace('IntervalTier"\n    name = "animals', 'TextTier"\n    name = "animals')
        .replace("        xmin = 0\n        xmax = 0.5\n", "        number = 0.5\n", 1)
        .replace("        xmin = 0.5\n        xmax = 1.25\n", "        number = 0.7\n", 1)
        .replace("        xmin = 1.25\n        xmax = 4\n", "        number = 1\n", 1),
        "tier 1, point 2: a point, 0.7 s, which has no length",
    ),
    "a.vtt": ("WEBVTT\n\nsome words\n\n00:00.000 --> 00:03.000\nrain\n", "row 3: not a subtitle"),
    "a.srt": (
        "1\n00:00:02,000 --> 00:00:01,000\na dog\n\n2\n00:00:00,000 --> 00:00:03,000\nrain\n",
        "row 1: the onset 2 s is not before the offset 1 s",
    ),
    "a.rttm": (
        "SPEAKER a 1 0 3 <NA> <NA> rain <NA> <NA>\nSPEAKER a 1 0 x <NA> <NA> rain <NA> <NA>\nSPEAKER a 1\n",
        "row 2: the duration 'x' is not a number of seconds",
    ),
    "a.csv": ('file,label,start,end\na.wav,"rain,0,3\na.wav,rain,0,3\n', "row 2: a cell begins with a quotation mark"),
    "b.csv": ("file,label,start,end\na.wav,rain,0,1_0\na.wav,rain,0,3\n", "row 2: the offset '1_0' is not a number"),
    "a.jsonl": (
        '{"file": "a.wav", "events": [{"label": "rain", "start": 0, "end": 3}]}\n{"file": "a.wav", "eve\n',
        "row 2: not JSON",
    ),
    "b.jsonl": (
        '{"file": "a.wav", "events": [{"label": "rain", "start": 0, "end": 3}, {"label": "x", "start": 0, "end": '
        + "9" * 400
        + '}, {"label": "x", "start": false, "end": true}]}\n',
        "row 1, event 2: the offset ",
    ),
}


@pytest.mark.parametrize("name", BAD_OF_ONE)
def test_a_bad_row_is_left_out_and_the_others_stay(name: str, folder: Path) -> None:
    text, said = BAD_OF_ONE[name]
    path = write(folder, name, *text.splitlines())
    read = read_annotations(path, strict=False)
    assert events(read, folder) == {"a.wav": [RAIN]}
    assert any(problem.startswith(f"{path}, {said}") for problem in read.problems), read.problems
    assert all("\n" not in problem for problem in read.problems)
    assert list(read.problems) == [f"{path}, {problem}" for problem in problems(path)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.TextGrid", LONG_TEXTGRID[:300]),
        ("a.TextGrid", LONG_TEXTGRID.replace("size = 2", "size = 99999999")),
        ("a.TextGrid", LONG_TEXTGRID.replace('"IntervalTier"', '"PitchTier"')),
        ("a.TextGrid", "ooBinaryFile\x08TextGrid"),
        ("deep.json", "[" * 100_000),
        ("deep.json", '[{"file": ' * 50_000),
    ],
)
def test_a_file_that_is_not_whole_has_one_line(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    for strict in (True, False):
        with pytest.raises(AnnotationError) as raised:
            read_annotations(str(folder / name), strict=strict)
        assert len(raised.value.problems) == 1


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16 or no text"), ("utf-32", "UTF-32"), ("latin-1", "not UTF-8 (row 3)")],
)
@pytest.mark.parametrize("name", ["labels.tsv", "a.txt"])
def test_another_encoding_is_one_line_that_names_it(encoding: str, said: str, name: str, folder: Path) -> None:
    table, track = [DCASE, "a.wav\t0\t1\train", "a.wav\t0\t1\tcafé"], ["0\t1\ta", "1\t2\tb", "2\t3\té"]
    lines = table if name == "labels.tsv" else track
    path = folder / name
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    for place in [path, folder] if name == "a.txt" else [path]:
        with pytest.raises(AnnotationError) as raised:
            read_annotations(str(place))
        assert raised.value.problems == (f"{path} is {said}: save it as UTF-8",)


def test_a_textgrid_in_utf_16_as_praat_itself_writes_it(folder: Path) -> None:
    (folder / "a.TextGrid").write_text(LONG_TEXTGRID.replace("a dog", "café"), encoding="utf-16")
    assert read_annotations(str(folder / "a.TextGrid")).labels == ("café", "rain")


def test_other_files_called_after_recordings_leave_classes_classes(tmp_path: Path) -> None:
    for name in ("dog/1.wav", "rain/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    write(tmp_path, "dog/1.json", '{"id": 1, "tags": ["dog"]}')
    write(tmp_path, "rain/1.csv", "author,licence", "me,CC0")
    (tmp_path / "dog" / "1.txt").mkdir()
    assert tags(read_annotations(str(tmp_path)), tmp_path) == {"dog/1.wav": ("dog",), "rain/1.wav": ("rain",)}


def test_rows_beyond_the_end_are_left_out_and_a_recording_without_any_says_nothing(folder: Path) -> None:
    path = write(folder, "x.tsv", DCASE, "a.wav\t0\t1\train", "a.wav\t2\t9\train", "b.wav\t5\t6\train", "c.wav")
    read = read_annotations(path)
    lasting = {each.file: 3.0 for each in read.recordings}
    left = check_durations(read, lasting, strict=False)
    assert events(left, folder) == {"a.wav": [("rain", 0.0, 1.0)], "c.wav": []}
    assert [problem.split(":")[0].removeprefix(f"{path}, ") for problem in left.problems] == ["row 3", "row 4"]
    assert left.n_rows == 4
    with pytest.raises(AnnotationError):
        check_durations(read, dict.fromkeys(lasting, 0.1) | {read.recordings[2].file: 0.0}, strict=True)


def test_a_tree_of_any_depth_and_links_that_go_in_circles_are_searched_once(tmp_path: Path) -> None:
    place = tmp_path / "audio"
    for _ in range(1_200):
        place = place / "d"
        place.mkdir(parents=True)
    (place / "deep.wav").touch()
    write(place, "deep.txt", "0\t1\train")
    (tmp_path / "audio" / "again").symlink_to(tmp_path / "audio", target_is_directory=True)
    (tmp_path / "audio" / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    try:
        read = read_annotations(str(tmp_path / "audio"))
    finally:
        remove_tree(tmp_path / "audio")
    assert [len(each.references) for each in read.recordings] == [1]
