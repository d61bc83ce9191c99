"""The client behind ``--server``: sends recordings to a running server, and yields their results in order.

It needs neither a model nor the extra ``serve``. Several recordings are on their way at once, so that the server reads
one while it works on another; a server that is busy is asked again when it says so.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from pe_audio_cli._paths import reason
from pe_audio_cli.audio.addresses import addressed
from pe_audio_cli.audio.opening import open_recording
from pe_audio_cli.errors import InputError, RunError, UsageError
from pe_audio_cli.results import EmbedResult, FileError, LocalizeResult, TagResult
from pe_audio_cli.server.refusals import STATUS
from pe_audio_cli.server.transport import decode, decode_embeddings

__all__ = ["Client", "Parameters", "ServedModel"]

AT_ONCE = 4  # recordings on their way
AHEAD = 2 * AT_ONCE  # recordings whose results may wait for the one whose turn it is
BLOCK = 1 << 16
SECONDS = 900.0  # without a byte; longer than a server works on a recording
PATIENCE = 600.0  # seconds for which a busy server is asked again
MOST_ERROR = 1 << 20  # bytes of an error that are read
# Kinds of errors that every recording would have.
OF_REQUESTS = ("usage", "unauthorized", "forbidden", "not-found", "method", "wrong-host")

Parameters: TypeAlias = "Sequence[tuple[str, str]]"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class ServedModel:
    """The model of a server, for one task."""

    name: str
    fingerprint: str
    backend: str
    default_labels: tuple[str, ...]


class Client:
    """A client of one server; to be closed."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises :class:`UsageError` for what is no address of a server."""
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname, parts.port
        except ValueError:
            parts, self._host = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not self._host or parts.query or parts.fragment:
            raise UsageError(f"--server is an address such as http://127.0.0.1:8765: got {url!r:.80}")
        if parts.username is not None:
            raise UsageError("--server holds a user or a password: set the server's token in PEAUDIO_TOKEN instead")
        if token is not None and not (token.isascii() and token.isprintable()):
            raise UsageError("PEAUDIO_TOKEN is no token: it is printable ASCII")
        self._name = f"{parts.scheme}://{parts.netloc}"
        self._is_secure, self._path = parts.scheme == "https", parts.path.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._own = threading.local()
        self._open: list[http.client.HTTPConnection] = []

    def model(self, task: str) -> ServedModel:
        """Return the model that the server has for a task. Raises :class:`RunError` if it does not say."""
        response = self._request("GET", "/healthz", None, {})
        content = response.read()
        if response.status != 200:
            raise self._refusal(_error_of(content, ""))
        try:
            about = json.loads(content)["models"][task]
            labels = tuple(map(str, about["default_labels"]))
            return ServedModel(str(about["model"]), str(about["fingerprint"]), str(about["backend"]), labels)
        except (ValueError, KeyError, TypeError) as error:
            raise self._stranger() from error

    def label(
        self,
        command: str,
        files: Iterable[str | FileError],
        parameters: Parameters,
        on_unfamiliar: Callable[[str], None],
    ) -> Iterator[TagResult | LocalizeResult | FileError]:
        """Yield the result of tag or localize for each recording, in order.

        ``on_unfamiliar`` is called for each label that the model was not trained for, once, before the first result.
        """
        told: set[str] = set()
        for answer in self._each(files, f"/v1/{command}", parameters, self._read_result):
            if isinstance(answer, FileError):
                yield answer
                continue
            result, unfamiliar = answer
            for label in unfamiliar:
                if label not in told:
                    told.add(label)
                    on_unfamiliar(label)
            yield result

    def embed(self, files: Iterable[str | FileError], parameters: Parameters) -> Iterator[EmbedResult | FileError]:
        """Yield the embeddings of each recording, in order."""
        return self._each(files, "/v1/embed", parameters, self._read_embeddings)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._open:
            connection.close()

    def _each(
        self,
        files: Iterable[str | FileError],
        path: str,
        parameters: Parameters,
        read: Callable[[http.client.HTTPResponse, str], ResultT],
    ) -> Iterator[ResultT | FileError]:
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="peaudio-client")
        coming: deque[Future[ResultT | FileError]] = deque()
        try:
            for file in files:
                coming.append(pool.submit(self._one, file, path, parameters, read))
                if len(coming) >= AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            self.close()  # what is on its way is not wanted any more
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(
        self,
        file: str | FileError,
        path: str,
        parameters: Parameters,
        read: Callable[[http.client.HTTPResponse, str], ResultT],
    ) -> ResultT | FileError:
        if isinstance(file, FileError):
            return file
        given = addressed(file)
        try:
            opened = open_recording(given)
        except Exception as error:
            return FileError.caused_by(error, str(given))
        with opened:
            return self._ask(str(given), opened, path, parameters, read)

    def _ask(
        self,
        file: str,
        opened: BinaryIO,
        path: str,
        parameters: Parameters,
        read: Callable[[http.client.HTTPResponse, str], ResultT],
    ) -> ResultT | FileError:
        end = time.monotonic() + PATIENCE
        while True:
            form = _Form([*parameters, ("format", "exact")], opened)
            try:
                response = self._request("POST", path, form, form.headers)
            except InputError as error:
                self._own.connection = None  # on which half a request stands
                return FileError.caused_by(error, file)
            if response.status == 200:
                try:
                    return read(response, file)
                except (ValueError, http.client.HTTPException) as error:
                    raise self._stranger() from error
                except OSError as error:
                    raise self._silence(error) from error
            refused = _error_of(response.read(MOST_ERROR), file)
            response.close()
            if refused.kind in OF_REQUESTS or refused.kind not in STATUS:
                raise self._refusal(refused)
            if refused.kind != "busy" or time.monotonic() > end:
                return refused
            time.sleep(_seconds(response.headers.get("Retry-After", "")))

    def _request(
        self, method: str, path: str, body: _Form | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        """Send a request; once more on a new connection if the server has closed an old one meanwhile."""
        for attempt in range(2):
            connection, is_new = self._connection()
            try:
                blocks = None if body is None else body.blocks()
                connection.request(method, self._path + path, blocks, {**self._headers, **headers})
                return connection.getresponse()
            except (http.client.HTTPException, OSError) as error:
                answer = self._early_answer(connection, error)
                if answer is not None:
                    return answer
                self._own.connection = None
                connection.close()
                if is_new or attempt > 0:
                    raise self._silence(error) from error
        raise AssertionError

    def _early_answer(
        self, connection: http.client.HTTPConnection, error: Exception
    ) -> http.client.HTTPResponse | None:
        """Return the answer of a server that closed the connection before it had read all; None if there is none."""
        if not isinstance(error, (BrokenPipeError, ConnectionResetError)) or connection.sock is None:
            return None
        try:
            response = http.client.HTTPResponse(connection.sock, method="POST")
            response.begin()
        except (http.client.HTTPException, OSError):
            return None
        self._own.connection = None
        return response

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """Return this thread's connection, and whether nothing has been sent on it."""
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is not None:
            return connection, connection.sock is None
        assert self._host is not None
        if self._is_secure:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=SECONDS, context=context, blocksize=BLOCK
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS, blocksize=BLOCK)
        self._own.connection = connection
        self._open.append(connection)
        return connection, True

    def _read_result(
        self, response: http.client.HTTPResponse, file: str
    ) -> tuple[TagResult | LocalizeResult, list[str]]:
        return decode(response.read(), file)

    def _read_embeddings(self, response: http.client.HTTPResponse, file: str) -> EmbedResult:
        stream = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - the result's memory map keeps it
        n_bytes = 0
        while block := response.read(BLOCK):
            n_bytes += stream.write(block)
        stream.flush()
        stream.seek(0)
        return decode_embeddings(stream, n_bytes, file)

    def _refusal(self, error: FileError) -> UsageError:
        return UsageError(f"the server at {self._name} refuses: {error.message}")

    def _silence(self, error: Exception) -> RunError:
        what = reason(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        return RunError(
            f"the server at {self._name} does not answer ({what}): start it with peaudio serve, or leave out --server"
        )

    def _stranger(self) -> RunError:
        return RunError(f"{self._name} does not answer as peaudio does: check the address, and use one version of both")


class _Form:
    """Parameters and a recording as multipart/form-data (RFC 7578)."""

    def __init__(self, parameters: Parameters, recording: BinaryIO) -> None:
        boundary = secrets.token_hex(16)
        fields = [(f'name="{name}"', value.encode()) for name, value in parameters]
        heads = [f"--{boundary}\r\ncontent-disposition: form-data; ".encode()]
        self._before = b"".join(heads[0] + name.encode() + b"\r\n\r\n" + value + b"\r\n" for name, value in fields)
        self._before += heads[0] + b'name="file"\r\n\r\n'
        self._after = f"\r\n--{boundary}--\r\n".encode()
        self._recording = recording
        self._size = os.fstat(recording.fileno()).st_size
        length = len(self._before) + self._size + len(self._after)
        self.headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(length),
        }

    def blocks(self) -> Iterator[bytes]:
        """Yield the body; as much of the recording as it had in the beginning."""
        yield self._before
        self._recording.seek(0)
        left = self._size
        while left > 0:
            block = self._recording.read(min(BLOCK, left))
            if not block:
                raise InputError("", "changed", "it became shorter while it was sent: try again")
            left -= len(block)
            yield block
        yield self._after


def _error_of(content: bytes, file: str) -> FileError:
    """Return an error object; of anything else, an error whose kind nobody knows."""
    try:
        error = json.loads(content)["error"]
        return FileError(file, str(error["kind"]), str(error["message"]))
    except (ValueError, KeyError, TypeError):
        return FileError(file, "", "it does not answer as peaudio does: check the address")


def _seconds(text: str) -> float:
    return min(float(text), 30.0) if text.isdecimal() else 1.0
