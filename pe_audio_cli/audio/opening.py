"""From what the user gave to an open file that can seek: files, pipes, standard input, addresses, and data itself."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from io import FileIO
from typing import BinaryIO, cast

from pe_audio_cli._system import pread
from pe_audio_cli.audio.addresses import fetch, is_address
from pe_audio_cli.audio.inputs import DataInput, OwnFile, Samples
from pe_audio_cli.errors import InputError, RunError

__all__ = ["check_readable", "open_recording", "rewound", "system_errors_of", "unreachable"]

WRITER_SECONDS = 10.0  # how long a named pipe may wait for a program that writes into it
CHUNK_BYTES = 1 << 20  # read from a pipe at a time
BEFORE_BYTES, LOOK_BYTES = 1 << 16, 1 << 18  # how far decoders read ahead at most, and how much is tried


def open_recording(file: str) -> BinaryIO:
    """Open a recording for reading; ``-`` is standard input, and what has a scheme, like ``https://``, an address.

    A pipe cannot seek, and most formats want to, so a pipe and standard input are read to their end into a temporary
    file, which has no name and goes when it is closed. So is what lies at an address, and what a
    :class:`~pe_audio_cli.audio.inputs.DataInput` holds: bytes, or an open file, which is read from its beginning if it
    can seek, else from where it is, and stays open.

    Raises:
        InputError: missing, unreadable, a folder, a device, a pipe that nothing writes into, or a file opened for text.
        RunError: the temporary folder has no space for what comes through a pipe or from an address.
    """
    if isinstance(file, DataInput):
        if isinstance(file.content, OwnFile):
            return _again(file, file.content.file)
        return _to_temporary_file(_content(file))
    if file == "-":
        return _to_temporary_file(_standard_input())
    if is_address(file):
        return _fetched(file)
    try:
        mode = os.stat(file).st_mode
        if stat.S_ISREG(mode):
            return open(file, "rb")
        if sys.platform != "win32" and stat.S_ISFIFO(mode):
            with FileIO(os.open(file, os.O_RDONLY | os.O_NONBLOCK)) as pipe:  # plainly, it would wait for a writer
                return _to_temporary_file(_pipe(file, pipe))
    except (OSError, ValueError) as error:
        raise unreachable(file, error) from error
    if stat.S_ISDIR(mode):
        raise InputError(file, "unreadable", "it is a folder where a recording is expected: name a file in it")
    raise InputError(file, "unreadable", "it is a device or a socket: name a file, or pipe its sound in and use -")


def rewound(opened: BinaryIO) -> int:
    """The descriptor of an open recording, back at its first byte, for a library that reads from descriptors."""
    os.lseek(opened.fileno(), 0, os.SEEK_SET)
    return opened.fileno()


def check_readable(file: str, opened: BinaryIO) -> None:
    """Try to read an open recording where it was read last.

    What a disk fails to give, decoders take for the end of the recording, or for damage to it.

    Raises :class:`InputError` if the system cannot read it there.
    """
    begin = max(0, os.lseek(opened.fileno(), 0, os.SEEK_CUR) - BEFORE_BYTES)
    end = begin + LOOK_BYTES
    with system_errors_of(file):
        while begin < end and (some := pread(opened.fileno(), end - begin, begin)):
            begin += len(some)


@contextlib.contextmanager
def system_errors_of(file: str) -> Iterator[None]:
    """Turn what the system says while a recording is read into an error of that recording."""
    try:
        yield
    except OSError as error:
        raise unreachable(file, error) from error


def unreachable(file: str, error: OSError | ValueError) -> InputError:
    """Return the system's error about ``file`` as an error with advice."""
    if isinstance(error, FileNotFoundError) and os.path.islink(file):
        target = os.readlink(file)
        return InputError(file, "missing", f"it is a dangling link to {target!r}: restore that, or remove the link")
    if isinstance(error, (FileNotFoundError, NotADirectoryError, ValueError)):  # a ValueError is a NUL in the path
        return InputError(file, "missing", "there is no such file or folder: check the path")
    if isinstance(error, PermissionError):
        return InputError(file, "unreadable", "you may not read it: change its permissions, or ask its owner")
    return InputError(file, "unreadable", f"the system cannot read it ({error.strerror}): check the path and the disk")


