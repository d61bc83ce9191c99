"""An inventory of the checkpoints that peaudio knows by name, and of those in the hub's cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pe_audio_cli.errors import CheckpointError
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.hub import cache_folder, is_complete
from pe_audio_cli.models.registry import DEFAULT_MODEL, SHIPPED, SIZES, TASKS, TaskName, hub_id

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, CachedRevisionInfo

__all__ = ["Stored", "inventory", "stored_object"]

DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class Stored:
    """One checkpoint, or one revision of it.

    ``name`` is the value of ``--model``, for ``tasks``. ``folder`` is None if the checkpoint is not complete on this
    machine; ``n_bytes`` is its size on disk, which is not 0 after an interrupted download.
    """

    name: str
    tasks: tuple[TaskName, ...]
    hub_id: str | None = None
    revision: str | None = None
    folder: Path | None = None
    n_bytes: int = 0


def inventory() -> list[Stored]:
    """List the shipped checkpoint, then those of the sizes, then other PE Audio checkpoints in the hub's cache."""
    cache = _cache()
    named = {hub_id(size, task): (size, task) for size in SIZES for task in TASKS}
    others = sorted(repo for repo in cache if repo not in named)
    return [
        *_shipped(),
        *(row for repo, (size, task) in named.items() for row in _of_size(repo, size, task, cache.get(repo))),
        *(row for repo in others for row in _whole(repo, repo, TASKS, cache[repo])),
    ]


def stored_object(stored: Stored) -> dict[str, Any]:
    """Return the object of a checkpoint, as ``peaudio models -f json`` prints it."""
    return {
        "schema": "peaudio.model/1",
        "name": stored.name,
        "for": stored.tasks,
        "hub_id": stored.hub_id,
        "revision": stored.revision,
        "bytes": stored.n_bytes,
        "folder": None if stored.folder is None else str(stored.folder),
    }


def _shipped() -> Iterator[Stored]:
    folder = SHIPPED / DEFAULT_MODEL
    if folder.is_dir():
        yield Stored(DEFAULT_MODEL, TASKS, folder=folder, n_bytes=_size(folder))


def _of_size(repo: str, size: str, task: TaskName, cached: CachedRepoInfo | None) -> list[Stored]:
    if cached is None:
        return [Stored(size, (task,), repo)]
    return list(_whole(repo, size, (task,), cached)) or [Stored(size, (task,), repo, n_bytes=_size(cached.repo_path))]


def _whole(repo: str, name: str, tasks: tuple[TaskName, ...], cached: CachedRepoInfo) -> Iterator[Stored]:
    """Yield the complete revisions of a PE Audio checkpoint, the default one first."""
    for revision in sorted(cached.revisions, key=_order):
        if _is_ours(revision.snapshot_path, repo):
            revision_name = next(iter(sorted(revision.refs)), revision.commit_hash)
            yield Stored(name, tasks, repo, revision_name, revision.snapshot_path, revision.size_on_disk)


def _order(revision: CachedRevisionInfo) -> tuple[bool, float]:
    return DEFAULT_REVISION not in revision.refs, -revision.last_modified


def _is_ours(folder: Path, repo: str) -> bool:
    try:
        Checkpoint.open(folder, repo)
    except CheckpointError:
        return False
    return is_complete(folder)


def _cache() -> dict[str, CachedRepoInfo]:
    """Return the models in the hub's cache, by their hub ids."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    folder = cache_folder()
    if folder is None:
        return {}
    try:
        found = scan_cache_dir(folder)
    except (CacheNotFound, OSError, ValueError):  # a ValueError is a file where a folder is expected
        return {}
    return {repo.repo_id: repo for repo in found.repos if repo.repo_type == "model"}


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in _files(folder))


def _files(folder: Path) -> Iterable[Path]:
    return (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
