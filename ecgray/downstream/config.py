"""The classifier of the downstream task, and which ECGs it learns from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ecgray.alignment.config import ResNetConfig
from ecgray.errors import ConfigError

Task = Literal["sex", "svt"]
ModelKind = Literal["mlp", "resnet"]
Regime = Literal["unbalanced", "repeated", "synthetic", "balanced"]
REGIMES: tuple[Regime, ...] = ("unbalanced", "repeated", "synthetic", "balanced")
"""Few of the minority; those few again and again; those few and generated ones; as many as of the majority."""


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """A classifier of two classes. Defaults are the paper's (App. D) where it has any."""

    kind: ModelKind = "mlp"
    """mlp: on latents of 4 x 128; resnet: on the ECG itself, in mV at 500 Hz."""
    hidden: tuple[int, ...] = (128, 64)
    """Widths of the MLP's layers, each with batch norm, ReLU and dropout."""
    resnet: ResNetConfig = field(default_factory=lambda: ResNetConfig(widths=(16, 32, 64)))
    """The residual network."""
    dropout: float = 0.5
    """Dropout after each layer of the MLP, and before the residual network's last."""
    learning_rate: float = 1e-3
    """AdamW's."""
    weight_decay: float = 1e-2
    """AdamW's."""
    batch_size: int = 32
    """ECGs in one step."""
    epochs: int = 100
    """Passes over the training ECGs at the most."""
    patience: int = 15
    """Passes without a lower loss on the part held back, after which to stop."""
    held_back: float = 0.2
    """Part of the real training ECGs that is held back to know when to stop."""

    def __post_init__(self) -> None:
        if not self.hidden or min(*self.hidden, self.batch_size - 1, self.epochs, self.patience) < 1:
            raise ConfigError(
                f"hidden={self.hidden}, batch_size={self.batch_size}, epochs={self.epochs} and patience={self.patience}"
                " must be at least 1, and a batch 2."
            )
        if not (0 <= self.dropout < 1 and 0 < self.held_back < 1 and self.learning_rate > 0 <= self.weight_decay):
            raise ConfigError(
                f"dropout={self.dropout} must lie in [0, 1), held_back={self.held_back} in (0, 1), "
                f"learning_rate={self.learning_rate} above 0 and weight_decay={self.weight_decay} not below 0."
            )
