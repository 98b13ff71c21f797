"""What the delineator tells apart, and its size."""

from __future__ import annotations

from dataclasses import dataclass

from ecgray.errors import ConfigError

CLASSES = ("none", "P", "QRS", "T")
"""What a sample can belong to."""
OUTPUT_FS = 250
"""Samples a second of the probabilities; where they cross one half is interpolated between two."""


@dataclass(frozen=True, kw_only=True)
class DelineatorConfig:
    """The size of the network."""

    widths: tuple[int, ...] = (16, 24, 32, 48, 64)
    """Channels at 125 Hz, 62.5 Hz and so on."""
    kernel: int = 7
    """Steps that a convolution sees; odd."""

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ConfigError(f"widths={self.widths} must name two scales or more, each of one channel or more.")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ConfigError(f"kernel={self.kernel} must be odd and positive, so that a step stands in its middle.")
