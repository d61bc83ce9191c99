"""Every shared flag, once.

A group of flags is a frozen dataclass whose fields carry their flag. :func:`with_flags` lets a command take whole
groups, and shows their fields to Typer as if the command had listed them. The flags of options that a subpackage
defines (:mod:`pe_audio_cli.options`) are made of what their fields tell: see :class:`FlagsOf`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from pe_audio_cli._paths import unnameable
from pe_audio_cli.cli.conversion import convert_late
from pe_audio_cli.errors import UsageError
from pe_audio_cli.formats.registry import choices
from pe_audio_cli.options import Option, options_of

__all__ = [
    "AudioTrack",
    "BatchFlags",
    "Command",
    "DeviceFlags",
    "EngineFlags",
    "FlagsOf",
    "InputFlags",
    "LabelFlags",
    "ModelFlags",
    "Offline",
    "RemoteFlags",
    "Revision",
    "VerbosityFlags",
    "WindowFlags",
    "complete_format",
    "complete_label_set",
    "complete_model",
    "given_flags",
    "with_flags",
]

OUTPUTS = ("output", "plot", "report", "tune", "index")  # the flags that name what is written
# In what order help shows panels: those of results and events, then all others, then these.
FIRST_PANELS = ("Results", "Events")
LAST_PANELS = ("Labels", "Report", "Output", "Windows", "Model", "Cluster")
EVENT_FORMATS = [name for name in choices("localize") if name not in choices("tag")]


@dataclass(frozen=True)
class FlagsOf:
    """Annotates a parameter that takes options: each is a flag.

    Attributes:
        options: the class that defines them.
        panel: under which they stand in help.
        given_only: the parameter is no object of the class but holds the values that were given, by their names.
        help: what stands in place of an option's own help, by its name; ``""`` stands for all others.
    """

    options: type
    panel: str
    given_only: bool = False
    help: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Each flag as a parameter of a command."""
        hints = get_type_hints(self.options)
        fields = {field.name: field for field in dataclasses.fields(self.options)}
        for name, known in options_of(self.options).items():
            kind, default = hints[name], fields[name].default
            if self.given_only:
                kind, default = kind | None, None
            flag = self._flag(name, known, kind)
            yield inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, flag]
            )

    def _flag(self, name: str, known: Option, kind: Any) -> Any:
        is_count = int in (kind, *get_args(kind))
        return typer.Option(
            *([f"--{name.replace('_', '-')}"] if kind is bool else []),
            metavar=known.metavar,
            min=int(known.low) if is_count else None,
            help=self.help.get(name, self.help.get("", known.help)),
            rich_help_panel=self.panel,
        )

    def build(self, values: dict[str, Any]) -> Any:
        """Build the parameter from the values of its flags, which are removed from ``values``.

        Raises :class:`UsageError` if a value is out of its range.
        """
        own = {name: values.pop(name) for name in options_of(self.options)}
        if self.given_only:
            return {name: value for name, value in own.items() if value is not None}
        return self.options(**own)


AudioTrack: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Audio track of files that have several, counted from 1; by default the one that players choose.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class InputFlags:
    """Flags of the input."""

    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files, folders (searched recursively), patterns, addresses (https://, s3:// ...), or - for standard "
            "input.",
        ),
    ] = None
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that lists further inputs: text with one per line, or .parquet with a column file, path or url.",
        ),
    ] = None

    @property
    def files(self) -> dict[str, Iterable[Path]]:
        """The files that are read besides recordings, by what they are."""
        return {"the manifest": filter(None, [self.manifest])}

    audio_track: AudioTrack = None

    def named(self) -> list[str]:
        """Return all inputs. Raises :class:`UsageError` if there are none, or for invalid limits of reading."""
        from pe_audio_cli.audio.limits import Limits
        from pe_audio_cli.audio.manifest import read_manifest

        Limits.of_environment()  # a bad one is told before anything is started
        if self.paths is None and self.manifest is None:
            raise UsageError("no input given: name files or folders, or a list of them with --manifest")
        listed = [] if self.manifest is None else read_manifest(self.manifest)
        return [*(() if self.paths is None else self.paths), *listed]


def complete_model(incomplete: str) -> list[str]:
    """Names of models for a shell to offer; folders it completes by itself."""
    from pe_audio_cli.models.registry import DEFAULT_MODEL, SIZES

    return [name for name in (DEFAULT_MODEL, *SIZES) if name.startswith(incomplete)]


def complete_format(context: typer.Context, incomplete: str) -> list[str]:
    """The formats that the command can write."""
    command: Any = context.info_name if context.info_name in ("localize", "search") else "tag"
    return [name for name in choices(command) if name.startswith(incomplete)]


def complete_label_set(incomplete: str) -> list[str]:
    """The label sets that ship with the tool, and what prints their names."""
    from pe_audio_cli.inference.labels import label_set_names

    return [name for name in ("list", *label_set_names()) if name.startswith(incomplete)]


