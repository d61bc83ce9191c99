"""The Python API: a loaded model that tags, localizes and embeds recordings.

::

    from pe_audio_cli import load

    model = load("base")
    for result in model.tag("recordings/", ["a dog barking", "rain"]):
        print(result)

A recording is a path (or a folder, a pattern, an address), encoded bytes, a file opened for reading bytes, or a pair of
samples and their rate in Hz::

    model.tag((samples, 44100), ["rain"])
    model.localize(io.BytesIO(content), "rain")

Samples have the shape ``(samples,)`` or ``(samples, channels)``: floats with a full scale of 1, or int16, int32 or
uint8 as WAV files hold them. An open file is read from its beginning if it can seek, else from where it is, and stays
open. Results call the recording by its path, the open file's name, ``<bytes>`` or ``<samples>``. Recordings are read by
a thread while results are made, so neither files nor samples may be changed meanwhile.
"""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, get_args, get_type_hints

from pe_audio_cli.audio.find import find_recordings
from pe_audio_cli.audio.inputs import Inputs, listed
from pe_audio_cli.detection.label_settings import SettingsFile, carried_settings
from pe_audio_cli.inference.runner import DEFAULT_WINDOW, embed, localize, tag, window_options
from pe_audio_cli.inference.tasks.base import EncodeOptions
from pe_audio_cli.inference.tasks.embedding import TASK_OF_UNIT, Unit, check_unit
from pe_audio_cli.inference.tasks.query import Query
from pe_audio_cli.inference.taught import TaughtLabels
from pe_audio_cli.models.caching import CachingEncoder
from pe_audio_cli.models.encoder import Encoder
from pe_audio_cli.options import EventOptions, TagOptions, options_of
from pe_audio_cli.results import EmbedResult, FileError, LocalizeResult, TagResult

if TYPE_CHECKING:
    from pe_audio_cli.learning.label_file import LabelFile
    from pe_audio_cli.models.encoder import DeviceOptions
    from pe_audio_cli.models.registry import ModelOptions, TaskName

__all__ = ["Model", "Teacher", "load"]

Labels: TypeAlias = "str | Sequence[str] | None"
Taught: TypeAlias = "str | os.PathLike[str] | LabelFile | Sequence[str | os.PathLike[str] | LabelFile]"
OptionsT = TypeVar("OptionsT", EventOptions, TagOptions)


CallT = TypeVar("CallT", bound=Callable[..., Any])


def _takes(options: type) -> Callable[[CallT], CallT]:
    """Show the options of a class among the keywords of a function, for ``help()`` and for notebooks."""

    def shown(call: CallT) -> CallT:
        signature = inspect.signature(call)
        *parameters, rules = signature.parameters.values()
        assert rules.kind is inspect.Parameter.VAR_KEYWORD
        hints = get_type_hints(options)
        names = options_of(options)
        kinds = {name: hints[name] if type(None) in get_args(hints[name]) else hints[name] | None for name in names}
        keywords = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]
        call.__signature__ = signature.replace(parameters=[*parameters, *keywords])  # type: ignore[attr-defined]
        return call

    return shown


