"""Laws of the simulator: SE-Diff Eq. 4-10."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ecgray.waveform.events import WaveTrain, draw_strips
from ecgray.waveform.ode import cycle_slope, turn
from ecgray.waveform.simulator import (
    Eta,
    Waves,
    beat_omega,
    mcsharry,
    simulate,
    typical,
    voltage_slope,
    wave_slope,
    wrapped,
)

RATES_BPM = (50, 75, 120)


def one_lead(waves: Waves) -> Waves:
    return replace(
        waves, amplitude_mv=waves.amplitude_mv[None], centre_s=waves.centre_s[None], width_s=waves.width_s[None]
    )


def regular(rate_bpm: float, *, beats: int = 40) -> torch.Tensor:
    return torch.full((1, beats), 60 / rate_bpm, dtype=torch.float64)


def beat_at(rate_bpm: float, *, fs: float = 2000.0) -> tuple[np.ndarray, np.ndarray]:
    """One beat in mid-strip: times from R, and voltages from the level before QRS, as a reader takes them."""
    strip = simulate(one_lead(typical()), regular(rate_bpm), fs=fs, duration_s=5.0)[0, 0].numpy()
    rr_s = 60 / rate_bpm
    r_s = 0.2 + rr_s * math.floor(2.6 / rr_s)
    time = np.arange(len(strip)) / fs - r_s
    near = (time > -0.3) & (time < min(0.7 * rr_s, 0.5))
    level = strip[np.argmin(np.abs(time + 0.07))]
    return time[near], strip[near] - level


def width_at(time: np.ndarray, voltage: np.ndarray, level: float) -> float:
    """From the first to the last moment around R at which the slope exceeds a level (mV/s)."""
    slope = np.abs(np.gradient(voltage, time))
    steep = time[(slope > level) & (np.abs(time) < 0.08)]
    return float(steep[-1] - steep[0])


def t_end(time: np.ndarray, voltage: np.ndarray) -> float:
    """Where the tangent at T's steepest fall meets the base line."""
    after = time > 0.12
    slope = np.gradient(voltage, time)
    steepest = np.flatnonzero(after)[np.argmin(slope[after])]
    return float(time[steepest] - voltage[steepest] / slope[steepest])


