"""A cache of text embeddings on disk: a cached label needs no text tower.

There is one small file per label, named by a hash of what the embedding depends on: the checkpoint's fingerprint, its
revision, the exact text, and how the numbers are written. A file begins with a SHA-256 of all of that and of the
numbers that follow it; one that does not match, or that holds a number that is not finite, is ignored and rewritten.
Files appear whole, by renaming, so that any number of processes may write the same one at once.

On a machine with several users, only files of this user or root are used, in folders that nobody else may write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from platformdirs import user_cache_path

from pe_audio_cli.models.label_text import check_label_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Encode: TypeAlias = Callable[[str], NDArray[np.float32]]

__all__ = ["LabelCache"]

VERSION = b"peaudio labels 2"  # increase it when the embedding of the same checkpoint and text changes
DIGEST = 32  # bytes of a SHA-256
NUMBER = np.dtype("<f4")
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# Neither follow a symbolic link nor block on a pipe.
READ_PLAIN_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


NOWHERE = Path(os.devnull) / "labels"  # not a folder, and none can be created there


def _folder_of_user() -> Path:
    try:
        folder = user_cache_path("peaudio")
    except (RuntimeError, KeyError, OSError):  # older releases of platformdirs leave the ~ as it is
        return NOWHERE
    return NOWHERE if str(folder).startswith("~") else folder / "labels"


@dataclass(frozen=True)
class LabelCache:
    """The embeddings, each of ``width`` numbers, that belong to one checkpoint."""

    folder: Path
    checkpoint: str
    width: int

    @classmethod
    def of_user(cls, fingerprint: str, revision: str, width: int) -> LabelCache:
        """Return the cache in the user's cache folder, for the checkpoint of that fingerprint and revision.

        Without such a folder, as for a user without a home folder, nothing is read or written.
        """
        return cls(_folder_of_user(), f"{fingerprint} {revision}", width)

    def embed(self, labels: Sequence[str], load: Callable[[], Encode]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, width)``.

        ``load`` returns the function that encodes a label; it is called only if a label is not cached, which is then
        stored. Raises :class:`UsageError` for a label that no model takes.
        """
        check_label_text(labels)
        embeddings = {label: found for label in labels if (found := self.get(label)) is not None}
        missing = [label for label in dict.fromkeys(labels) if label not in embeddings]
        if missing:
            encode = load()
            for label in missing:
                embeddings[label] = encode(label)
                self.put(label, embeddings[label])
        return np.stack([embeddings[label] for label in labels])

    def get(self, label: str) -> NDArray[np.float32] | None:
        """Return the embedding ``(width,)`` of a label, or None if there is no valid entry."""
        key = self._key(label)
        file = self._file(key)
        if not all(map(_is_safe, (self.folder, file.parent))):
            return None
        try:
            content = _read(file, DIGEST + self.width * NUMBER.itemsize)
        except OSError:
            return None
        digest, numbers = content[:DIGEST], content[DIGEST:]
        if len(numbers) != self.width * NUMBER.itemsize or _digest(key, numbers) != digest:
            return None
        embedding = np.frombuffer(numbers, NUMBER).astype(np.float32)
        return embedding if np.isfinite(embedding).all() else None

    def put(self, label: str, embedding: NDArray[np.float32]) -> None:
        """Store an embedding ``(width,)``; errors of the file system are ignored."""
        if embedding.shape != (self.width,) or not np.isfinite(embedding).all():
            return
        numbers = embedding.astype(NUMBER).tobytes()
        key = self._key(label)
        file = self._file(key)
        with contextlib.suppress(OSError):
            for folder in (self.folder, file.parent):
                _make_safe(folder)
            _write_whole(file, _digest(key, numbers) + numbers)

    def _key(self, label: str) -> bytes:
        layout = f"{NUMBER.str} {self.width}".encode()
        text = label.encode("utf-8", "surrogatepass")
        return b"\0".join([VERSION, layout, self.checkpoint.encode(), text])

    def _file(self, key: bytes) -> Path:
        name = hashlib.sha256(key).hexdigest()
        return self.folder / name[:2] / name[2:]


def _digest(key: bytes, numbers: bytes) -> bytes:
    """Return the hash at the start of an entry; it covers the key, so that a renamed entry is invalid."""
    return hashlib.sha256(hashlib.sha256(key).digest() + numbers).digest()


def _read(file: Path, size: int) -> bytes:
    """Read a file of this user. Raises :class:`OSError` if it is another user's, or has another size."""
    with open(os.open(file, READ_PLAIN_FILE), "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != size or not _is_ours(status):
            raise OSError("no entry of this user")
        return opened.read(size)


def _is_safe(folder: Path) -> bool:
    """True if only this user and root can write to the folder."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_ours(status)


def _is_ours(status: os.stat_result) -> bool:
    if not hasattr(os, "geteuid"):  # Windows keeps other users out of a user's folders by itself
        return True
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & OTHERS_WRITE


def _make_safe(folder: Path) -> None:
    """Make a folder for this user only; remove others' write permission from an existing one of this user.

    Raises :class:`OSError` if it is not this user's.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_safe(folder):
        os.chmod(folder, stat.S_IMODE(os.lstat(folder).st_mode) & ~OTHERS_WRITE)  # fails for another user's


def _write_whole(file: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(content)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
