"""What the autoencoder is made of: its sizes, its disputed choices, its losses, and the settings of its training step.

The paper leaves several points open or contradicts itself; each is a field here, and `preset` sets them together:
`paper` reads the paper as literally as it can be run, `peer` does what the public code of its peer (DiffuSETS) does,
`ours` is what can be trained and keeps the leads consistent. The beat decoder and its losses are SE-Diff's own: `peer`
leaves them as they are.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ecgray.errors import ConfigError

Preset = Literal["ours", "paper", "peer"]
Input = Literal["resampled", "native"]
KlReduction = Literal["mean", "sum"]

LATENT_STEPS = 128
"""Steps of a latent in time, 78.125 ms each."""
BEAT_SAMPLES = 300
"""Samples of a beat, L_c: 0.2 s before the R peak and 0.4 s from it on, at 500 Hz."""
_PEER_STD = 1 / 0.18215


@dataclass(frozen=True, kw_only=True)
class BeatConfig:
    """The beat decoder: find the R peak in the latent, read the window around it, write one beat."""

    width: int = 64
    """Channels of the features in which the R peak is looked for."""
    hidden: int = 512
    """Width of the layers that turn the window into a beat."""
    top_hz: float = 100.0
    """Highest frequency of the cosine series that a beat is written as; 250 Hz leaves every sample free."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.hidden < 1:
            raise ConfigError(f"beat decoder has width={self.width} and hidden={self.hidden}; both must be positive.")
        if not 0 < self.top_hz <= 250:
            raise ConfigError(f"beat decoder's top_hz={self.top_hz} must be above 0 and at most 250, half of 500 Hz.")


