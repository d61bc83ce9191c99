import numpy as np
import pytest
import torch

from training import bands, codec, export, features
from training.logarithm import LogNetwork, fit, log_energy, true_energies
from training.student import Student


@pytest.fixture(scope="module")
def network() -> LogNetwork:
    torch.manual_seed(0)
    return LogNetwork().requires_grad_(False).half().float()


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    return torch.randn(2 * bands.SAMPLE_RATE, generator=torch.Generator().manual_seed(1)) * 0.01


def tone(frequency: float, level: float) -> torch.Tensor:
    return level * torch.sin(2 * np.pi * frequency / bands.SAMPLE_RATE * torch.arange(bands.SAMPLE_RATE))


def test_the_stages_of_the_encoder_compute_what_the_short_cut_computes(network, samples):
    dac = codec.filter_bank()
    codec.write_logarithm(dac, network)
    hidden = dac.conv1(samples[None, None])
    for stage in dac.block[: codec.FILTER_STAGE + 1]:
        hidden = stage(hidden)
    last = dac.block[codec.LOG_STAGE]
    hidden = last.snake1(last.res_unit3(last.res_unit2(last.res_unit1(hidden))))
    per_band = hidden[0].unflatten(0, (bands.N_BANDS, -1))
    long_way = torch.einsum("bkt,k->bt", per_band, network.last.weight[0, :, 0]) + network.last.bias
    torch.testing.assert_close(long_way, network(codec.levels(codec.filter_bank(), samples)), rtol=0, atol=5e-3)


@pytest.mark.parametrize("level", [1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("band", [2, 20, 40])
def test_a_tone_is_loudest_in_its_own_band_or_the_next(band, level):
    loud, soft = codec.levels(codec.filter_bank(), tone(bands.centres()[band], level))[:, :, 20:-20].mean(2).T
    # The finest scale that is not saturated yet tells.
    measure = soft if level < 1e-3 else loud
    assert abs(int(measure.argmax()) - band) <= 1


def test_twice_the_amplitude_is_measured_as_more_at_every_level_in_one_of_the_two():
    dac = codec.filter_bank()
    noise = torch.randn(bands.SAMPLE_RATE, generator=torch.Generator().manual_seed(2))
    measured = torch.stack([codec.levels(dac, noise * 2.0**-power).mean((0, 2)) for power in range(14)])
    steps = measured[:-1] / measured[1:]
    assert (steps.amax(1) > 1.15).all()


def test_fitting_brings_the_network_closer_to_the_logarithm(samples):
    torch.manual_seed(0)
    filters = torch.tensor(np.stack([bands.filters(), bands.filters(np.pi / 2)]), dtype=torch.float32)
    measured = codec.levels(codec.filter_bank(), samples)
    energies = true_energies(samples, filters)
    steps = min(measured.shape[-1], energies.shape[-1])
    losses = list(fit(LogNetwork(), measured[..., :steps], energies[:, :steps], 60))
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])


def test_log_energies_span_minus_one_to_one():
    assert log_energy(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([-1.0, 1.0])


def test_the_assembled_checkpoint_computes_what_was_trained(network, samples):
    torch.manual_seed(3)
    config = codec.encoder_config(64, 1, 2, 64, 32)
    whiten = torch.eye(bands.N_BANDS) + 0.1 * torch.randn(bands.N_BANDS, bands.N_BANDS)
    student = Student(config, 32, network.last.bias.item(), torch.full((bands.N_BANDS,), -0.5), whiten).eval()
    student.requires_grad_(False).half().float()
    tower = export.assemble_audio(network, student)
    whole = samples[: len(samples) // 1920 * 1920]
    out = tower(whole[None, None])
    clip, frames = student(features.log_energies(codec.filter_bank(), network, whole)[None])
    torch.testing.assert_close(student.head(out.pooler_output), clip, rtol=0, atol=2e-2)
    torch.testing.assert_close(student.head(out.last_hidden_state), frames, rtol=0, atol=5e-2)
