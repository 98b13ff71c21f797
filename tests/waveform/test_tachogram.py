"""Laws of the RR intervals: two peaks, mean, standard deviation, and a breath in step with them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecgray.errors import ConfigError
from ecgray.waveform.simulator import simulate, typical
from ecgray.waveform.tachogram import LONGEST, SHORTEST, Tachogram, Variability, draw_tachogram, resting

LONG_S = 500.0
"""A strip about as long as the tachogram's own period."""


def drawn(variability: Variability, *, seed: int = 0, duration_s: float = LONG_S) -> Tachogram:
    return draw_tachogram(variability, duration_s=duration_s, generator=torch.Generator().manual_seed(seed))


def evenly(rr_s: torch.Tensor) -> np.ndarray:
    """RR over time at 4 Hz, without its mean, until the strip's end."""
    rr = rr_s.numpy()
    at = 0.2 + np.cumsum(rr) - rr
    even = np.interp(np.arange(1.0, LONG_S - 4, 0.25), at, rr)
    return even - even.mean()


def power(even: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(even * np.hanning(len(even)))) ** 2
    frequency = np.fft.rfftfreq(len(even), 0.25)
    return float(spectrum[(frequency > low_hz) & (frequency < high_hz)].sum())


def test_mean_and_standard_deviation_are_those_asked_for():
    variability = replace(
        resting(3),
        mean_rr_s=torch.tensor([0.5, 0.8, 1.2], dtype=torch.float64),
        sd_rr_s=torch.tensor([0.01, 0.03, 0.08], dtype=torch.float64),
    )
    tachogram = drawn(variability)
    assert not tachogram.held.any()
    for rr, mean, sd in zip(tachogram.rr_s, variability.mean_rr_s, variability.sd_rr_s, strict=True):
        within = rr[torch.cumsum(rr, 0) < LONG_S]
        # A beat is read where it stands, and short ones stand more often: the mean is lower by sd^2 / mean.
        assert float(within.mean()) == pytest.approx(float(mean - sd**2 / mean), rel=0.003)
        assert float(within.std()) == pytest.approx(float(sd), rel=0.08)


@pytest.mark.parametrize("lf_hf", [0.5, 2.0])
@pytest.mark.parametrize("breath_hz", [0.2, 0.3])
def test_the_spectrum_has_two_peaks_of_the_ratio_asked_for(lf_hf: float, breath_hz: float):
    records = 20
    one = torch.ones(records, dtype=torch.float64)
    rows = drawn(replace(resting(records), lf_hf=lf_hf * one, breath_hz=breath_hz * one)).rr_s
    even = [evenly(row) for row in rows]
    low = sum(power(row, 0.05, 0.15) for row in even)
    high = sum(power(row, breath_hz - 0.05, breath_hz + 0.05) for row in even)
    assert low / high == pytest.approx(lf_hf, rel=0.25)  # reading between beats takes a part of HF
    assert low + high > 0.95 * sum(power(row, 0.02, 2.0) for row in even)


def test_without_variability_rr_is_constant_and_the_breath_goes_on():
    tachogram = drawn(resting(2, rr_s=0.9, sd_rr_s=0.0))
    assert (tachogram.rr_s == 0.9).all()
    assert tachogram.baseline(0.1, fs=100.0, steps=1000).abs().max() == pytest.approx(0.1, rel=0.01)


def test_rows_fill_the_strip():
    for duration_s in (0.1, 10.0, 700.0):
        tachogram = drawn(resting(4, sd_rr_s=0.1), duration_s=duration_s)
        assert (0.2 + tachogram.rr_s.sum(-1) >= duration_s).all()


def test_intervals_are_held_within_bounds_and_it_is_said():
    wild = drawn(resting(3, rr_s=0.8, sd_rr_s=0.6))
    assert wild.rr_s.min() >= SHORTEST * 0.8 - 1e-12
    assert wild.rr_s.max() <= LONGEST * 0.8 + 1e-12
    assert (wild.held > 10).all()
    assert not drawn(resting(3)).held.any()


