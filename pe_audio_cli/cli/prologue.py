"""The beginning of every command: its console, what is logged, errors as exit codes, quiet libraries, the allocator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.guard import guard

if TYPE_CHECKING:
    from pe_audio_cli.cli.flags import VerbosityFlags

__all__ = ["begin", "log_shown"]

LOGGER = "pe_audio_cli"


@contextlib.contextmanager
def begin(verbosity: VerbosityFlags, *, encodes_audio: bool = True) -> Iterator[Console]:
    """Yield the console of a command, within which whatever ends it is one line and an exit code.

    The allocator is configured for a command that ``encodes_audio``.
    """
    console = Console(verbosity.quiet, verbosity.verbose)
    with guard(console), log_shown(console):
        if not console.verbose:
            from pe_audio_cli.models.quiet import quiet_libraries

            quiet_libraries()
        if encodes_audio:
            from pe_audio_cli.models.kernels.malloc import configure_malloc

            configure_malloc()
        yield console


@contextlib.contextmanager
def log_shown(console: Console) -> Iterator[None]:
    """Show what the package logs on a console: warnings, information unless it is quiet, details if it is verbose."""
    import logging  # --help does without

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say = {logging.DEBUG: console.note, logging.INFO: console.tell}.get(record.levelno, console.warn)
            say(record.getMessage())

    logger, handler = logging.getLogger(LOGGER), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if console.verbose else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
