"""The download of one revision of a hub checkpoint into the hub's own cache.

An incomplete download is never used as a checkpoint. A large file grows as ``blobs/<sha256>.incomplete``, which the
next run continues, and is renamed when its hash is right; then the snapshot gets a link to it. Weights come last, and
the name of the revision is written at the end. The layout of the cache is described in the guide to huggingface_hub,
"Understand caching".

Answers of a hub are not trusted as paths: the client would use the ETag of a file, and the commit in a header, as file
names without a check. So files are fetched by URL only, and stored under their hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from pe_audio_cli._paths import expanduser
from pe_audio_cli._system import lock
from pe_audio_cli.errors import CheckpointError, PeAudioError, RunError
from pe_audio_cli.models.checkpoint import Checkpoint, weight_files

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

__all__ = ["WANTED", "Download", "OnBytes", "more_room", "size_text", "storage"]

OnBytes: TypeAlias = Callable[[str, int, int], None]  # hub id, bytes present, bytes in total

# The files of a checkpoint; code and pickled weights are never downloaded.
WEIGHTS = ["*.safetensors"]
WANTED = ["*.json", "*.txt", "*.model", *WEIGHTS]
PIECE = 1 << 20  # bytes of a file that are read at once for its hash

DEFAULT_REVISION = "main"
SHA256, GIT_ID = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# A component of a file's or a revision's name: nothing that leaves its folder on any system.
NAME = re.compile(r"""(?!\.\.?$)[^\\/:*?"<>|\x00-\x1f\x7f]+(?<![. ])""")
MOST_BYTES = 1 << 50


class Download:
    """Downloads the missing files of a revision.

    Args:
        repo: a hub id.
        revision: a commit, tag or branch; None is the hub's default.
        on_bytes: called with the progress; without it the hub's client draws its own progress bars.

    Exceptions of the client, its HTTP library and the system are passed on.
    """

    def __init__(self, repo: str, revision: str | None, on_bytes: OnBytes | None) -> None:
        from huggingface_hub import HfApi

        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        files = [file for file in info.siblings or () if _is_one_of(WANTED, file)]
        self._repo, self._revision, self._commit, self._on_bytes = repo, revision, str(info.sha), on_bytes
        self._check_answer(files)
        self._files = sorted(files, key=lambda file: _is_one_of(WEIGHTS, file))
        self._n_bytes, self._n_done = sum(file.size or 0 for file in files), 0

    def _check_answer(self, files: Iterable[RepoSibling]) -> None:
        """Raise :class:`CheckpointError` if the hub's answer holds an unsafe path or an invalid hash or size."""
        names_are_safe = COMMIT.fullmatch(self._commit) and all(_is_safe(file.rfilename) for file in files)
        large = [file.lfs for file in files if file.lfs is not None]
        sums_are_sums = all(isinstance(lfs.sha256, str) and SHA256.fullmatch(lfs.sha256) for lfs in large)
        sizes = [lfs.size for lfs in large] + [file.size for file in files if file.size is not None]
        sizes_are_sizes = all(type(size) is int and 0 <= size < MOST_BYTES for size in sizes)
        if not (names_are_safe and sums_are_sums and sizes_are_sizes and _is_safe(self._ref)):
            raise CheckpointError(
                f"{self._repo} is not fetched: the hub's answer holds a name, sum or size that cannot be one; check "
                "HF_ENDPOINT"
            )

    @property
    def _ref(self) -> str:
        """The name of the requested revision in the cache."""
        return DEFAULT_REVISION if self._revision is None else self._revision

    @property
    def _folder(self) -> Path:
        return storage(self._repo) / "snapshots" / self._commit

    def run(self) -> Path:
        """Download the revision and return the folder of its snapshot.

        Raises:
            CheckpointError: it is not a PE Audio checkpoint, or a file arrived damaged.
            RunError: the disk is full.
        """
        folder = self._folder
        self._check_room()
        self._fetch(file for file in self._files if not _is_one_of(WEIGHTS, file))
        Checkpoint.open_config(folder, self._repo)  # refuse other models before their weights are downloaded
        self._fetch(file for file in self._files if _is_one_of(WEIGHTS, file))
        weight_files(folder)
        self._note_revision()
        return folder

    def _fetch(self, files: Iterable[RepoSibling]) -> None:
        for file in files:
            place = self._folder / file.rfilename
            if not place.exists():
                _link(self._large(file) if file.lfs is not None else self._small(file), place)
            self._n_done += file.size or 0
            self._tell(0)

    def _large(self, file: RepoSibling) -> Path:
        assert file.lfs is not None
        self._grow(file.rfilename, file.lfs.sha256, file.lfs.size)
        return self._blob(file.lfs.sha256)

    def _small(self, file: RepoSibling) -> Path:
        """Download a file for which the hub has no SHA-256; it is stored under its git object id."""
        stated = file.blob_id if isinstance(file.blob_id, str) and GIT_ID.fullmatch(file.blob_id) else None
        if stated is not None and self._blob(stated).exists():
            return self._blob(stated)
        handle, part = tempfile.mkstemp(dir=storage(self._repo) / "blobs", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as opened:
                self._get(file.rfilename, opened, file.size)
            found = _git_id(Path(part))
            if stated not in (None, found):
                raise self._damaged(file.rfilename)
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, self._blob(found))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
        return self._blob(found)

    def _note_revision(self) -> None:
        """Write the commit of a branch or tag to the cache, as the client does."""
        if self._ref != self._commit:
            _write_whole(storage(self._repo) / "refs" / self._ref, self._commit.encode())

    def _grow(self, name: str, sha256: str, size: int) -> None:
        """Download a large file, or the rest of it: the client itself would start over."""
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
            raise self._damaged(name)
        part.replace(blob)

    def _breaks(self, opened: BinaryIO, name: str, size: int) -> bool:
        """Append the rest of a file; return True if the connection broke after some progress."""
        begin = opened.tell()
        try:
            self._get(name, opened, size, resume_size=begin, tqdm_class=self._meter(self._tell))
        except OSError:  # an error of the hub or of the disk
            raise
        except PeAudioError:
            raise
        except Exception:  # connection errors have many classes, only some of them the client's own
            if opened.tell() == begin:
                raise
            return True
        return False

    def _get(self, name: str, opened: BinaryIO, size: int | None, **more: Any) -> None:
        """Append a file, or the rest of it, to ``opened``; no more than its size."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        http_get(
            hf_hub_url(self._repo, name, revision=self._commit),
            opened if size is None else _Capped(opened, size, self._damaged(name)),  # type: ignore[arg-type]
            headers=build_hf_headers(),
            expected_size=size,
            displayed_filename=name,
            **{"tqdm_class": self._meter(lambda n_bytes: None), **more},
        )

    def _damaged(self, name: str) -> CheckpointError:
        return CheckpointError(f"{self._repo}: {name} was damaged in transit; run the same command again")

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
        """Return a progress bar class that reports to ``tell``; None, the client's own, without ``on_bytes``."""
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


