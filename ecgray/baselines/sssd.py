"""A diffusion of strips, 8 leads at 100 Hz, with residual blocks of state spaces (the idea of SSSD-ECG).

A block adds time, mixes the samples by a state space, adds the condition, mixes them again, and passes a gate; half of
what comes out goes on, half is summed up over all blocks, as in WaveNet. The network says v = a epsilon - b z_0, as our
own diffusion does, where SSSD-ECG says epsilon: both are trained in the same terms.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import LEADS_DRAWN, BaselineConfig
from ecgray.baselines.state_space import StateSpace
from ecgray.baselines.told import Told
from ecgray.sediff.condition import Condition, sinusoids
from ecgray.sediff.unet import zeroed

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
    """What is left of noise and strip, and the steps of noise itself: z_t = a_t z_0 + b_t epsilon."""

    signal: Tensor
    noise: Tensor

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        sizes = config.sssd
        self.told = Told(config)
        self.time = nn.Sequential(nn.Linear(TIME_WAVES, config.told), nn.SiLU(), nn.Linear(config.told, config.told))
        self.first = nn.Conv1d(LEADS_DRAWN, sizes.width, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(sizes.width, states=sizes.states, told=config.told) for _ in range(sizes.layers)
        )
        self.last = nn.Sequential(
            nn.Conv1d(sizes.width, sizes.width, 1), nn.SiLU(), zeroed(nn.Conv1d(sizes.width, LEADS_DRAWN, 1))
        )
        beta = torch.linspace(sizes.beta_first, sizes.beta_last, sizes.trained_steps, dtype=torch.float64)
        kept = (1 - beta).cumprod(0)
        self.register_buffer("signal", kept.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1 - kept).sqrt().float(), persistent=False)

    def forward(
        self,
        noised: Float[Tensor, "batch lead=8 sample"],
        time: Int64[Tensor, " batch"],
        told: Float[Tensor, "batch told"],
    ) -> Float[Tensor, "batch lead=8 sample"]:
        """v-hat."""
        when = self.time(sinusoids(time, TIME_WAVES))
        features = self.first(noised)
        total = features
        for block in self.blocks:
            features, kept = block(features, when, told)
            total = total + kept
        return self.last(total / math.sqrt(len(self.blocks) + 1))

    def loss(
        self, strip: Float[Tensor, "batch lead=8 sample"], condition: Condition, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Mean squared error of v at drawn steps."""
        time = torch.randint(len(self.signal), (len(strip),), generator=generator, device=generator.device)
        noise = torch.randn(strip.shape, generator=generator, device=generator.device).to(strip.device)
        time = time.to(strip.device)
        a, b = self.signal[time, None, None], self.noise[time, None, None]
        said = self(a * strip + b * noise, time, self.told(condition))
        return (said - (a * noise - b * strip)).square().mean()
