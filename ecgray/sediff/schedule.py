"""The forward process, and what each prediction says of it (SE-Diff Eq. 1, 3, 17 and 24).

z_t = a_t z_0 + b_t epsilon. On the paths `linear` and `cosine` a_t = sqrt(abar_t) and b_t = sqrt(1 - abar_t), as
diffusers' schedulers have them; on the path `flow` a_t = 1 - s and b_t = s with s = (t + 1) / T (rectified flow).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ecgray.sediff.diffusion_config import TRAINED_STEPS, ScheduleConfig

DIFFUSERS_NAMES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


class Schedule(nn.Module):
    """How much signal and how much noise there is at each step t = 0 ... 999.

    >>> schedule = Schedule(ScheduleConfig())
    >>> round(float(schedule.signal[-1]), 4)
    0.0397
    """

    signal: Tensor
    noise: Tensor

    def __init__(self, config: ScheduleConfig) -> None:
        super().__init__()
        self.config = config
        if config.path == "flow":
            noise = torch.arange(1, TRAINED_STEPS + 1, dtype=torch.float64) / TRAINED_STEPS
            signal = 1 - noise
        else:
            scheduler: Any = DDPMScheduler(
                num_train_timesteps=TRAINED_STEPS,
                beta_start=config.beta_first,
                beta_end=config.beta_last,
                beta_schedule=DIFFUSERS_NAMES[config.path],
            )
            kept = scheduler.alphas_cumprod.double()
            signal, noise = kept.sqrt(), (1 - kept).sqrt()
        self.register_buffer("signal", signal.float(), persistent=False)
        self.register_buffer("noise", noise.float(), persistent=False)

    def at(self, time: Int64[Tensor, " batch"]) -> tuple[Float[Tensor, "batch 1 1"], Float[Tensor, "batch 1 1"]]:
        """a_t and b_t."""
        return self.signal[time, None, None], self.noise[time, None, None]

    def draw_time(self, batch: int, generator: torch.Generator) -> Int64[Tensor, " batch"]:
        """Steps for a training batch, each as likely as any other, on the generator's device."""
        first, last = self.config.skipped_ends, TRAINED_STEPS - self.config.skipped_ends
        return torch.randint(first, last, (batch,), generator=generator, device=generator.device)

    def noised(
        self, latent: Float[Tensor, "batch latent step"], noise: Float[Tensor, "batch latent step"], time: Tensor
    ) -> Float[Tensor, "batch latent step"]:
        """z_t: the latent with as much noise as belongs to its step."""
        a, b = self.at(time)
        return a * latent + b * noise

    def target(
        self, latent: Float[Tensor, "batch latent step"], noise: Float[Tensor, "batch latent step"], time: Tensor
    ) -> Float[Tensor, "batch latent step"]:
        """What the denoiser is to say."""
        a, b = self.at(time)
        match self.config.prediction:
            case "epsilon":
                return noise
            case "v":
                return a * noise - b * latent
            case "flow":
                return noise - latent

    def estimate(
        self, noised: Float[Tensor, "batch latent step"], said: Float[Tensor, "batch latent step"], time: Tensor
    ) -> Float[Tensor, "batch latent step"]:
        """z_0-hat: the latent that the denoiser's words imply (Eq. 24)."""
        a, b = self.at(time)
        match self.config.prediction:
            case "epsilon":
                return (noised - b * said) / a
            case "v":
                return a * noised - b * said
            case "flow":
                return noised - b * said

    def implied_noise(
        self, noised: Float[Tensor, "batch latent step"], said: Float[Tensor, "batch latent step"], time: Tensor
    ) -> Float[Tensor, "batch latent step"]:
        """epsilon-hat: the noise that the denoiser's words imply."""
        a, b = self.at(time)
        match self.config.prediction:
            case "epsilon":
                return said
            case "v":
                return b * noised + a * said
            case "flow":
                return noised + a * said

    def loss_weight(self, time: Int64[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """How much a step's error counts: 1, or min-SNR weighting in terms of the prediction (Hang et al.)."""
        gamma = self.config.min_snr_gamma
        if not gamma:
            return torch.ones_like(time, dtype=torch.float32)
        snr = (self.signal[time] / self.noise[time]).square()
        kept = snr.clamp(max=gamma)
        match self.config.prediction:
            case "epsilon":
                return kept / snr
            case "v":
                return kept / (snr + 1)
            case "flow":
                return kept / (1 + snr.sqrt()).square()
