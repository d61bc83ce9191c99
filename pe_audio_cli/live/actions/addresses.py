"""Addresses that events are sent to; no message tells more of one than its host, since the rest may be secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from pe_audio_cli.errors import UsageError

__all__ = ["Target", "parse_target"]

# What may stand in a path or a query as it is: all that RFC 3986 gives a meaning, and what is quoted already.
MEANINGFUL = "/?:@!$&'()*+,;=~%[]"


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an address; ``host`` is in ASCII, and user and password are no longer quoted."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    user: str | None
    password: str | None

    @property
    def place(self) -> str:
        """Host and port, as messages name the target."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The address without user and password, in ASCII."""
        path, query = quote(self.path or "/", safe=MEANINGFUL), quote(self.query, safe=MEANINGFUL)
        return f"{self.scheme}://{self.place}{path}" + (f"?{query}" if query else "")


def parse_target(address: str, flag: str, schemes: Sequence[str]) -> Target:
    """Take an address apart.

    Raises :class:`UsageError`, which names the ``flag``, if it is faulty or of another scheme.
    """
    allowed = " or ".join(f"{scheme}://" for scheme in schemes)
    if any(character.isspace() or not character.isprintable() for character in address):
        raise UsageError(f"{flag}: there is white space or a control character in the address: quote it as in %20")
    try:
        parts = urlsplit(address)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except (ValueError, UnicodeError):
        raise UsageError(f"{flag}: the address has an invalid host or port: use {allowed}HOST:PORT/...") from None
    if parts.scheme not in schemes or not host:
        raise UsageError(f"{flag}: the address must begin with {allowed} and a host")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    return Target(parts.scheme, host, port, parts.path, parts.query, user, password)
