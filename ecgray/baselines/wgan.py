"""A conditional Wasserstein GAN of strips with gradient penalty: a generator, and a critic that scores real and drawn.

The critic's score rises on real strips and falls on drawn ones; the penalty holds the length of its gradient at 1 on
the way from one to the other, so that the difference of scores is a distance (Gulrajani et al., 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import LEADS_DRAWN, STRIP_SAMPLES, BaselineConfig
from ecgray.baselines.told import Told
from ecgray.sediff.blocks import group_norm
from ecgray.sediff.condition import Condition

HALVINGS = 3
LOWEST = STRIP_SAMPLES >> HALVINGS
"""Steps at the lowest rate: 128, of 78 ms each."""
KERNEL = 9
DILATIONS = (1, 4, 16)
"""Of the layers at the lowest rate: together they see 169 steps, the whole strip."""


class ToldBlock(nn.Module):
    """A residual block whose normalised features are scaled and shifted by noise and condition."""

    def __init__(self, width: int, out: int, *, told: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm, self.film = group_norm(width), nn.Linear(told, 2 * width)
        self.change = nn.Conv1d(width, out, KERNEL, padding=dilation * (KERNEL // 2), dilation=dilation)
        self.past = nn.Identity() if width == out else nn.Conv1d(width, out, 1)

    def forward(
        self, features: Float[Tensor, "batch width step"], told: Float[Tensor, "batch told"]
    ) -> Float[Tensor, "batch out step"]:
        """Add the change."""
        scale, shift = self.film(told)[..., None].chunk(2, dim=1)
        return self.past(features) + self.change(F.silu(self.norm(features) * (1 + scale) + shift))


class StripGenerator(nn.Module):
    """Noise and condition become a strip: 128 steps, then three times twice as many."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        sizes, told = config.wgan, config.told + config.wgan.noise
        self.told = Told(config)
        self.start = nn.Linear(told, 2 * sizes.width * LOWEST)
        self.low = nn.ModuleList(
            ToldBlock(2 * sizes.width, 2 * sizes.width, told=told, dilation=each) for each in DILATIONS
        )
        widths = [2 * sizes.width] * HALVINGS + [sizes.width]
        self.up = nn.ModuleList(ToldBlock(width, out, told=told) for width, out in itertools.pairwise(widths))
        self.last = nn.Conv1d(sizes.width, LEADS_DRAWN, KERNEL, padding=KERNEL // 2)

    def forward(
        self, noise: Float[Tensor, "batch noise"], condition: Condition
    ) -> Float[Tensor, "batch lead=8 sample=1024"]:
        """One strip a row, in units of the training strips' deviation."""
        told = torch.cat([self.told(condition), noise], dim=1)
        features = self.start(told).unflatten(1, (-1, LOWEST))
        for block in self.low:
            features = block(features, told)
        for block in self.up:
            features = block(F.interpolate(features, scale_factor=2.0, mode="linear", align_corners=False), told)
        return self.last(features)


class Critic(nn.Module):
    """A score for a strip under its condition. No batch norm: the penalty is of each strip by itself."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        width = config.wgan.width
        self.told = Told(config)
        layers: list[nn.Module] = [nn.Conv1d(LEADS_DRAWN, width, KERNEL, padding=KERNEL // 2), nn.LeakyReLU(0.2)]
        for before in (width, 2 * width, 2 * width):
            layers += [nn.Conv1d(before, 2 * width, KERNEL, stride=2, padding=KERNEL // 2), nn.LeakyReLU(0.2)]
        for each in DILATIONS:
            padding = each * (KERNEL // 2)
            layers += [nn.Conv1d(2 * width, 2 * width, KERNEL, padding=padding, dilation=each), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.score, self.fits = nn.Linear(2 * width, 1), nn.Linear(config.told, 2 * width)

    def forward(
        self, strip: Float[Tensor, "batch lead=8 sample=1024"], condition: Condition
    ) -> Float[Tensor, " batch"]:
        """How real it looks, and how well it fits: the features' product with the condition's (projection)."""
        features = self.layers(strip).mean(dim=-1)
        return self.score(features)[:, 0] + (features * self.fits(self.told(condition))).sum(dim=1)


def gradient_penalty(
    score: Callable[[Tensor], Tensor],
    real: Float[Tensor, "batch lead sample"],
    drawn: Float[Tensor, "batch lead sample"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """(|d score / d x| - 1)^2 at a point drawn between each real strip and a drawn one, in the mean.

    >>> ones = torch.ones(2, 1, 4)
    >>> gradient_penalty(lambda x: 3 * x[:, 0, 0], ones, -ones, torch.Generator()).item()
    4.0
    """
    between = torch.rand(len(real), 1, 1, generator=generator, device=generator.device).to(real.device)
    point = torch.lerp(real, drawn, between).detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(point).sum(), point, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


class Wgan(nn.Module):
    """Generator and critic, which learn in turns."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.sizes = config.wgan
        self.generator, self.critic = StripGenerator(config), Critic(config)

    def loss(
        self,
        strip: Float[Tensor, "batch lead=8 sample=1024"],
        condition: Condition,
        generator: torch.Generator,
        *,
        step: int,
    ) -> Float[Tensor, ""]:
        """What this step makes small: the critic's loss, or after so many of its steps the generator's.

        The weights of the other get no gradient at all, so that one optimiser does for both.
        """
        critics_turn = (step + 1) % (self.sizes.critic_steps + 1) != 0
        self.critic.requires_grad_(critics_turn)
        noise = torch.randn(len(strip), self.sizes.noise, generator=generator, device=generator.device)
        with torch.set_grad_enabled(not critics_turn):
            drawn = self.generator(noise.to(strip.device), condition)
        if not critics_turn:
            return -self.critic(drawn, condition).mean()
        penalty = gradient_penalty(lambda point: self.critic(point, condition), strip, drawn, generator)
        distance = self.critic(strip, condition).mean() - self.critic(drawn, condition).mean()
        return self.sizes.penalty * penalty - distance
