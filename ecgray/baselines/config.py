"""What the baselines are made of: one dataclass a kind, the condition that all are told, and sizes by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from ecgray.errors import ConfigError
from ecgray.sediff.diffusion_config import ConditionConfig
from ecgray.sediff.sampling_config import SamplingConfig

Kind = Literal["wgan", "sssd", "beatdiff"]

STRIP_FS, STRIP_SAMPLES = 100, 1000
"""The grid of wgan and sssd: 10 s at 100 Hz."""
BEAT_FS, BEAT_SAMPLES, BEAT_R = 250, 176, 64
"""The grid of beatdiff: 0.704 s at 250 Hz, the R peak at 0.256 s."""
LEADS_DRAWN = 8


@dataclass(frozen=True, kw_only=True)
class WganConfig:
    """Generator and critic over 1,000 samples, convolutions at 1,000, 500, 250 and 125 steps."""

    width: int = 32
    """Channels at 1,000 steps; twice as many at each lower rate, but for the lowest."""
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
    """A diffusion of 1,000 samples; residual blocks with two state-space layers and a gate. T and beta: SSSD-ECG's."""

    width: int = 256
    """Channels."""
    layers: int = 36
    """Residual blocks."""
    states: int = 64
    """Real numbers in a channel's state (half as many complex ones)."""
    trained_steps: int = 200
    """Steps of the forward process, T."""
    beta_first: float = 1e-4
    """beta_1 of the linear noise schedule."""
    beta_last: float = 2e-2
    """beta_T of the linear noise schedule."""

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.trained_steps) < 1 or self.states < 2 or self.states % 2:
            raise ConfigError(
                f"sssd has width={self.width}, layers={self.layers}, states={self.states} and "
                f"trained_steps={self.trained_steps}; all must be positive and states even."
            )
        if not 0 < self.beta_first < self.beta_last < 1:
            raise ConfigError(
                f"noise schedule runs from beta_first={self.beta_first} to beta_last={self.beta_last}; it must rise "
                "within (0, 1). SSSD-ECG has 1e-4 and 2e-2."
            )


@dataclass(frozen=True, kw_only=True)
class BeatDiffConfig:
    """A diffusion of one beat with the noise levels of Karras et al. (EDM). Numbers are BeatDiff's."""

    width: int = 192
    """Channels at 176 steps; twice and four times as many at 88 and 44."""
    sigma_log_mean: float = -1.2
    """Mean of the logarithm of the noise in training, p_mean."""
    sigma_log_std: float = 1.2
    """Its deviation, p_std."""
    sigma_max: float = 10.0
    """The noise that drawing begins with. Karras et al. have 80, which one training beat in 600,000 is given."""
    resting_bpm: float = 75.0
    """Heart rate of the strip where none is asked for."""

    def __post_init__(self) -> None:
        if self.width < 1 or not self.sigma_log_std > 0 or not self.sigma_max > 1 or not 20 <= self.resting_bpm <= 300:
            raise ConfigError(
                f"beatdiff has width={self.width}, sigma_log_std={self.sigma_log_std}, sigma_max={self.sigma_max} and "
                f"resting_bpm={self.resting_bpm}; the first two must be positive, sigma_max above 1 and the rate "
                "within 20 to 300."
            )


@dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """A baseline: which one, and the sizes of each."""

    kind: Kind = "sssd"
    """wgan, sssd or beatdiff; only its own sizes count."""
    told: int = 64
    """Width of the vector that a condition becomes."""
    condition: ConditionConfig = field(default_factory=lambda: ConditionConfig(experience=False, drop_all=0.0))
    """What it is told: text, age, sex and heart rate; no retrieved report."""
    wgan: WganConfig = field(default_factory=WganConfig)
    """Sizes of the GAN."""
    sssd: SssdConfig = field(default_factory=SssdConfig)
    """Sizes of the diffusion of strips."""
    beatdiff: BeatDiffConfig = field(default_factory=BeatDiffConfig)
    """Sizes of the diffusion of beats."""

    def __post_init__(self) -> None:
        if self.told < 1:
            raise ConfigError(f"told={self.told} must be at least 1; 64 is usual.")
        if self.condition.joined:
            raise ConfigError(f"joined={self.condition.joined} is DiffuSETS' condition; baselines read tokens.")

    @property
    def sampling(self) -> SamplingConfig:
        """How it draws: a GAN in one pass, the strips in all their steps, the beats in 25.

        >>> BaselineConfig(kind="wgan").sampling.steps, BaselineConfig(kind="sssd").sampling.steps
        (1, 200)
        """
        match self.kind:
            case "wgan":
                return SamplingConfig(steps=1, guidance_scale=1.0)
            case "sssd":
                return SamplingConfig(sampler="ddpm", steps=self.sssd.trained_steps, guidance_scale=1.0)
            case "beatdiff":
                return SamplingConfig(steps=25, guidance_scale=1.0)

    @property
    def shape(self) -> tuple[int, int]:
        """Leads and samples of what is drawn."""
        return (LEADS_DRAWN, BEAT_SAMPLES if self.kind == "beatdiff" else STRIP_SAMPLES)

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise `ConfigError` where an ECG is asked for in a way that this kind cannot draw."""
        own = self.sampling
        fixed = self.kind == "wgan"
        samplers = ("ddpm", "ddim") if self.kind == "sssd" else (own.sampler,)
        if (
            sampling.sampler not in samplers
            or sampling.guidance_scale != 1
            or (sampling.steps != own.steps if fixed else sampling.steps > max(own.steps, 200))
        ):
            raise ConfigError(
                f"sampler={sampling.sampler}, steps={sampling.steps}, guidance_scale={sampling.guidance_scale:g} is "
                f"not how a {self.kind} draws; leave them out: its own are {own.sampler}, {own.steps} and 1."
            )


SIZES: dict[str, BaselineConfig] = {
    "debug": BaselineConfig(
        told=16,
        wgan=WganConfig(width=4, noise=8, critic_steps=2),
        sssd=SssdConfig(width=8, layers=2, states=8, trained_steps=20, beta_last=0.5),
        beatdiff=BeatDiffConfig(width=8, sigma_log_mean=1.5),
    ),
    "laptop": BaselineConfig(
        wgan=WganConfig(width=24), sssd=SssdConfig(width=48, layers=6, states=32), beatdiff=BeatDiffConfig(width=32)
    ),
    "full": BaselineConfig(told=256, wgan=WganConfig(width=64, noise=128)),
}
"""Baselines by name: debug for tests, laptop for two CPU cores, full for GPUs."""
