"""Text embeddings on disk: a label that was asked before needs no text tower.

One small file a label, named by a hash of what the embedding depends on: the checkpoint's fingerprint, its revision,
the exact text, and how the numbers are written. A file begins with a SHA-256 of all of that and of the numbers that
follow it; one that does not match, or that holds a number that is not finite, is written anew, not believed. Files
appear whole, by renaming, so that any number of processes may write the same one at once.

Where several users share a machine, only what this user or root has written is believed, from folders that nobody else
may write to.
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

VERSION = b"peaudio labels 2"  # raise it when the same checkpoint and text come to give other numbers
DIGEST = 32  # bytes of a SHA-256
NUMBER = np.dtype("<f4")
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# Neither follow a link nor wait for a pipe that somebody has put there.
READ_PLAIN_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


NOWHERE = Path(os.devnull) / "labels"  # no folder, and none can be made there


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
        """In the place that the system has for such things, for the checkpoint of that fingerprint and revision.

        Where it has none, as for a user without a home folder, nothing is found and nothing kept.
        """
        return cls(_folder_of_user(), f"{fingerprint} {revision}", width)

    def embed(self, labels: Sequence[str], load: Callable[[], Encode]) -> NDArray[np.float32]:
        """Text embeddings of shape ``(n_labels, width)``.

        ``load`` gives what encodes a label; it is called only if one is not here yet, which is then kept. Raises
        :class:`UsageError` for a label that no model takes.
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
        """The embedding ``(width,)`` of a label, or None where there is none that can be believed."""
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
        """Keep an embedding ``(width,)``. A cache that cannot be written is no reason to stop."""
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
    """What an entry begins with; with the key in it, so that one entry under another's name is not believed."""
    return hashlib.sha256(hashlib.sha256(key).digest() + numbers).digest()


def _read(file: Path, size: int) -> bytes:
    """The content of a file that belongs to this user. Raises :class:`OSError` if it does not, or has another size."""
    with open(os.open(file, READ_PLAIN_FILE), "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size != size or not _is_ours(status):
            raise OSError("no entry of this user")
        return opened.read(size)


def _is_safe(folder: Path) -> bool:
    """Whether nobody but this user and root can put anything there."""
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
    """Make a folder for this user alone; take others' leave to write from one of this user's that is there.

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
