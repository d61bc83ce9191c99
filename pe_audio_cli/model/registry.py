"""Names to checkpoint folders: shipped, local, or from the Hugging Face hub.

A hub checkpoint is fetched once into the hub's own cache and then used from there without asking the network again,
so that a run tomorrow uses the weights of today's. Nothing heavier than ``huggingface_hub`` is imported, and that
only where a hub checkpoint is wanted.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from pe_audio_cli.errors import CheckpointError, UsageError
from pe_audio_cli.model.checkpoint import Checkpoint, weight_files

__all__ = ["DEFAULT_MODEL", "SIZES", "ModelOptions", "Task", "anchored", "find_checkpoint", "hub_id", "resolve"]

Task: TypeAlias = Literal["tag", "localize"]

SHIPPED = Path(__file__).parent.parent / "checkpoints"
DEFAULT_MODEL = "mini"
SIZES = ("small", "base", "large")
# The clip head is trained in pe-av, the frame head in pe-a-frame.
HUB_FAMILY: dict[Task, str] = {"tag": "facebook/pe-av", "localize": "facebook/pe-a-frame"}
# What a checkpoint consists of; code and pickled weights are never fetched.
HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PROBE_SECONDS = 2.0  # how long an unreachable hub may keep a user waiting


@dataclass(frozen=True)
class ModelOptions:
    """Which checkpoint, and from where.

    ``name`` is ``mini``, ``small``, ``base``, ``large``, a local folder or a hub id. ``revision`` pins a commit, tag
    or branch of a hub checkpoint. ``offline`` forbids the network.
    """

    name: str = DEFAULT_MODEL
    revision: str | None = None
    offline: bool = False


def hub_id(size: str, task: Task) -> str:
    """The hub id that a size stands for: its clip-level checkpoint for tag, its frame-level one for localize."""
    return f"{HUB_FAMILY[task]}-{size}"


def find_checkpoint(options: ModelOptions, task: Task) -> Checkpoint:
    """The checkpoint for a task, its configuration checked; no weights yet.

    Raises what :func:`resolve` and :meth:`Checkpoint.open` raise.
    """
    return Checkpoint.open(resolve(options, task), options.name)


def anchored(options: ModelOptions) -> ModelOptions:
    """The same for a process with another current folder: a local folder by its absolute path."""
    folder = None if options.name == DEFAULT_MODEL else _local_folder(options.name)
    return options if folder is None else replace(options, name=str(folder.absolute()))


def resolve(options: ModelOptions, task: Task) -> Path:
    """The local folder that holds the checkpoint, fetched from the hub if need be.

    Raises :class:`CheckpointError` if the name is unknown, the folder is missing, or the hub cannot be reached, and
    :class:`UsageError` for a revision of something that is not on the hub.
    """
    local = _local_folder(options.name)
    if local is not None:
        if options.revision is not None:
            raise UsageError(f"--revision pins a hub checkpoint, and {options.name} is a local one: drop --revision")
        return local
    if options.name in SIZES:
        return _from_hub(hub_id(options.name, task), options)
    if HUB_ID.fullmatch(options.name):
        return _from_hub(options.name, options)
    raise CheckpointError(f"unknown model {options.name!r}{_suggestion(options.name)}")


def _local_folder(name: str) -> Path | None:
    """The folder that a name means on this machine, or None where it can only be a size or a hub id."""
    if name == DEFAULT_MODEL:
        return _shipped(name)
    if name in SIZES or not name:
        return None
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise CheckpointError(f"{name} is a file; a model is a folder that holds config.json and model.safetensors")
    if name.startswith((".", "~")) or folder.is_absolute() or name.count("/") > 1 or name.endswith("/"):
        raise CheckpointError(f"no model folder at {name}: check the path")
    return None


def _shipped(name: str) -> Path:
    folder = SHIPPED / name
    if not folder.is_dir():
        raise CheckpointError(
            f"the {name} checkpoint is not part of this version: name another with -m (small, base, large, a folder, "
            "or a hub id), or set PEAUDIO_MODEL"
        )
    return folder


def _suggestion(name: str) -> str:
    known = [DEFAULT_MODEL, *SIZES]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{hint}: use {', '.join(known)}, a local folder, or a hub id such as {hub_id('base', 'tag')}"


def _from_hub(repo: str, options: ModelOptions) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    cached = _cached(repo, options.revision)
    if cached is not None:
        return cached
    if options.offline or constants.HF_HUB_OFFLINE:
        raise CheckpointError(f"{repo} is not on this machine and the network is switched off: {_remedy(repo)}")
    _probe(repo, constants.ENDPOINT)
    try:
        return Path(snapshot_download(repo, revision=options.revision, allow_patterns=HUB_FILES))
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"there is no model {repo} on the hub, or it needs a token: check the name") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{repo} could not be fetched ({reason}): {_remedy(repo)}") from error


def _cached(repo: str, revision: str | None) -> Path | None:
    """The folder of a complete earlier download, or None: an interrupted one leaves a snapshot with files missing."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        return None
    try:
        files = weight_files(folder)
    except CheckpointError:
        return None
    return folder if all(file.is_file() for file in files) else None


def _probe(repo: str, endpoint: str) -> None:
    """Fail in a moment where the hub is out of reach, instead of after the client's minutes of retries."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return  # only the proxy can tell
    url = urlsplit(endpoint)
    port = url.port if url.port is not None else {"http": 80}.get(url.scheme, 443)
    try:
        socket.create_connection((url.hostname or "", port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise CheckpointError(f"{repo} is not here and the hub cannot be reached: {_remedy(repo)}") from error


def _remedy(repo: str) -> str:
    folder = repo.rsplit("/", maxsplit=1)[-1]
    return (
        f"on a machine with a network run `hf download {repo} --local-dir {folder}`, copy that folder here, and use "
        f"`-m ./{folder}`"
    )
