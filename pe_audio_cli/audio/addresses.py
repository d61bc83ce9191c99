"""Recordings at addresses: the supported schemes, their printable names, and downloads.

An address may carry a password or a signature, and whoever has it can read what lies there. It is needed to fetch the
recording, and nowhere else: a recording is called by its address without them.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, unquote, unquote_plus

from pe_audio_cli._paths import exists
from pe_audio_cli.audio.inputs import DataInput
from pe_audio_cli.audio.limits import Limits, variable
from pe_audio_cli.errors import InputError

__all__ = ["SCHEMES", "Address", "addressed", "fetch", "is_address", "reached_by", "told_apart"]

# What is read. Other kinds that fsspec knows read files of this machine, or pass on to one that does (`reference://`).
SCHEMES = ("https", "http", "s3", "gs", "az", "hf")
POLL_SECONDS = 0.2  # how often progress is looked for
# RFC 3986, section 3, and fsspec's chains.
FORM = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)(?P<chained>::[^/]*)?://")
LATER_LINK = re.compile(r"::[A-Za-z][A-Za-z0-9+.-]*://")  # of a chain
PARTS = re.compile(r"(?P<scheme>[^:]*(?:::[^/]*)?://)(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
# A password with a `/`, `?` or `#` in it that should have been escaped: what stands behind the `:` is no port.
UNESCAPED = re.compile(
    r"(?P<scheme>[^:]*(?:::[^/]*)?://)(?P<user>[^@/?#\[]*:(?!\d*(?:[/?#]|$))[^@]*[/?#].*)@(?P<rest>.*)", re.DOTALL
)
SEPARATOR = re.compile(r"(&|;(?=[^&;=]*=))")  # of parameters
PATH_PARAMETER = re.compile(r";([^;/=]*)=?([^;/]*)")  # of a segment of a path: RFC 3986, section 3.3
# Of limited length, or a long word would be looked through from each of its letters on.
WITHIN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}://[^\s'\"<>]+")
GONE = 410  # what HTTP says where something was once, as it says 404 where nothing is
HIDDEN = "***"
MAX_REASON = 200  # characters of what a library says; it may repeat what a server sent
SHORTEST_SECRET = 4  # characters; a shorter one is found all over a text by chance

# Parameters that grant access, by what their names hold or are: of AWS, Google, Azure, Alibaba, Akamai, CloudFront and
# of whatever calls its parameters as everybody does.
SECRET = re.compile(
    r"token|secret|passw|pwd|signature|credential|api[-_]?key|access[-_]?key|auth(?!or)|session|hmac|jwt"
    r"|^x-(?:amz|goog|ms|oss|cos|obs)-"
    r"|^(?:sig|key|code|pass|policy|sid|sign|hdne[ats]|hdnt[ls])$"
)
# What stands beside a signature and is another one each time that an address is signed.
BESIDE_SECRET = re.compile(
    r"^(?:e|exp|expires?|expiry|ttl|ts|timestamp|date|nonce|algorithm|version|key-pair-id|googleaccessid|ossaccesskeyid"
    r"|s[eprtvs]|spr|sip|sdd|ske|sks|skt|skv|skoid|sktid|rscc|rscd|rsce|rscl|rsct)$"
)

ItemT = TypeVar("ItemT")


class Address(str):
    """The printable name of a recording at an address; ``full`` is the address itself, which may hold secrets."""

    full: str

    def __new__(cls, full: str, name: str | None = None) -> Address:
        """Name the address ``full`` by ``name``, or by itself without credentials."""
        address = super().__new__(cls, _public(full) if name is None else name)
        address.full = full
        return address


def is_address(file: str) -> bool:
    """Return True for an address: a name that has a scheme and is not that of a local file."""
    if isinstance(file, DataInput):  # whatever it is called
        return False
    return isinstance(file, Address) or (FORM.match(file) is not None and not exists(file))


def addressed(file: str) -> str:
    """A recording as the user named it, as an :class:`Address` if it is one."""
    return Address(file) if is_address(file) and not isinstance(file, Address) else file


def reached_by(file: str) -> str:
    """Return the path of a recording, or its full address with its credentials."""
    named = addressed(file)
    return named.full if isinstance(named, Address) else file


def told_apart(files: Iterable[ItemT]) -> Iterator[ItemT]:
    """Number recordings of the same name at different addresses, such as ``https://host/a#2``."""
    known: dict[str, dict[str, int]] = defaultdict(dict)
    for file in files:
        if not isinstance(file, Address):
            yield file
            continue
        numbers = known[file]
        number = numbers.setdefault(file.full, len(numbers) + 1)
        if number > 1:
            file = Address(file.full, f"{file}#{number}")  # type: ignore[assignment]
        yield file


