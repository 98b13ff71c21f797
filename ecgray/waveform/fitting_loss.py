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

from ecgray.waveform.beats import BEAT_FS, BEAT_SAMPLES, R_SAMPLE
from ecgray.waveform.fitting_config import FitConfig, WaveRule
from ecgray.waveform.ode import turn
from ecgray.waveform.simulator import Eta, wave_slope, wrapped

OUTSIDE = 48
"""Grid points for the part of a revolution that the crop does not show; only its integral counts."""
SHIFT_S = 0.01
"""The common shift of all phases (App. C) reaches so far: a crop has R at 0.2 s already."""
LAST_S = 0.38
"""No wave's centre lies later than this, whatever the rate: the crop ends 0.4 s after R."""


def at_rate(
    second: Float[Tensor, " wave"], rules: tuple[WaveRule, ...], rr_s: Float[Tensor, " cls"]
) -> Float[Tensor, "cls wave"]:
    """A place per wave in seconds at RR = 1 s, at each class's RR: what stretches goes with RR^(1/3)."""
    factor = torch.where(stretching(rules), rr_s.double()[:, None] ** (1 / 3), 1.0)
    return second * factor


def stretching(rules: tuple[WaveRule, ...]) -> Bool[Tensor, " wave"]:
    """Which waves are repolarisation."""
    return torch.tensor([rule.stretches for rule in rules])


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
    """Where each wave may lie and how wide it may be, per class, in rad."""

    first: Float[Tensor, "cls 1 wave"]
    last: Float[Tensor, "cls 1 wave"]
    narrowest: Float[Tensor, "cls 1 wave"]
    widest: Float[Tensor, "cls 1 wave"]

    @staticmethod
    def of(rules: tuple[WaveRule, ...], rr_s: Float[Tensor, " cls"]) -> Homes:
        """The rules at each class's rate: repolarisation moves with it (Fridericia), P and QRS do not.

        No centre lies beyond the crop's end: a wave of which only the foot is seen could be of any height.
        """
        omega = 2 * math.pi / rr_s.double()[:, None, None]

        def row(*values: float) -> Tensor:
            return at_rate(torch.tensor(values, dtype=torch.float64), rules, rr_s)[:, None]

        first, last = row(*(rule.first_s for rule in rules)), row(*(rule.last_s for rule in rules)).clamp(max=LAST_S)
        narrowest, widest = row(*(rule.narrowest_s for rule in rules)), row(*(rule.widest_s for rule in rules))
        return Homes(omega * first, omega * last, omega * narrowest, omega * widest)


def unfold(raw: Float[Tensor, "*batch cls lead parameter"], homes: Homes, *, config: FitConfig, omega: Tensor) -> Shape:
    """Free parameters to a shape: heights as they are, centres within their homes, widths by softplus (App. C).

    Up to half of a wave's widest the softplus is hardly changed; beyond, it saturates. The last parameter is the global
    phase shift, within 10 ms.
    """
    waves = config.waves
    height, place, width = raw[..., :waves], raw[..., waves : 2 * waves], raw[..., 2 * waves : 3 * waves]
    middle, half = (homes.first + homes.last) / 2, (homes.last - homes.first) / 2
    shift = omega[:, None, None] * SHIFT_S * torch.tanh(raw[..., -1:])
    free = torch.nn.functional.softplus(width) + config.epsilon + homes.narrowest
    return Shape(
        height=height,
        theta=wrapped(middle + half * torch.tanh(place) + shift),
        width=free / (1 + (free / homes.widest) ** 4) ** 0.25,
    )


def fold(shape: Shape, homes: Homes, *, config: FitConfig) -> Float[Tensor, "*batch cls lead parameter"]:
    """The free parameters of a shape; where it is at its home's edge or beyond, those of one just within."""
    middle, half = (homes.first + homes.last) / 2, (homes.last - homes.first) / 2
    place = torch.atanh(((shape.theta - middle) / half).clamp(-0.95, 0.95))
    inside = torch.minimum(shape.width, 0.9 * homes.widest)
    free = inside / (1 - (inside / homes.widest) ** 4) ** 0.25 - config.epsilon - homes.narrowest
    width = torch.log(torch.expm1(free.clamp(min=1e-4)))
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


@dataclass(frozen=True)
class Problem:
    """What is to be fitted: the beats of classes in their own units, and all that does not change from step to step."""

    unit: Float[Tensor, "cls lead sample=300"]
    """Typical beats, each by its standard deviation."""
    round_: Circuit
    homes: Homes
    config: FitConfig

    def to(self, dtype: torch.dtype) -> Problem:
        """The same in another precision."""
        round_ = Circuit(**{name: part.to(dtype) for name, part in vars(self.round_).items()})
        homes = Homes(**{name: part.to(dtype) for name, part in vars(self.homes).items()})
        return Problem(self.unit.to(dtype), round_, homes, self.config)

    def loss(
        self, raw: Float[Tensor, "*start cls lead parameter"], *, trend: bool = False
    ) -> Float[Tensor, "*start cls lead"]:
        """Eq. 33 for each class-lead."""
        shape, aligned = self._aligned(raw, trend=trend)
        return fit_losses(shape, aligned, self.unit, self.config).total

    def balanced(self, raw: Float[Tensor, "*start cls lead parameter"]) -> Float[Tensor, "*start cls lead parameter"]:
        """The same beats, with heights and scale shared out so that Eq. 29 and 31 cost least.

        The heights take the scale's sign. Only their product shows in the beat: AdamW leaves each start somewhere
        along the way, and starts are compared.
        """
        config = self.config
        shape, aligned = self._aligned(raw, trend=False)
        share = (config.lambda_s / config.lambda_a) ** 0.25 if config.lambda_s and config.lambda_a else 1.0
        size = shape.height.norm(dim=-1).clamp(min=1e-12)
        factor = torch.sign(aligned.scale) * share * (aligned.scale.abs() / size).sqrt()
        factor = torch.where(torch.isfinite(factor) & (factor != 0), factor, 1.0)[..., None]
        return torch.cat([raw[..., : config.waves] * factor, raw[..., config.waves :]], dim=-1)

    def _aligned(self, raw: Float[Tensor, "*start cls lead parameter"], *, trend: bool) -> tuple[Shape, Alignment]:
        shape = unfold(raw, self.homes, config=self.config, omega=self.round_.omega)
        drawn = draw_beats(shape.eta(self.round_.omega[:, None]), self.round_)
        return shape, align(drawn, self.unit, trend=trend)
