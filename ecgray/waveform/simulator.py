"""The ECG simulator of McSharry et al.: the waves of a beat, and the strips that they draw (SE-Diff Eq. 4-10).

A point runs round a circle once a beat (Eq. 4); as its phase passes a wave's landmark, the wave pushes the voltage up
or down (Eq. 5). Two ways to say where the waves are:

- `Eta`: phases, as the papers have it (Eq. 6). At 40 bpm a QRS then lasts three times as long as at 120 bpm.
- `Waves`: amplitude in mV, centre and width in seconds from the R peak. Turned into Eq. 5's terms with the rate of the
  moment, b = omega s, theta = omega mu, a = A / (omega s^2), P and QRS keep their milliseconds at every rate.

The last term of Eq. 5, -(z - z0), is kept. It pulls the voltage to the baseline with a time constant of one second: z
is what a first-order high-pass at 0.16 Hz leaves of the drawn waves (plus the baseline, low-passed at 0.16 Hz). A wave
of area 20 uV s, as a T wave, leaves an undershoot of 20 uV that fades within a second; a plateau of 0.3 mV sags by
0.03 mV in 0.1 s. An electrocardiograph with a 0.05 Hz filter does the same, a third as strongly.

The point's way round the circle depends on neither morphology nor lead, so it is stepped once (`course_of`); the
waves are summed along it, and the voltage follows (`draw`). How both are stepped in time, by explicit Euler or by RK4,
stands in `ecgray.waveform.ode`. Strips are differentiable in the morphology: it may be fitted.

What this is not: the fastest way to draw a thousand records. `ecgray.waveform.events` is, and agrees with this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.waveform.ode import Method, relax, relax_rk4, turn_stages

CACHED = 2**16
"""Values of a strip that a CPU's cache holds: records are drawn in groups of about so many."""


@dataclass(frozen=True)
class Eta:
    """The morphology in phases (Eq. 6): landmark `theta` in rad, strength `a` in mV/s per rad, spread `b` in rad."""

    theta: Float[Tensor, "*batch wave"]
    a: Float[Tensor, "*batch wave"]
    b: Float[Tensor, "*batch wave"]


def mcsharry() -> Eta:
    """The values of McSharry et al. (2003) for P, Q, R, S and T; z comes out between -0.016 and 0.042 at 60 bpm.

    >>> [round(float(theta), 2) for theta in mcsharry().theta]
    [-1.05, -0.26, 0.0, 0.26, 1.57]
    """
    theta = torch.tensor([-math.pi / 3, -math.pi / 12, 0.0, math.pi / 12, math.pi / 2], dtype=torch.float64)
    a = torch.tensor([1.2, -5.0, 30.0, -7.5, 0.75], dtype=torch.float64)
    b = torch.tensor([0.25, 0.1, 0.1, 0.1, 0.4], dtype=torch.float64)
    return Eta(theta=theta, a=a, b=b)


@dataclass(frozen=True)
class Waves:
    """The morphology in milliseconds: how each wave looks in a beat of one second.

    The last axis counts the waves, five or more; axes before it are leads, records, or none.
    """

    amplitude_mv: Float[Tensor, "*batch wave"]
    centre_s: Float[Tensor, "*batch wave"]
    """Seconds after the R peak (before it: negative), at RR = 1 s."""
    width_s: Float[Tensor, "*batch wave"]
    """Standard deviation of the wave in seconds, at RR = 1 s."""
    stretches: Bool[Tensor, " wave"]
    """Which waves are repolarisation (ST, T, U) and move with the rate."""
    qrs_onset_s: float = -0.04
    """Where QT begins; the waves that stretch do so from here."""

    def at(self, rr_s: Float[Tensor, "..."] | float) -> Waves:
        """The waves at another RR interval: QT follows Fridericia, QT = QTcF RR^(1/3); P and QRS stay as they are.

        One RR for all, or one that broadcasts against (lead, wave), as (record, 1, 1).

        >>> typical().at(0.512).centre_s[4] - typical().qrs_onset_s
        tensor(0.2640, dtype=torch.float64)
        """
        factor = torch.where(self.stretches, torch.as_tensor(rr_s).to(self.centre_s) ** (1 / 3), 1.0)
        centre = self.qrs_onset_s + (self.centre_s - self.qrs_onset_s) * factor
        amplitude, centre, width = torch.broadcast_tensors(self.amplitude_mv, centre, self.width_s * factor)
        return replace(self, amplitude_mv=amplitude, centre_s=centre, width_s=width)

    def phases(self, omega: Float[Tensor, "*time"] | float) -> Eta:
        """Eq. 5's terms at the angular velocity `omega` (rad/s): b = omega s, theta = omega mu, a = A / (omega s^2)."""
        omega = torch.as_tensor(omega).to(self.centre_s)[..., None]
        return Eta(theta=omega * self.centre_s, a=self.amplitude_mv / (omega * self.width_s**2), b=omega * self.width_s)


