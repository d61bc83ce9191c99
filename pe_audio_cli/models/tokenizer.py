"""The tokenizer of a checkpoint, in a separate process.

A ``tokenizer.json`` is a small program: regular expressions that take forever on some text, replacements that double
every character, tables that the library does not check. An untrusted one may hang that library, exhaust the memory, or
abort the process that it runs in. So it runs in a process of its own, with limits of time and memory that are ample for
any tokenizer; a process that exceeds them is killed, which is an error of one line. The tokenizer of the checkpoint
that ships with peaudio is trusted, and runs in this process, which is faster.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pe_audio_cli import _paths
from pe_audio_cli.models.checkpoint import library_faults

if TYPE_CHECKING:
    from pe_audio_cli.models.checkpoint import Checkpoint

__all__ = ["Kind", "Tokenize", "open_tokenizer", "serve"]

# How a tokenizer is read: by the tokenizers package alone, or as transformers reads it, with its other files.
Kind: TypeAlias = Literal["bare", "auto"]
Tokenize: TypeAlias = Callable[[str], "list[int]"]

CPU_SECONDS = 10  # CPU time of the process, for reading a tokenizer and for each text
START_SECONDS = 180.0  # wall-clock time of its start, on a busy machine
ANSWER_SECONDS = 60.0  # wall-clock time of an answer
SPARE_BYTES = 2 << 30  # of memory, beyond what the libraries take
MOST_BYTES = 256 << 20  # of a tokenizer.json
PROGRAM = "import sys; sys.path[:] = {path}; from pe_audio_cli.models.tokenizer import serve; serve()"


@dataclass(frozen=True)
class _Begin:
    """The first message to the tokenizer process."""

    kind: Kind
    folder: str
    cpu_seconds: int
    spare_bytes: int


def open_tokenizer(checkpoint: Checkpoint, kind: Kind) -> Tokenize:
    """Open a tokenizer: a function from a text to its token ids, without truncation.

    Raises :class:`CheckpointError` if the tokenizer cannot be read; so does the function, if it fails on a text.
    """
    if kind == "bare":
        _check_file(checkpoint)
    if checkpoint.is_shipped or not sys.executable or getattr(sys, "frozen", False):
        return _InProcess(checkpoint, kind)
    return _Subprocess(checkpoint, kind)


def _check_file(checkpoint: Checkpoint) -> None:
    file = checkpoint.folder / "tokenizer.json"
    try:
        size = os.stat(file).st_size
    except OSError as error:
        raise checkpoint.bad_tokenizer(f"{file.name}: {_paths.reason(error)}") from error
    if not _paths.is_file(file) or size > MOST_BYTES:
        raise checkpoint.bad_tokenizer(f"{file.name} is no file, or larger than {MOST_BYTES >> 20} MiB")


class _InProcess:
    """A tokenizer in this process."""

    def __init__(self, checkpoint: Checkpoint, kind: Kind) -> None:
        self._checkpoint = checkpoint
        with library_faults(self._refusal):
            self._encode = READERS[kind](checkpoint.folder)

    def __call__(self, text: str) -> list[int]:
        with library_faults(self._refusal):
            return self._encode(text)

    def _refusal(self, error: BaseException) -> Any:
        return self._checkpoint.bad_tokenizer(" ".join(str(error).split()))


class _Subprocess:
    """A tokenizer in another process, which ends with this object or this process."""

    def __init__(self, checkpoint: Checkpoint, kind: Kind) -> None:
        self._checkpoint = checkpoint
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(path=ascii(sys.path))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
        )
        weakref.finalize(self, _end, self._process)
        # The other process reads the tokenizer while this one builds the tower.
        self._send(asdict(_Begin(kind, os.fspath(checkpoint.folder.absolute()), CPU_SECONDS, SPARE_BYTES)))
        self._is_ready = False

    def __call__(self, text: str) -> list[int]:
        if not self._is_ready:
            self._receive(START_SECONDS)
            self._is_ready = True
        self._send(text)
        ids: list[int] = self._receive(ANSWER_SECONDS)
        return ids

    def _send(self, request: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; the reason is found when its answer is missing
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _receive(self, seconds: float) -> Any:
        assert self._process.stdout is not None
        late = threading.Timer(seconds, self._process.kill)
        late.daemon = True
        late.start()
        try:
            answer = self._process.stdout.readline()
        finally:
            late.cancel()
        if not answer.endswith(b"\n"):
            raise self._checkpoint.bad_tokenizer(_cause(self._process.wait()))
        reply = json.loads(answer)
        if "error" in reply:
            raise self._checkpoint.bad_tokenizer(reply["error"])
        return reply["answer"]


def _cause(code: int) -> str:
    """Return the reason for which the process has ended, from its exit status."""
    if -code in (signal.SIGTERM, getattr(signal, "SIGKILL", None), getattr(signal, "SIGXCPU", None)):
        return f"it takes more than {CPU_SECONDS} s for a text"
    return f"it needs too much memory, or crashes the library that reads it: exit status {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def serve() -> None:
    """Run the tokenizer process: answer each line of standard input, in JSON."""
    begin = _Begin(**json.loads(sys.stdin.buffer.readline()))
    _import_for(begin.kind)
    _limit_memory(begin.spare_bytes)
    tokenize: Tokenize | None = None
    line = b"null"
    while line:
        _limit_time(begin.cpu_seconds)
        reply: dict[str, Any] = {}
        try:
            if tokenize is None:
                tokenize = READERS[begin.kind](Path(begin.folder))
                reply["answer"] = None
            else:
                reply["answer"] = tokenize(json.loads(line))
        except BaseException as error:  # a panic of Rust is no Exception
            reply["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
        sys.stdout.buffer.flush()
        line = b"" if "error" in reply else sys.stdin.buffer.readline()


def _import_for(kind: Kind) -> None:
    """Import the libraries, before limits are set for the tokenizer."""
    import tokenizers

    if kind == "auto":
        # No tokenizer needs torch, which takes longer to import than all else. Transformers looks for it, and does
        # without what is None here.
        sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
        from transformers import AutoTokenizer

        assert AutoTokenizer is not None
    assert tokenizers is not None


def _read_bare(folder: Path) -> Tokenize:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: list(tokenizer.encode(text).ids)


def _read_auto(folder: Path) -> Tokenize:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    return lambda text: list(tokenizer(text, truncation=False, verbose=False)["input_ids"])


READERS: dict[Kind, Callable[[Path], Tokenize]] = {"bare": _read_bare, "auto": _read_auto}


def _limit_memory(spare_bytes: int) -> None:
    if sys.platform == "win32":  # which has no such limits
        return
    import resource

    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # macOS does not hold processes to it
        return
    most = pages * resource.getpagesize() + spare_bytes
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(cpu_seconds: int) -> None:
    if sys.platform == "win32":  # the timeout of the calling process is enough
        return
    import resource
    import time

    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + cpu_seconds, hard))
