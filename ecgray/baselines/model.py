"""A baseline of whatever kind: what it learns from, what a step costs, what it draws from keys of noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ecgray.baselines.config import LEADS_DRAWN, BaselineConfig
from ecgray.baselines.signals import to_recordings
from ecgray.baselines.sssd import Sssd
from ecgray.baselines.tiling import tile
from ecgray.baselines.wgan import Wgan
from ecgray.sediff.condition import Condition
from ecgray.sediff.input import twelve_leads
from ecgray.sediff.noise import gaussian
from ecgray.sediff.sampling import sample
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.schedule import Schedule
from ecgray.sediff.unet import Context, FilmUNet

_PHASE = 10**6
"""The step whose noise decides where a tiled strip begins."""
_SMALLEST_STD = 1e-6


class SignalDiffusion(nn.Module):
    """A diffusion of what a recorder writes, strips or beats, where ours is one of latents."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.shape = config.shape
        self.schedule = Schedule(config.schedule)
        self.denoiser = Sssd(config) if config.kind == "sssd" else FilmUNet(config.beats, latent_channels=LEADS_DRAWN)

    def context(self, condition: Condition) -> Context:
        """What every step of a sampling reads of its condition."""
        return self.denoiser.context(condition)

    def loss(
        self, signal: Float[Tensor, "batch lead=8 sample"], condition: Condition, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Mean squared error of the prediction at drawn steps: Eq. 17 without more."""
        time = self.schedule.draw_time(len(signal), generator).to(signal.device)
        noise = torch.randn(signal.shape, generator=generator, device=generator.device).to(signal.device)
        said = self.denoiser(self.schedule.noised(signal, noise, time), time, self.context(condition))
        apart = (said - self.schedule.target(signal, noise, time)).square().mean(dim=(1, 2))
        return (self.schedule.loss_weight(time) * apart).mean()


class Baseline(nn.Module):
    """One of the three networks, and the scale of what it learns.

    >>> from ecgray.baselines.config import SIZES
    >>> sum(weight.numel() for weight in Baseline(SIZES["debug"]).parameters()) > 1000
    True
    """

    std: Tensor

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Wgan(config) if config.kind == "wgan" else SignalDiffusion(config)
        self.register_buffer("std", torch.ones(()))

    def forward(
        self,
        signal: Float[Tensor, "batch lead=8 sample"],
        condition: Condition,
        *,
        generator: torch.Generator,
        step: int,
    ) -> Float[Tensor, ""]:
        """What step number `step` makes small, of strips or beats in mV."""
        scaled = signal / self.std
        if isinstance(self.network, Wgan):
            return self.network.loss(scaled, condition, generator, step=step)
        return self.network.loss(scaled, condition, generator)

    def set_scale(self, std_mv: float) -> None:
        """Scale what is learnt to deviation 1; `std_mv` is that of training signals."""
        self.std.fill_(max(std_mv, _SMALLEST_STD))

    @torch.inference_mode()
    def signals(
        self,
        condition: Condition,
        keys: Int64[Tensor, " batch"],
        sampling: SamplingConfig,
        *,
        progress: Callable[[], object] | None = None,
    ) -> Float[Tensor, "batch lead=8 sample"]:
        """One strip or beat a condition (mV); all noise comes from `keys`, as `stream_keys` makes them."""
        if isinstance(self.network, Wgan):
            drawn = self.network.generator(gaussian(keys, 0, (1, self.config.wgan.noise))[:, 0], condition)
        else:
            drawn = sample(self.network, condition, keys, sampling, progress=progress)
        return drawn * self.std

    @torch.inference_mode()
    def draw(
        self,
        condition: Condition,
        keys: Int64[Tensor, " batch"],
        sampling: SamplingConfig,
        *,
        progress: Callable[[], object] | None = None,
    ) -> Float[Tensor, "batch lead=12 time=5000"]:
        """One ECG a condition (mV, 500 Hz)."""
        drawn = self.signals(condition, keys, sampling, progress=progress)
        if self.config.kind == "beatdiff":
            return twelve_leads(tile(drawn, *self._rhythm(condition, keys)))
        return to_recordings(drawn)

    def _rhythm(self, condition: Condition, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Seconds between R peaks, and before the first one: drawn, but the same for the same key."""
        rate = torch.where(condition.numbers_known[:, 2], condition.numbers[:, 2], self.config.resting_bpm)
        rr = 60 / rate.clamp(20, 300)
        return rr, torch.special.ndtr(gaussian(keys, _PHASE, (1, 1))[:, 0, 0]) * rr