def test_the_breath_is_in_step_with_hf():
    """RR is shortest at the breath's crest, at its own frequency."""
    calm = replace(resting(50), lf_hf=torch.zeros(50, dtype=torch.float64))
    tachogram = drawn(calm, duration_s=10.0)
    breath = tachogram.baseline(1.0, fs=100.0, steps=1000)
    crossings = (breath[:, 1:] > 0) != (breath[:, :-1] > 0)
    assert set(crossings.sum(-1).tolist()) <= {4, 5, 6}  # 15 a minute: five half waves in ten seconds
    together = []
    for rr, wave in zip(tachogram.rr_s, breath, strict=True):
        at = 0.2 + torch.cumsum(rr, 0) - rr
        inside = at < 10
        together.append(float(np.corrcoef(rr[inside], wave[(at[inside] * 100).long()])[0, 1]))
    assert np.median(together) < -0.9, together


def test_the_generator_alone_decides():
    assert torch.equal(drawn(resting(2), seed=1).rr_s, drawn(resting(2), seed=1).rr_s)
    assert not torch.equal(drawn(resting(2), seed=1).rr_s, drawn(resting(2), seed=2).rr_s)


def test_single_precision_is_enough():
    double = resting(2)
    single = Variability(*(part.float() for part in (double.mean_rr_s, double.sd_rr_s, double.lf_hf, double.breath_hz)))
    mine, theirs = drawn(single, duration_s=10.0), drawn(double, duration_s=10.0)
    assert mine.rr_s.dtype == torch.float32
    torch.testing.assert_close(mine.rr_s.double(), theirs.rr_s, atol=1e-4, rtol=0)
    torch.testing.assert_close(mine.breath_rad.double(), theirs.breath_rad, atol=1e-3, rtol=0)


def test_the_simulator_draws_it():
    """R peaks lie where the intervals put them, and the baseline breathes."""
    tachogram = drawn(resting(2, sd_rr_s=0.06), duration_s=10.0)
    one = typical()
    lead = replace(one, amplitude_mv=one.amplitude_mv[None], centre_s=one.centre_s[None], width_s=one.width_s[None])
    baseline = tachogram.baseline(0.05, fs=1000.0, steps=10_000)
    strips = simulate(lead, tachogram.rr_s, fs=1000.0, baseline=baseline)[:, 0].numpy()
    for strip, rr in zip(strips, tachogram.rr_s.numpy(), strict=True):
        peak = (strip[1:-1] > strip[:-2]) & (strip[1:-1] >= strip[2:]) & (strip[1:-1] > 0.7)
        r_s = (1 + np.flatnonzero(peak)) / 1000
        expected = 0.2 + np.concatenate([[0.0], np.cumsum(rr)])[: len(r_s)]
        np.testing.assert_allclose(r_s, expected, atol=0.002)
        assert len(r_s) >= 10


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("mean_rr_s", math.nan, "above 0"),
        ("mean_rr_s", 0.0, "above 0"),
        ("sd_rr_s", -0.1, "0 or more"),
        ("lf_hf", math.inf, "0 or more"),
        ("breath_hz", 5.0, r"in \(0, 4\)"),
    ],
)
def test_what_no_heart_does_is_refused(name: str, value: float, rule: str):
    with pytest.raises(ConfigError, match=f"^{name} is {value} in 1 record.*{rule}\\.$"):
        drawn(replace(resting(2), **{name: torch.tensor([0.3, value], dtype=torch.float64)}))


def test_no_strip_and_no_peak_are_refused():
    with pytest.raises(ConfigError, match=r"^duration_s=0\.0 makes no strip"):
        drawn(resting(1), duration_s=0.0)
    with pytest.raises(ConfigError, match=r"^width_hz=0\.0 makes no peak"):
        drawn(replace(resting(1), width_hz=0.0))
    with pytest.raises(ConfigError, match=r"^lf_hz=nan is no frequency of LF"):
        drawn(replace(resting(1), lf_hz=math.nan))
