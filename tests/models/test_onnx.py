"""The graphs of the shipped checkpoint against our own modules, and the choice between engines."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from pe_audio_cli.audio.decoding import open_audio
from pe_audio_cli.audio.framing import FRAME_SECONDS, HOP, SAMPLE_RATE, whole_frames
from pe_audio_cli.detection.scoring import logits, probabilities
from pe_audio_cli.errors import UsageError
from pe_audio_cli.inference.labels import class_labels, label_set, label_set_names
from pe_audio_cli.models.backends.labels import load_text
from pe_audio_cli.models.backends.loading import load_encoder
from pe_audio_cli.models.backends.transformers_modules import transformers_audio
from pe_audio_cli.models.checkpoint import Checkpoint
from pe_audio_cli.models.encoder import DeviceOptions, Encoder
from pe_audio_cli.models.registry import SHIPPED
from pe_audio_cli.models.tokenizer import READERS

MINI = SHIPPED / "mini"
EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings"
FULL_SCALE = "noise of full scale"  # louder than any recording
LABELS = ["a dog barking", "rain falling", "a rooster crowing", "a person speaking", "silence"]


def engine(name: str | None, monkeypatch: pytest.MonkeyPatch, folder: Path = MINI, **options: object) -> Encoder:
    """The encoder of an engine; None is the default's."""
    if name is None:
        monkeypatch.delenv("PEAUDIO_ENGINE", raising=False)
    else:
        monkeypatch.setenv("PEAUDIO_ENGINE", name)
    return load_encoder(Checkpoint.open(folder, "mini"), DeviceOptions(**options))


@pytest.fixture(scope="module")
def both() -> tuple[Encoder, Encoder]:
    with pytest.MonkeyPatch.context() as patch:
        return engine("onnx", patch), engine("torch", patch, device="cpu")


@pytest.fixture
def mini_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MINI, tmp_path / "mini"))


def frames_of(samples: np.ndarray) -> np.ndarray:
    return np.concatenate(list(whole_frames([samples.astype(np.float32)])))


def noise(n_frames: int) -> np.ndarray:
    return (0.05 * np.random.default_rng(n_frames).standard_normal((n_frames, HOP))).astype(np.float32)