@dataclass(frozen=True, kw_only=True)
class VaeLossConfig:
    """The weights of Eq. 16. The paper states none but beta_KL = 1 (App. D)."""

    kl_reduction: KlReduction = "mean"
    """mean: over the 4 x 128 values of a latent; sum: of them all, as Eq. 12 has it. Both are means over records."""
    beta_kl: float = 3.3e-4
    """Weight of the KL term. 3.3e-4 on the mean is what the peer's sums amount to; 1 collapses the posterior."""
    kl_warmup_steps: int = 1000
    """Steps in which the KL term's weight rises from 0 to `beta_kl`."""
    beat_weight: float = 1.0
    """Weight of the beat loss, Eq. 13."""
    alpha_spec: float = 1e-3
    """Weight of the spectral loss, Eq. 15. A log spectrum's error is some hundred times the beat's in mV^2."""
    f_max_hz: float = 40.0
    """Highest frequency of the log spectra. A bin is 1.67 Hz wide."""
    band_weights: tuple[tuple[float, float, float], ...] = ()
    """w(f) of Eq. 15 as (from Hz, to Hz, weight); 1 elsewhere. Flat: 0.5-3 Hz holds one bin and cannot tell a rate."""

    def __post_init__(self) -> None:
        weights = (self.beta_kl, self.beat_weight, self.alpha_spec, *(band[2] for band in self.band_weights))
        if not all(0 <= weight < math.inf for weight in weights):
            raise ConfigError(f"the losses' weights are {weights}; each must be at least 0, and 0 turns its term off.")
        if not 0 < self.f_max_hz <= 250:
            raise ConfigError(f"f_max_hz={self.f_max_hz} must be above 0 and at most 250, half of 500 Hz; we use 40.")
        if self.kl_warmup_steps < 0:
            raise ConfigError(f"kl_warmup_steps={self.kl_warmup_steps} must be at least 0; 0 means no warm-up.")


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """A VAE of 12-lead ECGs with latents of 4 x 128, and its beat decoder. Sizes are the peer's."""

    preset: Preset = "ours"
    """Which reading of the disputed points the other fields follow; `preset` sets them, `preset_name` checks them."""
    input: Input = "native"
    """native: 500 Hz, 5,000 samples padded to 5,120, stride 40; resampled: 1,024 samples at 102.4 Hz, stride 8."""
    leads: Literal["independent", "twelve"] = "independent"
    """independent: the network sees and writes I, II, V1-V6, the four others are derived; twelve: all are written."""
    widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels at the rates 1024, 512, 256 and 128 per record; stride 2 between them."""
    blocks: int = 2
    """Residual blocks at each rate, in the encoder and in the decoder."""
    latent_channels: int = 4
    """Channels of the latent, d."""
    attention_heads: int = 1
    """Heads of the self-attention in the middle, over 128 steps."""
    attention_norm: bool = True
    """Normalise before the attention; the peer declares the layer and does not use it."""
    dropout: float = 0.0
    """Dropout within residual blocks."""
    logvar_start: float = -6.0
    """Added to the posterior's log variance at the start: at 0, noise of deviation 1 hides what is there."""
    latent_scale: Literal["measured", "peer", "none"] = "measured"
    """measured: the mean and deviation found in training records are removed; peer: latents times 0.18215."""
    beat: BeatConfig = field(default_factory=BeatConfig)
    """One beat from a latent."""
    loss: VaeLossConfig = field(default_factory=VaeLossConfig)
    """What is minimised."""

    def __post_init__(self) -> None:
        if len(self.widths) != 4 or min(self.widths) < 1:
            raise ConfigError(f"widths={self.widths} must be four positive numbers; the peer's are 128, 256, 512, 512.")
        for name, peers in (("blocks", 2), ("latent_channels", 4)):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1; the peer has {peers}.")
        if self.attention_heads < 1 or self.widths[-1] % self.attention_heads:
            raise ConfigError(
                f"attention_heads={self.attention_heads} must divide the last width, {self.widths[-1]}; the peer has 1."
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} must lie in [0, 1); the peer has none.")

    @property
    def lead_count(self) -> int:
        """Leads that the network sees and writes: 8 or 12."""
        return 8 if self.leads == "independent" else 12

    @property
    def samples(self) -> int:
        """Samples per lead that the network sees.

        >>> VaeConfig().samples, VaeConfig(input="resampled").samples
        (5120, 1024)
        """
        return LATENT_STEPS * self.stride

    @property
    def stem_stride(self) -> int:
        """Stride of the first layer; what follows has stride 8 for either input."""
        return 5 if self.input == "native" else 1

    @property
    def stride(self) -> int:
        """Samples in one step of the latent, S: 8 or 40."""
        return 8 * self.stem_stride

    @property
    def fixed_std(self) -> float:
        """The deviation that latents are divided by where none was measured: 1, or 1 / 0.18215, the peer's."""
        return _PEER_STD if self.latent_scale == "peer" else 1.0

    @property
    def preset_name(self) -> str:
        """What results and cards say: the preset, and which of its choices this network does not follow.

        >>> preset("paper", VaeConfig()).preset_name, VaeConfig(preset="paper").preset_name[:23]
        ('paper', 'paper, but for input, l')
        """
        follows = preset(self.preset, self)
        other = [name for name in _names(self) if name != "loss" and getattr(self, name) != getattr(follows, name)]
        other += [f"loss.{n}" for n in _names(self.loss) if getattr(self.loss, n) != getattr(follows.loss, n)]
        return f"{self.preset}, but for {', '.join(other)}" if other else self.preset


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW under linear warm-up and one cosine, and a moving average of the weights. Rates are the paper's."""

    learning_rate: float = 1e-4
    """The highest learning rate."""
    learning_rate_last: float = 1e-5
    """The lowest, at the end and after it."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    decay_steps: int = 38_800
    """Steps of the whole schedule, warm-up among them; 38,800 are the paper's 200 epochs in batches of 4,096."""
    weight_decay: float = 1e-2
    """AdamW's decay, on the weights of linear layers and convolutions only."""
    beta1: float = 0.9
    """AdamW's first moment."""
    beta2: float = 0.999
    """AdamW's second moment."""
    clip_norm: float = 1.0
    """Gradients longer than this are scaled to it; 0 turns it off."""
    ema: float = 0.999
    """How much of the averaged weights a step keeps, once the average has warmed up; 0 turns the average off."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf or not 0 <= self.learning_rate_last <= self.learning_rate:
            raise ConfigError(
                f"learning_rate={self.learning_rate} must be above 0 and learning_rate_last={self.learning_rate_last} "
                "between 0 and it; the paper uses 1e-4 and 1e-5."
            )
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and 0 <= self.ema < 1):
            raise ConfigError(
                f"beta1={self.beta1}, beta2={self.beta2} and ema={self.ema} must lie in [0, 1); "
                "0.9, 0.999 and 0.999 are usual."
            )
        if not 0 <= self.weight_decay < math.inf or not self.clip_norm >= 0:
            raise ConfigError(
                f"weight_decay={self.weight_decay} and clip_norm={self.clip_norm} must be at least 0; 0 turns them off."
            )
        if not 0 <= self.warmup_steps < self.decay_steps:
            raise ConfigError(
                f"warmup_steps={self.warmup_steps} must be at least 0 and below decay_steps={self.decay_steps}; "
                "set decay_steps to the length of the run."
            )


def _names(config: Any) -> list[str]:
    return [each.name for each in dataclasses.fields(config)]


def preset(name: Preset, config: VaeConfig) -> VaeConfig:
    """The same sizes under another reading of the disputed points.

    >>> preset("paper", VaeConfig(input="native")).input, preset("paper", VaeConfig()).loss.beta_kl
    ('resampled', 1.0)
    """
    network, loss = _PRESETS[name]
    return dataclasses.replace(config, preset=name, loss=dataclasses.replace(config.loss, **loss), **network)


_PRESETS: dict[Preset, tuple[dict[str, Any], dict[str, Any]]] = {
    # Both inputs were tried on the same records (docs/results.md); the native one is the better.
    "ours": (
        {
            "input": "native",
            "leads": "independent",
            "attention_norm": True,
            "logvar_start": -6.0,
            "latent_scale": "measured",
        },
        {"kl_reduction": "mean", "beta_kl": 3.3e-4},
    ),
    # L / S = 5000 / 8 is 625, not 128: the paper's latent needs 1,024 samples.
    "paper": (
        {"input": "resampled", "leads": "twelve", "attention_norm": True, "logvar_start": 0.0, "latent_scale": "none"},
        {"kl_reduction": "sum", "beta_kl": 1.0, "kl_warmup_steps": 0},
    ),
    "peer": (
        {"input": "resampled", "leads": "twelve", "attention_norm": False, "logvar_start": 0.0, "latent_scale": "peer"},
        {"kl_reduction": "mean", "beta_kl": 3.3e-4},
    ),
}

SIZES: dict[str, VaeConfig] = {
    "debug": VaeConfig(widths=(8, 16, 16, 16), blocks=1, beat=BeatConfig(width=16, hidden=64)),
    "laptop": VaeConfig(widths=(24, 32, 48, 64), blocks=1, attention_heads=4, beat=BeatConfig(width=32, hidden=256)),
    "full": VaeConfig(),
}
"""Autoencoders by name: debug for tests, laptop for two CPU cores, full the peer's widths."""
