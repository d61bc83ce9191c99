"""The ways to start the command line, and the completion that it sets up in shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PEAUDIO = Path(sys.executable).with_name("peaudio")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("_PEAUDIO")}

AS_NAMED = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # the shell that is named, not the one that asks


def output_of(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN | environment, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_package_runs_as_the_command_does() -> None:
    module = [sys.executable, "-m", "pe_audio_cli"]
    assert output_of(*module, "--version") == output_of(PEAUDIO, "--version")
    usage = output_of(*module, "tag", "--help", COLUMNS="100")
    assert "python -m pe_audio_cli tag [OPTIONS]" in usage and "--labels" in usage


def test_a_module_that_is_misused_ends_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "pe_audio_cli", "tagg"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "") and "tagg" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["peaudio", ""], {"tag", "localize", "eval", "embed", "index", "search", "models"}),
        (["peaudio", "lo"], {"localize"}),
        (["peaudio", "tag", "--top"], {"--top-k"}),
        (["peaudio", "models", ""], {"pull"}),
        (["peaudio", "nothing-begins-so"], set()),
    ],
    ids=lambda each: " ".join(sorted(each) if isinstance(each, set) else each),
)
def test_bash_is_offered_commands_and_flags(words: list[str], expected: set[str]) -> None:
    offered = output_of(
        PEAUDIO,
        _PEAUDIO_COMPLETE="complete_bash",
        COMP_WORDS=" ".join(words),
        COMP_CWORD=str(len(words) - 1),
    )
    assert expected <= set(offered.split()) and bool(offered.split()) == bool(expected)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here, whose completion is tested")
def test_completion_that_was_installed_answers_in_a_new_bash(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), **AS_NAMED}
    assert "installed" in output_of(PEAUDIO, "--install-completion", "bash", **home)
    script = """
        . "$HOME/.bashrc"
        complete -p peaudio
        COMP_WORDS=(peaudio sea) COMP_CWORD=1
        _peaudio_completion peaudio
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    told = output_of("bash", "--norc", "-c", script, PATH=f"{PEAUDIO.parent}{os.pathsep}{os.environ['PATH']}", **home)
    assert told.splitlines()[-1] == "search"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_a_script_that_asks_the_command(shell: str) -> None:
    shown = output_of(PEAUDIO, "--show-completion", shell, **AS_NAMED)
    assert "peaudio" in shown and f"complete_{shell}" in shown
