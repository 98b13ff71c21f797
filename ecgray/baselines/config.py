"""What the baselines are made of: one dataclass a kind, the condition that all are told, and sizes by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ecgray.errors import ConfigError
from ecgray.sediff.diffusion_config import (
    ConditionConfig,
    DenoiserConfig,
    DiffusionConfig,
    ScheduleConfig,
    SimulatorLossConfig,
)
from ecgray.sediff.sampling_config import SamplingConfig

Kind = Literal["wgan", "sssd", "beatdiff"]

STRIP_SAMPLES = 1024
"""The grid of wgan and sssd: 10 s at 102.4 Hz, as SE-Diff's autoencoder has it."""
BEAT_FS, BEAT_SAMPLES, BEAT_R = 180, 128, 46
"""The grid of beatdiff: 0.71 s at 180 Hz, the R peak at 0.256 s."""
LEADS_DRAWN = 8


@dataclass(frozen=True, kw_only=True)
class WganConfig:
    """Generator and critic over 1,024 samples, convolutions at 1,024, 512, 256 and 128 steps."""

    width: int = 32
    """Channels at 1,024 steps; twice as many at each lower rate."""
    noise: int = 64
    """Gaussian numbers that an ECG is drawn from."""
    critic_steps: int = 5
    """Steps of the critic before each step of the generator."""
    penalty: float = 10.0
    """Weight of the gradient penalty (Gulrajani et al.)."""

    def __post_init__(self) -> None:
        if min(self.width, self.noise, self.critic_steps) < 1 or not 0 <= self.penalty < math.inf:
            raise ConfigError(
                f"wgan has width={self.width}, noise={self.noise}, critic_steps={self.critic_steps} and "
                f"penalty={self.penalty}; sizes must be at least 1 and the penalty at least 0 (10 is usual)."
            )


@dataclass(frozen=True, kw_only=True)
class SssdConfig:
    """Residual blocks with two state-space layers and a gate. Sizes are SSSD-ECG's."""

    width: int = 256
    """Channels."""
    layers: int = 36
    """Residual blocks."""
    states: int = 64
    """Real numbers in a channel's state (half as many complex ones)."""
    patch: int = 1
    """Samples in one step of the state spaces; SSSD-ECG has 1, and 4 cost a quarter."""

    def __post_init__(self) -> None:
        if min(self.width, self.layers) < 1 or self.states < 2 or self.states % 2:
            raise ConfigError(
                f"sssd has width={self.width}, layers={self.layers} and states={self.states}; all must be positive "
                "and states even."
            )
        if self.patch < 1 or STRIP_SAMPLES % self.patch:
            raise ConfigError(
                f"patch={self.patch} must divide {STRIP_SAMPLES}, the samples of a strip; SSSD-ECG has 1."
            )


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """A baseline: which one, and the sizes of each."""

    kind: Kind = "sssd"
    """wgan, sssd or beatdiff; only its own sizes count."""
    told: int = 64
    """Width of the vector that a condition becomes, of wgan and sssd."""
    condition: ConditionConfig = field(default_factory=lambda: ConditionConfig(experience=False, drop_all=0.0))
    """What it is told: text, age, sex and heart rate; no retrieved report, and no guidance."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Noise of the two diffusions."""
    wgan: WganConfig = field(default_factory=WganConfig)
    """Sizes of the GAN."""
    sssd: SssdConfig = field(default_factory=SssdConfig)
    """Sizes of the diffusion of strips."""
    beatdiff: DenoiserConfig = field(default_factory=DenoiserConfig)
    """Sizes of the diffusion of beats; of kind film."""
    resting_bpm: float = 75.0
    """Heart rate of a tiled strip where none is asked for."""

    def __post_init__(self) -> None:
        if self.told < 1 or not 20 <= self.resting_bpm <= 300:
            raise ConfigError(
                f"told={self.told} must be at least 1 and resting_bpm={self.resting_bpm:g} within 20 to 300; 64 and 75 "
                "are usual."
            )
        if self.condition.joined or self.beatdiff.kind != "film":
            raise ConfigError(
                f"joined={self.condition.joined} and kind={self.beatdiff.kind}: DiffuSETS is no baseline of this job; "
                "train it by train_diffusion --preset peer."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Leads and samples of what is drawn."""
        return (LEADS_DRAWN, BEAT_SAMPLES if self.kind == "beatdiff" else STRIP_SAMPLES)

    @property
    def beats(self) -> DiffusionConfig:
        """The diffusion of beats in our own diffusion's terms."""
        still = SimulatorLossConfig(lambda_euler=0.0, gamma_inter_lead=0.0)
        return DiffusionConfig(
            schedule=self.schedule, denoiser=self.beatdiff, condition=self.condition, simulator=still
        )

    @property
    def sampling(self) -> SamplingConfig:
        """How it draws: a GAN in one pass, a diffusion in as many steps as ours; guided where it learnt to be.

        >>> BaselineConfig(kind="wgan").sampling.steps, BaselineConfig(kind="sssd").sampling.steps
        (1, 25)
        """
        own = SamplingConfig()
        if self.kind == "wgan":
            return SamplingConfig(steps=1, guidance_scale=1.0)
        return SamplingConfig(guidance_scale=own.guidance_scale if self.condition.drop_all else 1.0)

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise `ConfigError` where an ECG is asked for in a way that this kind cannot draw."""
        if self.kind == "wgan" and sampling != self.sampling:
            raise ConfigError(
                f"sampler={sampling.sampler}, steps={sampling.steps}, guidance_scale={sampling.guidance_scale:g} is "
                "not how a wgan draws: in one pass; leave them out."
            )
        if sampling.guidance_scale != 1 and not self.condition.drop_all:
            raise ConfigError(
                f"guidance_scale={sampling.guidance_scale:g} asks a {self.kind} what it draws without a condition, and "
                "it has always had one; leave it out."
            )


SIZES: dict[str, BaselineConfig] = {
    "debug": BaselineConfig(
        told=16,
        wgan=WganConfig(width=4, noise=8, critic_steps=2),
        sssd=SssdConfig(width=8, layers=2, states=8, patch=2),
        beatdiff=DenoiserConfig(width=16, multipliers=(1, 2), blocks=1, heads=2, context_width=32),
    ),
    "laptop": BaselineConfig(
        wgan=WganConfig(width=24),
        sssd=SssdConfig(width=64, layers=4, states=32, patch=4),
        beatdiff=DenoiserConfig(width=32, multipliers=(1, 2, 4, 4), blocks=1, heads=4, context_width=128),
    ),
    "full": BaselineConfig(told=256, wgan=WganConfig(width=64, noise=128)),
}
"""Baselines by name: debug for tests, laptop for two CPU cores, full for GPUs; beatdiff's are our denoiser's own."""
