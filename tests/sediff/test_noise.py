"""Noise from hashes: it looks Gaussian, and depends on seed, index and step alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from ecgray.sediff.noise import gaussian, mix, signed, stream_keys


def reference_mix(word: int) -> int:
    """Splitmix64 in plain Python."""
    mask = (1 << 64) - 1
    word = (word + 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return word ^ (word >> 31)


def test_the_mixing_is_splitmix64() -> None:
    words = [0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF]
    found = mix(torch.tensor([signed(word) for word in words])).tolist()
    assert [each % 2**64 for each in found] == [reference_mix(word) for word in words]


def test_it_is_standard_normal() -> None:
    noise = gaussian(stream_keys(3, torch.arange(2000)), 5, (4, 128)).double().flatten().numpy()
    assert abs(noise.mean()) < 4 / len(noise) ** 0.5
    assert abs(noise.var() - 1) < 4 * (2 / len(noise)) ** 0.5
    assert abs(stats.kurtosis(noise)) < 4 * (24 / len(noise)) ** 0.5
    assert stats.kstest(noise[:100_000], "norm").pvalue > 1e-3
    assert np.abs(noise).max() < 6.1


def test_neighbours_in_seed_index_step_and_place_are_unrelated() -> None:
    keys = stream_keys(0, torch.arange(500))
    one = gaussian(keys, 1, (4, 128)).flatten()
    others = (
        gaussian(stream_keys(1, torch.arange(500)), 1, (4, 128)).flatten(),
        gaussian(stream_keys(0, torch.arange(1, 501)), 1, (4, 128)).flatten(),
        gaussian(keys, 2, (4, 128)).flatten(),
        one.roll(1),
        one.roll(256),  # the two numbers of one pair
    )
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 4 / len(one) ** 0.5


def test_it_does_not_depend_on_what_else_is_drawn() -> None:
    keys = stream_keys(9, torch.tensor([4, 8, 15, 16, 23]))
    together = gaussian(keys, 7, (4, 128))
    for row in range(5):
        assert torch.equal(gaussian(keys[row : row + 1], 7, (4, 128))[0], together[row])


@pytest.mark.parametrize("seed", [0, -5, 2**40])
def test_any_seed_will_do(seed: int) -> None:
    assert torch.isfinite(gaussian(stream_keys(seed, torch.arange(3)), 0, (4, 128))).all()