class _Capped:
    """A file that raises when a hub sends more bytes than expected."""

    def __init__(self, opened: BinaryIO, size: int, refusal: CheckpointError) -> None:
        self._opened, self._size, self._refusal = opened, size, refusal

    def write(self, content: bytes) -> int:
        if self._opened.tell() + len(content) > self._size:
            raise self._refusal
        return self._opened.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)


def storage(repo: str) -> Path:
    """Return the folder of a checkpoint in the hub's cache, whether it exists or not."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(expanduser(constants.HF_HUB_CACHE)) / repo_folder_name(repo_id=repo, repo_type="model")


def more_room() -> str:
    """Return the remedy for a full disk."""
    from huggingface_hub import constants

    return (
        f"free space in {constants.HF_HUB_CACHE}, or set HF_HOME to a folder on another disk; the same command then "
        "resumes the download"
    )


def size_text(n_bytes: int) -> str:
    """``1.2 GB``: in powers of ten, as disks and downloads are measured."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _is_one_of(patterns: Iterable[str], file: RepoSibling) -> bool:
    return any(fnmatch(file.rfilename, pattern) for pattern in patterns)


def _is_safe(name: object) -> bool:
    """True if a relative path stays within its folder."""
    return isinstance(name, str) and all(NAME.fullmatch(part) for part in name.split("/"))


def _link(blob: Path, place: Path) -> None:
    """Put a file into a snapshot: a symbolic link if the system has them, else a copy."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as folder:
        new = Path(folder) / "new"
        try:
            new.symlink_to(os.path.relpath(blob, place.parent))
        except OSError:
            shutil.copyfile(blob, new)
        os.replace(new, place)


def _write_whole(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".") as folder:
        new = Path(folder) / "new"
        new.write_bytes(content)
        os.replace(new, file)


def _git_id(file: Path) -> str:
    """Return git's object id of a file: SHA-1 of ``blob``, its size, a zero byte and its content."""
    digest = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _umask() -> int:
    """Return the process's umask."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _part(blob: Path) -> Path:
    return blob.with_name(blob.name + ".incomplete")


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _lock(descriptor: int, repo: str) -> None:
    """Lock the file against other downloads until it is closed."""
    try:
        lock(descriptor)
    except BlockingIOError as error:
        raise CheckpointError(f"another process is fetching {repo}: wait until it is done") from error


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()
