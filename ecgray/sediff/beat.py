"""The beat decoder: one beat around the first R peak, from a latent (SE-Diff section 3.1, h of Eq. 13)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.sediff.blocks import ResidualBlock, group_norm
from ecgray.sediff.config import BEAT_SAMPLES, LATENT_STEPS, VaeConfig
from ecgray.sediff.input import twelve_leads
from ecgray.tables import FS

_BEFORE, _AFTER = 4, 7
"""Steps read before and after the step of the R peak: 0.31 s and 0.55 s; the beat reaches 0.2 s and 0.4 s."""


class BeatDecoder(nn.Module):
    """A latent of 10 s becomes one beat of 0.6 s with its R peak at sample 100.

    The R peak may be anywhere in the first seconds, so a fixed map from steps to samples cannot do. The decoder points
    at a step (softly, so that it learns where), reads the window around it, and writes the beat as a cosine series up
    to `beat.top_hz`: written sample by sample, it keeps noise of the first weights. Where within its step the R peak
    lies, the window's features say.
    """

    cosines: Tensor

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width, hidden = config.beat.width, config.beat.hidden
        self.lead_count = config.lead_count
        basis = cosine_basis(BEAT_SAMPLES, fs=FS, top_hz=config.beat.top_hz)
        self.features = nn.Sequential(
            nn.Conv1d(config.latent_channels, width, 5, padding=2),
            ResidualBlock(width, width),
            ResidualBlock(width, width),
            group_norm(width),
            nn.SiLU(),
        )
        self.pointer = nn.Conv1d(width, 1, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(LATENT_STEPS))
        self.shapes = nn.Sequential(
            nn.Linear(width * (_BEFORE + 1 + _AFTER), hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, self.lead_count * len(basis)),
        )
        self.register_buffer("cosines", basis, persistent=False)

    def point(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch step"]:
        """How surely each step holds the R peak; adds up to 1."""
        return (self.pointer(features).squeeze(1) + self.place).softmax(dim=-1)

    def forward(self, latent: Float[Tensor, "batch latent step=128"]) -> Float[Tensor, "batch lead=12 time=300"]:
        """The beat in mV at 500 Hz."""
        features = self.features(latent)
        where = self.point(features).to(features.dtype)
        around = F.pad(features, (_BEFORE, _AFTER)).unfold(-1, _BEFORE + 1 + _AFTER, 1)  # (batch, width, step, window)
        window = torch.einsum("rs,rcsw->rcw", where, around)
        terms = self.shapes(window.flatten(1)).unflatten(1, (self.lead_count, len(self.cosines)))
        return twelve_leads(terms.float() @ self.cosines)


def cosine_basis(samples: int, *, fs: float, top_hz: float) -> Float[Tensor, "term sample"]:
    """Half waves over `samples` up to `top_hz`, those of the discrete cosine transform (type II).

    Scaled so that terms of deviation 1 make a signal of deviation 1: it is learnt as fast as samples would be.

    >>> basis = cosine_basis(300, fs=500, top_hz=100.0)
    >>> basis.shape, torch.allclose(basis @ basis.T, torch.eye(121) * 300 / 121, atol=1e-4)
    (torch.Size([121, 300]), True)
    """
    terms = min(int(top_hz * 2 * samples / fs) + 1, samples)
    place = (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
    basis = torch.cos(math.pi * torch.arange(terms, dtype=torch.float64)[:, None] * place) * math.sqrt(2 / terms)
    basis[0] /= math.sqrt(2)
    return basis.float()
