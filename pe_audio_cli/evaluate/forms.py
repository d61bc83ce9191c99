"""The forms that annotations come in, and how each is told from its content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.errors import AnnotationError
from pe_audio_cli.evaluate.objects import is_objects, read_objects
from pe_audio_cli.evaluate.places import Places
from pe_audio_cli.evaluate.raven import is_raven, read_raven
from pe_audio_cli.evaluate.rows import Problem, Row
from pe_audio_cli.evaluate.tables import read_table
from pe_audio_cli.evaluate.tracks import is_track, read_track
from pe_audio_cli.results import FileError

__all__ = ["FORMS", "Form", "Kind", "read_file", "read_folder", "read_text"]

Kind: TypeAlias = Literal["strong", "weak"]

# What a label file in a folder adds to its recording's name, the longest first.
LABEL_FILE_ENDINGS = (".Table.1.selections.txt", ".selections.txt", ".txt")


@dataclass(frozen=True, slots=True)
class Form:
    """One form, as the help shows it."""

    kind: Kind
    name: str
    example: str


FORMS = (
    Form("strong", "DCASE, DESED, sed_eval", "filename ⇥ onset ⇥ offset ⇥ event_label"),
    Form("strong", "AudioSet-strong", "segment_id ⇥ start_time_seconds ⇥ end_time_seconds ⇥ label"),
    Form("strong", "peaudio's csv, tsv", "file,label,start,end,probability"),
    Form(
        "strong",
        "peaudio's json, jsonl",
        '{"file": "a.wav", "events": [{"label": "rain", "start": 0, "end": 2.4}]}',
    ),
    Form("strong", "Raven", "Selection ⇥ Begin Time (s) ⇥ End Time (s) ⇥ Begin Path ⇥ File Offset (s) ⇥ Label"),
    Form("strong", "Audacity", "a.wav, and a.txt (or a.wav.txt) with 0.0 ⇥ 2.4 ⇥ rain; a folder of them, or one"),
    Form("weak", "a row for each label", "file,label"),
    Form("weak", "a row for each recording", "file,label with label1;label2 in its cells"),
    Form("weak", "a folder for each class", "dog/1.wav dog/2.wav rain/1.wav"),
)


def read_file(path: str) -> Iterator[Row | Problem]:
    """The rows of one file, in whatever form; a form that names no recording is of the one that it is called after."""
    text = read_text(path)
    if is_objects(text):
        return read_objects(path, text)
    if is_raven(text):
        return read_raven(path, text, _called_after(Path(path).name))
    if is_track(text) or not text.strip():
        return read_track(path, text, _called_after(Path(path).name))
    return read_table(path, text)


def read_folder(folder: str, places: Places) -> Iterator[Row | Problem]:
    """The rows of all label files in a folder or, if it has none, its folders as classes.

    A text is a label file if it looks like one, or is called after a recording; a note on the data set is neither.
    """
    texts = sorted(path for path in Path(folder).rglob("*.txt") if not _is_hidden(path.relative_to(folder)))
    tracks = [path for path in texts if _is_label_file(path, folder, places)]
    for path in tracks:
        name = _called_after(str(path.relative_to(folder)))
        text = read_text(str(path))
        yield from (read_raven if is_raven(text) else read_track)(str(path), text, name)
    if not tracks:
        yield from _classes(folder)


def read_text(path: str) -> str:
    """A text in UTF-8, with or without a byte order mark. Raises :class:`AnnotationError` if it is none."""
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise AnnotationError([f"cannot read {path}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise AnnotationError([f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8"]) from error


def _called_after(file: str) -> str:
    """The recording that a label file is called after."""
    return next((file.removesuffix(ending) for ending in LABEL_FILE_ENDINGS if file.endswith(ending)), file)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_label_file(path: Path, folder: str, places: Places) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        beginning = stream.readline()
    if is_track(beginning) or is_raven(beginning):
        return True
    try:
        places.find(_called_after(str(path.relative_to(folder))))
    except LookupError:
        return False
    return True


def _classes(folder: str) -> Iterator[Row | Problem]:
    for found in find_recordings([folder]):
        if isinstance(found, FileError):
            yield Problem(found.file, found.message)
            continue
        above = Path(found).relative_to(folder).parts[:-1]
        if above:
            yield Row(found, found, above[0])
        else:
            yield Problem(found, "it lies in no class's folder: put each recording in a folder called after its label")
