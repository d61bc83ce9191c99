"""The lines of the house: who may import whom, and that starting up stays light."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import pe_audio_cli

PACKAGE = "pe_audio_cli"
FOLDER = Path(pe_audio_cli.__file__).parent
PEAUDIO = Path(sys.executable).with_name("peaudio")

GROUND = {"_files", "_paths", "_small_files"}  # what every room stands on
VALUES = {"results", "errors"} | GROUND
ROOMS = {"evaluate", "write", "draw", "report", "store", "detect", "model", "audio"}
MAY_IMPORT: dict[str, set[str]] = {
    "": VALUES | ROOMS | {"run", "cli"},
    "cli": VALUES | ROOMS | {"run"},
    "run": VALUES | ROOMS,
    "evaluate": VALUES | {"write", "detect", "audio"},  # how text is escaped is write's
    "write": VALUES,
    "draw": VALUES | {"write"},  # how text is escaped and times are told is write's
    "report": VALUES | {"write", "detect", "audio"},  # a page finds events anew, and saves them as write does
    "store": VALUES,
    "detect": VALUES | {"audio"},  # the frame grid is audio's
    "model": VALUES | {"audio"},
    "audio": VALUES,
    "results": {"errors"} | GROUND,
    "errors": set(),
    "_files": {"_paths", "errors"},
    "_paths": set(),
    "_small_files": set(),
}

MODEL_ONLY = {"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"}
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
            assert node.level == 0, f"{module}: relative imports hide which room they come from"
            targets = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (Import(module, target, id(node) not in late) for target in targets)


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def house() -> dict[str, str]:
    """The package's modules and their source."""
    sources = {}
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        sources[".".join((PACKAGE, *parts)).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return sources


def room(module: str) -> str:
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
    """The imports of one room from another that go up, or across to a neighbour."""
    return {
        f"{importer} imports {target}"
        for importer, targets in graph(sources).items()
        for target in targets
        if room(target) not in MAY_IMPORT[room(importer)] | {room(importer)}
    }


def outside_model(sources: dict[str, str]) -> set[str]:
    """The imports of torch and its company in rooms where they have no business."""
    return {
        f"{module} imports {each.target}"
        for module, source in sources.items()
        for each in imports_in(module, source)
        if each.target.split(".")[0] in MODEL_ONLY and room(module) != "model"
    }


def heavy_at_start(sources: dict[str, str]) -> set[str]:
    """What the modules of the command line import at their top that is neither light nor of the package."""
    return {
        f"{module} imports {each.target}"
        for module, source in sources.items()
        for each in imports_in(module, source)
        if room(module) == "cli" and each.eager and each.target.split(".")[0] not in LIGHT | {PACKAGE}
    }


def test_every_module_has_a_room() -> None:
    assert {room(module) for module in house()} <= MAY_IMPORT.keys()


def test_imports_go_one_way() -> None:
    assert trespasses(house()) == set()


def test_no_circles() -> None:
    graphlib.TopologicalSorter(graph(house())).prepare()  # raises CycleError


def test_only_the_model_room_imports_torch() -> None:
    assert outside_model(house()) == set()


def test_the_command_line_imports_nothing_heavy_at_its_top() -> None:
    assert heavy_at_start(house()) == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("audio.decode", "from pe_audio_cli.cli import app"),
        ("audio.decode", "import pe_audio_cli.inference.pipeline"),
        ("detect.events", "from pe_audio_cli.models.backends.torch_encoder import PeEncoder"),
        ("run.pipeline", "from pe_audio_cli import load"),
        ("errors", "def late():\n    from pe_audio_cli.results import Event"),
    ],
)
def test_an_import_that_goes_up_or_across_is_found(module: str, source: str) -> None:
    modules = ("cli.app", "run.pipeline", "model.encoder", "detect.events", "audio.decode", "results", "errors")
    planted = {PACKAGE: ""} | {f"{PACKAGE}.{name}": "" for name in modules} | {f"{PACKAGE}.{module}": source}
    assert len(trespasses(planted)) == 1


@pytest.mark.parametrize("source", ["import torch", "if TYPE_CHECKING:\n    from transformers import AutoModel"])
def test_torch_in_another_room_is_found(source: str) -> None:
    assert outside_model({f"{PACKAGE}.detect.scoring": source})
    assert not outside_model({f"{PACKAGE}.model.encoder": source})


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
    code = (
        "import sys\n"
        "from pe_audio_cli.cli.app import main\n"
        "sys.argv = ['peaudio', '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print('imported:', *(name for name in sys.modules if '.' not in name))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rpartition("imported:")[2].split())
    assert "typer" in imported
    assert imported.isdisjoint(MODEL_ONLY | {"numpy", "soundfile", "av", "soxr", "scipy", "matplotlib"})


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
