"""The checkpoint that ships: its format, its size, and that what it says about sounds made here is true."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support import peak_memory

from pe_audio_cli import TagOptions, load
from pe_audio_cli.audio.framing import HOP
from pe_audio_cli.models.backends.torch_encoder import PeEncoder
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions
from pe_audio_cli.models.registry import SHIPPED, ModelOptions, find_checkpoint
from pe_audio_cli.models.unfamiliar import UnfamiliarLabels

MINI = SHIPPED / "mini"
EXAMPLES = Path(__file__).parent.parent / "examples" / "recordings"
RATE = 48_000


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return find_checkpoint(ModelOptions(), "tag")


@pytest.fixture(scope="module")
def encoder(checkpoint: Checkpoint) -> PeEncoder:
    return PeEncoder(checkpoint, DeviceOptions(device="cpu"))


def noise(level: float, seconds: float = 5) -> np.ndarray:
    return level * np.random.default_rng(0).standard_normal(int(seconds * RATE))


def tags(folder: Path, samples: np.ndarray, labels: list[str] | None = None) -> dict[str, float]:
    soundfile.write(folder / "sound.wav", samples, RATE, subtype="FLOAT")
    (result,) = load().tag(folder / "sound.wav", labels)
    return {tag.label: tag.probability for tag in result.tags}


def test_it_is_the_default_and_at_most_20_mb(checkpoint):
    assert checkpoint.folder == MINI
    assert sum(file.stat().st_size for file in MINI.rglob("*") if file.is_file()) <= 20e6


@pytest.mark.parametrize("kind", ["PeAudioModel", "PeAudioFrameLevelModel"])
def test_plain_transformers_loads_it_whole(kind):
    import transformers

    model, report = getattr(transformers, kind).from_pretrained(MINI, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.audio_config.dac_config.hop_length == HOP
    ids = transformers.AutoTokenizer.from_pretrained(MINI)("a dog barking", return_tensors="pt")
    assert torch.isfinite(model.text_model(**ids).last_hidden_state.float()).all()


def test_the_tool_computes_what_plain_transformers_computes(encoder):
    import transformers

    model = transformers.PeAudioModel.from_pretrained(MINI, dtype=torch.float32).eval()
    samples = noise(0.05, 2).astype(np.float32)
    with torch.inference_mode():
        out = model.audio_encoder(torch.from_numpy(samples)[None, None])
        clip, frames = model.audio_head(out.pooler_output), model.audio_head(out.last_hidden_state)
    ours = encoder.encode_windows(encoder.encode_codec(samples.reshape(-1, HOP))[None])
    np.testing.assert_allclose(ours.clips, clip, rtol=0, atol=2e-3 * clip.abs().max().item())
    np.testing.assert_allclose(ours.frames, frames, rtol=0, atol=2e-3 * frames.abs().max().item())


@pytest.mark.parametrize("file", ["dog.flac", "rain.ogg", "sneeze.mp3"])
def test_bfloat16_changes_little(file):
    every = TagOptions()  # all labels, not the five most probable alone: the fifth and the sixth may change places
    (exact,), (rough,) = (
        load(device="cpu", dtype=dtype).tag(EXAMPLES / file, options=every) for dtype in ("float32", "bfloat16")
    )
    # Roundings of 2**-8 of a logit of at most 4, of which some eight add up, where the sigmoid's slope is at most 1/4.
    rounded = {tag.label: tag.probability for tag in rough.tags}
    assert rough.tags[0].label == exact.tags[0].label
    assert max(abs(rounded[tag.label] - tag.probability) for tag in exact.tags) < 8 * 2**-8 * 4 / 4


def test_it_knows_46_to_200_sounds_and_finds_all_of_them_familiar(checkpoint, encoder):
    labels = checkpoint.default_labels
    assert 46 <= len(labels) <= 200
    familiar = UnfamiliarLabels.open(MINI)
    assert familiar is not None
    embeddings = encoder.encode_text([*labels, "dog", "rain", "chainsaw", "sea waves"])
    assert familiar.detect([*labels, "dog", "rain", "chainsaw", "sea waves"], embeddings) == []


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.3])
def test_it_hears_nothing_in_silence_and_in_white_noise(tmp_path, level):
    assert max(tags(tmp_path, noise(level)).values()) <= 0.3


def test_the_command_takes_at_most_400_mb_for_a_window(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(0.05, 30), RATE)
    peak, _ = peak_memory(Path(sys.executable).with_name("peaudio"), "tag", "-q", tmp_path / "x.wav")
    assert peak <= 400


def test_a_change_of_level_changes_little(tmp_path):
    samples, rate = soundfile.read(EXAMPLES / "rooster.wav")
    labels = ["a rooster crowing", "a dog barking", "rain falling"]
    results = []
    for gain in (1.0, 0.1):
        soundfile.write(tmp_path / "x.wav", gain * samples, rate, subtype="FLOAT")
        (result,) = load().tag(tmp_path / "x.wav", labels)
        results.append({tag.label: tag.probability for tag in result.tags})
    assert max(results[0], key=results[0].get) == max(results[1], key=results[1].get) == "a rooster crowing"
    assert all(abs(results[0][label] - results[1][label]) < 0.25 for label in labels)


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("dog.flac", "a dog barking"),
        ("rain.ogg", "rain falling"),
        ("rooster.wav", "a rooster crowing"),
        ("sneeze.mp3", "a person sneezing"),
        ("speech.opus", "a person speaking"),
    ],
)
def test_of_all_that_it_knows_it_hears_what_is_in_the_examples(file, label):
    (result,) = load().tag(EXAMPLES / file)
    assert result.tags[0].label == label


def test_it_hears_rain_and_a_dog_in_the_scene_when_they_are():
    """Not the rooster, which it takes for a dog among these sounds: its card says how often that happens."""
    labels = ["rain falling", "a dog barking"]
    (result,) = load().localize(EXAMPLES / "scene.mp3", labels)
    last = result.events[-2:]
    assert [event.label for event in last] == labels
    for event, (onset, offset) in zip(last, [(4.0, 8.0), (8.2, 9.8)], strict=True):
        assert onset - 0.2 < event.start < event.end < offset + 0.2, event.label


def test_a_label_that_it_was_not_trained_for_is_named(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(0.1, 1), RATE)
    peaudio = "from pe_audio_cli.cli.app import main; main()"
    command = [sys.executable, "-c", peaudio, "tag", str(tmp_path / "x.wav"), "-l"]
    odd = subprocess.run([*command, "a submarine sonar,rain"], capture_output=True, text=True, check=True)
    assert odd.stderr.count("\n") == 1
    assert "a submarine sonar" in odd.stderr and "mini" in odd.stderr and "-m base" in odd.stderr
    usual = subprocess.run([*command, "a dog barking,rain"], capture_output=True, text=True, check=True)
    assert usual.stderr == ""
