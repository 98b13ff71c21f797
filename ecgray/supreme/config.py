"""What a SuPreME classifier is made of: its sizes, its disputed choices, and the settings of its training step.

The paper leaves several points open or contradicts itself; each is a field here, and `preset` sets them together:
`paper` reads the paper as literally as it can be run, `peer` does what the public code of its peers does, `ours` is
what we found to learn best. docs/deviations.md gives the reasons.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from ecgray.errors import ConfigError

QuerySelfAttention = Literal["full", "diagonal", "none"]
Preset = Literal["paper", "peer", "ours"]

LEAD_COUNT = 12


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Turn an ECG into tokens: a 1D vision transformer (SuPreME Eq. 1, 2, 5). Defaults are ViT-tiny, the paper's."""

    tokens: Literal["lead", "flat"] = "lead"
    """lead: one token a lead and patch, 12 x 40 (Eq. 2); flat: one token a patch of all leads, 40 (Eq. 1)."""
    samples: int = 5000
    """Samples per lead that come in: 10 s at 500 Hz."""
    patch: int = 125
    """Samples in one patch, 0.25 s."""
    width: int = 192
    """Width D of a token."""
    depth: int = 12
    """Number of transformer blocks."""
    heads: int = 3
    """Attention heads."""
    mlp: int = 768
    """Hidden width of a block's feed-forward layer."""
    position_std: float = 0.02
    """Standard deviation from which position and lead embeddings are drawn; peers draw them from N(0, 1)."""

    @property
    def patches(self) -> int:
        """Patches in time, N."""
        return self.samples // self.patch

    @property
    def token_count(self) -> int:
        """Tokens that the encoder gives for one ECG.

        >>> EncoderConfig().token_count, EncoderConfig(tokens="flat").token_count
        (480, 40)
        """
        return self.patches * (LEAD_COUNT if self.tokens == "lead" else 1)

    def __post_init__(self) -> None:
        if self.samples % self.patch:
            raise ConfigError(f"patch={self.patch} must divide samples={self.samples}; the paper uses 125 of 5000.")
        _divides("encoder", self.heads, self.width)


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Answer each query from the ECG's tokens: the Cardiac Fusion Network (SuPreME section 3.2, App. A.2)."""

    width: int = 256
    """Width in which tokens and queries meet."""
    depth: int = 4
    """Number of decoder layers."""
    heads: int = 4
    """Attention heads."""
    mlp: int = 1024
    """Hidden width of a layer's feed-forward part."""
    text_hidden: int = 256
    """Hidden width of the query projection (Eq. 6)."""
    head_hidden: int = 256
    """Hidden width of the head that turns a fused query into its logit; 0: a linear layer."""
    query_self_attention: QuerySelfAttention = "full"
    """full: queries see each other; diagonal: each sees itself only; none: no such layer. Can be set at each call."""
    init_std: float = 0.02
    """Standard deviation from which linear and attention weights are drawn; 0: Xavier's, which fits any width."""
    shared_norm: bool = False
    """One LayerNorm for memory, queries and output (peers) instead of one for each."""

    def __post_init__(self) -> None:
        _divides("fusion", self.heads, self.width)


def _divides(name: str, heads: int, width: int) -> None:
    if width % heads:
        raise ConfigError(f"{name} has heads={heads} and width={width}; the heads must divide the width.")