def scores(encoder: Encoder, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the clip, ``(n_labels,)``, and of its frames."""
    embedded = encoder.encode_windows(encoder.encode_codec(frames)[None])
    text, facts = encoder.encode_text(LABELS), encoder.facts
    return tuple(
        probabilities(logits(each[0], text, facts.logit_scale, facts.logit_bias))
        for each in (embedded.clips, embedded.frames)
    )


def sounds() -> dict[str, np.ndarray]:
    made = {file.name: decoded(file) for file in sorted(EXAMPLES.iterdir()) if file.suffix != ".md"}
    made |= {f"{n_frames} frames of noise": noise(n_frames) for n_frames in (1, 2, 33, 251)}
    made["silence"] = np.zeros((50, HOP), np.float32)
    made[FULL_SCALE] = np.sign(noise(30))
    return made


def decoded(file: Path) -> np.ndarray:
    with open_audio(str(file)) as stream:
        return np.concatenate(list(whole_frames(stream.blocks())))


def exact_scores(encoder: Encoder, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities as of :func:`scores`, by transformers' modules in float64."""
    codec, tower, head = (module.to(torch.float64) for module in transformers_audio(Checkpoint.open(MINI, "mini")))
    with torch.inference_mode():
        hidden = tower(codec(torch.from_numpy(frames).reshape(1, 1, -1).double()).transpose(1, 2))
        embedded = [head(each)[0].numpy() for each in hidden[:2]]
    text, facts = encoder.encode_text(LABELS), encoder.facts
    return tuple(probabilities(logits(each, text, facts.logit_scale, facts.logit_bias)) for each in embedded)


def test_both_engines_give_the_same_probabilities(both):
    onnx, plain = both
    for name, frames in sounds().items():
        theirs = scores(plain, frames)
        tolerance = 2e-4
        if name == FULL_SCALE:
            # The codec magnifies rounding most there. Each engine rounds in its own order, and may be as far off.
            apart = zip(theirs, exact_scores(plain, frames), strict=True)
            tolerance += 2 * max(float(np.abs(rounded - exact).max()) for rounded, exact in apart)
        for ours, other in zip(scores(onnx, frames), theirs, strict=True):
            np.testing.assert_allclose(ours, other, rtol=0, atol=tolerance, err_msg=name)


def test_the_facts_of_an_encoder_do_not_depend_on_the_engine(both):
    onnx, torch = (encoder.facts for encoder in both)
    for name in ("name", "fingerprint", "default_labels", "context_frames", "logit_scale", "logit_bias"):
        assert getattr(onnx, name) == getattr(torch, name)
    assert (onnx.backend, torch.backend) == ("float32 on cpu, by onnxruntime", "float32 on cpu")


of_each = pytest.mark.parametrize("place", [0, 1], ids=["onnx", "torch"])


@of_each
def test_chunks_with_their_context_give_what_one_pass_gives(both, place):
    encoder = both[place]
    frames, context = noise(60), encoder.facts.context_frames
    whole = encoder.encode_codec(frames)
    chunk = encoder.encode_codec(frames[20 - context : 40 + context])[context : context + 20]
    # The codec magnifies rounding, which depends on where in a vector of the processor a number lies.
    np.testing.assert_allclose(chunk, whole[20:40], rtol=0, atol=1e-5 * np.abs(whole).max())


@of_each
@pytest.mark.parametrize("n_frames", [1, 2, 30, 251])
def test_a_window_gives_the_same_alone_and_in_a_batch(both, place, n_frames):
    encoder = both[place]
    features = np.stack([encoder.encode_codec(noise(n_frames) * level) for level in (0.1, 1.0, 3.0)])
    together = encoder.encode_windows(features)
    for index, window in enumerate(features):
        alone = encoder.encode_windows(window[None])
        for one, several in ((alone.clips[0], together.clips[index]), (alone.frames[0], together.frames[index])):
            # onnxruntime runs each by itself; torch adds up the products of a batch in another order.
            np.testing.assert_allclose(one, several, rtol=0, atol=0 if place == 0 else 1e-5 * np.abs(several).max())


def test_both_engines_find_the_same_events(monkeypatch):
    from pe_audio_cli import load

    files = [str(file) for file in sorted(EXAMPLES.iterdir()) if file.suffix != ".md"]
    found = []
    for name in ("onnx", "torch"):
        monkeypatch.setenv("PEAUDIO_ENGINE", name)
        found.append(list(load(device="cpu").localize(files, LABELS)))
    n_events = 0
    for ours, theirs in zip(*found, strict=True):
        assert [event.label for event in ours.events] == [event.label for event in theirs.events]
        n_events += len(ours.events)
        for one, other in zip(ours.events, theirs.events, strict=True):
            # Where a probability is next to a threshold, rounding moves an edge by a frame.
            np.testing.assert_allclose(
                [one.start, one.end], [other.start, other.end], rtol=0, atol=FRAME_SECONDS + 1e-9
            )
            assert one.probability == pytest.approx(other.probability, abs=2e-4)
    assert n_events > 0


def phrases() -> list[str]:
    sets = [label for name in label_set_names() for label in label_set(name)]
    sets += [label for name in label_set_names() for label in class_labels(name).values()]
    odd = [
        "",
        " ",
        "RAIN",
        "café",
        "naïve façade",
        "雨が降る",
        "🐕 barking",
        "a-b_c/d",
        "don't",
        "\u00ad\u200b",
        "x" * 150,
    ]
    return [*dict.fromkeys(sets), *odd, "a dog, a cat; and (maybe) 3 birds!", "tab\tand\nnewline", "\u0130stanbul"]


def test_tokens_are_those_of_transformers():
    ours, theirs = READERS["bare"](MINI), READERS["auto"](MINI)
    for phrase in phrases():
        assert ours(phrase) == theirs(phrase), phrase


def test_text_embeddings_differ_by_rounding_alone(monkeypatch):
    """So that both engines may share a cache of them."""
    encoders = []
    for name in ("onnx", "torch"):
        monkeypatch.setenv("PEAUDIO_ENGINE", name)
        encoders.append(load_text(Checkpoint.open(MINI, "mini")))
    onnx, torch = encoders
    assert (onnx.max_tokens, onnx.vocabulary) == (torch.max_tokens, torch.vocabulary)
    for phrase in [*LABELS, "x", "a very long label of somebody who speaks on the phone about the weather of the day"]:
        ours, theirs = onnx.encode(phrase), torch.encode(phrase)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        ({}, "onnxruntime"),
        ({"device": "cpu", "dtype": "float32", "threads": 1}, "onnxruntime"),
        ({"device": "cpu", "dtype": "bfloat16"}, "bfloat16 on cpu"),
    ],
)
def test_device_and_dtype_choose(monkeypatch, options, backend):
    assert backend in engine(None, monkeypatch, **options).facts.backend


