"""How ECGs are drawn from a trained diffusion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ecgray.errors import ConfigError
from ecgray.sediff.diffusion_config import TRAINED_STEPS

Sampler = Literal["ddpm", "ddim", "dpm++", "sde-dpm++"]


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """Which sampler, how many steps, how much guidance."""

    sampler: Sampler = "sde-dpm++"
    """ddpm: of the paper; ddim: the same without noise; dpm++: DPM-Solver++ of second order; sde-dpm++: with noise."""
    steps: int = 25
    """Evaluations of the denoiser (each twice as large where guidance is on)."""
    guidance_scale: float = 1.5
    """Classifier-free guidance: 1 follows the condition, more exaggerates it, 0 ignores it."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= TRAINED_STEPS:
            raise ConfigError(f"steps={self.steps} must lie between 1 and {TRAINED_STEPS}; 25 is usual.")
        if not (math.isfinite(self.guidance_scale) and 0 <= self.guidance_scale <= 20):
            raise ConfigError(f"guidance_scale={self.guidance_scale} must lie between 0 and 20; 1 follows the prompt.")
