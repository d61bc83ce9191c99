"""``peaudio doctor``: what it prints, and what it makes of engines that are broken."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from invoked import imported
from typer.testing import CliRunner, Result

import pe_audio_cli
from pe_audio_cli.cli.app import app
from pe_audio_cli.diagnosis import examination, machine
from pe_audio_cli.diagnosis.examination import VARIABLES, without_home
from pe_audio_cli.models import self_test
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.registry import SHIPPED
from pe_audio_cli.models.self_test import EXPECTED, EngineTest

PACKAGE = Path(pe_audio_cli.__file__).parent
SECTIONS = ["Versions", "Engines", "Devices", "Decoders", "Processor", "Memory", "Disks", "Caches", "Environment"]
MISSING = "raise ImportError('libfake.so.1: cannot open shared object file')"
CRASHING = "import os; os.abort()"


def doctor(*arguments: str) -> Result:
    ran = CliRunner().invoke(app, ["doctor", *arguments])
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exception
    assert "Traceback" not in ran.output
    return ran


@pytest.fixture
def break_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a module in the way of a library, for the processes that engines are tested in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PEAUDIO_ENGINE", raising=False)
    return lambda name, source: (tmp_path / f"{name}.py").write_text(source) and None


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines that work, untested."""
    monkeypatch.setattr(self_test, "check_engine", lambda engine: EngineTest(engine, None, "float32", 0.0, 0.1))


def engine_lines(text: str) -> dict[str, str]:
    section = text.partition("Engines\n")[2].partition("\n\n")[0]
    return dict(line.split(maxsplit=1) for line in section.splitlines())


def test_the_text_has_every_section_and_every_engine_works(monkeypatch):
    monkeypatch.delenv("PEAUDIO_ENGINE", raising=False)
    ran = doctor()
    titles = re.findall(r"^[A-Z]\w+$", ran.stdout, re.MULTILINE)
    assert titles == [*SECTIONS, "Packages"]
    assert ran.exit_code == 0 and ran.stdout.endswith("\n\nAll that mini needs works.\n")
    lines = engine_lines(ran.stdout)
    assert list(lines) == ["onnx", "torch", "transformers"]
    assert all(line.startswith("works") for line in lines.values())
    assert [name for name, line in lines.items() if "runs mini" in line] == ["onnx"]
    assert re.search(r"^  cpu +processor$", ran.stdout, re.MULTILINE)
    assert re.search(r"^  libsndfile +\d+\.\S+, \d+ formats$", ran.stdout, re.MULTILINE)
    assert re.search(rf"^  peaudio +{re.escape(pe_audio_cli.__version__)}$", ran.stdout, re.MULTILINE)


@pytest.mark.parametrize(("source", "says"), [(MISSING, "ImportError: libfake.so.1"), (CRASHING, "ended its process")])
def test_a_broken_engine_that_mini_needs_is_one_line_and_a_failure(break_library, source, says):
    break_library("onnxruntime", source)
    break_library("torch", MISSING)  # quick
    ran = doctor()
    assert ran.exit_code == 1
    assert says in engine_lines(ran.stdout)["onnx"]
    problems = ran.stdout.partition("\n\nProblems\n")[2].splitlines()
    assert len(problems) == 1 and problems[0].startswith("  onnx: ") and says in problems[0]
    assert "Devices\n  none\n" in ran.stdout


def test_a_broken_engine_that_mini_does_not_need_is_no_failure(break_library):
    break_library("torch", CRASHING)
    ran = doctor()
    assert ran.exit_code == 0
    assert engine_lines(ran.stdout)["torch"].startswith("does not work: ")
    assert engine_lines(ran.stdout)["onnx"].startswith("works")


def test_the_engine_that_is_forced_is_the_one_that_is_needed(break_library, monkeypatch):
    break_library("torch", MISSING)
    monkeypatch.setenv("PEAUDIO_ENGINE", "torch")
    found = json.loads(doctor("-f", "json").stdout)
    assert [each["name"] for each in found["engines"] if each["needed"]] == ["torch"]
    assert not found["ok"] and found["environment"]["PEAUDIO_ENGINE"] == "torch"


