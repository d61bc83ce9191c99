"""Exceptions to exit codes, in one place: whatever ends a command is one line on standard error."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from pe_audio_cli._paths import reason
from pe_audio_cli.cli.commands.loading import Commands
from pe_audio_cli.cli.console import Console
from pe_audio_cli.cli.conversion import convert_late
from pe_audio_cli.cli.streams import leave_standard_output
from pe_audio_cli.errors import PeAudioError
from pe_audio_cli.formats.escaping import terminal_text

__all__ = ["GuardedCommands", "guard"]

FAILED, MISUSED, INTERRUPTED = 1, 2, 130  # the last is 128 + SIGINT, as shells count

# What is wrong with a command line: click's root, which releases of Typer hold under different names.
CommandLineError: Any = typer.BadParameter.__mro__[2]
ENDS = (typer.Exit, typer.Abort, CommandLineError)  # Typer itself turns these into exit codes


@contextlib.contextmanager
def guard(console: Console) -> Iterator[None]:
    """Turn what ends a command into one line on standard error and an exit code."""
    try:
        with _interrupted_by_signals():
            yield
    except ENDS:
        raise
    except PeAudioError as error:
        for line in error.lines:
            console.error(line)
        raise typer.Exit(error.exit_code) from error
    except BrokenPipeError:
        leave_standard_output()  # whoever reads it has enough
        raise typer.Exit(0) from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # so Rich ends what it cannot print
            raise typer.Exit(0) from None
        raise
    except KeyboardInterrupt:
        console.error("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        line, code = _unforeseen(error)
        console.error(line)
        raise typer.Exit(code) from error


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Signals that would end the process on the spot interrupt it as Ctrl-C does, so that it leaves nothing behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    named = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    deadly = [number for number in named if signal.getsignal(number) is signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


def _unforeseen(error: Exception) -> tuple[str, int]:
    """Return the message for an unexpected exception, and the exit code.

    What the system says about a named file is about something that was asked for: once recordings are worked on, each
    has its own errors, and an output explains its own.
    """
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes)):
        name = error.filename if isinstance(error.filename, str) else error.filename.decode(errors="replace")
        return f"{name}: {reason(error)}; check the path, its permissions and the disk", MISUSED
    if isinstance(error, FileNotFoundError):  # from tempfile, which has tried several places
        return f"{reason(error)}: set TMPDIR to another folder", FAILED
    if isinstance(error, OSError):
        return f"cannot go on: {reason(error)}; check the disk, and where standard output goes", FAILED
    if isinstance(error, MemoryError):
        return "out of memory: close other programs, or use a shorter --window or fewer --threads", FAILED
    what = f"{type(error).__name__}: {reason(error)}" if str(error) else type(error).__name__
    return f"it failed unexpectedly ({what}): run it again with --verbose, and report what it says", FAILED


class GuardedCommands(TyperGroup):
    """Commands, what is before them guarded too: the reading of the command line, ``--help`` and ``--version``.

    What is wrong with a command line is told by Typer, of which nothing may drive the terminal.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.commands = Commands()

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, of which Typer makes some in the end."""
        return convert_late(super().get_params(ctx))

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read the arguments before the command."""
        with _errors_printed(), guard(Console()):
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        """Read the rest, and run the command."""
        with _errors_printed(), guard(Console()):
            return super().invoke(ctx)


@contextlib.contextmanager
def _errors_printed() -> Iterator[None]:
    try:
        yield
    except CommandLineError as error:
        error.message = terminal_text(error.message)
        raise
