"""The project's files agree with each other."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Set
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

import pe_audio_cli
from pe_audio_cli import _extras
from pe_audio_cli.cli.app import app

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pe_audio_cli"
DISTRIBUTION = "pe-audio-cli"
DEVELOPMENT = frozenset({"dev", "docs"})  # extras that no user needs
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
REQUIREMENTS = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
EXTRAS = frozenset(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or [])
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / ".ci" / "run", *sorted((ROOT / "examples").glob("*.sh"))]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *PAGES]


def relative(path: Path) -> str:
    """Return the name of a file for a test's id."""
    return str(path.relative_to(ROOT))


def test_the_version_is_the_same_everywhere() -> None:
    assert metadata.version(DISTRIBUTION) == pe_audio_cli.__version__
    assert f"\n## [{pe_audio_cli.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_classifiers_name_the_pythons_that_the_workflows_and_the_pins_are_for() -> None:
    named = [each.rpartition(" :: ")[2] for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", each)]
    assert tuple(named) == PYTHONS


def test_the_license_travels_with_the_package() -> None:
    assert metadata.metadata(DISTRIBUTION)["License-Expression"] == "Apache-2.0"
    assert metadata.distribution(DISTRIBUTION).read_text("licenses/LICENSE") == (ROOT / "LICENSE").read_text()


def test_what_the_package_imports_is_what_it_requires() -> None:
    providers = metadata.packages_distributions()
    imported = {
        canonicalize_name(distribution)
        for path in Path(pe_audio_cli.__file__).parent.rglob("*.py")
        for name in imported_names(path)
        if name not in {pe_audio_cli.__name__, *sys.stdlib_module_names}
        for distribution in providers.get(name, [name])  # an older Python may need what is not installed here
    }
    required = {
        canonicalize_name(each.name)
        for each in REQUIREMENTS
        if any(applies(each, EXTRAS - DEVELOPMENT, python) for python in PYTHONS)
    }
    assert imported == required


def imported_names(path: Path) -> Iterator[str]:
    """The top-level names that a module imports, wherever it does so."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).partition(".")[0]


def test_no_release_of_fsspec_is_allowed_that_runs_code_of_references() -> None:
    ranges = [each.specifier for each in REQUIREMENTS if each.name == "fsspec"]
    assert ranges
    assert not any(each.contains(old) for each in ranges for old in ("2025.12.0", "2026.3.0"))


@pytest.mark.parametrize("python", PYTHONS)
def test_each_requirement_has_one_pin_within_its_range(python: str) -> None:
    for requirement in (each for each in REQUIREMENTS if applies(each, EXTRAS, python)):
        (version,) = pinned_versions(requirement.name, python)
        assert requirement.specifier.contains(version), f"{requirement} and its pin {version}"


def test_each_extra_of_users_is_known_to_messages_with_modules_that_it_installs() -> None:
    providers = metadata.packages_distributions()
    assert _extras.EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - DEVELOPMENT
    for extra, modules in _extras.EXTRAS.items():
        required = {canonicalize_name(Requirement(each).name) for each in PROJECT["optional-dependencies"][extra]}
        for module in modules:
            assert required & {canonicalize_name(name) for name in providers.get(module, [module])}, (extra, module)


def test_what_an_extra_is_for_is_said_in_one_place() -> None:
    """Every message about a missing extra is ``require_extra``'s, for an extra that there is."""
    package = Path(pe_audio_cli.__file__).parent
    sources = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [path.name for path, source in sources.items() if "pe-audio-cli[" in source] == ["_extras.py"]
    named = {
        extra
        for source in sources.values()
        for extra in re.findall(r"""(?:require_extra\(|\bextra = )"(\w+)\"""", source)
    }
    assert named == _extras.EXTRAS.keys()


def test_everything_that_is_installed_for_the_project_is_pinned() -> None:
    here = "{}.{}".format(*sys.version_info)
    needed = installed_closure(Requirement(f"{DISTRIBUTION}[{','.join(EXTRAS)}]"))
    assert [name for name in sorted(needed) if not pinned_versions(name, here)] == []


def pinned_versions(name: str, python: str) -> list[str]:
    """The versions to which the constraints pin a package under a release of Python, on this system."""
    return [
        str(pin.specifier).removeprefix("==")
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(environment(python)))
    ]


def environment(python: str) -> dict[str, str]:
    """Return the environment for markers under a release of Python."""
    return {"python_version": python, "python_full_version": f"{python}.0"}


def installed_closure(project: Requirement) -> set[str]:
    """The packages that a project needs in this environment, and those that they need in turn."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [project]
    while waiting:
        package = waiting.pop()
        key = (package.name, frozenset(package.extras))
        if key not in seen:
            seen.add(key)
            needs = map(Requirement, metadata.requires(package.name) or [])
            waiting += [each for each in needs if applies(each, package.extras)]
    return {name for name, _ in seen} - {project.name}


def applies(requirement: Requirement, extras: Set[str], python: str | None = None) -> bool:
    """Return True if a requirement applies with these extras, under this Python or a given release."""
    asked = {} if python is None else environment(python)
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**asked, "extra": extra}) for extra in ("", *extras))


def test_the_pins_hold_on_every_machine() -> None:
    """A local version, such as torch's +cpu, exists in one place only."""
    assert [str(pin) for pin in PINS if not re.fullmatch(r"==[^+*,]+", str(pin.specifier))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_the_documents_name_what_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:\$ |`)make ([a-z]+)", text)) <= targets
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_what_contributors_are_told_to_touch_exists_and_is_little() -> None:
    table = (
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| to add | touch |")[2].partition("\n\n")[0]
    )
    rows = [re.findall(r"`([^`]+)`", line) for line in table.splitlines()[2:]]
    assert rows and all(1 <= len(row) <= 4 for row in rows)
    named = [ROOT / name if name.startswith(("tests/", "docs/")) else PACKAGE / name for row in rows for name in row]
    missing = [path for path in named if not (path.parent if "NEW" in path.name else path).exists()]
    assert missing == []


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "Makefile", *SCRIPTS], ids=relative)
def test_the_commands_that_are_shown_have_these_flags(path: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for command, flags in re.findall(rf"peaudio ({'|'.join(commands)})\b([^|\n`]*)", path.read_text(encoding="utf-8")):
        leaves = [commands[command], *getattr(commands[command], "commands", {}).values()]
        known = {flag for leaf in leaves for parameter in leaf.params for flag in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", flags)) <= known


@pytest.mark.parametrize("module", [*MODULES, *sorted((ROOT / "training").glob("*.py"))], ids=relative)
def test_docstrings_say_what_a_thing_is_or_does(module: Path) -> None:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    openings = [(ast.get_docstring(node) or "").partition("\n")[0] for node in nodes]
    assert not [each for each in openings if re.match(r"(What|How|Whether|Where|Which|Who|When|Why)\b", each)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no executable bit")
@pytest.mark.parametrize("script", SCRIPTS, ids=relative)
def test_a_script_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
