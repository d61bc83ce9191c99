"""Finds the recordings at paths, in folders and by patterns, in order."""

from __future__ import annotations

import fnmatch
import logging
import os
import stat
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence

from pe_audio_cli.audio.addresses import addressed, is_address, told_apart
from pe_audio_cli.audio.inputs import DataInput
from pe_audio_cli.audio.opening import unreachable
from pe_audio_cli.results import FileError

__all__ = ["RECORDING_EXTENSIONS", "files_by_folder", "find_recordings"]

logger = logging.getLogger(__name__)

# What FFmpeg's demuxers of sound and film and libsndfile call their files, and what else such files are called. Without
# those of pictures, subtitles, playlists, games, samples without a header, and bare video.
AUDIO_EXTENSIONS = (
    "3ga 8svx aa aa3 aac ac3 adts aif aifc aiff aiffc amb amr ape au avr awb bw64 bwf caf dsf dts dtshd eac3 ec3 f4a "
    "f4b fap flac htk iamf ircam isma m2a m4a m4b m4p m4r mac mka mlp mp1 mp2 mp3 mpa mpc mpga mpp nist oga ogg oma "
    "omg opus paf pvf qcp qoa ra rf64 sds sf shn snd sox sph spx svx tak thd tta voc vqe vqf vql w64 wav wave wavex "
    "weba wma wv wve xi xwma"
)
VIDEO_EXTENSIONS = (
    "3g2 3gp 3gpp asf avi dif divx dv f4p f4v flv gxf hdmov ism ismv k3g m2t m2ts m4v mj2 mk3d mkv mov mp4 mpe mpeg "
    "mpg mts mxf nut ogm ogv ogx qt rm rmvb tod tp trp ts vob vro webm wm wmv wtv"
)

MOST_ENDINGS = 5  # of names that were skipped, in a message
RECORDING_EXTENSIONS = frozenset("." + name for name in f"{AUDIO_EXTENSIONS} {VIDEO_EXTENSIONS}".split())


def find_recordings(paths: Iterable[str]) -> list[str | FileError]:
    """Return the recordings of ``paths``, in the given order; those that are given twice come twice.

    A :class:`~pe_audio_cli.audio.inputs.DataInput` stands for itself. ``-`` is standard input, and an address like
    ``s3://bucket/a.wav`` what lies there; neither is looked at yet. The latter is called by what is left of it
    without passwords and signatures: see :class:`~pe_audio_cli.audio.addresses.Address`.

    A path that exists is taken as it is, whatever its characters: a file whatever its extension, a folder for all
    recordings below it, told by their extensions (:data:`RECORDING_EXTENSIONS`, in any case) and sorted by name from
    folder to folder. Links are followed, but each folder is searched once, however many links lead to it: by its own
    name, if that lies below ``path`` too. What is hidden (``.x``, ``._x``) is left out.

    A path that doesn't exist and has a ``*`` in it is a pattern: ``*`` stands for any characters of a name, ``?`` for
    any one, ``[ab]`` and ``[!ab]`` for one of a set and one outside it, ``**`` for any number of folders. It stands for
    the recordings that match it and those in folders that match it, each once, sorted; with a ``/`` at its end, for the
    latter. A wildcard matches no leading dot, and a part of the pattern without ``*`` that exists is taken as it is:
    ``take [1]/*.wav``.

    Files in folders that are no recordings by their names, and what is no file, such as a pipe or a socket, are left
    out and logged.

    What cannot be found stands in the list as one error in its place: a missing path, a folder or pattern without a
    recording, a folder that cannot be read (those beside it are searched all the same). No file is opened.
    """
    return list(told_apart(found for path in paths for found in _find_safely(path)))


def _find_safely(path: str) -> Sequence[str | FileError]:
    try:
        return _find(path)
    except Exception as error:  # nothing that a path does may hide what other paths stand for
        return [FileError.caused_by(error, path)]


