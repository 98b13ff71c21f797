"""The ECG simulator of McSharry et al.: three ODEs, stepped by explicit Euler (SE-Diff Eq. 4-10).

A point runs round a circle once a beat (Eq. 4); as its phase passes a wave's landmark, the wave pushes the voltage up
or down (Eq. 5). Two ways to say where the waves are:

- `Eta`: phases, as the papers have it (Eq. 6). At 40 bpm a QRS then lasts three times as long as at 120 bpm.
- `Waves`: amplitude in mV, centre and width in seconds from the R peak. Turned into Eq. 5's terms with the rate of the
  moment, b = omega s, theta = omega mu, a = A / (omega s^2), P and QRS keep their milliseconds at every rate.

The last term of Eq. 5, -(z - z0), is kept. It pulls the voltage to the baseline with a time constant of one second: z
is what a first-order high-pass at 0.16 Hz leaves of the drawn waves (plus the baseline, low-passed at 0.16 Hz). A wave
of area 20 uV s, as a T wave, leaves an undershoot of 20 uV that fades within a second; a plateau of 0.3 mV sags by
0.03 mV in 0.1 s. An electrocardiograph with a 0.05 Hz filter does the same, a third as strongly.

What this is not: the fast way to draw a thousand records. `ecgray.waveform.events` is, and agrees with this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


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
        factor = torch.where(self.stretches, torch.as_tensor(rr_s, dtype=self.centre_s.dtype) ** (1 / 3), 1.0)
        centre = self.qrs_onset_s + (self.centre_s - self.qrs_onset_s) * factor
        amplitude, centre, width = torch.broadcast_tensors(self.amplitude_mv, centre, self.width_s * factor)
        return replace(self, amplitude_mv=amplitude, centre_s=centre, width_s=width)

    def phases(self, omega: Float[Tensor, "*time"] | float) -> Eta:
        """Eq. 5's terms at the angular velocity `omega` (rad/s): b = omega s, theta = omega mu, a = A / (omega s^2)."""
        omega = torch.as_tensor(omega, dtype=self.centre_s.dtype)[..., None]
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


