"""How badly a morphology draws a beat: the simulator's beat, the trend-aware alignment, and the losses of Eq. 28-33.

Everything is batched: an axis of class-leads, or (start, class, lead), goes before the parameters, and each of them has
its own loss. A step costs five Gaussians on a grid and one matrix product, no loop over time.

Units. A beat is aligned in units of its own standard deviation, so the fidelity (Eq. 28) is the share of its variance
that is not explained, and a small lead counts as much as a large one. Eq. 31's amplitude is taken as the wave's height
a b^2 / omega in those units, five or so for R. Taken literally, `a` is 1,750 mV/s per rad for an R wave of 1.1 mV
and 10 ms: 4e-4 a^2 would then be the largest term by far, and since a = A omega / b^2 it would be paid by drawing QRS
twice as wide. Eq. 30's widths and Eq. 32's phases are in rad, as the paper has them, at the class's own heart rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.waveform.beats import BEAT_FS, BEAT_SAMPLES, R_SAMPLE
from ecgray.waveform.simulator import Eta, turn, wave_slope, wrapped

OUTSIDE = 48
"""Grid points for the part of a revolution that the crop does not show; only its integral counts."""
SHIFT_S = 0.02
"""The common shift of all phases (App. C) reaches so far: a crop has R at 0.2 s already."""


@dataclass(frozen=True)
class WaveRule:
    """What is known of a wave before a fit: where it may lie, how wide it is, and whether it moves with the rate."""

    name: str
    first_s: float
    last_s: float
    """Its centre lies between these, in seconds from R at RR = 1 s."""
    usual_s: float
    width_rad: float
    """b* of Eq. 30."""
    weight: float = 1.0
    """w of Eq. 30."""
    stretches: bool = False


_P = WaveRule("P", -0.27, -0.075, -0.16, 0.20)
_Q = WaveRule("Q", -0.08, -0.008, -0.028, 0.08)
_R = WaveRule("R", -0.035, 0.035, 0.0, 0.10)
_S = WaveRule("S", 0.008, 0.12, 0.03, 0.08)
_T = WaveRule("T", 0.13, 0.42, 0.28, 0.32, weight=2.0, stretches=True)
_ST = WaveRule("ST", 0.06, 0.22, 0.12, 0.32, stretches=True)
_T_END = WaveRule("T end", 0.2, 0.45, 0.32, 0.20, stretches=True)
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
    """Least width in rad; a width is softplus + epsilon."""
    trend: bool = True
    """Whether AdamW's alignment has a linear trend (Eq. 27). The refinement's has none: what is kept has none."""
    adamw_steps: int = 200
    warmup_steps: int = 20
    """Steps in which the learning rate rises; then it falls to 0 as a cosine."""
    learning_rate: float = 0.05
    lbfgs_steps: int = 80
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
            raise ConfigError(f"A weight of the losses is negative or epsilon={self.epsilon} is not above 0 ({self}).")
        if min(self.adamw_steps, self.lbfgs_steps, self.warmup_steps) < 0 or min(self.min_beats, self.max_beats) < 1:
            raise ConfigError(f"Steps must be 0 or more, and beats 1 or more ({self}).")

    @property
    def rules(self) -> tuple[WaveRule, ...]:
        """What is known of each wave."""
        return WAVES[self.waves]


@dataclass(frozen=True)
class Circuit:
    """One revolution at each class's constant rate: the grid of phases, and the way from slopes to voltages."""

    omega: Float[Tensor, " cls"]
    """Angular velocity in rad/s."""
    phase: Float[Tensor, "cls grid"]
    """The crop's 300 phases by Euler's method, R at 0 (Eq. 8 and 9), then the rest of the revolution."""
    to_voltage: Float[Tensor, "cls grid sample=300"]
    """slope @ to_voltage is the crop's voltage by explicit Euler (Eq. 10), the heart having beaten so for ever."""


