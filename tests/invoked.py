"""Commands of peaudio, run in this process, or in one of their own to see what they import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from typer.testing import CliRunner

from pe_audio_cli.cli.app import app

__all__ = ["Result", "imported"]

CODE = """
import sys
from pe_audio_cli.cli.app import main
try:
    main()
finally:
    print("imported:", *(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


class Result:
    """The output and the exit code of a command."""

    def __init__(self, *arguments: str | os.PathLike[str], stdin: bytes | None = None) -> None:
        ran = CliRunner().invoke(app, [os.fspath(argument) for argument in arguments], input=stdin)
        assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
        self.code, self.out, self.err = ran.exit_code, ran.stdout, ran.stderr

    def __repr__(self) -> str:
        return f"exit {self.code}, standard error: {self.err!r}"

    @property
    def objects(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


def imported(*arguments: object, environment: Mapping[str, str] | None = None) -> set[str]:
    """The modules that a command, which must succeed, has imported at its end."""
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.rpartition("imported:")[2].split())
