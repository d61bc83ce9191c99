"""One revision of a hub checkpoint, on its way into the hub's own cache.

Nothing half there is ever taken for a checkpoint. A large file grows as ``blobs/<sha256>.incomplete``, with which the
next run goes on, and gets its name when its sum is right; the hub's client then links it to the snapshot. Weights come
after all else, and the name of the revision is noted last. The layout of the cache is described in the guide to
huggingface_hub, "Understand caching".
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from pe_audio_cli.errors import CheckpointError, RunError
from pe_audio_cli.model.checkpoint import Checkpoint, weight_files

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

__all__ = ["WANTED", "Download", "OnBytes", "more_room", "size_text", "storage"]

OnBytes: TypeAlias = Callable[[str, int, int], None]  # a hub id, the bytes of it that are here, the bytes it has in all

# What a checkpoint consists of; code and pickled weights are never fetched.
WEIGHTS = ["*.safetensors"]
WANTED = ["*.json", "*.txt", "*.model", *WEIGHTS]
PIECE = 1 << 20  # bytes of a file that are read at once for its sum


class Download:
    """Fetches what is missing of a revision.

    Args:
        repo: a hub id.
        revision: a commit, tag or branch; None is the hub's default.
        on_bytes: hears how it goes; without it the hub's client draws bars of its own.

    Whatever the client, its HTTP library and the system raise passes through.
    """

    def __init__(self, repo: str, revision: str | None, on_bytes: OnBytes | None) -> None:
        from huggingface_hub import HfApi

        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        files = [file for file in info.siblings or () if _is_one_of(WANTED, file)]
        self._files = sorted(files, key=lambda file: _is_one_of(WEIGHTS, file))
        self._repo, self._revision, self._commit, self._on_bytes = repo, revision, str(info.sha), on_bytes
        self._n_bytes, self._n_done = sum(file.size or 0 for file in files), 0

    def run(self) -> Path:
        """Fetch it; the folder of the snapshot.

        Raises:
            CheckpointError: it is no PE Audio checkpoint, or came damaged.
            RunError: the disk has no room for it.
        """
        folder = storage(self._repo) / "snapshots" / self._commit
        self._check_room()
        self._fetch(file for file in self._files if not _is_one_of(WEIGHTS, file))
        Checkpoint.described(folder, self._repo)  # a model of another kind is refused before its gigabytes come
        self._fetch(file for file in self._files if _is_one_of(WEIGHTS, file))
        weight_files(folder)
        self._link("config.json", self._revision)
        return folder

    def _fetch(self, files: Iterable[RepoSibling]) -> None:
        for file in files:
            if file.lfs is not None:
                self._grow(file.rfilename, file.lfs.sha256, file.lfs.size)
            self._link(file.rfilename, self._commit)
            self._n_done += file.size or 0

    def _link(self, name: str, revision: str | None) -> None:
        """Let the client put a file into the snapshot, and note which commit a branch or tag is."""
        from huggingface_hub import hf_hub_download

        hf_hub_download(self._repo, name, revision=revision, tqdm_class=self._meter(lambda n_bytes: None))

    def _grow(self, name: str, sha256: str, size: int) -> None:
        """Fetch a large file, or the rest of it: the client itself would begin anew."""
        blob = self._blob(sha256)
        if blob.exists():
            return
        part = _part(blob)
        with part.open("ab") as opened:
            _lock(opened.fileno(), self._repo)
            if opened.tell() > size:
                opened.seek(opened.truncate(0))
            while self._breaks(opened, name, size):
                pass
        if _sha256(part) != sha256:
            part.unlink()
            raise CheckpointError(f"{self._repo}: {name} was damaged on its way; run the same command again")
        part.replace(blob)

    def _breaks(self, opened: BinaryIO, name: str, size: int) -> bool:
        """Append the rest of a file; True if the connection broke, but brought something."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        begin = opened.tell()
        try:
            http_get(
                hf_hub_url(self._repo, name, revision=self._commit),
                opened,
                resume_size=begin,
                headers=build_hf_headers(),
                expected_size=size,
                displayed_filename=name,
                tqdm_class=self._meter(self._tell),
            )
        except OSError:  # a refusal of the hub or of the disk
            raise
        except Exception:  # a broken connection has many names, of which the client itself knows some
            if opened.tell() == begin:
                raise
            return True
        return False

    def _check_room(self) -> None:
        sizes = {self._blob(file.lfs.sha256): file.lfs.size for file in self._files if file.lfs is not None}
        missing = sum(size - _size(_part(blob)) for blob, size in sizes.items() if not blob.exists())
        blobs = storage(self._repo) / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(blobs).free
        if missing > free:
            raise RunError(
                f"{self._repo} needs {size_text(missing)} more, and only {size_text(free)} are free: {more_room()}"
            )

    def _blob(self, sha256: str) -> Path:
        return storage(self._repo) / "blobs" / sha256

    def _tell(self, n_bytes: int) -> None:
        if self._on_bytes is not None:
            self._on_bytes(self._repo, self._n_done + n_bytes, self._n_bytes)

    def _meter(self, tell: Callable[[int], None]) -> Any:
        """What the client reports to in place of a bar of its own; None, which is its own, if nobody listens."""
        if self._on_bytes is None:
            return None
        from huggingface_hub.utils import tqdm

        class Meter(tqdm):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **{**options, "disable": True})  # type: ignore[no-untyped-call]
                tell(self.n)

            def update(self, n: float | None = 1) -> None:
                self.n += n
                tell(self.n)

        return Meter


def storage(repo: str) -> Path:
    """The folder in the hub's cache that belongs to a checkpoint, whether it is there or not."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE).expanduser() / repo_folder_name(repo_id=repo, repo_type="model")


def more_room() -> str:
    """What to do about a full disk."""
    from huggingface_hub import constants

    return (
        f"make room in {constants.HF_HUB_CACHE}, or set HF_HOME to a folder on another disk; the same command goes on "
        "where it stopped"
    )


def size_text(n_bytes: int) -> str:
    """``1.2 GB``: in powers of ten, as disks and downloads are measured."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _is_one_of(patterns: Iterable[str], file: RepoSibling) -> bool:
    return any(fnmatch(file.rfilename, pattern) for pattern in patterns)


def _part(blob: Path) -> Path:
    return blob.with_name(blob.name + ".incomplete")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _lock(descriptor: int, repo: str) -> None:
    """Keep other processes from growing the same file, until it is closed."""
    import fcntl  # Windows has none

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CheckpointError(f"another process is fetching {repo}: wait until it is done") from error


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
