"""The beat decoder: one beat around the first R peak, from a latent (SE-Diff section 3.1, h of Eq. 13)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.sediff.blocks import ResidualBlock, group_norm
from ecgray.sediff.config import BEAT_SAMPLES, LATENT_STEPS, VaeConfig
from ecgray.sediff.input import twelve_leads

_BEFORE, _AFTER = 4, 7
"""Steps read before and after the step of the R peak: 0.31 s and 0.55 s; the beat reaches 0.2 s and 0.4 s."""


class BeatDecoder(nn.Module):
    """A latent of 10 s becomes one beat of 0.6 s with its R peak at sample 100.

    The R peak may be anywhere in the first seconds, so a fixed map from steps to samples cannot do. The decoder points
    at a step (softly, so that it learns where), reads the window around it, and writes the beat as a sum of learned
    shapes. Where within its step the R peak lies, the window's features say.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width, hidden = config.beat.width, config.beat.hidden
        self.lead_count = config.lead_count
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
            nn.Linear(hidden, self.lead_count * BEAT_SAMPLES),
        )

    def point(self, features: Float[Tensor, "batch width step"]) -> Float[Tensor, "batch step"]:
        """How surely each step holds the R peak; adds up to 1."""
        return (self.pointer(features).squeeze(1) + self.place).softmax(dim=-1)

    def forward(self, latent: Float[Tensor, "batch latent step=128"]) -> Float[Tensor, "batch lead=12 time=300"]:
        """The beat in mV at 500 Hz."""
        features = self.features(latent)
        where = self.point(features).to(features.dtype)
        around = F.pad(features, (_BEFORE, _AFTER)).unfold(-1, _BEFORE + 1 + _AFTER, 1)  # (batch, width, step, window)
        window = torch.einsum("rs,rcsw->rcw", where, around)
        beat = self.shapes(window.flatten(1)).unflatten(1, (self.lead_count, BEAT_SAMPLES))
        return twelve_leads(beat.float())
