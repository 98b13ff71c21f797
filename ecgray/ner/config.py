"""Settings of the small model and of its optimiser: plain numbers, so that a command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ecgray.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class NerModelConfig:
    """Size of a Llama that is trained from nothing."""

    width: int = 256
    """Width of the residual stream."""
    layers: int = 4
    """Transformer blocks."""
    heads: int = 4
    """Attention heads; each is width / heads wide."""
    feed_forward: int = 704
    """Width of the gated feed-forward layer."""
    max_tokens: int = 2048
    """Longest statement and answer together."""

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ConfigError(
                f"width={self.width} cannot be parted into heads={self.heads} of an even width; change one of them."
            )


@dataclass(frozen=True, kw_only=True)
class NerOptimizerConfig:
    """AdamW, a linear warm-up and one cosine down to zero."""

    learning_rate: float = 2e-3
    """Highest learning rate."""
    weight_decay: float = 0.01
    """Pulls weights of matrices to zero."""
    warmup_steps: int = 40
    """Steps over which the learning rate rises."""
    clip_norm: float = 1.0
    """Longest gradient that a step follows."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.weight_decay < 0 or self.warmup_steps < 0 or self.clip_norm <= 0:
            raise ConfigError(
                f"learning_rate={self.learning_rate}, weight_decay={self.weight_decay}, warmup_steps="
                f"{self.warmup_steps}, clip_norm={self.clip_norm}; the first and the last are above 0, none is below."
            )
