"""The graphs of a checkpoint compute what its modules compute, whatever is simplified in them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_codec import random_codec, sound
from safetensors.torch import save_file
from torch import nn

from pe_audio_cli.models.modules.codec import Snake
from pe_audio_cli.models.registry import SHIPPED

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
graph = pytest.importorskip("training.graph")

MINI = SHIPPED / "mini"
STRIDES = (2, 8, 10, 12)
PREFIX = "codec."


def as_it_is(encoder: Any) -> None:
    pass


def without_activations(encoder: Any) -> None:
    for part in encoder.block[1].res_unit1.children():
        if isinstance(part, Snake):
            part.alpha.zero_()


def with_idle_units(encoder: Any) -> None:
    for unit in (encoder.block[0].res_unit2, encoder.block[2].res_unit3):
        for parameter in unit.conv2.parameters():
            parameter.zero_()


def in_groups(encoder: Any) -> None:
    """Two groups of channels that do not hear each other, in turns."""
    for conv in (encoder.block[1].res_unit1.conv1, encoder.block[2].conv1):
        channels = torch.arange(conv.weight.shape[0])[:, None] - torch.arange(conv.weight.shape[1])
        conv.weight[channels % 2 == 1] = 0


def on_middle_taps(encoder: Any) -> None:
    conv = encoder.block[1].res_unit3.conv1
    conv.weight[:, :, :3] = 0
    conv.weight[:, :, 4:] = 0


def with_channels_that_are_added(encoder: Any) -> None:
    """A stage leaves its second half empty, and a residual unit fills it."""
    for parameter in encoder.block[0].conv1.parameters():
        parameter[4:] = 0
    for parameter in encoder.block[1].res_unit1.conv2.parameters():
        parameter[:4] = 0


def with_samples_side_by_side(encoder: Any) -> None:
    """The first convolution and two stages put the samples of each block of 16 into channels."""
    for parameter in encoder.conv1.parameters():
        parameter.zero_()
    encoder.conv1.weight[1, 0, 3] = 1
    for stage, stride, taken in zip(encoder.block, STRIDES[:2], ([1], range(2)), strict=False):
        for unit in (stage.res_unit1, stage.res_unit2, stage.res_unit3):
            for parameter in unit.conv2.parameters():
                parameter.zero_()
        stage.snake1.alpha.zero_()
        for parameter in stage.conv1.parameters():
            parameter.zero_()
        outputs = iter(range(stage.conv1.out_channels))
        for channel in taken:
            for step in range(stride):
                stage.conv1.weight[next(outputs), channel, stage.conv1.padding[0] + step] = 1


def with_alphas_of_all_sizes(encoder: Any) -> None:
    """One channel each of some Snakes has an alpha that is zero, tiny, small or large."""
    for alpha, unit in zip((0, 1e-5, 0.02, 40), (encoder.block[1].res_unit1, *units(encoder.block[2])), strict=True):
        unit.snake1.alpha[:, 1] = unit.snake2.alpha[:, 2] = alpha


def with_waves_alone(encoder: Any) -> None:
    """The second and third unit of a stage leave two ``sin^2`` of each of four channels, and nothing linear in them."""
    stage = encoder.block[1]
    encoder.block[0].conv1.weight[4:] = 0
    encoder.block[0].conv1.bias[4:] = 0
    for parameter in stage.res_unit1.conv2.parameters():
        parameter.zero_()
    stage.snake1.alpha.zero_()
    own, free = torch.arange(4), torch.arange(4, 8)
    for unit, sign in ((stage.res_unit2, -1), (stage.res_unit3, 1)):
        unit.snake1.alpha.zero_()
        for parameter in (*unit.conv1.parameters(), *unit.conv2.parameters()):
            parameter.zero_()
        unit.conv1.weight[own, own, 3], unit.conv1.weight[free, own, 3] = sign, -sign
        into = free if unit is stage.res_unit2 else own
        unit.conv2.weight[into, own, 0], unit.conv2.weight[into, free, 0] = 1 / 16, 17 / 16
    stage.res_unit3.conv2.weight[free, free, 0] = 1


def units(stage: Any) -> tuple[Any, Any, Any]:
    return stage.res_unit1, stage.res_unit2, stage.res_unit3


KINDS = [
    as_it_is,
    without_activations,
    with_idle_units,
    in_groups,
    on_middle_taps,
    with_channels_that_are_added,
    with_samples_side_by_side,
    with_alphas_of_all_sizes,
    with_waves_alone,
]


def graph_of(codec: nn.Module, folder: Path) -> Any:
    """The graph of a codec in float16."""
    names = {"0": "dac_encoder", "1": "bottleneck"}
    state = codec.half().state_dict()
    tensors = {f"{PREFIX}{names[name[0]]}{name[1:]}": value.clone() for name, value in state.items()}
    save_file(tensors, folder / "model.safetensors")
    made = graph.Graph(graph.Weights(folder))
    features = graph.CodecGraph(made, PREFIX, STRIDES).build("samples")
    samples = onnx.helper.make_tensor_value_info("samples", onnx.TensorProto.FLOAT, [1, 1, "time"])
    output = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [1, "frames", 8])
    model = made.model([samples], {features: output}, "")
    (folder / "codec.onnx").write_bytes(model.SerializeToString())
    return model


@torch.inference_mode()
@pytest.mark.parametrize("n_frames", [1, 7])
@pytest.mark.parametrize("change", KINDS)
def test_the_codec_rounds_no_worse_than_its_modules(change: Callable[[Any], None], n_frames: int, tmp_path: Path):
    codec = random_codec()
    change(codec[0])
    graph_of(codec, tmp_path)
    samples = sound(n_frames)
    exact = codec.double()(samples.double())[0].T.numpy()
    plain = codec.float()(samples)[0].T.numpy()
    session = onnxruntime.InferenceSession(tmp_path / "codec.onnx", providers=["CPUExecutionProvider"])
    (features,) = session.run(None, {"samples": samples.numpy()})
    # Sums are added up in another order: errors are alike in size, and not the same.
    allowed = 4 * np.abs(plain - exact).max() + 4 * np.finfo(np.float32).eps * np.abs(exact).max()
    np.testing.assert_allclose(features[0], exact, rtol=0, atol=allowed)


@pytest.mark.parametrize(
    ("change", "kind"),
    [(with_samples_side_by_side, "front"), (in_groups, "grouped"), (without_activations, "one convolution")],
)
def test_what_can_be_simplified_is(change: Callable[[Any], None], kind: str, tmp_path: Path):
    plain, codec = random_codec(), random_codec()
    change(codec[0])
    (tmp_path / "plain").mkdir()
    before, after = graph_of(plain, tmp_path / "plain"), graph_of(codec, tmp_path)

    def convolutions(model: Any) -> list[int]:
        nodes = [node for node in model.graph.node if node.op_type == "Conv"]
        return [attribute.i for node in nodes for attribute in node.attribute if attribute.name == "group"]

    if kind == "grouped":
        assert sorted(convolutions(after))[-2:] == [2, 2]
    else:
        # Two stages of seven convolutions and the first; or a unit's second.
        assert len(convolutions(before)) - len(convolutions(after)) == (15 if kind == "front" else 1)


def test_residual_units_that_leave_waves_alone_are_one_sine_and_no_convolution(tmp_path: Path):
    plain, codec = random_codec(), random_codec()
    with_waves_alone(codec[0])
    (tmp_path / "plain").mkdir()
    kinds = [
        [node.op_type for node in graph_of(each, folder).graph.node]
        for each, folder in ((plain, tmp_path / "plain"), (codec, tmp_path))
    ]
    before, after = ({kind: found.count(kind) for kind in ("Conv", "Sin", "Cos")} for found in kinds)
    # Of a unit: two convolutions, a sine before the one that is padded, and a cosine before the other. The stage's own
    # Snake has a sine too.
    assert before["Conv"] - after["Conv"] == 6
    assert before["Sin"] - after["Sin"] == 3
    assert before["Cos"] - after["Cos"] == 3


def test_the_shipped_graphs_are_those_of_the_shipped_weights(tmp_path: Path):
    folder = Path(shutil.copytree(MINI, tmp_path / "mini", ignore=shutil.ignore_patterns("*.onnx")))
    graph.main([str(folder)])
    for name in ("codec", "audio", "text"):
        made, shipped = (onnx.load(each / f"{name}.onnx", load_external_data=False) for each in (folder, MINI))
        assert made.graph == shipped.graph, "python -m training.graph pe_audio_cli/checkpoints/mini makes them anew"


def test_the_shipped_graphs_are_small():
    assert sum(file.stat().st_size for file in MINI.glob("*.onnx")) < 500_000
