"""Commands of peaudio, run in this process."""

from __future__ import annotations

import json
import os

from typer.testing import CliRunner

from pe_audio_cli.cli.app import app

__all__ = ["Result"]


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