def test_halving_the_step_halves_the_error():
    """Explicit Euler is of first order (Eq. 8-10)."""
    rr = regular(75, beats=3)
    waves = one_lead(typical())

    def error(fs: int) -> float:
        drawn = simulate(waves, rr, fs=fs, duration_s=0.5)[0, 0]
        return float((drawn - truth[:: 64_000 // fs]).abs().max())

    truth = simulate(waves, rr, fs=64_000, duration_s=0.5)[0, 0]
    errors = [error(fs) for fs in (500, 1000, 2000)]
    orders = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert all(0.9 < order < 1.1 for order in orders), orders


def test_the_phase_goes_round_once_a_beat():
    omega = beat_omega(regular(60), fs=500, steps=1000)
    theta = turn(omega, fs=500.0, start_rad=-2 * math.pi * 0.2)[0]
    assert theta[0] == pytest.approx(-2 * math.pi * 0.2)
    assert abs(theta[100]) < 0.01  # R at 0.2 s
    assert abs(theta[600]) < 0.02  # and a second later


def test_the_circle_draws_the_point_to_itself():
    """Eq. 4: outside the unit circle the radius shrinks, inside it grows, on it it stays."""
    for radius, sign in ((1.5, -1), (0.5, 1), (1.0, 0)):
        x, y = torch.tensor(radius * 0.6), torch.tensor(radius * 0.8)
        slope_x, slope_y = cycle_slope(x, y, torch.tensor(6.0))
        outward = float(x * slope_x + y * slope_y)
        assert np.sign(round(outward, 6)) == sign


def test_eulers_circle_runs_ahead_by_what_is_documented():
    steps = 5000
    theta = turn(beat_omega(regular(60), fs=500, steps=steps), fs=500.0, start_rad=0.0)[0]
    ahead_s = float(wrapped(theta[-1] - 2 * math.pi * (steps - 1) / 500)) / (2 * math.pi)
    assert 0.0001 < ahead_s < 0.0005


def test_a_wave_pushes_up_before_its_landmark_and_down_after():
    eta = Eta(theta=torch.tensor([3.0]), a=torch.tensor([1.0]), b=torch.tensor([0.2]))
    assert wave_slope(torch.tensor(2.9), eta) > 0
    assert wave_slope(torch.tensor(3.1), eta) < 0
    assert wave_slope(torch.tensor(-3.1), eta) < 0  # past the wrap: 0.18 rad after the landmark, not 6.1 before


def test_the_baseline_draws_the_voltage():
    """Eq. 5's last term: without waves z falls to z0 with a time constant of one second."""
    flat = Eta(theta=torch.zeros(1), a=torch.zeros(1), b=torch.ones(1))
    assert float(voltage_slope(torch.tensor(0.0), torch.tensor(0.3), flat, baseline=0.1)) == pytest.approx(-0.2)


def test_mcsharry_has_his_range():
    """Eq. 6 with the values of 2003: z between -0.016 and 0.042 at 60 bpm."""
    eta = mcsharry()
    lead = Eta(theta=eta.theta[None], a=eta.a[None], b=eta.b[None])
    strip = simulate(lead, regular(60, beats=12))[0, 0, 2500:]
    assert float(strip.min()) == pytest.approx(-0.016, abs=0.002)
    assert float(strip.max()) == pytest.approx(0.042, abs=0.002)


def test_p_and_qrs_keep_their_milliseconds_at_every_rate():
    """DESIGN: at 50, 75 and 120 bpm QRS within 4 ms and R within 5 %."""
    widths, heights, p_peaks = [], [], []
    for rate in RATES_BPM:
        time, voltage = beat_at(rate)
        widths.append(1000 * width_at(time, voltage, 6.0))
        heights.append(voltage.max())
        early = (time > -0.2) & (time < -0.08)
        p_peaks.append(1000 * time[early][voltage[early].argmax()])
    assert max(widths) - min(widths) < 4.0, widths
    assert max(heights) / min(heights) < 1.05, heights
    assert max(p_peaks) - min(p_peaks) < 6.0, p_peaks


def test_qt_follows_fridericia():
    """DESIGN: at 50, 75 and 120 bpm QTcF within 15 ms."""
    corrected = []
    for rate in RATES_BPM:
        time, voltage = beat_at(rate)
        qt_ms = 1000 * (t_end(time, voltage) - typical().qrs_onset_s)
        corrected.append(qt_ms / (60 / rate) ** (1 / 3))
    assert max(corrected) - min(corrected) < 15.0, corrected


def test_fixed_phases_do_not_keep_their_milliseconds():
    """Why waves are kept in time units: with fixed phases a QRS at 40 bpm is three times as wide as at 120 bpm."""
    eta = typical().phases(2 * math.pi)
    lead = Eta(theta=eta.theta[None], a=eta.a[None], b=eta.b[None])
    widths = []
    for rate in (40, 120):
        strip = simulate(lead, regular(rate), fs=2000.0, duration_s=4.0)[0, 0].numpy()
        r_s = 0.2 + 60 / rate * math.floor(2.0 / (60 / rate))
        time = np.arange(len(strip)) / 2000 - r_s
        half = strip > strip.max() / 2
        widths.append(np.ptp(time[half & (np.abs(time) < 0.1)]))
    assert widths[0] / widths[1] == pytest.approx(3.0, rel=0.1)


def test_more_than_five_waves_and_many_leads_at_once():
    """A delta wave, an R' and a two-humped T are further waves; records and leads are one batch."""
    torch.manual_seed(0)
    leads, waves = 12, 9
    morphology = Waves(
        amplitude_mv=torch.randn(3, leads, waves, dtype=torch.float64),
        centre_s=torch.rand(3, leads, waves, dtype=torch.float64) * 0.5 - 0.15,
        width_s=torch.full((3, leads, waves), 0.02, dtype=torch.float64),
        stretches=torch.arange(waves) > 5,
    )
    rr = torch.rand(3, 12, dtype=torch.float64) * 0.3 + 0.7
    strips = simulate(morphology, rr)
    alone = simulate(
        replace(morphology, **{k: getattr(morphology, k)[1:2] for k in ("amplitude_mv", "centre_s", "width_s")}),
        rr[1:2],
    )
    assert strips.shape == (3, 12, 5000)
    assert torch.isfinite(strips).all()
    torch.testing.assert_close(strips[1:2], alone)


def both_ways(fs: float) -> tuple[np.ndarray, np.ndarray]:
    """The same irregular strip by Euler's phases and by the event train, from its second second on."""
    rr = torch.tensor([[0.8, 0.95, 0.7, 0.85, 1.1, 0.75, 0.8, 0.9, 0.85, 0.8, 0.9, 0.8, 0.8]], dtype=torch.float64)
    waves = one_lead(typical())
    euler = simulate(waves, rr, fs=fs)[0, 0].numpy()
    at = waves.at(float(rr.mean()))
    r_s = 0.2 + np.concatenate([[0.0], np.cumsum(rr[0].numpy())])
    train = WaveTrain(
        record=np.zeros(len(r_s) * 5, int),
        centre_s=(r_s[:, None] + at.centre_s[0].numpy()).ravel(),
        width_s=np.tile(at.width_s[0].numpy(), len(r_s)),
        amplitude_mv=np.tile(at.amplitude_mv[0].numpy(), len(r_s))[:, None],
    )
    baseline = np.zeros((1, round(11 * fs), 1), np.float32)
    strip = draw_strips(train, baseline, fs=fs, lead_in_s=1.0)[0, 0]
    return euler[round(fs) :], strip[round(fs) :]


@pytest.mark.parametrize(("fs", "part_of_r"), [(500.0, 0.10), (2000.0, 0.03), (4000.0, 0.016)])
def test_the_event_train_draws_what_the_phases_draw(fs: float, part_of_r: float):
    """They differ by Euler's error alone: its circle runs ahead, and a change of rate is seen up to a step late."""
    euler, strip = both_ways(fs)
    assert np.abs(euler - strip).max() < part_of_r * euler.max()


def test_the_event_train_does_not_mind_order_or_company():
    """A record's strip is the same alone and in a batch, its waves in any order."""
    rng = np.random.default_rng(0)
    waves = 60
    train = WaveTrain(
        rng.integers(0, 3, waves),
        rng.uniform(-0.5, 10.5, waves),
        rng.uniform(0.004, 0.08, waves),
        rng.normal(size=(waves, 8)),
    )
    baseline = rng.normal(size=(3, 5500, 8)).astype(np.float32)
    strips = draw_strips(train, baseline, fs=500.0, lead_in_s=1.0)
    mine = rng.permutation(np.flatnonzero(train.record == 1))
    alone = WaveTrain(np.zeros(len(mine), int), train.centre_s[mine], train.width_s[mine], train.amplitude_mv[mine])
    np.testing.assert_allclose(draw_strips(alone, baseline[1:2], fs=500.0, lead_in_s=1.0)[0], strips[1], atol=1e-5)


@pytest.mark.parametrize("centre_s", [-0.9, -0.05, 0.0, 9.99, 10.4])
def test_waves_at_the_edges_are_drawn_as_far_as_they_reach(centre_s: float):
    train = WaveTrain(np.zeros(1, int), np.array([centre_s]), np.array([0.05]), np.ones((1, 1)))
    strip = draw_strips(train, np.zeros((1, 5500, 1), np.float32), fs=500.0, lead_in_s=1.0)[0, 0]
    time = np.arange(5000) / 500
    expected = np.exp(-(((time - centre_s) / 0.05) ** 2) / 2)
    assert np.abs(strip - expected).max() < 0.13  # the undershoot, which fades with a time constant of 1 s
    assert abs(strip[2500]) < 0.06
