"""Recipes of jobs/tune_dropout.py: those of jobs/pretrain.py, run once for each dropout ratio."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ecgray.errors import ConfigError
from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig


@dataclass(frozen=True, kw_only=True)
class TuneDropoutConfig(PretrainConfig):
    """Pre-train once for each dropout ratio and say which is best; the other fields are those of pretrain."""

    grid: tuple[float, ...] = (0.05, 0.10, 0.15, 0.20)
    """Ratios that are trained to the end, the paper's (SuPreME section 4.4)."""
    continuous: int = 8
    """Further ratios, drawn once from seed; ASHA stops the worse of them early."""
    low: float = 0.0
    """The least ratio that may be drawn."""
    high: float = 0.40
    """The greatest."""
    grace_looks: int = 2
    """Looks at the held-out patients that ASHA grants to each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= ratio < 1 for ratio in (*self.grid, self.low, self.high)) or self.low > self.high:
            raise ConfigError(
                f"grid={self.grid}, low={self.low}, high={self.high}: dropout ratios must lie in [0, 1), low first."
            )
        if self.continuous < 0 or len(self.grid) + self.continuous < 1 or self.grace_looks < 1:
            raise ConfigError(
                f"grid={self.grid}, continuous={self.continuous} and grace_looks={self.grace_looks} leave nothing to "
                "compare; give at least one ratio and one look."
            )

        if self.workers < 1:
            raise ConfigError(f"workers={self.workers} must be at least 1: each run of a sweep has workers of its own.")

    def pretrain(self, **changes: object) -> PretrainConfig:
        """The settings of one of its runs."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(PretrainConfig)}
        return PretrainConfig(**(fields | changes))


def _over(recipe: str, **changes: object) -> TuneDropoutConfig:
    fields = {field.name: getattr(PRETRAIN[recipe], field.name) for field in dataclasses.fields(PretrainConfig)}
    return TuneDropoutConfig(**(fields | changes))


TUNE_DROPOUT = {
    "debug": _over("debug", grid=(0.10,), continuous=2, grace_looks=1),
    "laptop": _over("laptop"),
    "paper": _over("paper"),
}
