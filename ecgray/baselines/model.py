"""A baseline of whatever kind: what it learns from, what a step costs, what it draws from keys of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, EDMDPMSolverMultistepScheduler
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ecgray.baselines.beatdiff import SIGMA_DATA, SIGMA_MIN, BeatDiff
from ecgray.baselines.config import BEAT_SAMPLES, LEADS_DRAWN, STRIP_SAMPLES, BaselineConfig
from ecgray.baselines.signals import to_recordings
from ecgray.baselines.sssd import Sssd
from ecgray.baselines.tiling import tile
from ecgray.baselines.wgan import Wgan
from ecgray.sediff.condition import Condition
from ecgray.sediff.input import twelve_leads
from ecgray.sediff.noise import gaussian
from ecgray.sediff.sampling_config import SamplingConfig

Progress = Callable[[], object]
_PHASE = 10**6
"""The step whose noise decides where a tiled strip begins."""
SMALLEST_STD = 1e-6


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
        kinds: dict[str, type[Wgan | Sssd | BeatDiff]] = {"wgan": Wgan, "sssd": Sssd, "beatdiff": BeatDiff}
        self.network = kinds[config.kind](config)
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
        match self.network:
            case Wgan():
                return self.network.loss(scaled, condition, generator, step=step)
            case Sssd():
                return self.network.loss(scaled, condition, generator)
            case BeatDiff():
                return self.network.loss(scaled * SIGMA_DATA, condition, generator)

    def set_scale(self, std_mv: float) -> None:
        """Scale what is learnt to deviation 1; `std_mv` is that of training signals."""
        self.std.fill_(max(std_mv, SMALLEST_STD))

    @torch.inference_mode()
    def draw(
        self,
        condition: Condition,
        keys: Int64[Tensor, " batch"],
        sampling: SamplingConfig,
        *,
        progress: Progress | None = None,
    ) -> Float[Tensor, "batch lead=12 time=5000"]:
        """One ECG a condition (mV, 500 Hz); all noise comes from `keys`, as `stream_keys` makes them."""
        step = progress or (lambda: None)
        match self.network:
            case Wgan():
                noise = gaussian(keys, 0, (1, self.config.wgan.noise))[:, 0]
                return to_recordings(self.network.generator(noise, condition) * self.std)
            case Sssd():
                return to_recordings(draw_strips(self.network, condition, keys, sampling, progress=step) * self.std)
            case BeatDiff():
                beat = draw_beats(self.network, condition, keys, sampling, progress=step) * (self.std / SIGMA_DATA)
                return twelve_leads(tile(beat, *self._rhythm(condition, keys)))

    def _rhythm(self, condition: Condition, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Seconds between R peaks, and before the first one: drawn, but the same for the same key."""
        rate = torch.where(
            condition.numbers_known[:, 2], condition.numbers[:, 2], self.config.beatdiff.resting_bpm
        ).clamp(20, 300)
        share = torch.special.ndtr(gaussian(keys, _PHASE, (1, 1))[:, 0, 0])
        return 60 / rate, share * 60 / rate


def draw_strips(
    network: Sssd, condition: Condition, keys: Int64[Tensor, " batch"], sampling: SamplingConfig, *, progress: Progress
) -> Float[Tensor, "batch lead=8 sample=1000"]:
    """The reverse process of the strips by diffusers; ddpm is ddim with noise."""
    kept = network.signal.square()
    before = torch.cat([kept.new_ones(1), kept[:-1]])
    scheduler: Any = DDIMScheduler(
        num_train_timesteps=len(kept),
        trained_betas=(1 - kept / before).cpu().double().numpy(),
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(sampling.steps)
    shape = (LEADS_DRAWN, STRIP_SAMPLES)
    strip, told = gaussian(keys, 0, shape), network.told(condition)
    for number, step in enumerate(scheduler.timesteps, 1):
        said = network(strip, step.expand(len(keys)).to(keys.device), told)
        noise = gaussian(keys, number, shape) if sampling.sampler == "ddpm" else None
        eta = 1.0 if sampling.sampler == "ddpm" else 0.0
        strip = scheduler.step(said, step, strip, eta=eta, variance_noise=noise, return_dict=False)[0]
        progress()
    return strip


def draw_beats(
    network: BeatDiff,
    condition: Condition,
    keys: Int64[Tensor, " batch"],
    sampling: SamplingConfig,
    *,
    progress: Progress,
) -> Float[Tensor, "batch lead=8 sample=176"]:
    """The reverse process of the beats by diffusers: DPM-Solver++ over the noise levels of Karras et al."""
    scheduler: Any = EDMDPMSolverMultistepScheduler(
        sigma_min=SIGMA_MIN, sigma_max=network.sizes.sigma_max, sigma_data=SIGMA_DATA, final_sigmas_type="zero"
    )
    scheduler.set_timesteps(sampling.steps)
    beat = gaussian(keys, 0, (LEADS_DRAWN, BEAT_SAMPLES)) * float(scheduler.init_noise_sigma)
    told = network.told(condition)
    for step in scheduler.timesteps:
        said = network.network(scheduler.scale_model_input(beat, step), step.expand(len(keys)).to(keys.device), told)
        beat = scheduler.step(said, step, beat, return_dict=False)[0]
        progress()
    return beat
