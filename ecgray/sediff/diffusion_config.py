"""What the latent diffusion is made of: noise schedule, denoiser, conditioning, losses; disputed points as fields.

`preset` sets the disputed points together: `ours`; `paper`, SE-Diff as literally as it can be run; `peer`, DiffuSETS,
which has neither simulator nor experience nor guidance.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ecgray.errors import ConfigError

Preset = Literal["ours", "paper", "peer"]
NoisePath = Literal["linear", "cosine", "flow"]
Prediction = Literal["epsilon", "v", "flow"]

TRAINED_STEPS = 1000
"""Steps of the forward process, T."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How noise grows (Eq. 1), and what the denoiser says of it."""

    path: NoisePath = "linear"
    """linear: betas from first to last; cosine: of Nichol and Dhariwal; flow: a straight line from latent to noise."""
    beta_first: float = 8.5e-4
    """beta_1 of the linear schedule."""
    beta_last: float = 1.2e-2
    """beta_T of the linear schedule."""
    prediction: Prediction = "v"
    """epsilon: the noise; v: sqrt(abar) epsilon - sqrt(1 - abar) z_0; flow: epsilon - z_0, on its path only."""
    min_snr_gamma: float = 0.0
    """Weigh each step by min(SNR, gamma) / SNR (in units of epsilon), as Hang et al.; 0 turns it off, they use 5."""
    skipped_ends: int = 0
    """Steps at either end that are never drawn in training; the peer draws t from 1 to 998."""
    clip: bool = False
    """Whether ddpm and ddim hold z_0-hat within [-1, 1]: the peer does, whose latents have a deviation of 0.18."""

    def __post_init__(self) -> None:
        if not 0 < self.beta_first < self.beta_last < 1:
            raise ConfigError(
                f"noise schedule runs from beta_first={self.beta_first} to beta_last={self.beta_last}; it must rise "
                "within (0, 1). The paper uses 8.5e-4 and 1.2e-2 (SE-Diff App. D)."
            )
        if (self.path == "flow") != (self.prediction == "flow"):
            raise ConfigError(
                f"path={self.path} and prediction={self.prediction} do not go together; flow goes with flow alone."
            )
        if not 0 <= self.min_snr_gamma < math.inf:
            raise ConfigError(f"min_snr_gamma={self.min_snr_gamma} must be at least 0; 0 turns it off, 5 is usual.")
        if not 0 <= self.skipped_ends < TRAINED_STEPS // 2:
            raise ConfigError(f"skipped_ends={self.skipped_ends} must lie between 0 and 499; the peer has 1.")


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The 1-D U-Net over a latent's 128 steps."""

    kind: Literal["film", "diffusets"] = "film"
    """film: kernel 3, time and context by FiLM (App. F); diffusets: the peer's, kernel 7 and seven levels (App. D)."""
    levels: int = 7
    """Levels of the peer's network, from the latent's 4 channels on, each twice as wide as the one before."""
    width: int = 128
    """Channels of the film network's first level."""
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    """Channels of its levels by `width`; each level has half as many steps as the one before."""
    blocks: int = 2
    """Residual blocks at each level."""
    heads: int = 8
    """Heads of self- and cross-attention."""
    attention_steps: int = 64
    """Levels with so many steps or fewer have attention."""
    cross_at_top: bool = False
    """Whether the decoder's two highest levels attend to the context too, as App. F offers."""
    context_width: int = 256
    """Width of a context token, d_c."""
    dropout: float = 0.0
    """Dropout within residual blocks."""

    def __post_init__(self) -> None:
        numbers = (self.width, *self.multipliers, self.blocks, self.heads, self.context_width)
        if min(numbers) < 1 or not self.multipliers:
            raise ConfigError(
                f"denoiser has width={self.width}, multipliers={self.multipliers}, blocks={self.blocks}, "
                f"heads={self.heads}, context_width={self.context_width}; all must be positive."
            )
        if len(self.multipliers) > 6:
            raise ConfigError(f"multipliers={self.multipliers}; 128 steps can be halved five times, six levels.")
        if not 2 <= self.levels <= 8:
            raise ConfigError(f"levels={self.levels} must lie between 2 and 8; the peer has 7, from 4 to 256 channels.")
        odd = [each for each in self.multipliers if each * self.width % self.heads]
        if odd:
            raise ConfigError(f"heads={self.heads} must divide the channels of each level, as {odd[0] * self.width}.")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} must lie in [0, 1).")


@dataclass(frozen=True, kw_only=True)
class ConditionConfig:
    """What the denoiser is told, and how often it is not told it."""

    tokens: Literal["text", "words"] = "text"
    """text: one token a text, as the paper; words: one for each word or piece of a word."""
    text_width: int = 768
    """Numbers in a vector of the text encoder."""
    joined: bool = False
    """Whether text and raw age, sex and heart rate are one vector, as the peer's; else a token each and learned."""
    most_tokens: int = 64
    """Words of a text that are read, at the most."""
    experience: bool = True
    """Whether the retrieved report r is read (SE-Diff section 3.4)."""
    metadata: bool = True
    """Whether age, sex and heart rate are read."""
    drop_all: float = 0.15
    """How often everything is hidden, for classifier-free guidance: p_uncond."""
    drop_each: float = 0.1
    """How often r, age, sex and heart rate are hidden, each by itself, so that none of them is needed."""

    def __post_init__(self) -> None:
        if not (0 <= self.drop_all < 1 and 0 <= self.drop_each < 1):
            raise ConfigError(f"drop_all={self.drop_all} and drop_each={self.drop_each} must lie in [0, 1).")
        if self.text_width < 1 or self.most_tokens < 1:
            raise ConfigError(f"text_width={self.text_width} and most_tokens={self.most_tokens} must be at least 1.")
        if self.joined and (self.tokens != "text" or self.experience or not self.metadata):
            raise ConfigError(
                f"joined={self.joined} needs tokens=text, no experience and metadata, as the peer has them; set them "
                "by --preset peer."
            )