def typical() -> Waves:
    """Lead II of a healthy adult: P, Q, R, S and T.

    >>> float(typical().amplitude_mv.max())
    1.1
    """
    rows = torch.tensor(  # mV, s, s
        [
            [0.13, -0.165, 0.020],
            [-0.10, -0.026, 0.007],
            [1.10, 0.0, 0.010],
            [-0.18, 0.026, 0.008],
            [0.30, 0.290, 0.042],
        ],
        dtype=torch.float64,
    )
    stretches = torch.tensor([False, False, False, False, True])
    return Waves(amplitude_mv=rows[:, 0], centre_s=rows[:, 1], width_s=rows[:, 2], stretches=stretches)


def wrapped(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle in (-pi, pi].

    Eq. 5 writes `mod 2 pi`; left in [0, 2 pi) the offset would have the wrong sign on the rising half of each wave.

    >>> [round(float(a), 2) for a in wrapped(torch.tensor([0.5, 6.0, -3.5, math.pi]))]
    [0.5, -0.28, 2.78, 3.14]
    """
    return torch.sub(angle, torch.ceil(angle / (2 * math.pi) - 0.5), alpha=2 * math.pi)


def wave_slope(
    theta: Float[Tensor, "*#batch"], eta: Eta, *, rate: Float[Tensor, "*#batch"] | float = 1.0
) -> Float[Tensor, "*batch"]:
    """The waves' part of dz/dt at phase `theta` (Eq. 5, the sum).

    `rate` in rad/s is for an `eta` that was taken at 1 rad/s: there its terms are rate theta, a / rate and rate b.
    """
    slope = torch.zeros((), dtype=eta.a.dtype, device=eta.a.device)
    for centre, a, b in zip(eta.theta.unbind(-1), eta.a.unbind(-1), eta.b.unbind(-1), strict=True):
        widths = wrapped(theta - rate * centre) / rate / b  # the offset, in spreads
        # Below exp(-80), a 1e-35th of the wave, a CPU's exp is twenty times as slow.
        slope = slope - a * b * (widths * torch.exp((-0.5 * widths * widths).clamp(min=-80.0)))
    return slope


def voltage_slope(
    theta: Float[Tensor, "*batch"], z: Float[Tensor, "*batch"], eta: Eta, *, baseline: Float[Tensor, "*batch"] | float
) -> Float[Tensor, "*batch"]:
    """dz/dt: the waves, and the pull to the baseline z0 (Eq. 5)."""
    return wave_slope(theta, eta) - (z - baseline)


def beat_omega(
    rr_s: Float[Tensor, "*batch beat"], *, fs: float, steps: int, first_r_s: float = 0.2
) -> Float[Tensor, "*batch time"]:
    """The angular velocity at each step: 2 pi / RR, changing at each R peak; the first one lies at `first_r_s`.

    >>> beat_omega(torch.tensor([1.0, 0.5]), fs=4.0, steps=8) / (2 * math.pi)
    tensor([1., 1., 1., 1., 1., 2., 2., 2.])
    """
    time = torch.arange(steps, dtype=rr_s.dtype, device=rr_s.device) / fs
    beats_end = first_r_s + torch.cumsum(rr_s, dim=-1)
    beat = torch.searchsorted(beats_end, time.expand(*rr_s.shape[:-1], steps).contiguous(), right=True)
    return 2 * math.pi / torch.gather(rr_s, -1, beat.clamp(max=rr_s.shape[-1] - 1))


@dataclass(frozen=True)
class Course:
    """The way round the circle of some records: all that their strips have in common, whatever the morphology."""

    phases: Float[Tensor, "stage *batch time"]
    """Where each stage of each step looks, in rad (`turn_stages`)."""
    omega: Float[Tensor, "*batch time"]
    """Angular velocity in rad/s."""
    mean_rr_s: Float[Tensor, "*batch"]
    """Mean of the RR intervals that begin within the strip."""
    fs: float


def course_of(
    rr_s: Float[Tensor, "*batch beat"],
    *,
    fs: float = 500.0,
    duration_s: float = 10.0,
    first_r_s: float = 0.2,
    method: Method = "euler",
) -> Course:
    """The course of records with these RR intervals (Eq. 4, 8 and 9), in float64, where `rr_s` lies.

    The start phase follows the first RR so that R falls at `first_r_s`. The last interval goes on to the strip's end.
    """
    _check(rr_s, fs=fs, duration_s=duration_s, method=method)
    rr_s = rr_s.double()
    omega = beat_omega(rr_s, fs=fs, steps=round(duration_s * fs), first_r_s=first_r_s)
    phases = turn_stages(omega, fs=fs, start_rad=-omega[..., 0] * first_r_s, method=method)
    begins = torch.cumsum(rr_s, dim=-1) - rr_s + first_r_s
    counts = (begins < max(duration_s, first_r_s + 1e-6)).to(rr_s)
    return Course(phases=phases, omega=omega, mean_rr_s=(rr_s * counts).sum(-1) / counts.sum(-1), fs=fs)


def simulate(
    morphology: Waves | Eta,
    rr_s: Float[Tensor, "*#batch beat"],
    *,
    fs: float = 500.0,
    duration_s: float = 10.0,
    first_r_s: float = 0.2,
    baseline: Float[Tensor, "*#batch time"] | None = None,
    method: Method = "euler",
) -> Float[Tensor, "*batch lead time"]:
    """Twelve leads (or any number) of records with these RR intervals, in mV, all at once (Eq. 4-10).

    The morphology's axes are (lead, wave) or (*batch, lead, wave); the batch may count records, classes or trials of
    parameters, and broadcasts against that of `rr_s`. Type and device of the strips are the morphology's.
    """
    return draw(
        morphology,
        course_of(rr_s, fs=fs, duration_s=duration_s, first_r_s=first_r_s, method=method),
        baseline=baseline,
    )


def draw(
    morphology: Waves | Eta, course: Course, *, baseline: Float[Tensor, "*#batch time"] | None = None
) -> Float[Tensor, "*batch lead time"]:
    """The strips of a morphology along a course: what a fit repeats, and differentiates (Eq. 5 and 10).

    `Waves` are stretched by the record's mean RR, since QT takes minutes to follow the rate.
    """
    if isinstance(morphology, Waves):
        unit = morphology.at(course.mean_rr_s[..., None, None]).phases(1.0)
        rate = course.omega
    else:
        unit, rate = morphology, torch.ones_like(course.omega[..., :1])
    leads, steps = unit.theta.shape[-2], course.omega.shape[-1]
    rest = course.omega.new_zeros(steps) if baseline is None else baseline
    if rest.shape[-1] != steps:
        raise ConfigError(f"The baseline has {rest.shape[-1]} steps and the strip {steps}; give one value for each.")
    batch = torch.broadcast_shapes(unit.theta.shape[:-2], course.omega.shape[:-1], rest.shape[:-1])
    terms = [term.expand(*batch, -1, -1).reshape(-1, *term.shape[-2:]) for term in (unit.theta, unit.a, unit.b)]
    lines = [line.to(unit.a).expand(*batch, -1).reshape(-1, line.shape[-1]) for line in (rate, rest, *course.phases)]
    # On a CPU the records go in groups that its cache holds; elsewhere all at once.
    group = max(1, CACHED // (leads * steps)) if unit.a.device.type == "cpu" else max(1, len(terms[0]))
    parts = zip(*(part.split(group) for part in (*terms, *lines)), strict=True)
    strips = [_group(Eta(*part[:3]), part[3], part[4], part[5:], fs=course.fs) for part in parts]
    return torch.cat(strips).reshape(*batch, leads, steps)


def _group(
    unit: Eta,
    rate: Float[Tensor, "record #time"],
    baseline: Float[Tensor, "record time"],
    phases: tuple[Float[Tensor, "record time"], ...],
    *,
    fs: float,
) -> Float[Tensor, "record lead time"]:
    eta = Eta(*(term[..., None, :] for term in (unit.theta, unit.a, unit.b)))  # (record, lead, 1, wave)
    slopes = [wave_slope(theta[:, None], eta, rate=rate[:, None]) for theta in phases]
    if len(slopes) == 1:
        return relax(slopes[0], baseline[:, None], fs=fs)
    return relax_rk4(torch.stack(slopes), baseline[:, None], fs=fs)


def _check(rr_s: Tensor, *, fs: float, duration_s: float, method: str) -> None:
    if method not in get_args(Method):
        raise ConfigError(f"Method {method!r} is unknown; it must be one of {', '.join(get_args(Method))}.")
    if not (0 < fs < math.inf and 0 < duration_s < math.inf and round(duration_s * fs)):
        raise ConfigError(f"fs={fs} Hz and duration_s={duration_s} make no strip; both must be positive.")
    good = torch.isfinite(rr_s) & (rr_s > 0)
    if not rr_s.shape[-1] or not good.all():
        worst = rr_s[~good][0].item() if rr_s.shape[-1] else "none"
        raise ConfigError(f"An RR interval is {worst}; each record needs one or more, in seconds, above zero.")
