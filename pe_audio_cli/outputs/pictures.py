"""The side output of pictures: a timeline of each recording, or one map of all tags.

A picture appears whole or not at all, and before its result is noted as done.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from pe_audio_cli._extras import require_extra
from pe_audio_cli._files import growing, sweep, writable_place
from pe_audio_cli._paths import exists, reason
from pe_audio_cli.errors import InputError, OutputError, RunError, UsageError
from pe_audio_cli.formats.draft import unwritten
from pe_audio_cli.outputs.base import file_of
from pe_audio_cli.outputs.files import Tree, is_folder, refuse_inputs_among
from pe_audio_cli.outputs.journal import JournalEntry, RunSettings
from pe_audio_cli.outputs.side_outputs import SideOutput, refuse_existing, refuse_unwritable
from pe_audio_cli.results import FileError, LocalizeResult, Result, TagResult

__all__ = ["TagPicture", "TimelinePictures", "without_glyphs"]

KINDS = ("png", "svg", "pdf")
KIND_IN_FOLDERS = "png"


def without_glyphs(texts: Iterable[str]) -> list[str]:
    """Return the texts that pictures show with escapes, since no font here has all of their characters."""
    from pe_audio_cli.plots import text

    return text.without_glyphs(texts)


class TimelinePictures(SideOutput):
    """A picture of each recording: a file, or a folder with a tree like that of the inputs."""

    def __init__(
        self,
        path: str,
        files: Sequence[str],
        *,
        detected_only: bool = False,
        overwrite: bool = False,
        known: bool = False,
    ) -> None:
        """``path`` is a folder if it ends in a slash or exists as a folder.

        ``detected_only`` draws no band of a label without an event. ``frames`` leaves the frame probabilities in the
        results for ``output``. Raises :class:`UsageError` if matplotlib is missing, ``path`` stands for no kind of
        picture, or one is there already.
        """
        _refuse_without_matplotlib()
        self._path, self._detected_only = path, detected_only
        if is_folder(path):
            self._kind = KIND_IN_FOLDERS
            refuse_unwritable(next(there for there in (Path(path), *Path(path).parents) if there.exists()), "a picture")
            tree = Tree(Path(path), f".{self._kind}", files)
            self._targets = {file: tree.place(file) for file in files}
            refuse_inputs_among(self._targets.values(), files if overwrite else ())
        else:
            self._kind = _kind(path)
            if len(files) > 1:
                raise UsageError(
                    f"--plot {path} is one picture, and there are {len(files)} recordings: name a folder, such as "
                    f"{os.path.splitext(path)[0]}/"
                )
            refuse_unwritable(Path(path).parent, "a picture")
            self._targets = {file: Path(path) for file in files}
        self._overwrite = overwrite or known  # a run that was killed may have drawn one more than it noted
        refuse_existing(self._targets.values(), "--plot", self._overwrite)
        self._drawn: set[Path] = set()
        self._last: Path | None = None

    @property
    def settings(self) -> RunSettings:
        """The folder or file of the pictures."""
        return {"plot": self._path}

    def open(self, settings: RunSettings) -> None:
        """Begin; there is nothing to do before the first picture."""

    def resume(self, done: Mapping[int, JournalEntry]) -> None:
        """Check that the pictures of an earlier run's results exist."""
        self._drawn = {self._targets[entry.file] for entry in done.values()}
        for target in sorted(self._drawn):
            if not exists(target):
                raise OutputError(f"cannot resume: {target} is gone; start again with --overwrite")

    def write(self, result: Result) -> None:
        """Draw its picture; a recording that failed has none."""
        from pe_audio_cli.plots.timeline import draw_timeline

        self._last = None
        if not isinstance(result, LocalizeResult):
            return
        drawn = BytesIO()
        try:
            draw_timeline(result, drawn, self._kind, self._detected_only)
        except Exception as error:
            raise unwritten(result, error) from error
        target = self._targets[file_of(result)]
        try:
            _keep(target, drawn, self._overwrite or target in self._drawn)
        except OutputError as error:
            raise InputError(file_of(result), "output", str(error)) from error
        self._drawn.add(target)
        self._last = target

    def take_back(self) -> None:
        """Remove the last picture."""
        if self._last is not None:
            self._last.unlink(missing_ok=True)

    def finish(self) -> None:
        """Leave all pictures as they are: each of them is whole."""

    def abandon(self) -> None:
        """Leave the pictures that there are, for a run that goes on with this one."""


class TagPicture(SideOutput):
    """One picture of a whole run, drawn at its end; a run that stops early gets none."""

    def __init__(self, path: str, files: Sequence[str], *, overwrite: bool = False) -> None:
        """Raises :class:`UsageError` if matplotlib is missing, or ``path`` exists or has an unknown extension."""
        _refuse_without_matplotlib()
        if is_folder(path):
            raise UsageError(f"tag draws one picture of all recordings: --plot names a file, not the folder {path}")
        self._kind, self._target, self._files = _kind(path), Path(path), files
        refuse_unwritable(self._target.parent, "a picture")
        refuse_existing([self._target], "--plot", overwrite)
        writable_place(self._target, overwrite=overwrite)
        self._overwrite = overwrite

    def open(self, settings: RunSettings) -> None:
        """Begin: the map has a column for each of the settings' labels."""
        from pe_audio_cli.plots.heatmap import TagMap

        self._map = TagMap(self._files, settings["labels"])
        self._n_written = 0

    def write(self, result: Result) -> None:
        """Note it for the picture."""
        self._has_tags = isinstance(result, TagResult)
        if isinstance(result, TagResult):
            try:
                self._map.add(self._n_written, result)
            except Exception as error:
                raise unwritten(result, error) from error
        self._n_written += 1

    def take_back(self) -> None:
        """Forget the last result."""
        if self._has_tags:
            self._map.take_back()
        self._n_written -= 1

    def finish(self) -> None:
        """Draw the picture."""
        drawn = BytesIO()
        try:
            self._map.draw(drawn, self._kind)
        except Exception as error:
            what = FileError.caused_by(error, str(self._target)).message
            raise RunError(f"cannot draw {self._target}: {what}") from error
        try:
            _keep(self._target, drawn, self._overwrite)
        except OutputError as error:
            raise RunError(str(error)) from error

    def abandon(self) -> None:
        """Draw nothing."""


def _keep(target: Path, drawn: BytesIO, overwrite: bool) -> None:
    """Write a picture that was drawn.

    Raises :class:`OutputError` if something is in its place, and :class:`RunError` if it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place = writable_place(target, overwrite=overwrite)
        sweep(place)
        with growing(place, overwrite=overwrite) as stream:
            stream.write(drawn.getbuffer())
    except (FileExistsError, NotADirectoryError) as error:
        raise OutputError(f"{target} cannot be written, something is in its place: move that away") from error
    except OSError as error:
        raise RunError(f"cannot write {target}: {reason(error)}") from error


def _kind(path: str) -> str:
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in KINDS:
        endings = ", ".join(f".{kind}" for kind in KINDS)
        raise UsageError(f"--plot {path} is not a picture: its name must end in one of {endings}, or in / for a folder")
    return kind


def _refuse_without_matplotlib() -> None:
    require_extra("plot", "--plot")
    try:
        import matplotlib
    except (OSError, RuntimeError) as error:
        raise UsageError("--plot needs a folder in which matplotlib can keep its cache: set MPLCONFIGDIR") from error
    matplotlib.set_loglevel("CRITICAL")  # it would tell of its font cache
