"""The codec in tiles against its own modules."""

import math
from unittest import mock

import pytest
import tolerances
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_codec import random_codec, sound, with_idle_parts, with_small_alphas

from pe_audio_cli.models.kernels import onednn as packed
from pe_audio_cli.models.kernels import tiles


@pytest.fixture
def threads():
    """May be changed by a test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def assert_same(codec, n_frames=9, dtype=torch.float32):
    tolerance = tolerances.of_codec(codec, dtype)
    with torch.inference_mode():
        plain = codec(sound(n_frames))
        tiled = tiles.TiledCodec(codec, dtype)(sound(n_frames).to(dtype))
    torch.testing.assert_close(tiled.float(), plain, rtol=0, atol=tolerance * plain.abs().max().item())


@pytest.mark.parametrize("n_frames", [1, 2, 9])
@pytest.mark.parametrize("tile_bytes", [1, 5_000, 1 << 20])
def test_tiles_of_any_size_give_what_the_modules_give(monkeypatch, n_frames, tile_bytes):
    monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
    assert_same(random_codec(), n_frames if tile_bytes > 1 else min(n_frames, 2))


@pytest.mark.parametrize("strides", [(12, 10, 8, 2), (5, 3, 4, 4, 8), (12, 2, 2, 2, 5, 4)], ids=str)
def test_strides_in_any_order(strides):
    assert_same(random_codec(4, strides))


def test_idle_parts_are_left_out_of_tiles_too():
    assert_same(with_idle_parts())


def test_alphas_may_be_negative():
    codec = random_codec()
    for name, parameter in codec.named_parameters():
        if "alpha" in name:
            parameter[:, ::2] *= -1
    assert_same(codec)


@pytest.mark.parametrize("alpha", [0.0, 1e-9, 1e-5])
def test_snakes_with_an_alpha_next_to_zero_stay_as_they_are(alpha):
    assert_same(with_small_alphas(alpha))


def test_without_torchs_operators_for_packed_weights_the_numbers_are_the_same(monkeypatch):
    monkeypatch.setattr(packed, "_pack_filters", lambda *_: None)
    monkeypatch.setattr(packed, "_pack_matrix", lambda *_: None)
    assert_same(random_codec())


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_to_the_last_digit(monkeypatch, threads, n_threads):
    monkeypatch.setattr(tiles, "TILE_BYTES", 5_000)
    codec = tiles.TiledCodec(random_codec(), torch.float32)
    torch.set_num_threads(1)
    alone = codec(sound(9))
    torch.set_num_threads(n_threads)
    assert torch.equal(codec(sound(9)), alone)
    assert torch.get_num_threads() == n_threads


@given(st.integers(1, 5000), st.integers(1, 500), st.integers(1, 9))
def test_tiles_are_shared_out_evenly(n_rows, most, n_threads):
    with mock.patch("torch.get_num_threads", return_value=n_threads):
        size = tiles.even_tile(n_rows, most)
    n_tiles = math.ceil(n_rows / size)
    assert 1 <= size <= most
    if most > n_threads < n_rows / most:  # the one that has most to do has at most a row for each of its tiles more
        busiest = math.ceil(n_tiles / n_threads)
        assert busiest * size <= n_rows / n_threads + busiest


def test_what_goes_wrong_in_one_thread_ends_all(monkeypatch, threads):
    def fail(*_):
        raise torch.OutOfMemoryError("no room")

    torch.set_num_threads(2)
    codec = tiles.TiledCodec(random_codec(), torch.float32)
    monkeypatch.setattr(codec.stages[1], "down", fail)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        codec(sound(9))


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_not_finite_pass_without_a_word():
    codec = tiles.TiledCodec(random_codec(), torch.float32)
    with torch.inference_mode():
        assert codec(sound(9).fill_(torch.inf)).isnan().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(dtype):
    assert_same(random_codec(16), dtype=dtype)


def test_narrow_codecs_keep_their_modules():
    assert not tiles.is_wide(random_codec(8))
    assert tiles.is_wide(random_codec(64, (2, 960)))
