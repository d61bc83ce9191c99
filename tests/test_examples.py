"""The recordings and scripts in examples/: what they promise, through the real command line."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

fcntl = pytest.importorskip("fcntl", reason="the scripts are for systems with bash and flock")

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
RECORDINGS = EXAMPLES / "recordings"
TINY = ROOT / "tests" / "reference" / "pe-a-frame-tiny"
BIN = Path(sys.executable).parent

ODD_NAME = "a: b, 'c' \"d\" $(e) %d *.wav"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_recordings", EXAMPLES / "make_recordings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that comes first on the scripts' PATH, for programs that a test puts on."""
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


def put_on(folder: Path, name: str, body: str) -> None:
    program = folder / name
    program.write_text(f"#!/usr/bin/env bash\n{body}\n")
    program.chmod(0o755)


def run(script: str, *arguments: str | Path, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), str(BIN), os.environ["PATH"]]),
        "PEAUDIO_MODEL": str(TINY),
    }
    return subprocess.run(
        [EXAMPLES / script, *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_the_scene_is_what_the_script_makes_of_the_field_recordings(maker: ModuleType) -> None:
    kept, rate = soundfile.read(RECORDINGS / maker.SCENE)
    made = maker.scene(RECORDINGS)
    assert (rate, kept.shape) == (maker.SCENE_RATE, made.shape)
    # Lossy encoders may round otherwise on another processor.
    assert np.sqrt(np.mean((made - kept) ** 2)) < 0.1 * np.sqrt(np.mean(kept**2))


def test_the_scene_is_loud_where_its_events_are_and_quiet_elsewhere(maker: ModuleType) -> None:
    samples, rate = soundfile.read(RECORDINGS / maker.SCENE)
    margin = 0.04  # seconds, a frame: an MP3 smears what it holds
    time = np.arange(len(samples)) / rate
    quiet = np.ones(len(samples), dtype=bool)
    for name, (start, stop), onset in maker.EVENTS:
        offset = onset + stop - start
        assert np.abs(samples[(time >= onset) & (time < offset)]).max() > 0.5, name
        quiet &= (time < onset - margin) | (time > offset + margin)
    assert quiet.any() and np.abs(samples[quiet]).max() < 0.01


def test_every_recording_is_listed_with_its_source() -> None:
    listed = set(re.findall(r"^\| `([^`]+)`", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert listed == {path.name for path in RECORDINGS.iterdir()}


def test_speech_is_made_where_espeak_is_installed(maker: ModuleType, tmp_path: Path) -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    assert maker.speak(tmp_path / "speech.opus")
    info = soundfile.info(tmp_path / "speech.opus")
    assert info.subtype == "OPUS" and info.duration > 2


def test_speech_is_left_alone_where_espeak_is_not_installed(
    maker: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not maker.speak(tmp_path / "speech.opus")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.sh")))
def test_a_script_that_is_called_wrongly_says_how_it_is_called(script: str, programs: Path) -> None:
    done = run(script, programs=programs)
    assert done.returncode == 2
    assert done.stderr.startswith(f"usage: {script} ")


def test_a_folder_becomes_one_csv(tmp_path: Path, programs: Path) -> None:
    labels = ["a dog", "rain, falling on the roof"]
    table = tmp_path / "tags.csv"
    done = run("tag_folder.sh", RECORDINGS, table, *labels, programs=programs)
    assert done.returncode == 0, done.stderr
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(RECORDINGS.iterdir())) * len(labels)
    assert {Path(row["file"]).name for row in rows} == {path.name for path in RECORDINGS.iterdir()}
    assert {row["label"] for row in rows} == set(labels)


def test_a_csv_that_exists_is_refused_and_kept(tmp_path: Path, programs: Path) -> None:
    table = tmp_path / "tags.csv"
    table.write_text("precious")
    done = run("tag_folder.sh", RECORDINGS, table, "a dog", programs=programs)
    assert done.returncode == 2
    assert table.read_text() == "precious"


def test_every_event_is_cut_out(tmp_path: Path, programs: Path) -> None:
    source = tmp_path / ODD_NAME
    shutil.copy(RECORDINGS / "scene.mp3", source)
    put_on(programs, "peaudio", f"'{BIN}/peaudio' \"$@\" | tee '{tmp_path}/events.tsv'")
    put_on(programs, "ffmpeg", f"printf '%s\\n' \"$@\" >> '{tmp_path}/calls'")
    done = run("cut_events.sh", source, "a dog barking", tmp_path / "cuts", programs=programs)
    assert done.returncode == 0, done.stderr

    with (tmp_path / "events.tsv").open(newline="", encoding="utf-8") as file:
        events = [(row["start"], row["end"]) for row in csv.DictReader(file, delimiter="\t")]
    calls = (tmp_path / "calls").read_text().splitlines()
    starts = [calls[at + 1] for at, word in enumerate(calls) if word == "-ss"]
    ends = [calls[at + 1] for at, word in enumerate(calls) if word == "-to"]
    assert events
    assert list(zip(starts, ends, strict=True)) == events
    assert calls.count(f"file:{source}") == len(events)
    assert len(set(done.stdout.splitlines())) == len(events)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_cut_is_as_long_as_its_event(tmp_path: Path, programs: Path) -> None:
    source = tmp_path / f"-{ODD_NAME}"
    shutil.copy(RECORDINGS / "rooster.wav", source)
    put_on(programs, "peaudio", "printf 'file\\tlabel\\tstart\\tend\\tprobability\\na\\tb\\t0.560\\t1.200\\t0.9\\n'")
    done = run("cut_events.sh", source, "a siren", tmp_path / "cuts", programs=programs)
    assert done.returncode == 0, done.stderr
    (cut,) = (tmp_path / "cuts").iterdir()
    assert cut.name == "001_0.560-1.200.wav"
    assert soundfile.info(cut).duration == pytest.approx(0.64, abs=0.001)


def test_rows_are_read_from_their_end(tmp_path: Path, programs: Path) -> None:
    """A name or a label may hold tabs and line breaks, which the table quotes."""
    source = tmp_path / "a.wav"
    source.touch()
    row = 'file\\tlabel\\tstart\\tend\\tprobability\\n"a\\n\\tb"\\t"c\\td\\n\\ne"\\t1.000\\t2.000\\t0.5\\n'
    put_on(programs, "peaudio", f"printf '{row}'")
    put_on(programs, "ffmpeg", ":")
    done = run("cut_events.sh", source, "label", tmp_path / "cuts", programs=programs)
    assert done.stdout.splitlines() == [f"{tmp_path}/cuts/001_1.000-2.000.wav"]


@pytest.mark.parametrize(
    ("track", "heard", "cut"), [([], "--audio-track=1", "0:a:0"), (["3"], "--audio-track=3", "0:a:2")]
)
def test_the_sound_track_that_is_cut_is_the_one_that_was_heard(
    tmp_path: Path, programs: Path, track: list[str], heard: str, cut: str
) -> None:
    row = "file\\tlabel\\tstart\\tend\\tprobability\\na\\tb\\t1.000\\t2.000\\t0.5\\n"
    put_on(programs, "peaudio", f"printf '%s\\n' \"$@\" > '{tmp_path}/heard'; printf '{row}'")
    put_on(programs, "ffmpeg", f"printf '%s\\n' \"$@\" > '{tmp_path}/cut'")
    done = run("cut_events.sh", RECORDINGS / "scene.mp3", "a", tmp_path / "cuts", *track, programs=programs)
    assert done.returncode == 0, done.stderr
    assert heard in (tmp_path / "heard").read_text().splitlines()
    assert cut in (tmp_path / "cut").read_text().splitlines()


def test_nothing_is_cut_where_the_label_is_not_heard(tmp_path: Path, programs: Path) -> None:
    put_on(programs, "peaudio", "printf 'file\\tlabel\\tstart\\tend\\tprobability\\n'")
    done = run("cut_events.sh", RECORDINGS / "dog.flac", "a siren", tmp_path / "cuts", programs=programs)
    assert (done.returncode, done.stdout) == (0, "")
    assert not (tmp_path / "cuts").exists()


def test_the_exit_code_of_peaudio_is_that_of_the_cut(tmp_path: Path, programs: Path) -> None:
    put_on(programs, "peaudio", "exit 2")
    done = run("cut_events.sh", RECORDINGS / "dog.flac", "a siren", tmp_path / "cuts", programs=programs)
    assert done.returncode == 2


class TestNightly:
    """A recorder's folder of days, tagged night after night."""

    @pytest.fixture
    def days(self, tmp_path: Path) -> Path:
        folder = tmp_path / "days"
        (folder / "2 May").mkdir(parents=True)
        shutil.copy(RECORDINGS / "dog.flac", folder / "2 May")
        (tmp_path / "labels.txt").write_text("a dog\na siren\n")
        return folder

    def test_a_bad_recording_is_named_and_the_others_are_tagged(
        self, days: Path, tmp_path: Path, programs: Path
    ) -> None:
        (days / "2 May" / "broken.wav").write_text("not a recording")
        done = run("nightly.sh", days, tmp_path / "out", tmp_path / "labels.txt", programs=programs)
        assert done.returncode == 1
        assert "nightly.log" in done.stderr
        assert "broken.wav" in (tmp_path / "out" / "nightly.log").read_text()
        lines = (tmp_path / "out" / "2 May.jsonl").read_text().splitlines()
        tags = {Path(each["file"]).name: each["tags"] for each in map(json.loads, lines) if "tags" in each}
        assert tags.keys() == {"dog.flac"}
        assert {tag["label"] for tag in tags["dog.flac"]} == {"a dog", "a siren"}

    def test_a_day_that_is_tagged_is_not_tagged_again(self, days: Path, tmp_path: Path, programs: Path) -> None:
        (tmp_path / "2 May.jsonl").touch()
        put_on(programs, "peaudio", f"touch '{tmp_path}/started'")
        assert run("nightly.sh", days, tmp_path, tmp_path / "labels.txt", programs=programs).returncode == 0
        assert not (tmp_path / "started").exists()

    def test_a_night_that_still_runs_is_left_alone(self, days: Path, tmp_path: Path, programs: Path) -> None:
        put_on(programs, "peaudio", f"touch '{tmp_path}/started'")
        with (tmp_path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = run("nightly.sh", days, tmp_path, tmp_path / "labels.txt", programs=programs)
        assert done.returncode == 75
        assert not (tmp_path / "started").exists()

    @pytest.mark.parametrize("code", [0, 1, 2, 130])
    def test_the_worst_exit_code_counts(self, code: int, days: Path, tmp_path: Path, programs: Path) -> None:
        (days / "3 May").mkdir()
        put_on(programs, "peaudio", f'echo says why >&2; [[ "${{@: -1}}" == *"2 May/" ]] && exit {code}; exit 0')
        done = run("nightly.sh", days, tmp_path, tmp_path / "labels.txt", programs=programs)
        assert done.returncode == code
        assert bool(done.stdout + done.stderr) == (code != 0)
        log = (tmp_path / "nightly.log").read_text()
        assert "says why" in log and f"2 May: exit code {code}" in log and "3 May: exit code 0" in log


def test_the_cluster_in_a_cloud_is_one_that_ray_takes():
    ray = pytest.importorskip("ray", reason="no cluster is described: pip install 'pe-audio-cli[ray]'")
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    described = yaml.safe_load((EXAMPLES / "cluster.yaml").read_text(encoding="utf-8"))
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    jsonschema.validate(described, json.loads(schema.read_text(encoding="utf-8")))
    assert described["head_node_type"] in described["available_node_types"]
    (pin,) = re.findall(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert described["docker"]["image"].startswith(f"rayproject/ray:{pin}-")