@dataclass(frozen=True, kw_only=True)
class SupremeConfig:
    """A SuPreME classifier: an ECG and text queries in, one logit a query out."""

    preset: Preset = "paper"
    """Which reading of the disputed points the other fields follow; `preset` sets them, `preset_name` checks them."""
    text_width: int = 768
    """Width of the frozen text encoder's vectors: 768 for MedCPT and for the lexical encoder."""
    dropout: float = 0.10
    """The one dropout ratio: last block's drop path (a linear ramp from 0) and dropout in the fusion network."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The ECG's side."""
    fusion: FusionConfig = field(default_factory=FusionConfig)
    """Where queries meet the ECG."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} must lie in [0, 1); the paper uses 0.10.")

    @property
    def preset_name(self) -> str:
        """What results and cards say: the preset, and which of its choices this network does not follow.

        >>> preset("ours", SupremeConfig()).preset_name, SupremeConfig(preset="peer").preset_name
        ('ours', 'peer, but for encoder.tokens, encoder.position_std, fusion.shared_norm')
        """
        follows = preset(self.preset, self)
        other = [f"encoder.{name}" for name in _differing(self.encoder, follows.encoder)]
        other += [f"fusion.{name}" for name in _differing(self.fusion, follows.fusion)]
        return f"{self.preset}, but for {', '.join(other)}" if other else self.preset


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Binary cross entropy over all terms. The paper does not state its loss."""

    pos_weight_power: float = 0.0
    """A positive counts (negatives / positives) to this power: 0 plain, 0.5 square root, 1 balanced."""
    pos_weight_limit: float = 20.0
    """The most that one positive may count."""
    gamma_positive: float = 0.0
    """Focusing of the asymmetric loss on positives; 0 is plain BCE."""
    gamma_negative: float = 0.0
    """Focusing of the asymmetric loss on negatives; its authors use 4."""
    margin: float = 0.0
    """Probability below which the asymmetric loss forgives a negative; its authors use 0.05."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW under cosine annealing with warm restarts. Defaults are the paper's (section 4.1)."""

    learning_rate: float = 1e-3
    """The highest learning rate."""
    learning_rate_last: float = 1e-8
    """The lowest, at the end of a cycle."""
    weight_decay: float = 1e-8
    """AdamW's decay, on matrices only."""
    beta1: float = 0.9
    """AdamW's first moment."""
    beta2: float = 0.999
    """AdamW's second moment."""
    restart_steps: int = 5000
    """Steps in one cosine cycle, T_0 (the schedule moves once a step, T_mult 1)."""
    warmup_steps: int = 0
    """Steps of linear warm-up before the first cycle; the paper has none."""
    clip_norm: float = 1.0
    """Gradients longer than this are scaled to it; 0 turns it off."""

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf or not 0 <= self.learning_rate_last < math.inf:
            raise ConfigError(
                f"learning_rate={self.learning_rate} must be above 0 and learning_rate_last={self.learning_rate_last} "
                "at least 0; the paper uses 1e-3 and 1e-8."
            )
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ConfigError(
                f"beta1={self.beta1} and beta2={self.beta2} must lie in [0, 1); AdamW's are 0.9 and 0.999."
            )
        if not 0 <= self.weight_decay < math.inf or not self.clip_norm >= 0:
            raise ConfigError(
                f"weight_decay={self.weight_decay} and clip_norm={self.clip_norm} must be at least 0; 0 turns them off."
            )
        if self.restart_steps < 1 or self.warmup_steps < 0:
            raise ConfigError(
                f"restart_steps={self.restart_steps} must be at least 1 and warmup_steps={self.warmup_steps} at least "
                "0; the paper uses 5000 and none."
            )


def _differing(own: Any, its: Any) -> list[str]:
    names = (each.name for each in dataclasses.fields(own))
    return [name for name in names if getattr(own, name) != getattr(its, name)]


def preset(name: Preset, config: SupremeConfig) -> SupremeConfig:
    """The same sizes under another reading of the disputed points.

    >>> preset("ours", SupremeConfig()).fusion.query_self_attention
    'diagonal'
    """
    encoder, fusion = _PRESETS[name]
    return dataclasses.replace(
        config,
        preset=name,
        encoder=dataclasses.replace(config.encoder, **encoder),
        fusion=dataclasses.replace(config.fusion, **fusion),
    )


_PRESETS: dict[Preset, tuple[dict[str, Any], dict[str, Any]]] = {
    "paper": (
        {"tokens": "lead", "position_std": 0.02},
        {"query_self_attention": "full", "init_std": 0.02, "shared_norm": False},
    ),
    "peer": (
        {"tokens": "flat", "position_std": 1.0},
        {"query_self_attention": "full", "init_std": 0.02, "shared_norm": True},
    ),
    # A query that is trained alone is answered alone: nothing changes between training and serving.
    # N(0, 0.02) is far too small for a narrow network: it starts ten times slower.
    "ours": ({"position_std": 0.02}, {"query_self_attention": "diagonal", "init_std": 0.0, "shared_norm": False}),
}

# Flat tokens learn faster on a CPU: drawn records, macro AUC 0.84 to 0.86 after 30 CPU-seconds, narrow lead tokens 0.62
# to 0.70 after 50 (benchmarks/results/learning_2-cpus_2026-11.md).
_NARROW = EncoderConfig(tokens="flat", width=64, depth=2, heads=4, mlp=128)
_NARROW_FUSION = FusionConfig(width=64, depth=2, heads=4, mlp=128, text_hidden=64, head_hidden=0)

SIZES: dict[str, SupremeConfig] = {
    "debug": preset("ours", SupremeConfig(encoder=_NARROW, fusion=_NARROW_FUSION)),
    "laptop": preset("ours", SupremeConfig(encoder=_NARROW, fusion=_NARROW_FUSION)),
    "vit_tiny": SupremeConfig(),
    "vit_tiny_flat": preset("peer", SupremeConfig()),
    "vit_tiny_ours": preset("ours", SupremeConfig()),
}
"""Classifiers by name: debug and laptop for two CPU cores, vit_tiny the paper's."""