def _content(file: DataInput) -> Iterator[bytes | bytearray | memoryview]:
    """Yield the bytes that were passed."""
    name, content = str(file), file.content
    assert not isinstance(content, (OwnFile, Samples)), "samples have no bytes to open"
    if isinstance(content, (bytes, bytearray, memoryview)):
        yield bytes(content) if isinstance(content, memoryview) else content  # a view need not be contiguous
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):  # reading tells what is wrong with it
        if content.seekable():
            content.seek(0)
    for chunk in _chunks(name, content):
        if not isinstance(chunk, (bytes, bytearray, memoryview)):
            what = "has nothing to give at the moment" if chunk is None else "is opened for text"
            raise InputError(name, "unreadable", f"this file {what}: open it for reading bytes, with mode 'rb'")
        yield chunk


def _again(name: str, opened: BinaryIO) -> BinaryIO:
    """Open a file of the system's once more, at its first byte; the given one stays open."""
    with system_errors_of(str(name)):
        again = os.fdopen(os.dup(opened.fileno()), "rb")
        again.seek(0)
        return again


def _standard_input() -> Iterator[bytes]:
    if sys.stdin is None or sys.stdin.closed:
        raise InputError("-", "unreadable", "standard input is closed: pipe a recording into the command")
    if sys.stdin.buffer.isatty():
        raise InputError("-", "unreadable", "standard input is a terminal: pipe a recording into the command")
    yield from _chunks("-", sys.stdin.buffer)


def _fetched(address: str) -> BinaryIO:
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise _no_room(error) from error
    with folder as place:
        copy = os.path.join(place, "recording")
        try:
            fetch(address, copy)
        except OSError as error:
            raise _no_room(error) from error
        if sys.platform == "win32":  # where what is open cannot be removed
            with open(copy, "rb") as opened:
                return _to_temporary_file(_chunks(address, opened))
        return open(copy, "rb")


def _pipe(file: str, pipe: FileIO) -> Iterator[bytes]:
    """Yield the content of a non-blocking pipe; raise an error if no program opens its other end."""
    ready, _, _ = select.select([pipe], [], [], WRITER_SECONDS)
    first = pipe.read(CHUNK_BYTES)  # None where there is a writer that has nothing to say yet, b"" where there is none
    if not ready and first == b"":
        raise InputError(
            file, "unreadable", "nothing writes into this pipe: start the program that does, then this one"
        )
    if sys.platform != "win32":  # which has no pipes among its files
        os.set_blocking(pipe.fileno(), True)
    if first is not None:
        yield first
    yield from _chunks(file, pipe)


def _chunks(file: str, stream: BinaryIO | FileIO) -> Iterator[bytes]:
    try:
        yield from iter(lambda: stream.read(CHUNK_BYTES), b"")
    except ValueError as error:
        raise InputError(file, "unreadable", f"it cannot be read ({error}): open it for reading bytes") from error
    except OSError as error:
        raise unreachable(file, error) from error


def _to_temporary_file(chunks: Iterable[bytes | bytearray | memoryview]) -> BinaryIO:
    try:
        with contextlib.ExitStack() as on_failure:
            temporary = cast("BinaryIO", on_failure.enter_context(tempfile.TemporaryFile()))  # a wrapper on Windows
            temporary.writelines(chunks)
            temporary.flush()
            on_failure.pop_all()
            return temporary
    except OSError as error:
        raise _no_room(error) from error


def _no_room(error: OSError) -> RunError:
    reason = f"the temporary folder cannot hold what comes through a pipe or the network ({error.strerror})"
    return RunError(f"{reason}: free space there, or set TMPDIR to another folder")