def test_an_engine_without_a_name_is_a_problem(healthy, monkeypatch):
    monkeypatch.setenv("PEAUDIO_ENGINE", "abacus")
    ran = doctor()
    assert ran.exit_code == 1
    assert "PEAUDIO_ENGINE=abacus is unknown: use onnx, torch or transformers" in ran.stdout


@pytest.mark.parametrize("module", ["soundfile", "av", "soxr"])
def test_a_broken_decoder_is_one_line_and_a_failure(healthy, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    ran = doctor()
    assert ran.exit_code == 1
    (line,) = ran.stdout.partition("\n\nProblems\n")[2].splitlines()
    assert "ModuleNotFoundError" in line and module in line


@pytest.mark.parametrize("module", ["llvmlite", "huggingface_hub"])
def test_what_mini_can_do_without_is_no_failure(healthy, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    assert doctor().exit_code == 0


def test_nothing_is_told_of_the_home_folder_or_of_foreign_variables(healthy, monkeypatch, tmp_path):
    home = tmp_path / "al1ce"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("PEAUDIO_MODEL", str(home / "model"))
    monkeypatch.setenv("HF_TOKEN", "wonderl4nd")
    monkeypatch.setenv("PEAUDIO_PASSWORD", "wonderl4nd")
    for arguments in ([], ["-f", "json"]):
        said = doctor(*arguments).output
        assert "al1ce" not in said and "wonderl4nd" not in said
        assert str(Path("~/model")) in said.replace("\\\\", "\\")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/x", "~/x"),
        ("cannot open /home/ann.", "cannot open ~."),
        ("'/home/ann'", "'~'"),
        ("/home/anna", "/home/anna"),
        ("/home/ann.old/x", "/home/ann.old/x"),
        ("/data/home/ann", "/data/home/ann"),
        ({"a": ["/home/ann", 1, None]}, {"a": ["~", 1, None]}),
    ],
)
def test_the_home_folder_is_a_tilde(text, shown):
    assert without_home(text, "/home/ann") == shown
    assert without_home(text, "/") == text


def test_the_variables_that_are_shown_are_all_that_there_are():
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"PEAUDIO_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    told_to_commands = {"PEAUDIO_EVENT", "PEAUDIO_LABEL", "PEAUDIO_STARTED_AT"}  # by listen --exec
    assert named - told_to_commands - {"PEAUDIO_TOKEN"} <= set(VARIABLES)
    assert "PEAUDIO_TOKEN" not in VARIABLES  # a secret


def test_the_sizes_of_caches_are_those_of_their_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(1000))
    (tmp_path / "c").write_bytes(bytes(24))
    found = examination._cache("labels", lambda: tmp_path)
    assert (found["files"], found["bytes"], found["folder"]) == (2, 1024, str(tmp_path))


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path):
    found = machine.disk("labels cache", tmp_path / "a" / "b")
    assert 0 <= found["free"] <= found["total"]


def test_the_expected_numbers_are_of_the_shipped_weights():
    expected = json.loads((SHIPPED / "mini" / EXPECTED).read_text(encoding="utf-8"))
    remedy = "python -m training.self_test pe_audio_cli/checkpoints/mini makes them anew"
    assert expected["fingerprint"] == Checkpoint.open(SHIPPED / "mini", "mini").fingerprint, remedy


def test_wrong_numbers_are_an_error():
    code = "import sys; sys.path[:] = {path}; from pe_audio_cli.models import self_test as s; r = s.answers\n"
    code += "def w(*a):\n    b, f = r(*a)\n    f[0, 0] += 2 * s.TOLERANCE\n    return b, f\n"
    code += "s.answers = w; s.serve('onnx')"
    ran = subprocess.run([sys.executable, "-c", code.format(path=ascii(sys.path))], capture_output=True, check=True)
    assert json.loads(ran.stdout)["error"].startswith("wrong numbers: a probability is off by ")


def test_help_imports_nothing_heavy():
    modules = imported("doctor", "--help")
    assert "typer" in modules
    assert modules.isdisjoint({"torch", "transformers", "onnxruntime", "numpy", "soundfile", "av", "llvmlite"})
