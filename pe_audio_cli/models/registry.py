"""Resolution of names to checkpoint folders: shipped, local, or from the Hugging Face hub.

A hub checkpoint is fetched once into the hub's own cache and then used from there without asking the network again,
so that a run tomorrow uses the weights of today's.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from pe_audio_cli._paths import exists, expanduser, hindrance, is_dir
from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.models import hub
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.download import OnBytes

__all__ = ["DEFAULT_MODEL", "SHIPPED", "SIZES", "TASKS", "ModelOptions", "TaskName", "anchored", "check_name"]
__all__ += ["find_checkpoint", "hub_id", "hub_name", "local_folder", "resolve"]

TaskName: TypeAlias = Literal["tag", "localize"]
TASKS: tuple[TaskName, ...] = ("tag", "localize")

SHIPPED = Path(__file__).parent.parent / "checkpoints"
DEFAULT_MODEL = "mini"
SIZES = ("small", "base", "large")
# The clip head is trained in pe-av, the frame head in pe-a-frame.
HUB_FAMILY: dict[TaskName, str] = {"tag": "facebook/pe-av", "localize": "facebook/pe-a-frame"}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ModelOptions:
    """The checkpoint to load, and its source.

    ``name`` is ``mini``, ``small``, ``base``, ``large``, a local folder or a hub id. ``revision`` pins a commit, tag
    or branch of a hub checkpoint. ``offline`` forbids the network.
    """

    name: str = DEFAULT_MODEL
    revision: str | None = None
    offline: bool = False


def hub_id(size: str, task: TaskName) -> str:
    """Return the hub id of a size: its clip-level checkpoint for tag, its frame-level one for localize."""
    return f"{HUB_FAMILY[task]}-{size}"


def find_checkpoint(options: ModelOptions, task: TaskName, on_bytes: OnBytes | None = None) -> Checkpoint:
    """Return the checkpoint for a task, with its configuration checked and no weights read yet.

    Raises what :func:`resolve` and :meth:`Checkpoint.open` raise.
    """
    return Checkpoint.open(resolve(options, task, on_bytes), options.name)


def anchored(options: ModelOptions) -> ModelOptions:
    """Return the options for a process with another current folder: a local folder becomes an absolute path."""
    folder = None if options.name == DEFAULT_MODEL else _local_folder(options.name)
    return options if folder is None else replace(options, name=str(folder.absolute()))


def resolve(options: ModelOptions, task: TaskName, on_bytes: OnBytes | None = None) -> Path:
    """Return the local folder of the checkpoint, downloaded from the hub if needed.

    Raises what :func:`local_folder`, :func:`hub_name` and :func:`~pe_audio_cli.models.hub.find` raise.
    """
    folder = local_folder(options)
    if folder is not None:
        return folder
    return hub.find(hub_name(options.name, task), options.revision, options.offline, on_bytes)


def hub_name(name: str, task: TaskName) -> str:
    """Return the hub id of a name that is no folder. Raises :class:`CheckpointError` if there is none."""
    if name in SIZES:
        return hub_id(name, task)
    if HUB_ID.fullmatch(name):
        return name
    raise CheckpointError(f"unknown model {name!r}{_suggestion(name)}")


def check_name(options: ModelOptions) -> None:
    """Raise what :func:`find_checkpoint` would raise, as far as possible without a network."""
    folder = local_folder(options)
    if folder is not None:
        Checkpoint.open(folder, options.name)
    else:
        hub_name(options.name, TASKS[0])


def local_folder(options: ModelOptions) -> Path | None:
    """Return the folder of a shipped checkpoint, or of one named by its path; None for one of the hub.

    Raises :class:`CheckpointError` if there is no such folder, and :class:`UsageError` for a revision of one.
    """
    folder = _local_folder(options.name)
    if folder is not None and options.revision is not None:
        raise UsageError(f"--revision pins a hub checkpoint, and {options.name} is a local one: drop --revision")
    return folder


def _local_folder(name: str) -> Path | None:
    """Return the local folder of a name, or None if it can only be a size or a hub id."""
    if name == DEFAULT_MODEL:
        return _shipped(name)
    if name in SIZES or not name:
        return None
    folder = Path(expanduser(name))
    if is_dir(folder):
        return folder
    if (why := hindrance(folder)) is not None:
        raise CheckpointError(f"cannot look for a model at {name} ({why}): check the path and its permissions")
    if exists(folder):
        raise CheckpointError(f"{name} is a file; a model is a folder that holds config.json and model.safetensors")
    if name.startswith((".", "~")) or folder.is_absolute() or name.count("/") > 1 or name.endswith("/"):
        raise CheckpointError(f"no model folder at {name}: check the path")
    return None


def _shipped(name: str) -> Path:
    folder = SHIPPED / name
    if not is_dir(folder):
        raise CheckpointError(
            f"the {name} checkpoint is not part of this version: name another with -m (small, base, large, a folder, "
            "or a hub id), or set PEAUDIO_MODEL"
        )
    return folder


def _suggestion(name: str) -> str:
    known = [DEFAULT_MODEL, *SIZES]
    close = difflib.get_close_matches(name.lower(), known, n=2)
    hint = f" (did you mean {' or '.join(close)}?)" if close else ""
    return f"{hint}: use {', '.join(known)}, a local folder, or a hub id such as {hub_id('base', 'tag')}"