def _find(path: str) -> Sequence[str | FileError]:
    if isinstance(path, DataInput):
        return [path]
    if path == "-" or is_address(path):
        return [addressed(path)]
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:  # a ValueError is a NUL in the path
        if "*" in path and not os.path.lexists(path):
            message = "no recording matches this pattern: check it, and put it in quotes to keep it from the shell"
            return _expand(path) or [FileError(path, "missing", message)]
        return [FileError.of(unreachable(path, error))]
    if not stat.S_ISDIR(mode):
        return [path]
    endings: Counter[str] = Counter()
    return _below(path, endings) or [FileError(path, "missing", _nothing_in_it(endings))]


def _nothing_in_it(endings: Counter[str]) -> str:
    """Return the message about a folder without a recording, from the extensions of the files in it."""
    few = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(MOST_ENDINGS))
    skipped = f" (skipped: {few}{' and others' if len(endings) > MOST_ENDINGS else ''})" if endings else ""
    return f"there is no recording in this folder{skipped}: name one that holds audio or video files, or name the files"


def _below(folder: str, endings: Counter[str]) -> list[str | FileError]:
    """Return the recordings below a folder, in order, and count the ``endings`` of other files."""
    found: list[str | FileError] = []
    for place, names in files_by_folder(folder):
        if isinstance(names, OSError):
            found.append(FileError.of(unreachable(place, names)))
        else:
            for name in names:
                path = os.path.join(place, name)
                if _is_recording(name) and not _is_special(path):
                    found.append(path)
                else:
                    endings[os.path.splitext(name)[1][:12].lower() or "no extension"] += 1
                    logger.debug("skipped %s, which is not a recording by its name or type", path)
    return sorted(found, key=_tree_order)


def files_by_folder(folder: str) -> Iterator[tuple[str, list[str] | OSError]]:
    """The folder and those below it, each once, with the names of its files or with the error that hides them.

    What is hidden (``.x``) is left out.
    Links to folders are followed when all that can be reached without them has been searched.
    """
    known: set[tuple[int, int]] = set()  # folders that were searched, by device and inode
    waiting, behind_links = [folder], deque[str]()
    while waiting or behind_links:
        place = waiting.pop() if waiting else behind_links.popleft()
        try:
            status = os.stat(place or os.curdir)
            if (status.st_dev, status.st_ino) in known:
                continue
            known.add((status.st_dev, status.st_ino))
            with os.scandir(place or os.curdir) as entries:
                visible = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            yield place, error
            continue
        names = []
        for entry in visible:
            if _is_folder(entry):
                (behind_links if entry.is_symlink() else waiting).append(os.path.join(place, entry.name))
            else:
                names.append(entry.name)
        yield place, names


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_recording(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in RECORDING_EXTENSIONS


def _is_special(path: str) -> bool:
    """Return True for a pipe, a socket or a device, which may block a run for ever."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # its error is said when it is opened
        return False


def _tree_order(found: str | FileError) -> list[str]:
    return (found.file if isinstance(found, FileError) else found).split(os.sep)


def _expand(pattern: str) -> list[str | FileError]:
    root = os.sep if pattern.startswith(os.sep) else ""
    found: dict[str | FileError, None] = {}
    for path in sorted(_matches(root, [part for part in pattern.split(os.sep) if part]), key=_tree_order):
        if os.path.isdir(path or os.curdir):
            found.update(dict.fromkeys(_below(path, Counter())))
        elif _is_recording(path) and not pattern.endswith(os.sep) and not _is_special(path):
            found[path] = None
    return list(found)


def _matches(folder: str, parts: Sequence[str]) -> Iterator[str]:
    """The files and folders that match ``parts``, one part a level, from ``folder`` down; some perhaps twice."""
    if not parts:
        yield folder
        return
    part, *rest = parts
    if part == "**":
        for place, _ in files_by_folder(folder):
            yield from _matches(place, rest)
    elif "*" not in part and os.path.lexists(os.path.join(folder, part)):
        yield from _matches(os.path.join(folder, part), rest)
    else:
        for name in _names(folder):
            hidden = name.startswith(".") and not part.startswith(".")
            if fnmatch.fnmatchcase(name, part) and not hidden:
                yield from _matches(os.path.join(folder, name), rest)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except OSError:  # not a folder, or one that cannot be read: nothing in it matches
        return []