def fetch(file: str, copy: str) -> None:
    """Download an address to a file; there is no time limit, unless no data arrives for long.

    Raises:
        InputError: the address is of a kind that is not read, nothing can be read there, or nothing comes for too long.
        OSError: there is no space for it here.
    """
    address = Address(file) if not isinstance(file, Address) else file
    _check_kind(address)
    stall = Limits.of_environment().stall_seconds
    errors: list[BaseException] = []
    done = threading.Event()
    progress = _Progress(copy)

    def work() -> None:
        try:
            _get(address.full, copy, progress, stall)
        except BaseException as error:  # some kinds of address cancel what they began
            errors.append(error)
        finally:
            done.set()

    # A thread, because some kinds of address wait for ever, and none can be told not to.
    threading.Thread(target=work, name="peaudio-fetch", daemon=True).start()
    while not done.wait(min(POLL_SECONDS, stall)):
        if progress.idle_seconds() > stall:
            message = f"nothing has come from there for {stall:g} s: try again, or raise {variable('stall_seconds')}"
            raise InputError(address, "unreadable", message)
    if errors:
        raise _refusal(address, errors[0], stall) from None  # what caused it may tell the address
    if not os.path.isfile(copy):
        raise InputError(address, "unreadable", "it is a folder where a recording is expected: name a file in it")


def _get(full: str, copy: str, progress: Any, stall: float) -> None:
    import fsspec

    scheme = full.partition("://")[0].lower()
    kind = fsspec.get_filesystem_class(scheme)
    options: dict[str, Any] = {}
    if scheme in ("http", "https"):
        from fsspec.implementations.http import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=stall, sock_read=stall)
        # Not as gzip, of which a few kilobytes would fill the disk.
        as_it_is = {"headers": {"Accept-Encoding": "identity"}, "auto_decompress": False}
        options["client_kwargs"] = {"timeout": timeout, **as_it_is}
    # Not url_to_fs, which takes chains of addresses apart and follows them.
    filesystem = kind(**{**kind._get_kwargs_from_urls(full), **options})
    filesystem.get_file(kind._strip_protocol(full), copy, callback=progress.callback())


class _Progress:
    """The time at which bytes last arrived, by the fetcher's callback or by the growth of the file."""

    def __init__(self, copy: str) -> None:
        self._copy = copy
        self._size = 0
        self._latest = time.monotonic()

    def callback(self) -> Any:
        from fsspec.callbacks import Callback

        class Noted(Callback):  # type: ignore[misc]
            def call(_, hook_name: str | None = None, **values: Any) -> None:
                self._latest = time.monotonic()

        return Noted()

    def idle_seconds(self) -> float:
        size = os.path.getsize(self._copy) if os.path.isfile(self._copy) else 0
        if size != self._size:
            self._size, self._latest = size, time.monotonic()
        return time.monotonic() - self._latest


def _check_kind(address: Address) -> None:
    form = FORM.match(address.full)
    scheme = "" if form is None else form["scheme"].lower()
    if form is None or form["chained"] or LATER_LINK.search(address.full):
        what = "addresses that are chained by :: are not read: name the recording itself"
    elif scheme == "file":
        what = "file:// is not read as an address: name the file by its path"
    elif scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        what = f"{scheme}:// is no kind of address that is read ({known}): copy the recording here, or to one of these"
    else:
        return
    raise InputError(address, "unreadable", what)


