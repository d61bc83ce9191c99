"""The JSON schemas in docs/schemas, against what the commands print and what the documentation shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from pe_audio_cli.cli.app import app
from pe_audio_cli.errors import InputError
from pe_audio_cli.evaluation.reporting.evaluation_result import TITLES
from pe_audio_cli.server.refusals import STATUS

ROOT = Path(__file__).parent.parent
SCHEMAS = {
    json.loads(path.read_text(encoding="utf-8"))["properties"]["schema"]["const"]: path
    for path in sorted((ROOT / "docs" / "schemas").glob("*.json"))
}
RECORDINGS = ROOT / "examples" / "recordings"
ANNOTATIONS = """filename\tonset\toffset\tevent_label
scene.mp3\t0.6\t2.6\ta rooster crowing
scene.mp3\t4.0\t8.0\train falling
scene.mp3\t8.2\t9.8\ta dog barking
dog.flac\t0.0\t1.0\ta dog barking
rain.ogg\t0.0\t5.0\train falling
rooster.wav\t0.0\t2.0\ta rooster crowing
"""


def closed(schema: Any) -> Any:
    """A schema that refuses the fields that it does not describe: users may get more from a later version."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "properties" in schema else {}
    return {**{name: closed(value) for name, value in schema.items()}, **more}


