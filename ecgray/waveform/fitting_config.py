"""What a fit of the simulator is told: its settings, and where each wave lives (SE-Diff App. C)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecgray.errors import ConfigError


@dataclass(frozen=True)
class WaveRule:
    """What is known of a wave before a fit: where it may lie, how wide it is, and whether it moves with the rate."""

    name: str
    first_s: float
    last_s: float
    """Its centre lies between these, in seconds from R at RR = 1 s."""
    usual_s: float
    narrowest_s: float
    widest_s: float
    """Its width stays between these, at RR = 1 s: a P wave is no baseline, and a T wave no part of QRS."""
    width_rad: float
    """b* of Eq. 30."""
    weight: float = 1.0
    """w of Eq. 30."""
    stretches: bool = False


_P = WaveRule("P", -0.19, -0.075, -0.16, 0.008, 0.045, 0.20)
_Q = WaveRule("Q", -0.08, -0.008, -0.028, 0.003, 0.035, 0.08)
_R = WaveRule("R", -0.035, 0.035, 0.0, 0.003, 0.05, 0.10)
_S = WaveRule("S", 0.008, 0.12, 0.03, 0.003, 0.05, 0.08)
_T = WaveRule("T", 0.15, 0.42, 0.28, 0.02, 0.11, 0.32, weight=2.0, stretches=True)
_ST = WaveRule("ST", 0.06, 0.22, 0.12, 0.01, 0.09, 0.32, stretches=True)
_T_END = WaveRule("T end", 0.2, 0.45, 0.32, 0.01, 0.06, 0.20, stretches=True)
WAVES: dict[int, tuple[WaveRule, ...]] = {5: (_P, _Q, _R, _S, _T), 7: (_P, _Q, _R, _S, _ST, _T, _T_END)}
"""Eq. 6 has five waves; seven draw an ST segment that is not level, and a T wave that falls more steeply than it rises.
"""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Fit the simulator to beats. Defaults of the losses are the paper's (App. C)."""

    waves: int = 5
    """Waves of a beat: P, Q, R, S and T (Eq. 6), or with ST and a second T."""
    lambda_s: float = 1e-6
    """Weight of the scale (Eq. 29)."""
    lambda_b: float = 5e-3
    """Weight of the widths (Eq. 30)."""
    lambda_a: float = 4e-4
    """Weight of the amplitudes (Eq. 31), as heights in standard deviations of the beat."""
    lambda_ord: float = 1e-4
    """Weight of the order (Eq. 32)."""
    margin_rad: float = 0.05
    """m of Eq. 32."""
    epsilon: float = 1e-3
    """A width is softplus + epsilon, in rad; the wave's narrowest is added, and at its widest it saturates."""
    trend: bool = True
    """Whether AdamW's alignment has a linear trend (Eq. 27). The refinement's has none: what is kept has none."""
    adamw_steps: int = 150
    """Steps of AdamW from each of three starts."""
    warmup_steps: int = 20
    """Steps in which the learning rate rises; then it falls to 0 as a cosine."""
    learning_rate: float = 0.05
    lbfgs_steps: int = 120
    """Steps of L-BFGS after that, of the best start alone."""
    min_beats: int = 10
    """A class with fewer whole beats is skipped."""
    max_beats: int = 200
    """Beats of a class that are looked at, the first ones (App. D)."""

    def __post_init__(self) -> None:
        weights = (self.lambda_s, self.lambda_b, self.lambda_a, self.lambda_ord, self.margin_rad)
        if self.waves not in WAVES:
            raise ConfigError(f"waves={self.waves} is unknown; a beat has 5 waves, or 7.")
        if not all(0 <= weight < math.inf for weight in weights) or not self.epsilon > 0:
            raise ConfigError(
                f"the losses' weights are {weights}, at least 0, and epsilon={self.epsilon}, which must be above 0."
            )
        for name in ("adamw_steps", "lbfgs_steps", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 0.")
        for name in ("min_beats", "max_beats"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1.")

    @property
    def rules(self) -> tuple[WaveRule, ...]:
        """What is known of each wave."""
        return WAVES[self.waves]