def cycle_slope(
    x: Float[Tensor, "*batch"], y: Float[Tensor, "*batch"], omega: Float[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """dx/dt and dy/dt: the pull to the unit circle and the turn round it (Eq. 4)."""
    alpha = 1 - torch.sqrt(x**2 + y**2)
    return alpha * x - omega * y, alpha * y + omega * x


def wrapped(angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle in (-pi, pi].

    Eq. 5 writes `mod 2 pi`; left in [0, 2 pi) the offset would have the wrong sign on the rising half of each wave.

    >>> [round(float(a), 2) for a in wrapped(torch.tensor([0.5, 6.0, -3.5, math.pi]))]
    [0.5, -0.28, 2.78, 3.14]
    """
    return math.pi - torch.remainder(math.pi - angle, 2 * math.pi)


def wave_slope(theta: Float[Tensor, "*#batch"], eta: Eta) -> Float[Tensor, "*batch"]:
    """The waves' part of dz/dt at phase `theta` (Eq. 5, the sum)."""
    offset = wrapped(theta[..., None] - eta.theta)
    return -(eta.a * offset * torch.exp(-(offset**2) / (2 * eta.b**2))).sum(-1)


def voltage_slope(
    theta: Float[Tensor, "*batch"], z: Float[Tensor, "*batch"], eta: Eta, *, baseline: Float[Tensor, "*batch"] | float
) -> Float[Tensor, "*batch"]:
    """dz/dt: the waves, and the pull to the baseline z0 (Eq. 5)."""
    return wave_slope(theta, eta) - (z - baseline)


def turn(
    omega: Float[Tensor, "*batch time"], *, fs: float, start_rad: Float[Tensor, "*batch"] | float
) -> Float[Tensor, "*batch time"]:
    """The phase at each step, by explicit Euler round the circle (Eq. 4, 8 and 9).

    At 500 Hz and 60 bpm Euler's circle has a radius of 1.02 to 1.04 and its phase runs ahead by 0.3 ms in ten seconds.
    """
    start = torch.as_tensor(start_rad, dtype=omega.dtype).expand(omega.shape[:-1])
    x, y = torch.cos(start), torch.sin(start)
    phases = []
    for step in range(omega.shape[-1]):
        phases.append(torch.atan2(y, x))
        slope_x, slope_y = cycle_slope(x, y, omega[..., step])
        x, y = x + slope_x / fs, y + slope_y / fs
    return torch.stack(phases, dim=-1)


def relax(
    wave: Float[Tensor, "*batch time"], baseline: Float[Tensor, "*batch time"], *, fs: float
) -> Float[Tensor, "*batch time"]:
    """The voltage from the waves' slope, by explicit Euler from z = z0 (Eq. 5 and 10)."""
    z = baseline[..., 0]
    voltages = []
    for step in range(wave.shape[-1]):
        voltages.append(z)
        z = z + (wave[..., step] - (z - baseline[..., step])) / fs
    return torch.stack(voltages, dim=-1)


def beat_omega(
    rr_s: Float[Tensor, "*batch beat"], *, fs: float, steps: int, first_r_s: float = 0.2
) -> Float[Tensor, "*batch time"]:
    """The angular velocity at each step: 2 pi / RR, changing at each R peak; the first one lies at `first_r_s`.

    >>> beat_omega(torch.tensor([1.0, 0.5]), fs=4.0, steps=8) / (2 * math.pi)
    tensor([1., 1., 1., 1., 1., 2., 2., 2.])
    """
    time = torch.arange(steps, dtype=rr_s.dtype) / fs
    beats_end = first_r_s + torch.cumsum(rr_s, dim=-1)
    beat = torch.searchsorted(beats_end, time.expand(*rr_s.shape[:-1], steps).contiguous(), right=True)
    return 2 * math.pi / torch.gather(rr_s, -1, beat.clamp(max=rr_s.shape[-1] - 1))


def simulate(
    morphology: Waves | Eta,
    rr_s: Float[Tensor, "record beat"],
    *,
    fs: float = 500.0,
    duration_s: float = 10.0,
    first_r_s: float = 0.2,
    baseline: Float[Tensor, "record time"] | None = None,
) -> Float[Tensor, "record lead time"]:
    """Twelve leads (or any number) of records with these RR intervals, in mV, all at once (Eq. 4-10).

    The morphology's axes are (lead, wave) or (record, lead, wave). The start phase follows the first RR so that R falls
    at `first_r_s`. `Waves` are stretched by the record's mean RR, since QT takes minutes to follow the rate.
    """
    steps = round(duration_s * fs)
    omega = beat_omega(rr_s, fs=fs, steps=steps, first_r_s=first_r_s)  # (record, time)
    theta = turn(omega, fs=fs, start_rad=-omega[:, 0] * first_r_s)[:, None]  # (record, 1, time)
    if isinstance(morphology, Waves):
        mean_rr = rr_s.mean(-1)[:, None, None]
        eta = _per_step(morphology.at(mean_rr).phases(1.0), omega)
    else:
        eta = Eta(*(term[..., None, :] for term in (morphology.theta, morphology.a, morphology.b)))
    wave = wave_slope(theta, eta)  # (record, lead, time)
    rest = torch.zeros_like(omega) if baseline is None else baseline
    return relax(wave, rest[:, None].expand_as(wave), fs=fs)


def _per_step(unit: Eta, omega: Float[Tensor, "record time"]) -> Eta:
    """The phases at omega = 1 rad/s, at the omega of each step: axes (record, lead, time, wave)."""
    turn_rate = omega[:, None, :, None]
    return Eta(
        theta=unit.theta[..., None, :] * turn_rate,
        a=unit.a[..., None, :] / turn_rate,
        b=unit.b[..., None, :] * turn_rate,
    )
