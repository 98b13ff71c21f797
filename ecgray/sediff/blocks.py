"""The parts of the autoencoder: residual blocks, attention, and the layers that change the rate.

A residual block adds to what goes past it; no path leads past the latent (the paper's "skip connections" can only be
these: those of a U-Net would carry the ECG around the latent, and nothing could be generated from it).
"""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

GROUPS = 32
"""Groups of a group norm, where there are four channels for each."""


def group_norm(width: int) -> nn.GroupNorm:
    """Group norm of 32 groups; fewer where a group would hold less than four channels, as its size would be lost.

    >>> [group_norm(width).num_groups for width in (512, 128, 64, 24, 6)]
    [32, 32, 16, 2, 1]
    """
    return nn.GroupNorm(math.gcd(GROUPS, max(width // 4, 1)) if width % 4 == 0 else 1, width)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice; added to what came in."""

    def __init__(self, width: int, out: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.change = nn.Sequential(
            group_norm(width),
            nn.SiLU(),
            nn.Conv1d(width, out, 3, padding=1),
            group_norm(out),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv1d(out, out, 3, padding=1),
        )
        self.past = nn.Identity() if width == out else nn.Conv1d(width, out, 1)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch out step"]:
        """Add the change."""
        return self.past(features) + self.change(features)


class AttentionBlock(nn.Module):
    """Self-attention over the steps of one record; added to what came in."""

    def __init__(self, width: int, heads: int, *, norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm = group_norm(width) if norm else nn.Identity()
        self.qkv = nn.Conv1d(width, 3 * width, 1)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch width step"]:
        """Mix the steps."""
        qkv = self.qkv(self.norm(features)).unflatten(1, (3, self.heads, -1)).transpose(-1, -2)
        query, key, value = qkv.unbind(1)  # (batch, head, step, width / heads)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return features + self.out(mixed.transpose(-1, -2).flatten(1, 2))


class Halve(nn.Module):
    """Half as many steps: a convolution of stride 2, padded on the right as the peer's."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, stride=2)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch width half"]:
        """Step 2 k becomes step k."""
        return self.convolution(F.pad(features, (0, 1)))


class Double(nn.Module):
    """Twice as many steps: each is repeated, and a convolution smooths them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch width double"]:
        """Step k becomes steps 2 k and 2 k + 1."""
        return self.convolution(F.interpolate(features, scale_factor=2.0, mode="nearest"))


class Stem(nn.Module):
    """From samples to features at 1,024 steps; with a stride of 5 its kernel sees 15 samples, 30 ms."""

    def __init__(self, leads: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(leads, width, 3 * stride, stride=stride, padding=stride)

    def forward(self, ecg: Float[Tensor, "batch lead time"]) -> Float[Tensor, "batch width step"]:
        """One step for each `stride` samples."""
        return self.convolution(ecg)


class Head(nn.Module):
    """From features to samples, the stem's mirror: each of the `stride` samples in a step has a filter of its own.

    A mean over `stride` samples follows. It is zero at 100 Hz and its multiples (stride 5, 500 Hz), where samples of
    differing filters leave a comb that fades only late in training; what it takes below, the filters can give before.
    """

    def __init__(self, width: int, leads: int, *, stride: int) -> None:
        super().__init__()
        self.leads = leads
        self.stride = stride
        self.norm = group_norm(width)
        self.convolution = nn.Conv1d(width, leads * stride, 3, padding=1)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch lead time"]:
        """`stride` samples for each step."""
        samples = self.convolution(F.silu(self.norm(features))).unflatten(1, (self.leads, -1))
        return moving_mean(samples.transpose(-1, -2).flatten(-2), self.stride)  # (batch, lead, step, stride) before


def moving_mean(signal: Float[Tensor, "batch lead time"], width: int) -> Float[Tensor, "batch lead time"]:
    """The mean over an odd number of samples around each; the ends are held.

    >>> import torch
    >>> moving_mean(torch.tensor([[[0.0, 0.0, 3.0, 3.0]]]), 3)
    tensor([[[0., 1., 2., 3.]]])
    """
    if width == 1:
        return signal
    return F.avg_pool1d(F.pad(signal, (width // 2, width // 2), mode="replicate"), width, stride=1)