class Model:
    """A loaded checkpoint, from :func:`load`.

    ``small``, ``base`` and ``large`` stand for two checkpoints each, one trained for clips and one for frames; each is
    loaded when it is first needed. Any other name is one checkpoint for both, and tagging and localizing the same
    recording then costs one pass: what was encoded lately is remembered.

    Any number of threads may call it at once, and get what each would get alone.
    """

    def __init__(self, options: ModelOptions, device: DeviceOptions | None = None) -> None:
        self._options = options
        self._device = device
        self._encoders: dict[Path, Encoder] = {}
        self._loading = threading.Lock()

    def encoder(self, task: TaskName) -> Encoder:
        """Return the encoder for a task, loaded if needed. Raises :class:`CheckpointError` or :class:`UsageError`."""
        from pe_audio_cli.models.backends.loading import load_encoder
        from pe_audio_cli.models.registry import find_checkpoint

        with self._loading:
            checkpoint = find_checkpoint(self._options, task)
            if checkpoint.folder not in self._encoders:
                encoder = load_encoder(checkpoint, self._device)
                for warning in encoder.facts.warnings:
                    warnings.warn(warning, stacklevel=3)
                self._encoders[checkpoint.folder] = CachingEncoder(encoder)
            return self._encoders[checkpoint.folder]

    def _settings(self, task: TaskName) -> SettingsFile:
        """Return the settings that the checkpoint carries for a task."""
        from pe_audio_cli.models.registry import find_checkpoint

        return carried_settings(find_checkpoint(self._options, task).folder, task)

    def _taught(self, taught: Taught, task: TaskName) -> TaughtLabels:
        """Return taught labels for a task. Raises :class:`UsageError` for those of another task or checkpoint."""
        if not isinstance(taught, (str, os.PathLike)) and not taught:
            return TaughtLabels()
        from pe_audio_cli.learning.label_file import LabelFile, read_labels
        from pe_audio_cli.learning.use import taught_labels
        from pe_audio_cli.models.registry import find_checkpoint

        files = [taught] if isinstance(taught, (str, os.PathLike, LabelFile)) else taught
        checkpoint = find_checkpoint(self._options, task)
        opened = [each if isinstance(each, LabelFile) else read_labels(Path(each)) for each in files]
        return taught_labels(opened, task, checkpoint.fingerprint, checkpoint.name, checkpoint.embedding_width)

    @_takes(TagOptions)
    def tag(
        self,
        inputs: Inputs,
        labels: Labels = None,
        options: TagOptions | None = None,
        *,
        template: str = "{}",
        taught: Taught = (),
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
        audio_track: int | None = None,
        **rules: Any,
    ) -> Iterator[TagResult | FileError]:
        """Yield the probability of each label in each recording, in order, as ``peaudio tag`` prints it.

        Args:
            inputs: recordings, one or several: paths of files and folders, patterns, addresses, bytes, open files, or
                pairs of samples and their rate, as the module's docstring says.
            labels: plain words, one or several; None asks for all of the checkpoint's own.
            options: which tags are shown. None leaves what is not given to the settings that the checkpoint carries.
            template: wraps every label; ``{}`` stands for it.
            taught: labels that were learned from examples, see :class:`Teacher`, or files of them. They join
                ``labels``, and win over words of the same name.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of the task.
            batch_size: windows that are encoded at once; None leaves it to the device.
            audio_track: which sound of a file with several, counted from 1; None is the one that players choose.
            rules: options by their names, such as ``threshold=0.5``, which win over ``options``; None is not given.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: there are no labels, or an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        settings = self._settings("tag") if options is None else SettingsFile()
        known = self._taught(taught, "tag")
        chosen = settings.tag_options(*_with(TagOptions() if options is None else options, rules))
        encoding = EncodeOptions(window_options("tag", window, overlap), batch_size, audio_track=audio_track)
        encoder = self.encoder("tag")
        asked = known.joined_to(_several(labels, () if known.labels else encoder.facts.default_labels))
        query = Query.ask(encoder, asked, template, settings, known.labels)
        return tag(find_recordings(listed(inputs)), encoder, query, chosen, encoding)

    @_takes(EventOptions)
    def localize(
        self,
        inputs: Inputs,
        labels: Labels = None,
        options: EventOptions | None = None,
        *,
        tidy: bool = False,
        template: str = "{}",
        taught: Taught = (),
        frames: bool = False,
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
        audio_track: int | None = None,
        **rules: Any,
    ) -> Iterator[LocalizeResult | FileError]:
        """Yield the events of each label in each recording, in order, as ``peaudio localize`` prints them.

        Args:
            inputs: recordings, one or several: paths of files and folders, patterns, addresses, bytes, open files, or
                pairs of samples and their rate, as the module's docstring says.
            labels: plain words, one or several; None asks for the checkpoint's own.
            options: how events are found. None leaves what is not given to the settings that the checkpoint carries,
                ``EventOptions()`` leaves them out.
            tidy: one event for a sound that lasts, see :meth:`EventOptions.tidied`; what is given wins over it.
            template: wraps every label; ``{}`` stands for it.
            taught: labels that were learned from examples, see :class:`Teacher`, or files of them. They join
                ``labels``, and win over words of the same name.
            frames: keep the frame probabilities, one every 40 ms.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of the task.
            batch_size: windows that are encoded at once; None leaves it to the device.
            audio_track: which sound of a file with several, counted from 1; None is the one that players choose.
            rules: options by their names, such as ``merge_gap=0.5``, which win over ``options``; None is not given.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: there are no labels, or an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        known = self._taught(taught, "localize")
        settings = known.settings(self._settings("localize") if options is None else SettingsFile())
        chosen = settings.event_options(*_with(EventOptions() if options is None else options, rules), tidy=tidy)
        encoding = EncodeOptions(window_options("localize", window, overlap), batch_size, audio_track=audio_track)
        encoder = self.encoder("localize")
        asked = known.joined_to(_several(labels, () if known.labels else encoder.facts.default_labels))
        query = Query.ask(encoder, asked, template, settings, known.labels)
        return localize(find_recordings(listed(inputs)), encoder, query, chosen, encoding, frames)

    def embed(
        self,
        inputs: Inputs,
        per: Unit = "recording",
        *,
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
        batch_size: int | None = None,
        audio_track: int | None = None,
    ) -> Iterator[EmbedResult | FileError]:
        """The audio embeddings of each recording, in order: what ``peaudio embed`` writes.

        A label's logit is ``scale * (audio . text) + bias``, with ``logit_scale`` and ``logit_bias`` of the encoder's
        ``facts``, of the embeddings as they are, without normalizing. Frames are those that :meth:`localize` judges.

        Args:
            inputs: recordings, one or several: paths of files and folders, patterns, addresses, bytes, open files, or
                pairs of samples and their rate, as the module's docstring says.
            per: ``recording`` (the mean of its windows), ``window`` or ``frame``.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of ``tag``, for frames that of ``localize``.
            batch_size: windows that are encoded at once; None leaves it to the device.
            audio_track: which sound of a file with several, counted from 1; None is the one that players choose.

        Yields:
            A result for each recording, or a :class:`FileError` for one that cannot be read.

        Raises:
            UsageError: an option is out of its range.
            CheckpointError: the model cannot be loaded.
        """
        check_unit(per)
        task = TASK_OF_UNIT[per]
        encoding = EncodeOptions(window_options(task, window, overlap), batch_size, audio_track=audio_track)
        return embed(find_recordings(listed(inputs)), self.encoder(task), per, encoding)