@pytest.mark.parametrize(
    ("name", "backend"),
    [("torch", "float32 on cpu"), ("fast", "float32 on cpu")]
    + [(name, "float32 on cpu, by transformers") for name in ("transformers", "reference")],
)
def test_an_engine_can_be_forced(monkeypatch, name, backend):
    assert engine(name, monkeypatch, device="cpu").facts.backend == backend


def test_a_copy_of_a_checkpoint_runs_its_graphs_if_asked(monkeypatch, mini_copy):
    assert "onnxruntime" not in engine(None, monkeypatch, mini_copy, device="cpu").facts.backend
    assert "onnxruntime" in engine("onnx", monkeypatch, mini_copy).facts.backend


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("abacus", {}, "PEAUDIO_ENGINE=abacus is unknown: use onnx, torch or transformers"),
        ("onnx", {"dtype": "bfloat16"}, "PEAUDIO_ENGINE=onnx is not for --dtype bfloat16"),
        ("onnx", {"device": "cuda"}, "PEAUDIO_ENGINE=onnx is not for --device cuda"),
        ("onnx", {"compile": True}, "PEAUDIO_ENGINE=onnx is not for --compile"),
    ],
)
def test_what_no_engine_can_do_is_refused(monkeypatch, name, options, says):
    with pytest.raises(UsageError, match=says):
        engine(name, monkeypatch, **options)


def test_a_checkpoint_without_graphs_is_not_for_onnxruntime(monkeypatch, mini_copy):
    (mini_copy / "text.onnx").unlink()
    with pytest.raises(UsageError, match="PEAUDIO_ENGINE=onnx is not for mini, which has no graphs"):
        engine("onnx", monkeypatch, mini_copy)


def test_graphs_of_other_weights_are_not_run(monkeypatch, mini_copy):
    with (mini_copy / "model.safetensors").open("r+b") as file:
        file.seek(-2, 2)
        last = file.read(2)
        file.seek(-2, 2)
        file.write(bytes([last[0] ^ 1, last[1]]))
    with pytest.raises(UsageError, match=r"codec\.onnx of mini was made for other weights"):
        engine("onnx", monkeypatch, mini_copy)


@pytest.mark.parametrize("broken", ["missing", "damaged"])
def test_torch_does_the_work_where_onnxruntime_cannot(monkeypatch, caplog, mini_copy, broken):
    if broken == "missing":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    else:
        monkeypatch.setattr(Checkpoint, "is_shipped", property(lambda checkpoint: True))
        (mini_copy / "codec.onnx").write_bytes(b"no graph")
    with caplog.at_level(logging.WARNING):
        encoder = engine(None, monkeypatch, mini_copy if broken == "damaged" else MINI)
    assert "onnxruntime" not in encoder.facts.backend
    (line,) = caplog.messages
    assert line.startswith("onnxruntime is not used: ") and "\n" not in line
    clip, _ = scores(encoder, noise(10))
    assert clip.shape == (len(LABELS),)


def test_results_and_their_order_do_not_depend_on_threads(tmp_path, monkeypatch):
    """Short recordings are encoded side by side, long ones chunk by chunk."""
    from pe_audio_cli import load

    monkeypatch.delenv("PEAUDIO_ENGINE", raising=False)
    rng = np.random.default_rng(0)
    files = []
    for index, seconds in enumerate([0.3, 65, 1, 5, 31, 0.1, 2]):
        files.append(str(tmp_path / f"{index}.wav"))
        soundfile.write(files[-1], 0.05 * rng.standard_normal(int(seconds * SAMPLE_RATE)), SAMPLE_RATE)
    (tmp_path / "bad.wav").write_text("no recording")
    files.insert(3, str(tmp_path / "bad.wav"))
    one, *others = (list(load(threads=threads).localize(files, LABELS, frames=True)) for threads in (1, 2, 5))
    for other in others:
        for alone, shared in zip(one, other, strict=True):
            if not hasattr(alone, "events"):
                assert shared == alone
                continue
            assert (shared.recording, shared.events) == (alone.recording, alone.events)
            for label in LABELS:
                np.testing.assert_array_equal(shared.frames[label], alone.frames[label])
