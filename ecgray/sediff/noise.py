"""Noise that depends on a seed, an index and a step alone: the same on every worker, in every batch, on every device.

A stateful generator draws by its history: an ECG would then depend on which others were in its batch. Here each value
is a hash of (seed, index, step, place), mixed by splitmix64's finaliser and turned into a Gaussian (Box-Muller).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_BITS = 24
"""Bits of a uniform number: what float32 can hold."""


def signed(word: int) -> int:
    """A 64-bit word as the int64 with the same bits."""
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >> 63 else word


def _right(words: Int64[Tensor, "*batch"], places: int) -> Int64[Tensor, "*batch"]:
    """A logical shift: zeros come in from the left."""
    return (words >> places) & ((1 << (64 - places)) - 1)


def mix(words: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch"]:
    """Splitmix64 of each word: one step of its counter, then its finaliser.

    >>> [int(x) & (2**64 - 1) for x in mix(torch.tensor([0, 1]))]
    [16294208416658607535, 10451216379200822465]
    """
    words = words + signed(_GOLDEN)
    words = (words ^ _right(words, 30)) * signed(_FIRST)
    words = (words ^ _right(words, 27)) * signed(_SECOND)
    return words ^ _right(words, 31)


def stream_keys(seed: int, index: Int64[Tensor, " batch"]) -> Int64[Tensor, " batch"]:
    """One key for each (seed, index)."""
    return mix(mix(torch.full_like(index, seed)) ^ index)


def gaussian(keys: Int64[Tensor, " batch"], step: int, shape: tuple[int, int]) -> Float[Tensor, "batch row column"]:
    """Standard normal noise of each key at a step, float32 on the keys' device.

    >>> keys = stream_keys(0, torch.arange(64))
    >>> noise = gaussian(keys, 3, (4, 128))
    >>> noise.shape, torch.equal(noise[5:6], gaussian(keys[5:6], 3, (4, 128)))
    (torch.Size([64, 4, 128]), True)
    """
    rows, columns = shape
    half = -(-rows * columns // 2)
    place = torch.arange(half, device=keys.device)
    words = mix(mix(keys ^ mix(torch.full_like(keys, step)))[:, None] ^ place)
    scale = 2.0**-_BITS
    radius = (_right(words, 64 - _BITS).float() + 0.5) * scale  # in (0, 1)
    angle = (words & ((1 << _BITS) - 1)).float() * (scale * 2 * math.pi)
    radius = torch.sqrt(-2 * torch.log(radius))
    pair = torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
    return pair[:, : rows * columns].reshape(-1, rows, columns)
