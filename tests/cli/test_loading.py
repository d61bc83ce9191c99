"""Commands are imported when they are asked for, and only then."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from pe_audio_cli.cli.app import app
from pe_audio_cli.cli.commands.loading import Commands

FOLDER = "pe_audio_cli.cli.commands."
CODE = f"""
import sys
from pe_audio_cli.cli.app import main
try:
    main()
finally:
    print(*(name for name in sys.modules if name.startswith("{FOLDER}")), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["tag", "search", "models", "labels"])
def test_a_command_imports_no_other(name: str) -> None:
    ran = subprocess.run([sys.executable, "-c", CODE, name, "--help"], capture_output=True, text=True, check=True)
    assert set(ran.stderr.split()) == {FOLDER + ("teach" if name == "labels" else name), f"{FOLDER}loading"}


def test_the_help_has_all_commands_under_their_names() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert len(commands) == len(dict(commands)) > 9
    assert all(command.name == name for name, command in commands.items())


def test_commands_are_a_mapping_as_groups_need() -> None:
    commands = Commands()
    with pytest.raises(KeyError):
        commands["serch"]
    assert commands.get("serch") is None
    del commands["tag"]
    assert "tag" not in commands and "tag" not in list(commands)
    with pytest.raises(KeyError):
        commands["tag"]
    commands["more"] = commands["embed"]
    assert list(commands)[-1] == "more"
