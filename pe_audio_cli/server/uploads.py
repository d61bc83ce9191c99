"""Bodies of requests: a recording as the body itself, in a form, or named in JSON.

An upload is held in a temporary file that has no name, and goes when it is closed.
"""

from __future__ import annotations

import asyncio
import errno
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeAlias, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from pe_audio_cli.server.limits import ServerLimits
from pe_audio_cli.server.refusals import Refusal

__all__ = ["Asked", "read_request"]

MOST_JSON = 4 << 20  # bytes of JSON, or of a field of a form
MOST_PARTS = 10_000
FILE_FIELD = "file"
STANDARD_INPUT = "-"  # what an upload without a name is called, as on the command line

Values: TypeAlias = "dict[str, list[Any]]"


@dataclass
class Asked:
    """The content of a request: its parameters, each with its values, and the upload, if there is one."""

    values: Values = field(default_factory=dict)
    upload: BinaryIO | None = None
    name: str = STANDARD_INPUT

    def add(self, name: str, value: Any) -> None:
        """Add a value of a parameter."""
        self.values.setdefault(name, []).append(value)

    def close(self) -> None:
        """Forget the upload."""
        if self.upload is not None:
            self.upload.close()


async def read_request(request: Request, limits: ServerLimits) -> Asked:
    """Read a request to its end.

    Raises :class:`Refusal` if it is too large, takes too long or cannot be understood, or there is no room for it.
    """
    asked = Asked()
    for name, value in request.query_params.multi_items():
        asked.add(name, value)
    try:
        await asyncio.wait_for(_read(request, asked, limits), limits.upload_timeout)
    except asyncio.TimeoutError:
        asked.close()
        message = f"it did not arrive within {limits.upload_timeout:g} s: send it faster, or raise --upload-timeout"
        raise Refusal("slow-upload", message, headers={"connection": "close"}) from None
    except BaseException as error:
        asked.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "the server's temporary folder is full: free space there, or set TMPDIR to another folder"
            raise Refusal("no-space", message) from error
        raise
    if named := asked.values.pop("name", []):
        asked.name = str(named[-1])
    return asked


async def _read(request: Request, asked: Asked, limits: ServerLimits) -> None:
    kind, options = parse_options_header(request.headers.get("content-type"))
    chunks = _limited(request, limits)
    if kind == b"multipart/form-data":
        await _read_form(chunks, options.get(b"boundary", b""), asked)
    elif kind == b"application/json":
        _take_json(await _gathered(chunks), asked)
    else:
        await _read_body(chunks, asked)


async def _limited(request: Request, limits: ServerLimits) -> AsyncIterator[bytes]:
    """Yield the body; refuse it as soon as it is, or says that it is, too large."""
    most = limits.upload_bytes
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > most:
        raise _too_large(limits)
    n_bytes = 0
    try:
        async for chunk in request.stream():
            n_bytes += len(chunk)
            if n_bytes > most:
                raise _too_large(limits)
            yield chunk
    except ClientDisconnect:
        raise Refusal("slow-upload", "the connection was closed before the request had arrived") from None


def _too_large(limits: ServerLimits) -> Refusal:
    message = f"it is larger than {limits.max_upload:g} MiB: send less, such as FLAC, or raise --max-upload"
    return Refusal("too-large", message, headers={"connection": "close"})


async def _gathered(chunks: AsyncIterator[bytes]) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > MOST_JSON:
            raise Refusal("too-large", f"JSON of more than {MOST_JSON >> 20} MiB is not read: send less")
    return bytes(content)


def _take_json(content: bytes, asked: Asked) -> None:
    try:
        given = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refusal("usage", "the body is not JSON, though its content type says so: send valid JSON") from error
    if not isinstance(given, dict):
        raise Refusal("usage", 'the body is an object, such as {"path": "a.wav", "labels": ["rain"]}')
    for name, value in given.items():
        for each in value if isinstance(value, list) else [value]:
            asked.add(name, each)
        if isinstance(value, list) and name == "labels":  # each of which is one label, commas and all
            asked.values.setdefault("label", []).extend(asked.values.pop(name))


async def _read_body(chunks: AsyncIterator[bytes], asked: Asked) -> None:
    async for chunk in chunks:
        if not chunk:
            continue
        if asked.upload is None:
            asked.upload = _temporary_file()
        asked.upload.write(chunk)


def _temporary_file() -> BinaryIO:
    return cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # so that a full disk is told by the write itself


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes, asked: Asked) -> None:
    """Read multipart/form-data (RFC 7578): the field ``file`` is the recording, all others are parameters."""
    form = _Form(asked)
    try:
        parser = MultipartParser(boundary, form.callbacks)
        async for chunk in chunks:
            if chunk:
                parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError, LookupError) as error:
        raise Refusal("usage", f"the form cannot be read ({error}): send multipart/form-data") from error
    if not form.is_complete:
        raise Refusal("usage", "the form ends before its last boundary: send all of it")


class _Form:
    """Takes the parts of a form as they come."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._n_parts = 0
        self._begin()
        self.is_complete = False

    @property
    def callbacks(self) -> Any:
        """The functions that the parser calls."""
        named: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        return named

    def _begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > MOST_PARTS:
            raise Refusal("too-large", f"the form has more than {MOST_PARTS} fields: send fewer")
        self._names, self._content = bytearray(), bytearray()
        self._header = bytearray()
        self._disposition = b""
        self._field, self._is_file = "", False

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._names += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_end(self) -> None:
        if bytes(self._names).lower() == b"content-disposition":
            self._disposition = bytes(self._header)
        self._names, self._header = bytearray(), bytearray()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._field == FILE_FIELD
        if not self._is_file:
            return
        if self._asked.upload is not None:
            raise Refusal("usage", "the form has two recordings: send one")
        self._asked.upload = _temporary_file()
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._asked.name = name or STANDARD_INPUT

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file and self._asked.upload is not None:
            self._asked.upload.write(data[start:end])
            return
        self._content += data[start:end]
        if len(self._content) > MOST_JSON:
            raise Refusal(
                "too-large", f"the field {self._field[:40]!r} is larger than {MOST_JSON >> 20} MiB: send less"
            )

    def _end(self) -> None:
        if self._is_file:
            return
        try:
            self._asked.add(self._field, self._content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Refusal("usage", f"the field {self._field[:40]!r} is not UTF-8: send it as UTF-8") from error

    def _finish(self) -> None:
        self.is_complete = True