def circuit(rr_s: Float[Tensor, " cls"]) -> Circuit:
    """The grid of classes with these RR intervals, in float64.

    The voltage obeys z[l+1] = (1 - dt) z[l] + dt u[l]: within the crop a triangular matrix of powers of 1 - dt. What
    came before repeats every revolution, so its sum is that of one revolution over 1 - (1 - dt)^n. The burn-in is thus
    an infinite one, at the price of a few points outside the crop.
    """
    rr_s = rr_s.double()
    dt, keep = 1 / BEAT_FS, 1 - 1 / BEAT_FS
    omega = 2 * math.pi / rr_s
    start = -omega * R_SAMPLE * dt
    inside = turn(omega[:, None].expand(-1, BEAT_SAMPLES), fs=float(BEAT_FS), start_rad=start)
    beyond = (rr_s * BEAT_FS - BEAT_SAMPLES).clamp(min=0)  # steps of the revolution that the crop does not show
    place = (torch.arange(OUTSIDE) + 0.5) / OUTSIDE
    steps = BEAT_SAMPLES - 0.5 + beyond[:, None] * place
    outside = wrapped(start[:, None] + omega[:, None] * dt * steps)
    sample = torch.arange(BEAT_SAMPLES, dtype=torch.float64)
    passed = sample - sample[:, None]  # (pushed at, seen at)
    within = torch.where(passed > 0, dt * keep ** (passed - 1).clamp(min=0), 0.0)
    turn_steps = rr_s[:, None] * BEAT_FS
    # A push at step p of the crop was last seen before the crop n - p steps before its start, if p < n.
    ago = torch.cat([turn_steps - sample, turn_steps - steps], dim=1)
    share = torch.cat([(ago[:, :BEAT_SAMPLES]).clamp(0, 1), (beyond[:, None] / OUTSIDE).expand(-1, OUTSIDE)], dim=1)
    before = share * dt * keep ** (ago - 1) / (1 - keep**turn_steps)
    decay = keep**sample
    to_voltage = before[..., None] * decay + torch.cat([within, torch.zeros(OUTSIDE, BEAT_SAMPLES)])
    return Circuit(omega=omega, phase=torch.cat([inside, outside], dim=1), to_voltage=to_voltage)


def draw_beats(eta: Eta, round_: Circuit) -> Float[Tensor, "*batch cls lead sample=300"]:
    """The beat of each morphology, z of Eq. 5; eta's axes are (*batch, cls, lead, wave)."""
    terms = Eta(*(term[..., None, :] for term in (eta.theta, eta.a, eta.b)))
    return wave_slope(round_.phase[:, None], terms) @ round_.to_voltage


@dataclass(frozen=True)
class Shape:
    """What a fit's free parameters stand for: heights in the beat's units, phases and widths in rad."""

    height: Float[Tensor, "*batch wave"]
    theta: Float[Tensor, "*batch wave"]
    width: Float[Tensor, "*batch wave"]

    def eta(self, omega: Float[Tensor, "*#batch"]) -> Eta:
        """Eq. 5's terms: a = A omega / b^2."""
        return Eta(theta=self.theta, a=self.height * omega[..., None] / self.width**2, b=self.width)


@dataclass(frozen=True)
class Homes:
    """Where each wave may lie, per class, in rad."""

    first: Float[Tensor, "cls 1 wave"]
    last: Float[Tensor, "cls 1 wave"]

    @staticmethod
    def of(rules: tuple[WaveRule, ...], rr_s: Float[Tensor, " cls"]) -> Homes:
        """The rules at each class's rate: repolarisation moves with it (Fridericia), P and QRS do not."""
        first, last = (at_rate(torch.tensor(edge, dtype=torch.float64), rules, rr_s) for edge in _edges(rules))
        omega = 2 * math.pi / rr_s.double()[:, None, None]
        return Homes(first=omega * first[:, None], last=omega * last[:, None])


def _edges(rules: tuple[WaveRule, ...]) -> tuple[list[float], list[float]]:
    return [rule.first_s for rule in rules], [rule.last_s for rule in rules]


def at_rate(
    second: Float[Tensor, " wave"], rules: tuple[WaveRule, ...], rr_s: Float[Tensor, " cls"]
) -> Float[Tensor, "cls wave"]:
    """A place per wave in seconds at RR = 1 s, at each class's RR: what stretches goes with RR^(1/3)."""
    factor = torch.where(stretching(rules), rr_s.double()[:, None] ** (1 / 3), 1.0)
    return second * factor


def stretching(rules: tuple[WaveRule, ...]) -> Bool[Tensor, " wave"]:
    """Which waves are repolarisation."""
    return torch.tensor([rule.stretches for rule in rules])


def unfold(raw: Float[Tensor, "*batch cls lead parameter"], homes: Homes, *, config: FitConfig, omega: Tensor) -> Shape:
    """Free parameters to a shape: heights as they are, centres within their homes, widths by softplus (App. C).

    The last parameter is the global phase shift, within 20 ms.
    """
    waves = config.waves
    height, place, width = raw[..., :waves], raw[..., waves : 2 * waves], raw[..., 2 * waves : 3 * waves]
    middle, half = (homes.first + homes.last) / 2, (homes.last - homes.first) / 2
    shift = omega[:, None, None] * SHIFT_S * torch.tanh(raw[..., -1:])
    theta = wrapped(middle + half * torch.tanh(place) + shift)
    return Shape(height=height, theta=theta, width=torch.nn.functional.softplus(width) + config.epsilon)


