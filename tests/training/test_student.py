import math

import torch

from training.student import rotate


def test_queries_and_keys_turn_pair_by_pair():
    torch.manual_seed(0)
    places, pairs = 7, 4
    angle = torch.rand(1, places, pairs) * 2 * math.pi
    cos, sin = (torch.cat([it, it], -1) for it in (angle.cos(), angle.sin()))  # as the tower gives them
    query, key = torch.randn(2, 3, places, 2 * pairs), torch.randn(2, 3, places, 2 * pairs)
    turned = rotate(query, key, cos, sin)
    for before, after in zip((query, key), turned, strict=True):
        x, y = before[..., 0::2], before[..., 1::2]
        wanted = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], -1).flatten(3)
        torch.testing.assert_close(after, wanted, rtol=0, atol=1e-6)  # a few roundings of numbers below 5


def test_the_kind_of_numbers_stays():
    half = torch.randn(1, 1, 2, 4).bfloat16()
    query, key = rotate(half, half, torch.ones(1, 2, 4), torch.zeros(1, 2, 4))
    assert query.dtype == key.dtype == torch.bfloat16
    torch.testing.assert_close(query, half)
