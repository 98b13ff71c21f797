"""The network of SSSD-ECG: residual blocks of state spaces over a strip of 8 leads.

A block adds time, mixes the samples by a state space, adds the condition, mixes them again, and passes a gate; half of
what comes out goes on, half is summed up over all blocks, as in WaveNet.
"""

from __future__ import annotations

import math

from jaxtyping import Float, Real
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import LEADS_DRAWN, BaselineConfig
from ecgray.baselines.state_space import StateSpace
from ecgray.baselines.told import Told
from ecgray.sediff.condition import Condition, sinusoids
from ecgray.sediff.unet import Context, zeroed

TIME_WAVES = 128


class GatedBlock(nn.Module):
    """One residual block."""

    def __init__(self, width: int, *, states: int, told: int) -> None:
        super().__init__()
        self.time, self.told = nn.Linear(told, width), nn.Linear(told, 2 * width)
        self.before = nn.Sequential(nn.GroupNorm(1, width), nn.Conv1d(width, 2 * width, 3, padding=1))
        self.first, self.second = StateSpace(2 * width, states), StateSpace(2 * width, states)
        self.out = nn.Conv1d(width, 2 * width, 1)

    def forward(
        self,
        features: Float[Tensor, "batch width sample"],
        time: Float[Tensor, "batch told"],
        told: Float[Tensor, "batch told"],
    ) -> tuple[Float[Tensor, "batch width sample"], Float[Tensor, "batch width sample"]]:
        """What goes on, and what is summed up."""
        wide = self.first(self.before(features + self.time(time)[..., None]))
        value, gate = self.second(F.gelu(wide + self.told(told)[..., None])).chunk(2, dim=1)
        on, kept = self.out(value.tanh() * gate.sigmoid()).chunk(2, dim=1)
        return (features + on) * math.sqrt(0.5), kept


class Sssd(nn.Module):
    """A denoiser of strips, called as our own is of latents."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        sizes, self.patch = config.sssd, config.sssd.patch
        self.told = Told(config)
        self.time = nn.Sequential(nn.Linear(TIME_WAVES, config.told), nn.SiLU(), nn.Linear(config.told, config.told))
        self.first = nn.Conv1d(LEADS_DRAWN * self.patch, sizes.width, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(sizes.width, states=sizes.states, told=config.told) for _ in range(sizes.layers)
        )
        self.last = nn.Sequential(
            nn.Conv1d(sizes.width, sizes.width, 1),
            nn.SiLU(),
            zeroed(nn.Conv1d(sizes.width, LEADS_DRAWN * self.patch, 1)),
        )

    def context(self, condition: Condition) -> Context:
        """The condition as one vector; there is nothing to attend to."""
        return Context(self.told(condition), (), condition.numbers_known)

    def forward(
        self, noised: Float[Tensor, "batch lead=8 sample"], time: Real[Tensor, " batch"], context: Context
    ) -> Float[Tensor, "batch lead=8 sample"]:
        """What the denoiser says of a noised strip."""
        when = self.time(sinusoids(time, TIME_WAVES))
        # Neighbouring samples are read together, so that the state spaces have fewer steps.
        features = self.first(noised.unflatten(-1, (-1, self.patch)).transpose(-1, -2).flatten(1, 2))
        total = features
        for block in self.blocks:
            features, kept = block(features, when, context.pooled)
            total = total + kept
        said = self.last(total / math.sqrt(len(self.blocks) + 1))  # (batch, lead * patch, step)
        return said.unflatten(1, (LEADS_DRAWN, self.patch)).transpose(-1, -2).flatten(2)
