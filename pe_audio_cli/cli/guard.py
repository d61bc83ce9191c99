"""Exceptions to exit codes, in one place."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from pe_audio_cli.cli.talk import Talk
from pe_audio_cli.errors import PeAudioError

__all__ = ["guard"]

INTERRUPTED = 130  # 128 + SIGINT, as shells count


@contextlib.contextmanager
def guard(talk: Talk) -> Iterator[None]:
    """Turn what ends a command into one line on standard error and an exit code."""
    try:
        yield
    except PeAudioError as error:
        for line in error.lines:
            talk.error(line)
        raise typer.Exit(error.exit_code) from error
    except BrokenPipeError:
        # Whoever read our output has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        talk.error("interrupted")
        raise typer.Exit(INTERRUPTED) from None