def _list_label_sets(names: list[str] | None) -> list[str] | None:
    if names is None or "list" not in names:
        return names
    from pe_audio_cli.inference.labels import label_set_names

    print("\n".join(label_set_names()))
    raise typer.Exit


@dataclass(frozen=True)
class LabelFlags:
    """Flags of the labels."""

    labels: Annotated[
        list[str] | None,
        typer.Option(
            "-l", "--labels", metavar="TEXT", help="Comma-separated labels; repeatable.", rich_help_panel="Labels"
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="One label, which may contain commas; repeatable.", rich_help_panel="Labels"),
    ] = None
    labels_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="File with one label per line; blank lines and # comments are skipped.",
            rich_help_panel="Labels",
        ),
    ] = None
    label_set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Built-in list of labels; 'list' prints the names.",
            rich_help_panel="Labels",
            is_eager=True,
            callback=_list_label_sets,
            autocompletion=complete_label_set,
        ),
    ] = None
    template: Annotated[
        str,
        typer.Option(metavar="TEXT", help="Prompt for each label; {} stands for the label.", rich_help_panel="Labels"),
    ] = "{}"
    taught: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Labels learned from examples, from a file of peaudio teach; repeatable. They join the labels that "
            "are given, and win over words of the same name.",
            rich_help_panel="Labels",
        ),
    ] = None
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings from peaudio eval --tune: prompts, thresholds and calibration of each label. Flags override "
            "them. By default those of the checkpoint; 'none' ignores them.",
            rich_help_panel="Labels",
        ),
    ] = None

    @property
    def files(self) -> dict[str, Iterable[str | Path]]:
        """The files that are read, by what they are."""
        return {
            "the label file": self.labels_file or (),
            "the settings file": filter(None, [self.settings]),
            "the file of taught labels": self.taught or (),
        }

    @property
    def given(self) -> bool:
        """True if any flag of labels is set."""
        return any((self.labels, self.label, self.labels_file, self.label_set, self.taught))


Revision: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Revision of a hub checkpoint.", rich_help_panel="Model")
]
Offline: TypeAlias = Annotated[bool, typer.Option("--offline", help="Do not use the network.", rich_help_panel="Model")]


@dataclass(frozen=True)
class ModelFlags:
    """Flags of the checkpoint."""

    model: Annotated[
        str,
        typer.Option(
            "-m",
            "--model",
            metavar="NAME",
            envvar="PEAUDIO_MODEL",
            help="Model: mini, small, base, large, a local folder, or a hub id.",
            rich_help_panel="Model",
            autocompletion=complete_model,
        ),
    ] = "mini"
    revision: Revision = None
    offline: Offline = False


@dataclass(frozen=True)
class DeviceFlags:
    """Flags of the device."""

    device: Annotated[
        str, typer.Option(metavar="NAME", help="Device: auto, cpu, cuda, cuda:1, mps ...", rich_help_panel="Model")
    ] = "auto"
    dtype: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Data type of the model: auto, float32, bfloat16 or float16.", rich_help_panel="Model"
        ),
    ] = "auto"
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of CPU threads.", rich_help_panel="Model")
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Number of windows encoded at once; results are the same.", rich_help_panel="Model"
        ),
    ] = None
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the model first; faster for long runs.", rich_help_panel="Model")
    ] = False


@dataclass(frozen=True)
class EngineFlags:
    """Flags of the engine."""

    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Run in this process, or on a Ray cluster; results are the same.", rich_help_panel="Cluster"),
    ] = "local"
    ray_address: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            envvar="RAY_ADDRESS",
            help="Ray cluster: auto (that of this machine), ray://HOST:10001, or local (one that ends with the run).",
            rich_help_panel="Cluster",
        ),
    ] = "local"
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Number of workers; by default as many as fit on the cluster.",
            rich_help_panel="Cluster",
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            min=0,
            help="GPUs of each worker; by default 1 if there are any. With 0.5, two workers share one.",
            rich_help_panel="Cluster",
        ),
    ] = None

    def check(self) -> None:
        """Raise :class:`UsageError` if a flag for a cluster is given without one."""
        if self.engine == "local" and (self.workers is not None or self.gpus_per_worker is not None):
            raise UsageError("--workers and --gpus-per-worker need a cluster: add --engine ray")


@dataclass(frozen=True)
class RemoteFlags:
    """The flag of a server."""

    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let a running server, such as http://127.0.0.1:8765, do the work; results are the same. Its token is "
            "taken from PEAUDIO_TOKEN.",
            rich_help_panel="Model",
        ),
    ] = None


@dataclass(frozen=True)
class WindowFlags:
    """Flags of the windows."""

    window: Annotated[
        str,
        typer.Option(
            metavar="SECONDS",
            help="Length of the windows into which longer recordings are split; 'full' never splits.",
            rich_help_panel="Windows",
        ),
    ] = "30"
    overlap: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Overlap of adjacent windows; by default 0 for tag, and a sixth of the window for localize.",
            rich_help_panel="Windows",
            show_default=False,
        ),
    ] = None


