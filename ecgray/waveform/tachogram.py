"""RR intervals that vary as a heart's do, and the breath that goes with them (McSharry et al. 2003).

The spectrum of RR is the sum of two Gaussians: LF about 0.1 Hz, from the control of blood pressure, and HF at the rate
of the breath, about 0.25 Hz. Each frequency gets a random phase; an inverse FFT makes a tachogram of it, RR over time,
which is scaled to the mean and the standard deviation asked for. A beat's RR is the tachogram at its R peak.

The tachogram is drawn over minutes, since peaks 0.01 Hz wide ask for that: its standard deviation is that of minutes,
and of ten seconds, which hold one wave of LF, usually less.

What this is not: ectopic beats, fibrillation or block, where RR follows no spectrum (`ecgray.demo.rhythm` has them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from ecgray.errors import ConfigError

RATE_HZ = 8
"""Values of a tachogram in a second; between two of them it is a straight line."""
PERIOD_S = 512
"""Seconds of a tachogram, at least: five of its frequencies in the width of a peak."""
SHORTEST, LONGEST = 0.5, 1.5
"""An RR interval is held between half and one and a half times the record's mean, so that none is negative."""


@dataclass(frozen=True)
class Variability:
    """How RR varies, a value for each record."""

    mean_rr_s: Float[Tensor, " record"]
    sd_rr_s: Float[Tensor, " record"]
    """Standard deviation of RR in seconds; at 0 the rhythm is regular."""
    lf_hf: Float[Tensor, " record"]
    """Power of LF by that of HF: 0.5 as in McSharry et al., higher when standing."""
    breath_hz: Float[Tensor, " record"]
    """Breaths a second: the middle of the HF peak."""
    lf_hz: float = 0.1
    width_hz: float = 0.01
    """Standard deviation of each peak."""


def resting(records: int, *, rr_s: float = 0.8, sd_rr_s: float = 0.04) -> Variability:
    """The same for so many records: 75 bpm, 15 breaths a minute, half as much LF as HF.

    >>> resting(2).mean_rr_s
    tensor([0.8000, 0.8000], dtype=torch.float64)
    """
    values = torch.tensor([rr_s, sd_rr_s, 0.5, 0.25], dtype=torch.float64)
    return Variability(*values[:, None].expand(-1, records))


@dataclass(frozen=True)
class Tachogram:
    """RR intervals of some records, and their breath."""

    rr_s: Float[Tensor, "record beat"]
    """From the first R peak on; every row fills the strip, most go beyond it."""
    held: Int[Tensor, " record"]
    """How many of them were held at `SHORTEST` or `LONGEST`: where it is not 0, the standard deviation is less."""
    breath_hz: Float[Tensor, " record"]
    breath_rad: Float[Tensor, " record"]
    """Phase of the breath at the strip's start; its crest lies where HF makes RR shortest."""

    def baseline(self, amplitude_mv: float, *, fs: float, steps: int) -> Float[Tensor, "record time"]:
        """The baseline that breathes, z0(t) = A sin(2 pi f t + phase), in mV.

        >>> draw_tachogram(resting(3), generator=torch.Generator()).baseline(0.05, fs=500.0, steps=5000).shape
        torch.Size([3, 5000])
        """
        time = torch.arange(steps, dtype=self.breath_hz.dtype, device=self.breath_hz.device) / fs
        return amplitude_mv * torch.sin(2 * math.pi * self.breath_hz[:, None] * time + self.breath_rad[:, None])


