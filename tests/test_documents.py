"""The commands and Python snippets of the README and of docs/, run in order, each page in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import soundfile
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RECORDINGS = ROOT / "examples" / "recordings"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"[|&;<>$]|\\\"")  # what only a shell understands
MOST_WORDS = 1500  # of the README
NUMBER = re.compile(r"\d+\.\d+")
BAR = re.compile(r"[─▏▎▍▌▋▊▉█]")

# What is not run, and what takes its place: test_project.py looks at the flags of each.
NOT_RUN = {
    r"^pip install ": "extras are looked up in pyproject.toml",
    r"^make ": "test_project.py looks its target up in the Makefile",
    r"^(\w+=\S+ )?ray ": "test_examples.py checks examples/cluster.yaml; a node cannot be started beside others",
    r"--engine ray": "tests/cluster runs it",
    r" (-m|--model) (small|base|large)\b|models pull": "needs a network; tests/cli/test_models.py pulls from a stub",
    r"^peaudio serve |^curl |--server ": "tests/server runs servers, and commands against them",
    r"^peaudio listen (-l|rtsp:)": "needs a microphone, a camera or a broker; tests/live has stand-ins of each",
    r"--install-completion": "changes the user's shell",
}
NEEDS = {"cut_events.sh": "ffmpeg", "nightly.sh": "flock"}  # programs that scripts call

ANNOTATIONS = """filename\tonset\toffset\tevent_label
scene.mp3\t0.6\t2.6\trooster
scene.mp3\t4.0\t8.0\train
scene.mp3\t8.2\t9.8\tdog
dog.flac\t0.0\t1.0\tdog
rain.ogg\t0.0\t5.0\train
"""
TEXTS = {
    "labels.txt": "a dog barking\nrain falling\n",
    "birds.txt": "a rooster crowing\na crow cawing\n",
    "labels.tsv": ANNOTATIONS,
    "marks.csv": "file,label,start,end,probability,mark\n"
    "recordings/dog.flac,a dog barking,0.000,5.000,0.95,yes\nrecordings/rain.ogg,a dog barking,0.000,5.000,0.1,no\n",
    "words.csv": "dog,a dog barking\nrain,rain falling\nrooster,a rooster crowing\n",
    "list.txt": "recordings/dog.flac\n",
}
COPIES = {
    "scene.mp3": ["recordings/scene.mp3", "interview.mp3", "scene.mp3"],
    "dog.flac": ["recordings/dog.flac", "days/2027-05-01/dog.flac"],
    "rain.ogg": ["recordings/rain.ogg"],
    "rooster.wav": ["street.wav", "night.flac", "dog.wav", "thunder.wav"],
}


class Command(NamedTuple):
    """A command of a page, and the lines that the page shows below it."""

    line: str
    shown: str


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands(block: str) -> Iterator[Command]:
    """The commands of a block: each begins with a prompt."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, shown = part.partition("\n")
        yield Command(line, shown.strip())


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name, targets in COPIES.items():
        for target in targets:
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            if Path(target).suffix == Path(name).suffix:
                shutil.copy(RECORDINGS / name, tmp_path / target)
            else:
                soundfile.write(tmp_path / target, *soundfile.read(RECORDINGS / name))
    for name, text in TEXTS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return tmp_path


def run(command: Command) -> None:
    """Run a command, in this process where it needs no shell, and compare its output with what is shown."""
    if any(re.search(pattern, command.line) for pattern in NOT_RUN):
        return
    if any(script in command.line and shutil.which(needed) is None for script, needed in NEEDS.items()):
        return
    if command.line.startswith("peaudio ") and not SHELL.search(command.line):
        as_on_a_terminal = ["-f", "table"] if command.shown else []
        ran = CliRunner().invoke(app, [*shlex.split(command.line)[1:], *as_on_a_terminal])
        code, printed, said = ran.exit_code, ran.stdout, ran.stderr
    else:
        done = subprocess.run(["bash", "-c", command.line], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        code, printed, said = done.returncode, done.stdout, done.stderr
    assert code == 0, f"{command.line}\n{said}"
    if command.shown:
        check_output(command, printed)


def check_output(command: Command, printed: str) -> None:
    """Compare without bars; numbers may differ by one in the last digit, as rounding may on another processor."""
    shown, found = words(command.shown), words(printed)
    message = f"{command.line} prints otherwise than the page shows:\n{printed}"
    assert [NUMBER.sub("0", each) for each in shown] == [NUMBER.sub("0", each) for each in found], message
    for each, other in zip(shown, found, strict=True):
        for old, new in zip(NUMBER.findall(each), NUMBER.findall(other), strict=True):
            last_digit = 10.0 ** -len(old.partition(".")[2])
            assert float(new) == pytest.approx(float(old), abs=1.01 * last_digit), message


def words(text: str) -> list[str]:
    return BAR.sub("", text).split()


@pytest.mark.timeout(300)  # a page of evaluations, on a busy machine
@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(text_of(page))], ids=relative)
def test_what_a_page_shows_runs(page: Path, workspace: Path) -> None:
    text = text_of(page)
    pytest.importorskip("duckdb", reason="there is no index: pip install 'pe-audio-cli[search]'")
    if "sounds.index" in text and "peaudio index" not in text:
        run(Command("peaudio index recordings/ --index sounds.index", ""))
    namespace: dict[str, Any] = {}
    for kind, block in BLOCK.findall(text):
        if kind == "python":
            exec(compile(block, relative(page), "exec"), namespace)
        else:
            for command in commands(block):
                run(command)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_extras_that_are_installed_exist(page: Path) -> None:
    section = text_of(ROOT / "pyproject.toml").partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, flags=re.MULTILINE))
    named = re.findall(r"pip install [^\n`]*?\[([\w,]+)\]", text_of(page))
    assert {extra for each in named for extra in each.split(",")} <= extras


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    lines = [each.line for page in PAGES for kind, block in BLOCK.findall(text_of(page)) for each in commands(block)]
    used = [pattern for pattern in NOT_RUN if any(re.search(pattern, line) for line in lines)]
    assert used == list(NOT_RUN)


@pytest.fixture
def script() -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, DOCS / "scripts" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_the_page_of_commands_is_up_to_date(script: Callable[[str], ModuleType]) -> None:
    assert text_of(DOCS / "reference" / "commands.md") == script("commands").page(), "run docs/scripts/commands.py"


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"^ +- (?:\w+: )?(\S+\.md)$", text_of(ROOT / "mkdocs.yml"), re.MULTILINE))
    assert listed == {str(page.relative_to(DOCS).as_posix()) for page in DOCS.rglob("*.md")}


def test_the_readme_is_short() -> None:
    assert len(text_of(README).split()) <= MOST_WORDS


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "images").iterdir())
    assert pictures and all(path.stat().st_size < 100_000 for path in pictures)