@dataclass(frozen=True)
class OutputFlags:
    """Flags of the output."""

    format: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--format",
            metavar="NAME",
            help=f"{', '.join(choices('tag'))}; for localize also {', '.join(EVENT_FORMATS)}. By default "
            "that of the output's extension, table on a terminal, jsonl in a pipe.",
            rich_help_panel="Output",
            autocompletion=complete_format,
            show_default=False,
        ),
    ] = None
    output: Annotated[
        str | None,  # not a Path, which would lose the / at the end
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Output file, or a folder (or name that ends in /) for one file per recording; - is standard output.",
            rich_help_panel="Output",
        ),
    ] = None
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Write files of N recordings each (part-00000.jsonl ...) to the folder, and _SUCCESS at the end.",
            rich_help_panel="Output",
        ),
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel="Output")
    ] = False
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.", rich_help_panel="Output")] = (
        False
    )
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first recording that fails.", rich_help_panel="Output")
    ] = False

    @property
    def path(self) -> str | None:
        """The output file or folder; None for standard output, also as ``-``."""
        return None if self.output == "-" else self.output


@dataclass(frozen=True)
class VerbosityFlags:
    """Flags of the messages on standard error."""

    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print only errors on standard error.", rich_help_panel="Output")
    ] = False
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Print details and tracebacks.", rich_help_panel="Output")
    ] = False


@dataclass(frozen=True)
class BatchFlags:
    """All that the commands share that go through recordings."""

    inputs: InputFlags
    labels: LabelFlags
    model: ModelFlags
    device: DeviceFlags
    engine: EngineFlags
    remote: RemoteFlags
    windows: WindowFlags
    output: OutputFlags
    console: VerbosityFlags


class Command(TyperCommand):
    """A command that takes each flag for an output once: two of them would be a wish that one of them is to fulfil."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, of which Typer makes some in the end."""
        return convert_late(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line."""
        if not ctx.resilient_parsing:  # as it is when a shell completes a line
            *_, order = self.make_parser(ctx).parse_args(args=list(args))
            for twice in {flag.name for flag in order if flag.name in OUTPUTS and order.count(flag) > 1}:
                ctx.fail(f"--{twice} is given twice: name one place")
        return super().parse_args(ctx, args)


def given_flags(context: typer.Context) -> frozenset[str]:
    """The names of the parameters that were given, in the environment too, rather than left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name != "DEFAULT")


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Decorate a command that takes groups of flags: Typer sees the fields of the groups."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if _is_group(hint)}
    parameters = [
        shown
        for name, parameter in inspect.signature(command).parameters.items()
        for shown in (_flags(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])])
    ]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        _refuse_impossible_text(values)
        for name, group in groups.items():
            values[name] = _build(group, values)
        command(**values)

    parameters.sort(key=_panel_place)  # help shows panels in the order in which they first come up
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    )
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _refuse_impossible_text(values: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` for text that no system takes as a name: it only comes from programs that go wrong."""
    for name, value in values.items():
        if name == "paths":  # each of which is a recording, and has an error of its own
            continue
        for text in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(text, (str, Path)) and (why := unnameable(text)) is not None:
                raise UsageError(f"{name.replace('_', '-')}: {why}: {str(text)[:100]!r}")


def _panel_place(parameter: inspect.Parameter) -> int:
    """Return the position of a flag's panel in the help: events first, then the command's own, the cluster last."""
    flag = next(iter(getattr(parameter.annotation, "__metadata__", ())), None)
    panel = getattr(flag, "rich_help_panel", None)
    if panel in LAST_PANELS:
        return 2 + LAST_PANELS.index(panel)
    return 0 if panel is None or panel.startswith(FIRST_PANELS) else 1


def _is_group(hint: Any) -> bool:
    """Return True for a parameter type that takes several flags."""
    return dataclasses.is_dataclass(hint) or _flags_of(hint) is not None


def _flags_of(hint: Any) -> FlagsOf | None:
    extras = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return next((each for each in extras if isinstance(each, FlagsOf)), None)


def _flags(group: Any) -> Iterator[inspect.Parameter]:
    """The flags of a group, and of the groups in it."""
    if (options := _flags_of(group)) is not None:
        yield from options.parameters()
        return
    hints = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        if _is_group(hints[field.name]):
            yield from _flags(hints[field.name])
            continue
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )


def _build(group: Any, values: dict[str, Any]) -> Any:
    """A group of its flags' values, which are taken out of ``values``."""
    if (options := _flags_of(group)) is not None:
        return options.build(values)
    hints = get_type_hints(group, include_extras=True)
    fields = {
        field.name: _build(hints[field.name], values) if _is_group(hints[field.name]) else values.pop(field.name)
        for field in dataclasses.fields(group)
    }
    return group(**fields)
