"""With the shipped checkpoint, no command imports torch or transformers, whether labels are cached or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from invoked import imported

RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings"
COMMANDS = {
    "tag": ["tag", RECORDINGS / "dog.flac", "-l", "rain,a dog barking"],
    "tag with its own labels": ["tag", RECORDINGS / "rain.ogg"],
    "localize": ["localize", RECORDINGS / "scene.mp3", "-l", "a horn,a tap"],
    "embed": ["embed", RECORDINGS / "dog.flac", "-o", "{folder}/e.npz"],
    "search": ["search", "a dog that barks", "--index", "{folder}/i"],
    "search by a sound": ["search", "--like", RECORDINGS / "dog.flac", "--index", "{folder}/i"],
}


def imported_in(folder: Path, arguments: list[object]) -> set[str]:
    """The modules that a command has imported at its end, with a cache of its own."""
    given = [str(argument).format(folder=folder) for argument in arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PEAUDIO_")}
    return imported(*given, environment={**environment, "XDG_CACHE_HOME": str(folder / "cache")})


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder with an index, and what was imported to make it."""
    pytest.importorskip("duckdb", reason="an index needs the extra 'search'")
    folder = tmp_path_factory.mktemp("light")
    return folder, imported_in(folder, ["index", RECORDINGS / "dog.flac", "--index", "{folder}/i"])


def test_indexing_is_light(indexed):
    _, modules = indexed
    assert "onnxruntime" in modules and modules.isdisjoint({"torch", "transformers"})


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_light(indexed, name):
    folder, _ = indexed
    new, cached = (imported_in(folder, [*COMMANDS[name], *(["--overwrite"] if name == "embed" else [])]) for _ in "12")
    assert new.isdisjoint({"torch", "transformers"})
    assert [each.name for each in (folder / "cache").iterdir()] == ["peaudio"]  # onnxruntime keeps no id of the device
    assert cached.isdisjoint({"torch", "transformers", "tokenizers"})
    assert ("onnxruntime" in cached) == (name != "search")
    assert ("tokenizers" in new) == (name not in ("embed", "search by a sound"))


@pytest.mark.parametrize("arguments", [["tag", RECORDINGS / "dog.flac"], ["localize", RECORDINGS / "scene.mp3"]])
def test_flags_that_need_no_conversion_need_no_pydantic(tmp_path, arguments):
    assert "pydantic" not in imported_in(tmp_path, [*arguments, "--labels", "rain", "-f", "csv"])
