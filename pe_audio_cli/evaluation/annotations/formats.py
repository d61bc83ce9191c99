"""The annotation formats, and their detection from the content of a file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pe_audio_cli._paths import Unusable, is_file, reason
from pe_audio_cli._small_files import read_small
from pe_audio_cli.audio.find import files_by_folder, find_recordings
from pe_audio_cli.errors import AnnotationError
from pe_audio_cli.evaluation.annotations.audacity import is_label_track, read_label_track
from pe_audio_cli.evaluation.annotations.json import is_json, read_json
from pe_audio_cli.evaluation.annotations.praat import is_textgrid, read_textgrid
from pe_audio_cli.evaluation.annotations.raven import is_raven, read_raven
from pe_audio_cli.evaluation.annotations.recording_locator import RecordingLocator
from pe_audio_cli.evaluation.annotations.rows import AnnotationRow, Problem
from pe_audio_cli.evaluation.annotations.rttm import is_rttm, read_rttm
from pe_audio_cli.evaluation.annotations.subtitles import is_subtitles, read_subtitles
from pe_audio_cli.evaluation.annotations.tables import is_event_table, read_table
from pe_audio_cli.results import FileError

__all__ = ["FORMATS", "AnnotationFormat", "Kind", "read_file", "read_folder", "read_text"]

Kind: TypeAlias = Literal["strong", "weak", "marked"]

MOST_BYTES = 256 << 20  # of annotations; those of all of AudioSet-strong are a fifth of that
BEGINNING = 65536  # characters of a file from which its format is detected

_MARKS = {  # byte order marks, the longer ones first
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}

# Formats in which an empty file is a recording with no events: Audacity's label tracks and SubRip.
ENDINGS_OF_EMPTY = (".txt", ".srt")

# The endings that label files add to the name of a recording, in upper or lower case.
_ENDING = re.compile(
    r"((\.Table\.\d+)?\.selections\.txt|(\.BirdNET)?\.selection\.table\.txt|\.BirdNET\.results\.(txt|csv)|\.dcase\.tsv"
    r"|\.(txt|csv|tsv|jsonl?|TextGrid|vtt|srt|rttm))$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """An annotation format, as the help lists it."""

    kind: Kind
    name: str
    example: str


FORMATS = (
    AnnotationFormat("strong", "DCASE, DESED, sed_eval", "filename ⇥ onset ⇥ offset ⇥ event_label"),
    AnnotationFormat("strong", "AudioSet-strong", "segment_id ⇥ start_time_seconds ⇥ end_time_seconds ⇥ label"),
    AnnotationFormat("strong", "peaudio's csv, tsv", "file,label,start,end,probability"),
    AnnotationFormat(
        "strong",
        "peaudio's json, jsonl",
        '{"file": "a.wav", "events": [{"label": "rain", "start": 0, "end": 2.4}]}',
    ),
    AnnotationFormat(
        "strong", "Raven", "Selection ⇥ Begin Time (s) ⇥ End Time (s) ⇥ Begin Path ⇥ File Offset (s) ⇥ Label"
    ),
    AnnotationFormat(
        "strong", "Audacity", "a.wav, and a.txt (or a.wav.txt) with 0.0 ⇥ 2.4 ⇥ rain; a folder of them, or one"
    ),
    AnnotationFormat("strong", "BirdNET-Analyzer", "its tables, its csv and its labels for Audacity, as above"),
    AnnotationFormat("strong", "Praat", "a.wav, and a.TextGrid, whose intervals with text in them are events"),
    AnnotationFormat("strong", "subtitles", "a.mp4, and a.vtt or a.srt, whose cues are events"),
    AnnotationFormat("strong", "RTTM", "SPEAKER a 1 onset duration <NA> <NA> a_label <NA> <NA>, in which _ is a blank"),
    AnnotationFormat("marked", "a review page of search", "file,label,start,end,probability,mark"),
    AnnotationFormat("weak", "a row for each label", "file,label"),
    AnnotationFormat("weak", "UrbanSound8K", "slice_file_name,fsID,start,end,salience,fold,classID,class"),
    AnnotationFormat("weak", "a row for each recording", "file,label with label1;label2 in its cells"),
    AnnotationFormat("weak", "a folder for each class", "dog/1.wav dog/2.wav rain/1.wav"),
)


def read_file(path: str) -> Iterator[AnnotationRow | Problem]:
    """Read the rows of one file in any format; a format without file names belongs to the recording of its own name.

    Raises :class:`AnnotationError` if the file cannot be read.
    """
    return _read(path, _recording_name(Path(path).name), read_table)


def read_folder(folder: str, locator: RecordingLocator) -> Iterator[AnnotationRow | Problem]:
    """Read the rows of all label files in a folder or, if it has none, of its folders as classes.

    A file is a label file if it has the name of a recording and, in formats that are used for much else, the content of
    one. A text file of any other name is one too if it has the content.
    """
    is_empty = True
    for path in _possible_label_files(folder):
        name = _recording_name(str(path.relative_to(folder)))
        if _is_label_file(path, _is_found(name, locator)):
            is_empty = False
            try:
                yield from _read(str(path), name, read_label_track if path.suffix.lower() == ".txt" else read_table)
            except AnnotationError as error:
                yield from (Problem("", problem) for problem in error.problems)
    if is_empty:
        yield from _classes(folder)


Reader: TypeAlias = Callable[[str, str, str], Iterator[AnnotationRow | Problem]]

# Detection and reader of each format that may belong to the recording of its own name.
_OF_ONE_RECORDING: Sequence[tuple[Callable[[str], bool], Reader]] = (
    (is_raven, read_raven),
    (is_textgrid, read_textgrid),
    (is_subtitles, read_subtitles),
    (is_label_track, read_label_track),
)


def _read(path: str, name: str, otherwise: Reader) -> Iterator[AnnotationRow | Problem]:
    text = read_text(path)
    if not text.strip():
        return iter([AnnotationRow(path, name, None)] if Path(path).suffix.lower() in ENDINGS_OF_EMPTY else [])
    if is_json(text):
        return read_json(path, text)
    if is_rttm(text):
        return read_rttm(path, text)
    read = next((read for detects, read in _OF_ONE_RECORDING if detects(text)), otherwise)
    return read(path, text, name)


def read_text(path: str) -> str:
    """Read a text in UTF-8, with or without a byte order mark, or a TextGrid in UTF-16, which Praat prefers.

    Raises :class:`AnnotationError` for any other.
    """
    try:
        data = read_small(path, MOST_BYTES)
    except Unusable as error:
        raise AnnotationError([f"cannot read {path}: {reason(error)}"]) from error
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:
        encoding = "UTF-16 or no text"
    try:
        if encoding == "UTF-16" and is_textgrid(text := data.decode("utf-16")):
            return text
        if encoding is None:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        encoding = f"not UTF-8 (row {row})" if encoding is None else encoding
    raise AnnotationError([f"{path} is {encoding}: save it as UTF-8"])


def _recording_name(file: str) -> str:
    """Return the name of a label file without its ending, which is the name of its recording."""
    return _ENDING.sub("", file)


def _possible_label_files(folder: str) -> list[Path]:
    return sorted(
        path
        for place, names in files_by_folder(folder)
        if not isinstance(names, OSError)
        for name in names
        if _ENDING.search(name) and is_file(path := Path(place, name))
    )


def _is_found(name: str, locator: RecordingLocator) -> bool:
    try:
        locator.find(name)
    except LookupError:
        return False
    return True


def _is_label_file(path: Path, is_of_a_recording: bool) -> bool:
    ending = path.suffix.lower()
    if is_of_a_recording and ending not in (".csv", ".tsv", ".json", ".jsonl"):
        return True
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            beginning = stream.read(BEGINNING)
    except OSError:
        return True  # reading it raises the error
    if ending == ".txt":
        return is_label_track(beginning) or is_raven(beginning)
    return is_of_a_recording and (is_event_table(beginning) or (is_json(beginning) and '"events"' in beginning))


def _classes(folder: str) -> Iterator[AnnotationRow | Problem]:
    for found in find_recordings([folder]):
        if isinstance(found, FileError):
            yield Problem(found.file, found.message)
            continue
        above = Path(found).relative_to(folder).parts[:-1]
        if above:
            yield AnnotationRow(found, found, above[0])
        else:
            yield Problem(
                found, "not in the folder of a class: put each recording in a folder with the name of its label"
            )