def draw_tachogram(
    variability: Variability, *, duration_s: float = 10.0, first_r_s: float = 0.2, generator: torch.Generator
) -> Tachogram:
    """RR intervals that fill strips of `duration_s` whose first R peak lies at `first_r_s`.

    The phases are drawn where the generator lives, the intervals lie where the variability does.

    >>> steady = draw_tachogram(resting(1, sd_rr_s=0.0), duration_s=2.0, generator=torch.Generator())
    >>> steady.rr_s
    tensor([[0.8000, 0.8000, 0.8000]], dtype=torch.float64)
    """
    _check(variability, duration_s)
    period_s = max(PERIOD_S, 2 ** math.ceil(math.log2(duration_s + 2 * LONGEST)))
    frequency = torch.arange(period_s * RATE_HZ // 2 + 1).to(variability.mean_rr_s) / period_s
    low, high = _peaks(variability, frequency)
    angle = 2 * math.pi * torch.rand(low.shape, generator=generator, device=generator.device, dtype=torch.float64)
    spectrum = torch.polar(torch.sqrt(low + high), angle.to(low))
    wave = torch.fft.irfft(spectrum, n=period_s * RATE_HZ)
    wave = variability.sd_rr_s[:, None] * wave / wave.std(-1, correction=0, keepdim=True)
    mean = variability.mean_rr_s[:, None]
    rr_s = _read(torch.clamp(mean + wave, SHORTEST * mean, LONGEST * mean), duration_s, first_r_s)
    held = ((rr_s <= SHORTEST * mean) | (rr_s >= LONGEST * mean)).sum(-1)
    share = high / (low + high).clamp(min=torch.finfo(high.dtype).tiny)
    breath = _breath_phase(spectrum * share, frequency, variability, duration_s / 2)
    return Tachogram(rr_s=rr_s, held=held, breath_hz=variability.breath_hz, breath_rad=breath)


def _peaks(
    variability: Variability, frequency: Float[Tensor, " frequency"]
) -> tuple[Float[Tensor, "record frequency"], Float[Tensor, "record frequency"]]:
    """Power over frequency of LF and of HF, but for a common factor: the latter's total is 1."""

    def peak(middle: Tensor | float) -> Tensor:
        return torch.exp(-(((frequency - middle) / variability.width_hz) ** 2) / 2)

    low = variability.lf_hf[:, None] * peak(variability.lf_hz)
    return low, peak(variability.breath_hz[:, None])


def _read(
    over_time: Float[Tensor, "record moment"], duration_s: float, first_r_s: float
) -> Float[Tensor, "record beat"]:
    """The tachogram at each R peak, one after the other, until every record's strip is full."""
    at = torch.full_like(over_time[:, 0], first_r_s)
    intervals: list[Tensor] = []
    while not intervals or bool((at < duration_s).any()):
        place = at * RATE_HZ
        left = place.floor()
        rows = torch.stack([left, left + 1], dim=-1).long() % over_time.shape[-1]
        around = over_time.gather(-1, rows)
        intervals.append(torch.lerp(around[:, 0], around[:, 1], place - left))
        at = at + intervals[-1]
    return torch.stack(intervals, dim=-1)


def _breath_phase(
    high: Complex[Tensor, "record frequency"],
    frequency: Float[Tensor, " frequency"],
    variability: Variability,
    middle_s: float,
) -> Float[Tensor, " record"]:
    """The phase of the breath: that of HF in the middle of the strip, turned so that the crest is HF's trough.

    HF is a peak, not a line: its phase drifts against that of one frequency, within ten seconds by little.
    """
    moment = torch.polar(torch.ones_like(frequency), 2 * math.pi * frequency * middle_s)
    phase = torch.angle((high * moment).sum(-1))  # HF is cos(phase) there
    return phase - math.pi / 2 - 2 * math.pi * variability.breath_hz * middle_s


def _check(variability: Variability, duration_s: float) -> None:
    if not 0 < duration_s < math.inf:
        raise ConfigError(f"duration_s={duration_s} makes no strip; it must be positive.")
    if not 1 / PERIOD_S <= variability.width_hz <= 1:
        raise ConfigError(f"width_hz={variability.width_hz} makes no peak; it must lie in [1/{PERIOD_S}, 1].")
    if not 0 < variability.lf_hz < RATE_HZ / 2:
        raise ConfigError(f"lf_hz={variability.lf_hz} is no frequency of LF; it must lie in (0, {RATE_HZ // 2}).")
    within = {
        "mean_rr_s": (variability.mean_rr_s > 0, "above 0"),
        "sd_rr_s": (variability.sd_rr_s >= 0, "0 or more"),
        "lf_hf": (variability.lf_hf >= 0, "0 or more"),
        "breath_hz": ((variability.breath_hz > 0) & (variability.breath_hz < RATE_HZ / 2), f"in (0, {RATE_HZ // 2})"),
    }
    for name, (good, rule) in within.items():
        value = getattr(variability, name)
        bad = value[~(good & torch.isfinite(value))]
        if len(bad):
            raise ConfigError(f"{name} is {bad[0].item()} in {len(bad)} record(s); it must be finite and {rule}.")