def fold(shape: Shape, homes: Homes, *, config: FitConfig) -> Float[Tensor, "*batch cls lead parameter"]:
    """The free parameters of a shape; a centre at its home's edge or beyond begins just within."""
    middle, half = (homes.first + homes.last) / 2, (homes.last - homes.first) / 2
    place = torch.atanh(((shape.theta - middle) / half).clamp(-0.95, 0.95))
    width = torch.log(torch.expm1((shape.width - config.epsilon).clamp(min=1e-4)))
    return torch.cat([shape.height, place, width, torch.zeros_like(width[..., :1])], dim=-1)


@dataclass(frozen=True)
class Alignment:
    """y_hat = c + s z + b (t - t_bar), by least squares (Eq. 27)."""

    scale: Float[Tensor, "*batch"]
    offset: Float[Tensor, "*batch"]
    trend: Float[Tensor, "*batch"]
    """b, a sample."""
    beat: Float[Tensor, "*batch sample"]
    """y_hat."""


def align(
    drawn: Float[Tensor, "*batch sample"], target: Float[Tensor, "*#batch sample"], *, trend: bool = True
) -> Alignment:
    """Scale, offset and trend that bring what is drawn nearest to the target, differentiable in both (Eq. 27).

    z and y lose their mean and their trend; s is then a ratio of two sums. Where z is flat, s is 0.

    >>> wave = torch.sin(torch.arange(300.0) / 20).double()
    >>> found = align(wave, 2 * wave + 5 + 0.01 * torch.arange(300))
    >>> round(float(found.scale), 6), round(float(found.trend), 6)
    (2.0, 0.01)
    """
    samples = drawn.shape[-1]
    ramp = torch.arange(samples, dtype=drawn.dtype, device=drawn.device) - (samples - 1) / 2

    def slope(line: Tensor) -> Tensor:
        return (line @ ramp / ramp.square().sum())[..., None] * trend

    mean_z, mean_y = drawn.mean(-1, keepdim=True), target.mean(-1, keepdim=True)
    slope_z, slope_y = slope(drawn), slope(target)
    z, y = drawn - mean_z - slope_z * ramp, target - mean_y - slope_y * ramp
    tiny = torch.finfo(drawn.dtype).tiny
    scale = (z * y).sum(-1, keepdim=True) / (z.square().sum(-1, keepdim=True) + tiny)
    beat = scale * z + mean_y + slope_y * ramp
    offset, tilt = mean_y - scale * mean_z, slope_y - scale * slope_z
    return Alignment(scale=scale[..., 0], offset=offset[..., 0], trend=tilt[..., 0], beat=beat)


@dataclass(frozen=True)
class FitLosses:
    """The terms of Eq. 33, one for each class-lead."""

    mse: Float[Tensor, "*batch"]
    scale: Float[Tensor, "*batch"]
    width: Float[Tensor, "*batch"]
    amplitude: Float[Tensor, "*batch"]
    order: Float[Tensor, "*batch"]

    @property
    def total(self) -> Float[Tensor, "*batch"]:
        """Eq. 33."""
        return self.mse + self.scale + self.width + self.amplitude + self.order


def fit_losses(
    shape: Shape, aligned: Alignment, target: Float[Tensor, "*#batch sample"], config: FitConfig
) -> FitLosses:
    """The terms of Eq. 28 to 32; `target` is in units of its standard deviation."""
    rules = config.rules
    usual = torch.tensor([rule.width_rad for rule in rules]).to(shape.width)
    weight = torch.tensor([rule.weight for rule in rules]).to(shape.width)
    late = shape.theta[..., :-1] - shape.theta[..., 1:] + config.margin_rad
    return FitLosses(
        mse=(aligned.beat - target).square().mean(-1),  # Eq. 28
        scale=config.lambda_s * aligned.scale.square(),  # Eq. 29
        width=config.lambda_b * (weight * (shape.width - usual).square()).sum(-1),  # Eq. 30
        amplitude=config.lambda_a * shape.height.square().sum(-1),  # Eq. 31
        order=config.lambda_ord * late.clamp(min=0).sum(-1),  # Eq. 32
    )