def check(objects: list[dict[str, Any]]) -> set[str]:
    """Hold each object against the schema that it names, and return those."""
    for each in objects:
        schema = json.loads(SCHEMAS[each["schema"]].read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(closed(schema)).validate(each)
    return {each["schema"] for each in objects}


def printed(*arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
    """The objects that a command prints."""
    ran = CliRunner().invoke(app, [*map(str, arguments)])
    assert ran.exit_code == code, ran.stderr
    found = json.loads(ran.stdout)
    return found if isinstance(found, list) else [found]


def test_tags_of_recordings_and_windows() -> None:
    flags = ["-l", "rain falling,a dog barking", "--window", "4", "-f", "json"]
    plain = printed("tag", RECORDINGS / "scene.mp3", *flags)
    windows = printed("tag", RECORDINGS / "scene.mp3", *flags, "--per-window")
    assert "per_window" in windows[0] and "per_window" not in plain[0]
    assert check(plain + windows) == {"peaudio.tag/1"}


def test_events_and_frames_with_thresholds_of_their_own(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[localize.labels."a dog barking"]\nthreshold = 0.2\n')
    flags = ["-l", "rain falling,a dog barking", "-f", "json"]
    plain = printed("localize", RECORDINGS / "scene.mp3", *flags)
    whole = printed("localize", RECORDINGS / "scene.mp3", *flags, "--frames", "--settings", settings)
    assert plain[0]["events"] and whole[0]["frames"] and whole[0]["thresholds"]
    assert check(plain + whole) == {"peaudio.localize/1"}


def test_a_damaged_recording_has_warnings_and_a_bad_one_an_error(tmp_path: Path) -> None:
    whole = (RECORDINGS / "rooster.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.wav").write_text("text")
    found = printed("tag", tmp_path, "-l", "rain", "-f", "json", code=1)
    assert [each.get("warnings") is not None for each in found] == [True, False]
    assert check(found) == {"peaudio.tag/1", "peaudio.error/1"}


def test_the_kinds_of_errors_are_those_that_the_exception_lists() -> None:
    schema = json.loads(SCHEMAS["peaudio.error/1"].read_text(encoding="utf-8"))
    listed = set(re.findall(r"``([a-z-]+)``", str(InputError.__doc__))) - {"file", "kind"}
    assert listed < STATUS.keys()  # a server has more
    assert set(schema["properties"]["error"]["properties"]["kind"]["enum"]) == STATUS.keys()


def test_what_happens_in_live_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pe_audio_cli.live.listener.SILENT_LEVEL", -20.0)  # of which the scene has more than a second
    ran = CliRunner().invoke(app, ["listen", str(RECORDINGS / "scene.mp3"), "-f", "jsonl", "--silence", "1"])
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    kinds = {each.get("event", each.get("status")) for each in found}
    assert {"listening", "start", "end", "silence", "sound", "ended"} <= kinds, ran.stderr
    assert check(found) == {"peaudio.listen/1"}


def test_hits_of_words_and_of_a_recording(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="there is no index to search: pip install 'pe-audio-cli[search]'")
    index = tmp_path / "sounds.index"
    assert CliRunner().invoke(app, ["index", str(RECORDINGS), "--index", str(index)]).exit_code == 0
    words = printed("search", "rain", "--index", index, "-f", "json")
    sound = printed("search", "--like", RECORDINGS / "rain.ogg", "--index", index, "-f", "json")
    assert words[0]["hits"] and sound[0]["hits"]
    assert check(words + sound) == {"peaudio.search/1"}


def test_an_evaluation_of_events_that_tunes_and_compares(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="nothing is evaluated: pip install 'pe-audio-cli[eval]'")
    annotations = tmp_path / "labels.tsv"
    annotations.write_text(ANNOTATIONS)
    tune = ["--tune", tmp_path / "out.toml", "--tune-postprocessing", "--tune-calibration", "--compare-templates"]
    (found,) = printed("eval", annotations, "--audio", RECORDINGS, *tune, "-f", "json")
    assert found["compared"] and found["tuning"]["labels"]
    assert check([found]) == {"peaudio.eval/1"}


def test_taught_labels_and_what_they_find(tmp_path: Path) -> None:
    for needed in ("sklearn", "duckdb"):
        pytest.importorskip(needed, reason="no label is taught: pip install 'pe-audio-cli[eval,search]'")
    (tmp_path / "labels.tsv").write_text(ANNOTATIONS)
    labels, index = tmp_path / "my.labels", tmp_path / "sounds.index"
    curve = ["--audio", RECORDINGS, "--learning-curve", "-f", "json"]
    (told,) = printed("teach", tmp_path / "labels.tsv", *curve, "-o", labels)
    assert any("curve" in each for each in told["labels"])
    tags = printed("tag", RECORDINGS / "dog.flac", "--taught", labels, "--per-window", "-f", "json")
    events = printed("localize", RECORDINGS / "scene.mp3", "--taught", labels, "--threshold", "0.01", "-f", "json")
    assert CliRunner().invoke(app, ["index", str(RECORDINGS), "--index", str(index)]).exit_code == 0
    hits = printed("search", "--taught", labels, "--index", index, "-f", "json")
    live = CliRunner().invoke(app, ["listen", str(RECORDINGS / "scene.mp3"), "--taught", str(labels), "-f", "jsonl"])
    heard = [json.loads(line) for line in live.stdout.splitlines()]
    assert tags[0]["tags"][0]["taught"] and events[0]["events"][0]["taught"] and hits[0]["taught"]
    assert all(each["taught"] for each in heard if each["type"] == "event") and len(heard) > 2, live.stderr
    assert check([told, *tags, *events, *hits, *heard]) == {
        f"peaudio.{name}/1" for name in ("labels", "tag", "localize", "search", "listen")
    }


def test_an_evaluation_of_single_labels(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="nothing is evaluated: pip install 'pe-audio-cli[eval]'")
    annotations = tmp_path / "labels.csv"
    annotations.write_text("file,label\ndog.flac,a dog barking\nrain.ogg,rain falling\nnone.wav,rain falling\n")
    (found,) = printed("eval", annotations, "--audio", RECORDINGS, "-f", "json")
    assert found["confusion"] and found["warnings"]
    assert check([found]) == {"peaudio.eval/1"}


def test_metrics_are_those_of_the_report() -> None:
    schema = json.loads(SCHEMAS["peaudio.eval/1"].read_text(encoding="utf-8"))
    assert schema["$defs"]["figures"]["propertyNames"]["enum"] == list(TITLES)


def test_checkpoints() -> None:
    assert check(printed("models", "-f", "json")) == {"peaudio.model/1"}


@pytest.mark.parametrize("broken", [False, True])
def test_an_examination(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    if broken:
        for name in ("onnxruntime", "torch"):
            (tmp_path / f"{name}.py").write_text("raise ImportError('a library is missing')")
        monkeypatch.syspath_prepend(tmp_path)
    (found,) = printed("doctor", "-f", "json", code=int(broken))
    assert found["ok"] != broken and bool(found["devices"]) != broken
    assert check([found]) == {"peaudio.doctor/1"}


def test_the_page_of_the_schemas_lists_each_and_its_examples_are_valid() -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(peaudio\.\w+/\d+)` .*\]\(\.\./schemas/(.+)\) \|$", page, re.MULTILINE))
    assert listed == {name: path.name for name, path in SCHEMAS.items()}
    assert check(list(examples(page))) <= SCHEMAS.keys()


def examples(page: str) -> Iterator[dict[str, Any]]:
    """The objects in a page."""
    decoder = json.JSONDecoder()
    for block in re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        text = block.strip()
        while text:
            found, end = decoder.raw_decode(text)
            yield found
            text = text[end:].strip()
