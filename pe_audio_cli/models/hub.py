"""Checkpoints of the Hugging Face hub, found in its cache or downloaded into it.

Nothing heavier than ``huggingface_hub`` is imported, and that only where it is needed. It finds the cache by HF_HOME,
the hub by HF_ENDPOINT and a token in HF_TOKEN, and keeps off the network if HF_HUB_OFFLINE is set.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pe_audio_cli._paths import expanduser
from pe_audio_cli.errors import CheckpointError, PeAudioError, RunError, UsageError
from pe_audio_cli.models.checkpoint import weight_files
from pe_audio_cli.models.download import WANTED, Download, OnBytes, more_room

__all__ = ["Pulled", "cached", "find", "is_complete", "pull"]

PROBE_SECONDS = 2.0  # timeout of the connection test
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NO_LEAVE = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class Pulled:
    """A local checkpoint: ``is_new`` if this call has downloaded it, ``is_latest`` if the hub was reachable."""

    folder: Path
    is_new: bool
    is_latest: bool


def find(repo: str, revision: str | None = None, offline: bool = False, on_bytes: OnBytes | None = None) -> Path:
    """Return the folder of a hub checkpoint, downloaded if it is not cached; a cached one needs no network.

    Args:
        repo: the hub id.
        revision: a commit, tag or branch.
        offline: never touch the network.
        on_bytes: called with the progress; without it the hub's client draws its own progress bars.

    Raises:
        CheckpointError: there is no such checkpoint, or the hub is unreachable.
        RunError: the disk is full.
        UsageError: HF_ENDPOINT is no address.
    """
    here = cached(repo, revision)
    if here is not None:
        return here
    _check_reach(repo, offline)
    return _fetch(repo, revision, on_bytes)


def pull(repo: str, revision: str | None = None, offline: bool = False, on_bytes: OnBytes | None = None) -> Pulled:
    """Download the newest revision of a hub checkpoint; if the hub is unreachable, return a cached one.

    Arguments and errors are those of :func:`find`.
    """
    here = cached(repo, revision)
    try:
        _check_reach(repo, offline)
    except CheckpointError:
        if here is None:
            raise
        return Pulled(here, is_new=False, is_latest=False)
    folder = _fetch(repo, revision, on_bytes)
    return Pulled(folder, is_new=here is None or not folder.samefile(here), is_latest=True)


def cached(repo: str, revision: str | None = None) -> Path | None:
    """Return the folder of a complete earlier download, or None; interrupted ones leave incomplete snapshots."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if cache_folder() is None:
        return None
    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=WANTED))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if is_complete(folder) else None


def cache_folder() -> Path | None:
    """Return the cache folder of the hub's client; None for a user without a home folder."""
    from huggingface_hub import constants

    folder = expanduser(constants.HF_HUB_CACHE)
    return None if folder.startswith("~") else Path(folder)


def is_complete(folder: Path) -> bool:
    """True if a snapshot holds all required files of a checkpoint."""
    try:
        needed = [folder / "config.json", folder / "tokenizer.json", *weight_files(folder)]
    except CheckpointError:
        return False
    return all(file.is_file() for file in needed)


def _check_reach(repo: str, offline: bool) -> None:
    """Fail at once if the hub is unreachable, instead of after the client's minutes of retries."""
    from huggingface_hub import constants

    if cache_folder() is None:
        raise CheckpointError(f"there is no home folder to store {repo} in: set HF_HOME to a folder of yours")
    if offline or constants.HF_HUB_OFFLINE:
        raise CheckpointError(f"{repo} is not on this machine and the network is switched off: {_remedy(repo)}")
    host, port = _host_and_port(constants.ENDPOINT)
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return  # only the proxy can reach the hub
    try:
        socket.create_connection((host, port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise CheckpointError(f"{repo} is not on this machine and the hub is unreachable: {_remedy(repo)}") from error


def _host_and_port(endpoint: str) -> tuple[str, int]:
    try:
        url = urlsplit(endpoint)
        port = url.port if url.port is not None else {"http": 80, "https": 443}[url.scheme]
    except (KeyError, ValueError):  # no port is known, or what stands there is none
        host = None
    else:
        host = url.hostname if url.scheme in ("http", "https") else None
    if not host:
        raise UsageError(f"HF_ENDPOINT is no address of a hub: got {endpoint!r}; unset it, or name one with https://")
    return host, port


def _remedy(repo: str) -> str:
    folder = repo.rsplit("/", maxsplit=1)[-1]
    return (
        f"on a machine with a network run `hf download {repo} --local-dir {folder}`, copy that folder here, and use "
        f"`-m ./{folder}`"
    )


def _fetch(repo: str, revision: str | None, on_bytes: OnBytes | None) -> Path:
    try:
        return Download(repo, revision, on_bytes).run()
    except PeAudioError:
        raise
    except Exception as error:  # the client's own, the system's, and its HTTP library's, which is not always the same
        raise _refusal(error, repo, revision) from error


def _refusal(error: Exception, repo: str, revision: str | None) -> PeAudioError:
    """Return the error for a failed download, with its remedy."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return CheckpointError(f"{repo} is gated: accept its terms on its page, and set HF_TOKEN to a token of yours")
    if isinstance(error, RepositoryNotFoundError):
        return CheckpointError(f"there is no model {repo} on the hub, or it needs a token: check the name or HF_TOKEN")
    if isinstance(error, RevisionNotFoundError):
        return CheckpointError(f"{repo} has no revision {revision}: check --revision")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return RunError(f"the disk was full before {repo} was complete: {more_room()}")
    if isinstance(error, OSError) and error.errno in NO_LEAVE:
        return CheckpointError(
            f"{repo} cannot be stored in {constants.HF_HUB_CACHE} ({error.strerror}): set HF_HOME to a folder of yours"
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return CheckpointError(f"{repo} could not be downloaded ({reason}): run the same command again to resume")
