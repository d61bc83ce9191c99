"""Output on a terminal: help in its order, completions, and lines that are broken between words."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app
from pe_audio_cli.cli.commands.models import _table
from pe_audio_cli.cli.console import Console
from pe_audio_cli.formats.registry import choices
from pe_audio_cli.inference.labels import label_set_names
from pe_audio_cli.models.inventory import Stored

FIRST = {"tag": "Results", "localize": "Events", "search": "Search", "embed": "Output", "eval": "Prompts"}


def panels(command: str) -> list[str]:
    ran = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "100"})
    return re.findall(r"^╭─ (\w+)", ran.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("command", FIRST)
def test_help_shows_results_first_and_the_cluster_last(command: str) -> None:
    arguments, options, first, *others = panels(command)
    assert (arguments, options, first) == ("Arguments", "Options", FIRST[command])
    assert others[-1] == ("Model" if command in ("search", "eval") else "Cluster")


def completed(words: str) -> list[str]:
    """Return bash's completions for the last word of a command line."""
    asked = {"_PEAUDIO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return CliRunner().invoke(app, [], prog_name="peaudio", env=asked).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("peaudio tag -m ", ["mini", "small", "base", "large"]),
        ("peaudio search --model b", ["base"]),
        ("peaudio eval -m s", ["small"]),
        ("peaudio tag -f ", list(choices("tag"))),
        ("peaudio localize --format r", ["raven", "rttm"]),
        ("peaudio search -f ", list(choices("search"))),
        ("peaudio localize --label-set ", ["list", *label_set_names()]),
        ("peaudio tag --label-set es", ["esc50"]),
    ],
)
def test_tab_completes_values(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


MESSAGE = "the settings /home/somebody/recordings/forest.toml are not TOML: " + "a reason of several words " * 8


@pytest.mark.parametrize("say", [Console.error, Console.warn, Console.tell])
def test_a_line_on_a_terminal_is_broken_between_words(say, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    say(Console(), MESSAGE)
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 2 and max(map(len, lines)) <= 80
    assert " ".join(lines).endswith(MESSAGE.strip())


def test_a_word_longer_than_a_terminal_is_left_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    path = "/srv/" + "deep/" * 40
    Console().tell(f"see {path} for it")
    assert path in terminal.getvalue().split()


def test_a_line_in_a_pipe_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stderr", pipe)
    Console().error(MESSAGE)
    assert pipe.getvalue() == f"peaudio: {MESSAGE}\n"


def test_rows_of_models_that_are_too_long_go_on_below() -> None:
    folder = Path("/home/somebody/.cache/huggingface/hub/models--facebook--pe-av-base/snapshots/" + "0123456789" * 4)
    found = [
        Stored("mini", ("tag", "localize"), folder=Path("/opt/mini"), n_bytes=19_000_000),
        Stored("base", ("tag",), "facebook/pe-av-base", "main", folder, 1_200_000_000),
        Stored("large", ("localize",), "facebook/pe-a-frame-large"),
    ]
    wide, narrow = _table(found, None), _table(found, 80)
    assert len(wide.splitlines()) == 4 and narrow.split() == wide.split()
    assert all(len(line) <= 80 or len(line.split()) == 1 for line in narrow.splitlines())
    assert [line for line in narrow.splitlines() if line.split() == [str(folder)]]
