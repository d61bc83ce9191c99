"""The checkpoint that ships: its format, its size, and that what it says about sounds made here is true."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pe_audio_cli import load
from pe_audio_cli.audio.windows import HOP
from pe_audio_cli.model.checkpoint import Checkpoint
from pe_audio_cli.model.encoder import DeviceOptions, PeEncoder
from pe_audio_cli.model.familiar import Familiar
from pe_audio_cli.model.registry import SHIPPED, ModelOptions, find_checkpoint

MINI = SHIPPED / "mini"
EXAMPLES = Path(__file__).parent.parent / "examples" / "recordings"
RATE = 48_000

pytestmark = pytest.mark.skipif(not MINI.is_dir(), reason="mini is not part of this version yet")


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


def test_it_knows_25_to_60_sounds_and_finds_all_of_them_familiar(checkpoint, encoder):
    labels = checkpoint.default_labels
    assert 25 <= len(labels) <= 60
    familiar = Familiar.open(MINI)
    assert familiar is not None
    embeddings = encoder.encode_text([*labels, "dog", "rain", "chainsaw", "sea waves"])
    assert familiar.strange([*labels, "dog", "rain", "chainsaw", "sea waves"], embeddings) == []


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.3])
def test_it_hears_nothing_in_silence_and_in_white_noise(tmp_path, level):
    assert max(tags(tmp_path, noise(level)).values()) <= 0.3


def test_the_command_takes_at_most_400_mb_for_a_window(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(0.05, 30), RATE)
    code = (
        "import resource, sys\n"
        "from pe_audio_cli.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "tag", "-q", str(tmp_path / "x.wav")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stderr.split()[-1]) <= 400_000  # KiB


def test_a_change_of_level_changes_little(tmp_path):
    samples, rate = soundfile.read(EXAMPLES / "siren.wav")
    assert rate == 16_000
    labels = ["a siren", "a dog barking", "rain falling"]
    results = []
    for gain in (1.0, 0.1):
        soundfile.write(tmp_path / "x.wav", gain * samples, rate, subtype="FLOAT")
        (result,) = load().tag(tmp_path / "x.wav", labels)
        results.append({tag.label: tag.probability for tag in result.tags})
    assert max(results[0], key=results[0].get) == max(results[1], key=results[1].get) == "a siren"
    assert all(abs(results[0][label] - results[1][label]) < 0.25 for label in labels)


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("bell.flac", "a bell ringing"),
        ("rain.ogg", "rain falling"),
        ("siren.wav", "a siren"),
        ("speech.opus", "a person speaking"),
    ],
)
def test_it_is_right_about_the_examples(file, label):
    others = ["a dog barking", "a rooster crowing", "a chainsaw", "laughter"]
    (result,) = load().tag(EXAMPLES / file, [*others, label])
    assert result.tags[0].label == label


def test_a_label_that_it_was_not_trained_for_is_named(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(0.1, 1), RATE)
    peaudio = "from pe_audio_cli.cli.app import main; main()"
    command = [sys.executable, "-c", peaudio, "tag", str(tmp_path / "x.wav"), "-l"]
    odd = subprocess.run([*command, "a submarine sonar,rain"], capture_output=True, text=True, check=True)
    assert odd.stderr.count("\n") == 1
    assert "a submarine sonar" in odd.stderr and "mini" in odd.stderr and "-m base" in odd.stderr
    usual = subprocess.run([*command, "a dog barking,rain"], capture_output=True, text=True, check=True)
    assert usual.stderr == ""