@dataclass(frozen=True, kw_only=True)
class SimulatorLossConfig:
    """The physiology in the loss (Eq. 18, 20 and 23). Weights are the paper's."""

    lambda_euler: float = 3e-3
    """Weight of Eq. 18; 0 is the paper's `w/o Sim`."""
    gamma_inter_lead: float = 5e-2
    """Weight of Eq. 20; 0 is the paper's `w/o InterLead`."""
    beat_of: Literal["estimate", "latent"] = "estimate"
    """estimate: the beat of z_0-hat (Eq. 24); latent: of z_0, as the paper writes, which teaches nothing."""
    weight: Literal["signal", "none"] = "signal"
    """signal: times abar_t, since z_0-hat is mostly noise at large t; none: the same at every t."""
    inter_lead: Literal["mean", "sum"] = "mean"
    """mean: Eq. 20 divided by 6 (L_c - 1), as Eq. 18 is; sum: as printed, some thousand times as much."""
    phases: Literal["milliseconds", "fixed"] = "milliseconds"
    """milliseconds: P and QRS last as long at every rate; fixed: eta's phases at every rate, as the paper."""

    def __post_init__(self) -> None:
        if not (0 <= self.lambda_euler < math.inf and 0 <= self.gamma_inter_lead < math.inf):
            raise ConfigError(
                f"lambda_euler={self.lambda_euler} and gamma_inter_lead={self.gamma_inter_lead} must be at least 0; "
                "0 turns them off, the paper has 3e-3 and 5e-2."
            )


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """A conditional diffusion of latents."""

    preset: Preset = "ours"
    """Which reading of the disputed points the other fields follow."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    """Noise."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    """The network."""
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    """What it is told."""
    simulator: SimulatorLossConfig = field(default_factory=SimulatorLossConfig)
    """What it must keep to."""

    def __post_init__(self) -> None:
        if self.condition.joined and self.denoiser.kind != "diffusets":
            raise ConfigError(
                f"joined={self.condition.joined} is the peer's condition and kind={self.denoiser.kind} reads tokens; "
                "set both by --preset peer."
            )

    @property
    def preset_name(self) -> str:
        """What results and cards say: the preset, and which of its choices this model does not follow.

        >>> preset("peer", DiffusionConfig()).preset_name, DiffusionConfig(preset="paper").preset_name[:12]
        ('peer', 'paper, but f')
        """
        follows, other = preset(self.preset, self), []
        for part in ("schedule", "denoiser", "condition", "simulator"):
            mine, theirs = getattr(self, part), getattr(follows, part)
            names = [each.name for each in dataclasses.fields(mine)]
            other += [f"{part}.{name}" for name in names if getattr(mine, name) != getattr(theirs, name)]
        return f"{self.preset}, but for {', '.join(other)}" if other else self.preset


def preset(name: Preset, config: DiffusionConfig) -> DiffusionConfig:
    """The same sizes under another reading of the disputed points.

    >>> preset("peer", DiffusionConfig()).simulator.lambda_euler
    0.0
    """
    changes = {part: dataclasses.replace(getattr(config, part), **values) for part, values in _PRESETS[name].items()}
    return dataclasses.replace(config, preset=name, **changes)


_PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {
    "ours": {
        "schedule": {"path": "linear", "prediction": "v", "skipped_ends": 0, "clip": False},
        "denoiser": {"kind": "film"},
        "condition": {"joined": False, "experience": True, "metadata": True, "drop_all": 0.15, "drop_each": 0.1},
        "simulator": {
            "lambda_euler": 3e-3,
            "gamma_inter_lead": 5e-2,
            "beat_of": "estimate",
            "weight": "signal",
            "inter_lead": "mean",
            "phases": "milliseconds",
        },
    },
    # App. D and App. F describe two networks; D's is the one with numbers.
    "paper": {
        "schedule": {"path": "linear", "prediction": "epsilon", "skipped_ends": 0, "clip": False},
        "denoiser": {"kind": "diffusets"},
        "condition": {
            "tokens": "text",
            "joined": False,
            "experience": True,
            "metadata": True,
            "drop_all": 0.15,
            "drop_each": 0.0,
        },
        "simulator": {
            "lambda_euler": 3e-3,
            "gamma_inter_lead": 5e-2,
            "beat_of": "latent",
            "weight": "none",
            "inter_lead": "sum",
            "phases": "fixed",
        },
    },
    "peer": {
        "schedule": {"path": "linear", "prediction": "epsilon", "skipped_ends": 1, "clip": True},
        "denoiser": {"kind": "diffusets"},
        "condition": {
            "tokens": "text",
            "joined": True,
            "experience": False,
            "metadata": True,
            "drop_all": 0.0,
            "drop_each": 0.0,
        },
        "simulator": {"lambda_euler": 0.0, "gamma_inter_lead": 0.0},
    },
}

SIZES: dict[str, DiffusionConfig] = {
    "debug": DiffusionConfig(
        denoiser=DenoiserConfig(width=16, multipliers=(1, 2), blocks=1, heads=2, context_width=32, levels=3)
    ),
    "laptop": DiffusionConfig(
        denoiser=DenoiserConfig(width=32, multipliers=(1, 2, 4, 4), blocks=1, heads=4, context_width=128)
    ),
    "full": DiffusionConfig(),
}
"""Diffusions by name: debug for tests, laptop for two CPU cores, full for GPUs."""
