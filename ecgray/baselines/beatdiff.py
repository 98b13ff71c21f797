"""A diffusion of one beat, 8 leads at 250 Hz, in the terms of Karras et al., 2022 (the idea of BeatDiff).

The network is given the noised beat scaled to deviation 1 and says what is left of noise and of beat in the proportion
that keeps its target at deviation 1, whatever the noise. Beats are scaled to a deviation of 0.5, as theirs.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import LEADS_DRAWN, BaselineConfig
from ecgray.baselines.told import Told
from ecgray.sediff.blocks import Double, Halve, group_norm
from ecgray.sediff.condition import Condition, sinusoids
from ecgray.sediff.unet import FilmBlock, zeroed

SIGMA_DATA, SIGMA_MIN = 0.5, 0.002
TIME_WAVES = 64


class BeatNetwork(nn.Module):
    """A U-Net of three rates: 176, 88 and 44 steps."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        width, told = config.beatdiff.width, config.told
        self.time = nn.Sequential(nn.Linear(TIME_WAVES, told), nn.SiLU(), nn.Linear(told, told))
        self.first = nn.Conv1d(LEADS_DRAWN, width, 3, padding=1)

        def block(before: int, out: int) -> FilmBlock:
            return FilmBlock(before, out, told=told, dropout=0.0)

        self.down = nn.ModuleList([block(width, width), block(width, 2 * width)])
        self.shorten = nn.ModuleList([Halve(width), Halve(2 * width)])
        self.middle = nn.ModuleList([block(2 * width, 4 * width), block(4 * width, 2 * width)])
        self.lengthen = nn.ModuleList([Double(2 * width), Double(width)])
        self.up = nn.ModuleList([block(4 * width, width), block(2 * width, width)])
        self.out = nn.Sequential(group_norm(width), nn.SiLU(), zeroed(nn.Conv1d(width, LEADS_DRAWN, 3, padding=1)))

    def forward(
        self,
        beat: Float[Tensor, "batch lead=8 sample"],
        time: Float[Tensor, " batch"],
        told: Float[Tensor, "batch told"],
    ) -> Float[Tensor, "batch lead=8 sample"]:
        """F of Karras et al.; `time` is a quarter of the noise's logarithm."""
        told = F.silu(self.time(sinusoids(1000 * time, TIME_WAVES)) + told)
        features, kept = self.first(beat), []
        for block, shorten in zip(self.down, self.shorten, strict=True):
            features = block(features, told)
            kept.append(features)
            features = shorten(features)
        for block in self.middle:
            features = block(features, told)
        for lengthen, block in zip(self.lengthen, self.up, strict=True):
            features = block(torch.cat([lengthen(features), kept.pop()], dim=1), told)
        return self.out(features)


class BeatDiff(nn.Module):
    """The denoiser of beats."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.sizes = config.beatdiff
        self.told = Told(config)
        self.network = BeatNetwork(config)

    def loss(
        self, beat: Float[Tensor, "batch lead=8 sample"], condition: Condition, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Mean squared error of F at drawn noise levels: that of the beat, weighted as Karras et al. do."""
        draws = torch.randn(len(beat), generator=generator, device=generator.device)
        noise = torch.randn(beat.shape, generator=generator, device=generator.device).to(beat.device)
        sigma = (self.sizes.sigma_log_mean + self.sizes.sigma_log_std * draws).exp().to(beat.device)[:, None, None]
        size = (sigma.square() + SIGMA_DATA**2).sqrt()
        noised = beat + sigma * noise
        said = self.network(noised / size, sigma.flatten().log() / 4, self.told(condition))
        target = (beat - noised * (SIGMA_DATA / size).square()) * size / (sigma * SIGMA_DATA)
        return (said - target).square().mean()
