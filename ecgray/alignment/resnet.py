"""An ECG becomes one vector: a 1-D residual network whose channels weigh each other (squeeze and excitation)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.alignment.config import ResNetConfig
from ecgray.leads import LEADS

POOLED = 4
"""Samples of 500 Hz that are averaged to one."""


def _norm(width: int) -> nn.GroupNorm:
    """Group norm: a record's embedding must not depend on who else is in the batch."""
    return nn.GroupNorm(math.gcd(8, width), width)


class Squeeze(nn.Module):
    """Weigh each channel by what all of them are over the whole record."""

    def __init__(self, width: int, squeeze: int) -> None:
        super().__init__()
        narrow = max(width // squeeze, 4)
        self.weigh = nn.Sequential(nn.Linear(width, narrow), nn.SiLU(), nn.Linear(narrow, width), nn.Sigmoid())

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch width step"]:
        """Scale the channels."""
        return features * self.weigh(features.mean(dim=-1))[..., None]


class Block(nn.Module):
    """Two convolutions and a squeeze, added to what came in."""

    def __init__(self, width: int, out: int, *, stride: int, config: ResNetConfig) -> None:
        super().__init__()
        middle = config.kernel // 2
        self.change = nn.Sequential(
            nn.Conv1d(width, out, config.kernel, stride=stride, padding=middle, bias=False),
            _norm(out),
            nn.SiLU(),
            nn.Conv1d(out, out, config.kernel, padding=middle, bias=False),
            _norm(out),
            Squeeze(out, config.squeeze),
        )
        same = width == out and stride == 1
        self.past = nn.Identity() if same else nn.Conv1d(width, out, 1, stride=stride, bias=False)

    def forward(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch out shorter"]:
        """Add the change."""
        return F.silu(self.past(features) + self.change(features))


class ResNet(nn.Module):
    """ECG in, the mean and the largest value of each feature out.

    >>> ResNet(ResNetConfig(widths=(8, 16)))(torch.zeros(2, 12, 5000)).shape
    torch.Size([2, 32])
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        width = config.widths[0]
        layers: list[nn.Module] = [
            nn.AvgPool1d(POOLED),
            nn.Conv1d(len(LEADS), width, 15, stride=2, padding=7, bias=False),
            _norm(width),
            nn.SiLU(),
        ]
        for stage, out in enumerate(config.widths):
            for number in range(config.blocks):
                layers.append(Block(width, out, stride=2 if stage and not number else 1, config=config))
                width = out
        self.layers = nn.Sequential(*layers)
        self.width = 2 * width

    def forward(self, ecg: Float[Tensor, "batch lead=12 time"]) -> Float[Tensor, "batch width"]:
        """Read the record."""
        features = self.layers(ecg)
        return torch.cat([features.mean(dim=-1), features.amax(dim=-1)], dim=-1)
