"""The lines between subpackages: who may import whom, and that starting up stays light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoked import imported

import pe_audio_cli

PACKAGE = "pe_audio_cli"
FOLDER = Path(pe_audio_cli.__file__).parent
PEAUDIO = Path(sys.executable).with_name("peaudio")

# What every subpackage stands on.
GROUND = {"_extras", "_files", "_paths", "_small_files", "_system", "results", "errors", "options"}
AUDIO = GROUND | {"audio"}
MIDDLE = AUDIO | {"models", "detection", "formats", "plots", "report"}
UPPER = MIDDLE | {"inference", "outputs"}
# Whom each subpackage may import, from the top down; "" is the package itself.
MAY_IMPORT: dict[str, set[str]] = {
    "": UPPER | {"index", "live", "evaluation", "learning", "cluster", "diagnosis", "api", "server", "cli"},
    "cli": UPPER | {"index", "live", "evaluation", "learning", "cluster", "diagnosis", "api", "server"},
    "server": UPPER | {"index", "api"},
    "api": UPPER | {"evaluation", "learning"},
    "learning": UPPER | {"index", "evaluation"},
    "index": UPPER,
    "live": UPPER,
    "evaluation": UPPER,
    "cluster": UPPER,
    "diagnosis": AUDIO | {"models"},
    "outputs": UPPER,
    "inference": AUDIO | {"models", "detection", "formats"},
    "report": AUDIO | {"formats", "detection"},
    "plots": GROUND | {"formats"},
    "formats": GROUND,
    "detection": AUDIO,
    "models": AUDIO,
    "audio": GROUND,
    "results": {"errors", "_files", "_paths", "_small_files"},
    "options": {"errors"},
    "errors": set(),
    "_extras": {"errors"},
    "_files": {"_paths", "_system", "errors"},
    "_paths": set(),
    "_small_files": set(),
    "_system": set(),
}

MODEL_ONLY = {"torch", "transformers", "onnxruntime", "tokenizers", "safetensors", "huggingface_hub"}
LIGHT = {"typer", "click"} | sys.stdlib_module_names
HELP_CPU_SECONDS = 0.5


@dataclass(frozen=True)
class Import:
    """One import statement's target; ``eager`` if it runs as soon as the importing module is imported."""

    importer: str
    target: str
    eager: bool


def imports_in(module: str, source: str) -> Iterator[Import]:
    """Every import of a module: at its top, in functions, and for type checkers only."""
    tree = ast.parse(source)
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or is_for_type_checkers(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide which subpackage they come from"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (Import(module, target, id(node) not in late) for target in targets)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def modules_and_sources() -> dict[str, str]:
    """The package's modules and their source."""
    sources = {}
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        sources[".".join((PACKAGE, *parts)).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return sources


def subpackage(module: str) -> str:
    """``audio`` for ``pe_audio_cli.audio.find``, and nothing for the package itself and its ``__main__``."""
    parts = module.split(".")
    return "" if len(parts) == 1 or parts[1].startswith("__") else parts[1]


def graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Each module and the modules of the package that it imports."""
    edges: dict[str, set[str]] = {module: set() for module in sources}
    for module, source in sources.items():
        for each in imports_in(module, source):
            if each.target in sources:
                edges[module].add(each.target)
            elif each.target.rpartition(".")[0] in sources and each.target != f"{PACKAGE}.__version__":
                edges[module].add(each.target.rpartition(".")[0])
    return edges


def trespasses(sources: dict[str, str]) -> set[str]:
    """The imports of one subpackage from another that go up, or across to a neighbour."""
    return {
        f"{importer} imports {target}"
        for importer, targets in graph(sources).items()
        for target in targets
        if subpackage(target) not in MAY_IMPORT[subpackage(importer)] | {subpackage(importer)}
    }


def outside_model(sources: dict[str, str]) -> set[str]:
    """The imports of torch and its company in subpackages where they have no business."""
    return {
        f"{module} imports {each.target}"
        for module, source in sources.items()
        for each in imports_in(module, source)
        if each.target.split(".")[0] in MODEL_ONLY and subpackage(module) != "models"
    }


def heavy_at_start(sources: dict[str, str]) -> set[str]:
    """Return the heavy modules that the command line imports at its start."""
    return {
        f"{module} imports {each.target}"
        for module, source in sources.items()
        for each in imports_in(module, source)
        if subpackage(module) == "cli" and each.eager and each.target.split(".")[0] not in LIGHT | {PACKAGE}
    }


def test_every_module_has_a_place() -> None:
    assert {subpackage(module) for module in modules_and_sources()} <= MAY_IMPORT.keys()


def test_imports_go_one_way() -> None:
    assert trespasses(modules_and_sources()) == set()


def test_no_circles() -> None:
    graphlib.TopologicalSorter(graph(modules_and_sources())).prepare()  # raises CycleError


def test_only_models_imports_torch() -> None:
    assert outside_model(modules_and_sources()) == set()


def test_the_command_line_imports_nothing_heavy_at_its_top() -> None:
    assert heavy_at_start(modules_and_sources()) == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("audio.decoding", "from pe_audio_cli.cli import app"),
        ("audio.decoding", "import pe_audio_cli.inference.pipeline"),
        ("detection.events", "from pe_audio_cli.models.backends.torch_encoder import PeEncoder"),
        ("inference.pipeline", "from pe_audio_cli import load"),
        ("errors", "def late():\n    from pe_audio_cli.results import Event"),
    ],
)
def test_an_import_that_goes_up_or_across_is_found(module: str, source: str) -> None:
    modules = (
        "cli.app",
        "inference.pipeline",
        "models.backends.torch_encoder",
        "detection.events",
        "audio.decoding",
        "results",
        "errors",
    )
    planted = {PACKAGE: ""} | {f"{PACKAGE}.{name}": "" for name in modules} | {f"{PACKAGE}.{module}": source}
    assert len(trespasses(planted)) == 1


@pytest.mark.parametrize("source", ["import torch", "if TYPE_CHECKING:\n    from transformers import AutoModel"])
def test_torch_in_another_subpackage_is_found(source: str) -> None:
    assert outside_model({f"{PACKAGE}.detection.scoring": source})
    assert not outside_model({f"{PACKAGE}.models.backends.torch_encoder": source})


@pytest.mark.parametrize(
    ("source", "heavy"),
    [
        ("import numpy as np", True),
        ("try:\n    import av\nexcept ImportError:\n    pass", True),
        ("import typer", False),
        ("if TYPE_CHECKING:\n    import numpy", False),
        ("def tag():\n    import numpy", False),
    ],
)
def test_a_heavy_import_is_told_from_a_light_or_late_one(source: str, heavy: bool) -> None:
    assert bool(heavy_at_start({f"{PACKAGE}.cli.app": source})) == heavy


def test_help_imports_neither_torch_nor_numpy() -> None:
    modules = imported("--help")
    assert "typer" in modules
    assert modules.isdisjoint(MODEL_ONLY | {"numpy", "soundfile", "av", "soxr", "scipy", "matplotlib"})


def test_help_answers_at_once() -> None:
    """The quickest of a few runs: the first may compile bytecode, and a busy machine makes any of them slower."""
    resource = pytest.importorskip("resource", reason="Windows does not tell the CPU time of a child")

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(usage.ru_utime + usage.ru_stime)

    runs = []
    for _ in range(4):
        before = spent()
        subprocess.run([PEAUDIO, "--help"], stdout=subprocess.DEVNULL, check=True)
        runs.append(spent() - before)
    assert 0 < min(runs) < HELP_CPU_SECONDS