def _refusal(address: Address, error: BaseException, stall: float) -> Exception:
    reason = _scrubbed(" ".join(str(error).split()) or type(error).__name__, address.full)
    reason = reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}..."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return error
    if isinstance(error, FileNotFoundError) or getattr(error, "status", None) == GONE:
        return InputError(address, "missing", "there is nothing at this address: check it")
    if isinstance(error, IsADirectoryError):
        return InputError(address, "unreadable", "it is a folder where a recording is expected: name a file in it")
    if isinstance(error, ImportError):
        return InputError(address, "unreadable", f"its kind of address needs a package ({reason})")
    if isinstance(error, TimeoutError):
        message = f"nothing has come from there for {stall:g} s: try again, or raise {variable('stall_seconds')}"
        return InputError(address, "unreadable", message)
    message = f"it cannot be fetched ({reason}): check the address and the right to read it"
    return InputError(address, "unreadable", message)


def _public(full: str) -> str:
    """An address without user, password, and parameters that grant access."""
    return _split(full)[0]


def _split(full: str) -> tuple[str, list[str]]:
    """An address without what grants access, and what was taken out of it."""
    full, unescaped = _without_unescaped_password(full)
    parts = PARTS.fullmatch(full)
    if parts is None:
        return full, unescaped
    user, at, host = parts["authority"].rpartition("@")
    scheme = parts["scheme"].partition(":")[0].lower()
    if scheme in ("az", "abfs", "abfss") and ":" not in user:  # a container, not a user
        user, at, host = "", "", parts["authority"]
    secrets = [*unescaped, *([user, *user.split(":")] if at else [])]
    query, hash_mark, fragment = parts["rest"].partition("#")
    kept_query, query_secrets = _without_secrets(query.removeprefix("?"))
    kept_fragment, fragment_secrets = _without_secrets(fragment)
    path, path_secrets = _path_without_secrets(parts["path"])
    public = parts["scheme"] + host + path
    public += f"?{kept_query}" if kept_query else ""
    public += f"{hash_mark}{kept_fragment}" if kept_fragment else ""
    return public, [*secrets, *path_secrets, *query_secrets, *fragment_secrets]


def _without_unescaped_password(full: str) -> tuple[str, list[str]]:
    """An address without user and password, if the password holds what ends them, and what was taken out."""
    match = UNESCAPED.fullmatch(full)
    if match is None:
        return full, []
    user, _, password = match["user"].partition(":")
    return match["scheme"] + match["rest"], [match["user"], user, password]


def _path_without_secrets(path: str) -> tuple[str, list[str]]:
    """A path without the parameters of its segments that grant access, as of a session, and their values."""
    secrets = [match[2] for match in PATH_PARAMETER.finditer(path) if _grants_access(match[1])]
    return PATH_PARAMETER.sub(lambda match: "" if _grants_access(match[1]) else match[0], path), secrets


def _without_secrets(query: str) -> tuple[str, list[str]]:
    """A query without the parameters that grant access, and their values; `;` separates parameters as well as `&`."""
    first, *others = SEPARATOR.split(query)
    pieces = [("", first), *zip(others[::2], others[1::2], strict=True)]
    named = [(separator, piece, *piece.partition("=")[::2]) for separator, piece in pieces]
    if not any(_grants_access(name) for _, _, name, _ in named):
        return query, []
    secrets = [value for _, _, name, value in named if _grants_access(name)]
    kept = [
        (separator, piece)
        for separator, piece, name, _ in named
        if not _grants_access(name) and BESIDE_SECRET.search(_plain(name)) is None
    ]
    return "".join(("" if n == 0 else separator) + piece for n, (separator, piece) in enumerate(kept)), secrets


def _grants_access(name: str) -> bool:
    return SECRET.search(_plain(name)) is not None


def _plain(name: str) -> str:
    """The name of a parameter as it is meant."""
    return unquote_plus(name).lower()


def _scrubbed(text: str, full: str) -> str:
    """Remove credentials from a library's message, which may repeat the address, perhaps encoded differently."""
    text = WITHIN_TEXT.sub(lambda found: _public(found[0]), text)
    for secret in sorted(_split(full)[1], key=len, reverse=True):
        for spelling in {secret, unquote(secret), unquote_plus(secret), quote(unquote(secret), safe="")}:
            if len(spelling) >= SHORTEST_SECRET:
                text = text.replace(spelling, HIDDEN)
    return text