class Teacher:
    """Teaches labels to a model, from annotated recordings: what ``peaudio teach`` does.

    ::

        from pe_audio_cli import Teacher, load

        model = load()
        labels = Teacher(model).teach("annotations.csv", background="other/")
        labels.save("my.labels")
        for result in model.tag("street.wav", taught=labels):
            print(result)
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def teach(
        self,
        annotations: str | os.PathLike[str],
        audio: str | os.PathLike[str] | None = None,
        *,
        background: Inputs = (),
        prompts: Mapping[str, Sequence[str]] | None = None,
        tasks: Sequence[TaskName] | None = None,
        earlier: LabelFile | None = None,
        learning_curve: bool = False,
        strict: bool = False,
        window: float | None = DEFAULT_WINDOW,
        overlap: float | None = None,
    ) -> LabelFile:
        """Learn all labels of the annotations.

        Args:
            annotations: a file or a folder, in any format that ``peaudio eval`` reads.
            audio: the folder of the recordings; None is that of the annotations.
            background: more recordings, in which none of the labels is present.
            prompts: the words that a label starts from, by its name; by default the name itself.
            tasks: ``tag``, ``localize`` or both; None is both for annotations with times, else ``tag``.
            earlier: labels that were taught before, whose examples count as well.
            learning_curve: measure what fewer examples would give.
            strict: refuse recordings that cannot be used, instead of leaving them out.
            window: seconds of a window; None runs each recording in one pass.
            overlap: seconds that windows share; None is the default of the task.

        Raises:
            UsageError: there is nothing to tell a label by, or an option is out of its range.
            AnnotationError: the annotations, or their recordings, cannot be used.
            CheckpointError: the model cannot be loaded.
        """
        from pe_audio_cli.evaluation.annotations.folder import read_annotations
        from pe_audio_cli.learning.label_file import LabelFile
        from pe_audio_cli.learning.teacher import TeachingData, default_commands, teach_for

        read = read_annotations(os.fspath(annotations), None if audio is None else os.fspath(audio), strict)
        more = find_recordings(listed(background)) if background else []
        words = {label: tuple(texts) for label, texts in (prompts or {}).items()}
        taught = {} if earlier is None else dict(earlier.commands)
        for task in tasks or default_commands(read):
            encoding = EncodeOptions(window_options(task, window, overlap))
            data = TeachingData(read, more, words, taught.get(task), learning_curve, strict)
            encoder = self._model.encoder(task)
            taught[task] = teach_for(task, data, encoder, _embedder(encoder, encoding))
        return LabelFile.new(taught)


def _embedder(encoder: Encoder, encoding: EncodeOptions) -> Callable[..., Iterator[EmbedResult | FileError]]:
    from pe_audio_cli.learning.teacher import embeddings_of

    return lambda data, unit: embeddings_of(data, unit, lambda files, per: embed(files, encoder, per, encoding))


def load(
    model: str | os.PathLike[str] = "mini",
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int | None = None,
    compile: bool = False,
    revision: str | None = None,
    offline: bool = False,
) -> Model:
    """Find a checkpoint and make it ready to :meth:`~Model.tag`, :meth:`~Model.localize` and
    :meth:`~Model.embed`.

    Args:
        model: ``mini``, ``small``, ``base``, ``large``, a local folder, or a hub id.
        device: ``auto`` (CUDA, then MPS, then CPU), or a torch device.
        dtype: ``auto`` (bfloat16 on a CUDA GPU that has it, else float32), ``float32``, ``bfloat16`` or ``float16``.
        threads: CPU threads; None leaves it to torch.
        compile: compile the audio tower, which pays on long runs.
        revision: a commit, tag or branch of a hub checkpoint.
        offline: never touch the network.

    Raises:
        CheckpointError: there is no such model, as far as that can be told without a network.
        UsageError: ``revision`` is given for a model that is not the hub's.
    """
    from pe_audio_cli.models.registry import ModelOptions, check_name

    options = ModelOptions(os.fspath(model), revision, offline)
    check_name(options)  # before torch is imported, which takes a while
    from pe_audio_cli.models.encoder import DeviceOptions

    return Model(options, DeviceOptions(device, dtype, threads, compile))


def _with(options: OptionsT, given: Mapping[str, Any]) -> tuple[OptionsT, Set[str]]:
    """Options with what else was given, by its field's name, and those names; None is not given.

    Raises :class:`TypeError` for a name that no option has.
    """
    if unknown := given.keys() - options_of(options).keys():
        raise TypeError(f"there is no option {min(unknown)!r}: there are {', '.join(options_of(options))}")
    named = {name: value for name, value in given.items() if value is not None}
    return replace(options, **named), named.keys()


def _several(labels: Labels, default: Sequence[str]) -> Sequence[str]:
    if labels is None:
        return default
    return [labels] if isinstance(labels, str) else list(dict.fromkeys(labels))
