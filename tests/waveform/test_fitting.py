"""Laws of the fit of the simulator to beats: SE-Diff App. C, Eq. 27-33."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ecgray.waveform.fitting as fitting
from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.waveform.beats import BEAT_FS, BEAT_SAMPLES, crop_beats
from ecgray.waveform.fitting import Fit, fit_classes
from ecgray.waveform.fitting_config import FitConfig
from ecgray.waveform.fitting_descent import lbfgs
from ecgray.waveform.fitting_loss import Shape, align, circuit, draw_beats, fit_losses
from ecgray.waveform.morphologies import EMBEDDED, fitted
from ecgray.waveform.ode import recur
from ecgray.waveform.record import read_recording
from ecgray.waveform.simulator import Eta, Waves, simulate, typical, wave_slope, wrapped

FACTORS = torch.tensor([0.5, 1.0, 0.6, -0.8, 0.1, 0.9, -0.3, -0.7, 1.4, 1.8, 1.2, 0.9], dtype=torch.float64)
"""Leads of the drawn hearts by lead II: aVR, V1 and V2 are upside down, aVL is small, I is left flat below."""


def twelve(waves: Waves) -> Waves:
    """The same waves in twelve leads, larger, smaller and upside down."""
    rows = [part.expand(12, -1) for part in (waves.centre_s, waves.width_s)]
    return Waves(FACTORS[:, None] * waves.amplitude_mv, *rows, waves.stretches)


def beats_of(waves: Waves, rr_s: float, *, noise_mv: float = 0.0) -> np.ndarray:
    """Twelve whole beats of a regular heart, once its baseline has settled."""
    strip = simulate(waves, torch.full((1, 40), rr_s, dtype=torch.float64), duration_s=6 + 14 * rr_s)[0].numpy()
    strip = strip + np.random.default_rng(0).normal(0, noise_mv, strip.shape) if noise_mv else strip
    first = math.ceil(6 / rr_s)
    peaks = np.rint((0.2 + rr_s * np.arange(first, first + 12)) * 500).astype(int)
    return crop_beats(strip.astype(np.float32), peaks)


@pytest.fixture(scope="module")
def true_waves() -> Waves:
    return twelve(typical())


@pytest.fixture(scope="module")
def fit(true_waves: Waves) -> Fit:
    """One fit for all tests: three classes that work, one of them hurt, and four that do not."""
    calm, fast = beats_of(true_waves, 0.9), beats_of(true_waves, 0.6, noise_mv=0.01)
    hurt = np.concatenate([calm, np.full((2, 12, 300), np.nan, np.float32)])
    hurt[:, 0] = 0.02
    hurt[-1, 3] = 1.0
    beats = {
        "calm": calm,
        "three": calm[:3],
        "fast": fast,
        "no rate": calm,
        "hurt": hurt,
        "lost": np.full_like(calm, np.nan),
        "none": calm[:0],
    }
    rr_ms = {"calm": 900.0, "fast": 600.0, "hurt": 900.0, "no rate": math.nan, "three": 900.0, "lost": 900.0}
    return fit_classes(beats, rr_ms)


def test_a_known_morphology_is_recovered(fit: Fit, true_waves: Waves):
    """The waveform within 1 % of peak to peak, the waves about where they were, polarity included."""
    assert fit.typical_mv is not None
    for row, tolerance in ((0, 0.01), (1, 0.02)):  # the second has noise of 10 uV
        error = (fit.draw()[row] - fit.typical_mv[row]).abs().amax(-1)
        height = fit.typical_mv[row].amax(-1) - fit.typical_mv[row].amin(-1)
        large = FACTORS.abs() > 0.4
        assert (error / height)[large].max() < tolerance + 0.01 * row
        assert fit.nrmse[row].max() < tolerance * (1 + 2 * row)
        assert fit.correlation[row][large].min() > 0.998
    calm, true = fit.at_own_rate(), true_waves.at(0.9)
    for wave, amplitude, centre in ((0, 0.1, 0.004), (2, 0.1, 0.002), (4, 0.05, 0.004)):  # P, R and T
        ratio = calm.amplitude_mv[0, :, wave] / true.amplitude_mv[:, wave]
        assert (ratio - 1).abs().max() < amplitude, (wave, ratio)
        assert (calm.centre_s[0, :, wave] - true.centre_s[:, wave]).abs().max() < centre


def test_waves_come_in_their_order(fit: Fit):
    """P, Q, R, S and T by their centres (Eq. 32), within the crop, and none as wide as a baseline."""
    assert (fit.centre_s.diff(dim=-1) >= 0).all()
    assert fit.centre_s.min() >= -0.2
    assert fit.centre_s.max() <= 0.39
    assert (fit.width_s[..., :4] <= 0.05).all()


def test_a_lead_upside_down_is_the_same_lead_upside_down(fit: Fit):
    """aVR is -0.8 times lead II: so are its waves."""
    avr, two = LEADS.index("aVR"), LEADS.index("II")
    torch.testing.assert_close(fit.amplitude_mv[0, avr], -0.8 * fit.amplitude_mv[0, two], rtol=0.02, atol=0.004)
    torch.testing.assert_close(fit.centre_s[0, avr], fit.centre_s[0, two], rtol=0, atol=0.002)


def test_what_cannot_be_fitted_is_skipped_with_a_reason(fit: Fit):
    assert fit.classes == ("calm", "fast", "hurt")
    assert fit.skipped == {
        "three": "3 whole beats; 10 are needed",
        "no rate": "RR of nan ms; it must lie in 200 to 3000 ms",
        "lost": "0 whole beats; 10 are needed",
        "none": "0 whole beats; 10 are needed",
    }
    assert fit.beats.tolist() == [12, 12, 12]  # two beats of NaN do not count


def test_a_flat_lead_is_flat_and_its_neighbours_are_as_ever(fit: Fit):
    assert fit.flat.nonzero().tolist() == [[2, 0]]
    assert not fit.amplitude_mv[2, 0].any()
    assert fit.correlation[2, 0] == fit.nrmse[2, 0] == 0
    torch.testing.assert_close(fit.draw()[2, 1:], fit.draw()[0, 1:], atol=2e-3, rtol=0)


def test_nothing_is_nan(fit: Fit):
    for name, part in vars(fit).items():
        if isinstance(part, torch.Tensor):
            assert torch.isfinite(part).all(), name


def test_the_simulator_draws_the_fitted_beat_at_the_class_own_rate(fit: Fit):
    """`morphology` is at RR = 1 s; drawn at the class's RR it is the beat that was fitted."""
    rr = fit.rr_s[:, None].expand(-1, 30)
    morphology = fit.morphology()
    strips = simulate(morphology, rr, duration_s=10.0)
    for row, rr_s in enumerate(fit.rr_s.tolist()):
        peak = round((0.2 + rr_s * round(7 / rr_s)) * 500)
        beat = strips[row, :, peak - 100 : peak + 200]
        error = (beat + fit.baseline_mv[row, :, None] - fit.draw()[row]).abs()
        assert error.mean() < 0.003
        assert error.max() < 0.06  # half a millisecond on the flank of a large R: Euler's phase runs ahead


def test_a_diverging_fit_is_skipped(monkeypatch: pytest.MonkeyPatch, true_waves: Waves):
    calm = beats_of(true_waves, 0.9)
    config = FitConfig(adamw_steps=2, lbfgs_steps=1)

    def lost(loss: fitting.Any, raw: torch.Tensor, config: FitConfig) -> torch.Tensor:
        raw = raw.clone()
        raw[1, 7] = math.nan
        return raw

    monkeypatch.setattr(fitting, "adamw", lost)
    found = fit_classes({"one": calm, "two": calm}, {"one": 900.0, "two": 900.0}, config)
    assert found.classes == ("one",)
    assert found.skipped == {"two": "its fit diverged"}
    assert torch.isfinite(found.draw()).all()


def test_without_any_class_the_fit_is_empty():
    found = fit_classes({"few": np.zeros((2, 12, 300), np.float32)}, {"few": 800.0})
    assert found.classes == ()
    assert found.draw().shape == (0, 12, 300)
    assert Fit.from_json(found.to_json(sources=[])).skipped == {"few": "2 whole beats; 10 are needed"}


def test_a_file_holds_the_fit_and_phases_agree_with_times(fit: Fit):
    text = json.dumps(fit.to_json(sources=["drawn"]), allow_nan=False)
    back = Fit.from_json(json.loads(text))
    torch.testing.assert_close(back.draw(), fit.draw(), atol=1e-4, rtol=0)
    assert (back.classes, back.waves, dict(back.skipped)) == (fit.classes, fit.waves, dict(fit.skipped))
    assert torch.equal(back.flat, fit.flat)
    assert torch.equal(back.beats, fit.beats)
    lead = json.loads(text)["classes"]["fast"]["leads"]["V3"]
    omega = 2 * math.pi / 0.6
    for theta, a, b, amplitude, centre, width in zip(
        *(lead[key] for key in ("theta", "a", "b", "amplitude_mv", "centre_s", "width_s")), strict=True
    ):
        assert theta == pytest.approx(omega * centre, abs=1e-4)
        assert b == pytest.approx(omega * width, rel=1e-4)
        assert a * b**2 / omega == pytest.approx(amplitude, rel=1e-4)
    with pytest.raises(ConfigError, match=r"^a fit has format 9, and this version reads 1; give eta\.json of a fit_s"):
        Fit.from_json({"format": 9})


@pytest.mark.parametrize("content", ["[]", "3", '{"format": 1', '{"format": 1}', '{"format": 1, "classes": 3}'])
def test_a_file_that_holds_no_fit_is_refused_by_its_path(tmp_path: Path, content: str):
    path = tmp_path / "eta.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"eta\.json cannot be (read|used).*; give eta\.json of a fit_simulator job"):
        Fit.read(path)
    path.write_text(EMBEDDED.read_text())
    assert Fit.read(path).classes == fitted().classes
    path.write_text(EMBEDDED.read_text()[:1000])
    with pytest.raises(ConfigError, match="cannot be read as a fit"):
        Fit.read(path)
    with pytest.raises(ConfigError, match="cannot be read as a fit"):
        Fit.read(tmp_path / "nowhere")


def test_class_leads_do_not_know_of_each_other(true_waves: Waves):
    """Fitted together or alone, the beat is the same."""
    config = FitConfig(adamw_steps=60, lbfgs_steps=20)
    calm, other = beats_of(true_waves, 0.9), -2 * beats_of(true_waves, 0.7)
    alone = fit_classes({"calm": calm}, {"calm": 900.0}, config)
    both = fit_classes({"other": other, "calm": calm}, {"other": 700.0, "calm": 900.0}, config)
    torch.testing.assert_close(both.draw()[1], alone.draw()[0], atol=1e-4, rtol=0)


def test_the_losses_are_those_of_the_equations():
    """Eq. 28 to 32 by hand: one class-lead of five waves."""
    shape = Shape(
        height=torch.tensor([1.0, -2.0, 3.0, 0.0, 1.0]).double(),
        theta=torch.tensor([-1.0, -0.2, -0.3, 0.2, 1.5]).double(),
        width=torch.tensor([0.30, 0.08, 0.10, 0.18, 0.52]).double(),
    )
    target = torch.zeros(300).double()
    aligned = replace(
        align(target, target), beat=torch.full((300,), 0.5).double(), scale=torch.tensor(10.0, dtype=torch.float64)
    )
    found = fit_losses(shape, aligned, target, FitConfig())
    assert float(found.mse) == pytest.approx(0.25)
    assert float(found.scale) == pytest.approx(1e-6 * 100)
    assert float(found.width) == pytest.approx(5e-3 * (0.1**2 + 0.1**2 + 2 * 0.2**2))
    assert float(found.amplitude) == pytest.approx(4e-4 * (1 + 4 + 9 + 1))
    assert float(found.order) == pytest.approx(1e-4 * (0.1 + 0.05))  # Q lies 0.1 rad after R, and the margin is 0.05
    assert float(found.total) == pytest.approx(0.25 + 1e-4 + 5e-4 + 6e-3 + 1.5e-5)


def test_the_alignment_is_least_squares():
    rng = np.random.default_rng(0)
    drawn, target = rng.normal(size=(2, 4, 300))
    for trend in (True, False):
        found = align(torch.tensor(drawn), torch.tensor(target), trend=trend)
        for row in range(4):
            columns = [drawn[row], np.ones(300)] + ([np.arange(300) - 149.5] if trend else [])
            best = np.linalg.lstsq(np.stack(columns, 1), target[row], rcond=None)[0]
            mine = [float(part[row]) for part in (found.scale, found.offset, found.trend)]
            np.testing.assert_allclose(mine[: len(best)], best, atol=1e-10)
            np.testing.assert_allclose(found.beat[row], np.stack(columns, 1) @ best, atol=1e-10)
    flat = align(torch.zeros(300).double(), torch.tensor(target[0]))
    assert flat.scale == 0
    assert torch.isfinite(flat.beat).all()


def test_the_gradient_flows_through_the_alignment():
    """The scale answers to what is drawn: with it held fast the gradient is another."""
    time = torch.arange(300).double() / 50
    target, drawn = torch.sin(time) + 0.1 * time, (torch.sin(1.1 * time) + 0.2).requires_grad_()

    def error(z: torch.Tensor) -> torch.Tensor:
        return (align(z, target).beat - target).square().mean()

    assert torch.autograd.gradcheck(error, drawn, eps=1e-6, atol=1e-9)
    assert torch.autograd.gradcheck(lambda z: align(z, target).scale, drawn, eps=1e-6, atol=1e-7)
    (slope,) = torch.autograd.grad(error(drawn), drawn)
    assert abs(float((slope @ drawn).detach())) < 1e-12  # the scale makes up for any change of gain


@pytest.mark.parametrize("rr_s", [0.4, 0.8, 0.903, 1.3])
def test_a_revolution_and_a_matrix_do_what_twenty_seconds_of_recurrence_do(rr_s: float, true_waves: Waves):
    """The burn-in counts as an infinite one: the level is right to 4 uV, the beat to Euler's error of phase."""
    eta = true_waves.at(rr_s).phases(2 * math.pi / rr_s)
    drawn = draw_beats(Eta(eta.theta[None], eta.a[None], eta.b[None]), circuit(torch.tensor([rr_s])))[0]
    steps = torch.arange(-10_000, BEAT_SAMPLES).double()
    phase = wrapped(2 * math.pi / rr_s * (steps / BEAT_FS - 0.2))
    push = wave_slope(phase, Eta(*(term[:, None] for term in (eta.theta, eta.a, eta.b)))) / BEAT_FS
    plain = recur(torch.nn.functional.pad(push[:, :-1], (1, 0)), keep=1 - 1 / BEAT_FS)[:, -BEAT_SAMPLES:]
    assert (drawn - plain).abs().max() < 0.02
    assert (drawn - plain).mean(-1).abs().max() < 0.004


def test_lbfgs_solves_each_problem_and_never_climbs():
    """Rosenbrock's valley at four sizes at once; each has its minimum of 0 at (1, 1)."""
    size = torch.tensor([1.0, 10.0, 100.0, 1000.0], dtype=torch.float64)

    def valley(raw: torch.Tensor) -> torch.Tensor:
        return (1 - raw[..., 0]) ** 2 + size * (raw[..., 1] - raw[..., 0] ** 2) ** 2

    start = torch.tensor([[-1.2, 1.0]], dtype=torch.float64).repeat(4, 1)
    values = [valley(lbfgs(valley, start, steps=steps)) for steps in (0, 1, 5, 20, 100)]
    assert all((later <= earlier).all() for earlier, later in itertools.pairwise(values))
    torch.testing.assert_close(lbfgs(valley, start, steps=150), torch.ones(4, 2).double(), atol=1e-4, rtol=0)


def test_settings_that_make_no_fit_are_refused():
    with pytest.raises(ConfigError, match=r"^waves=6 is unknown"):
        replace(FitConfig(), waves=6)
    with pytest.raises(ConfigError, match=r"^the losses' weights are "):
        FitConfig(lambda_b=-1.0)
    with pytest.raises(ConfigError, match=r"^min_beats=0 must be at least 1\.$"):
        FitConfig(min_beats=0)
    with pytest.raises(ConfigError, match=r"^adamw_steps=-1 must be at least 0\.$"):
        FitConfig(adamw_steps=-1)


@pytest.mark.real
def test_a_real_heart_is_drawn(real_data: Path):
    """The first record of PTB-XL: every lead's correlation, by a crude R finder."""
    ecg = read_recording(real_data / "ptbxl" / "records500" / "00000" / "00001_hr").signal.astype(np.float32)
    steep = np.abs(np.gradient(ecg[1]))
    places = np.array([start + int(steep[start : start + 350].argmax()) for start in range(0, 5000, 350)])
    places = places[steep[places] > 0.5 * steep.max()]
    peaks = np.unique([max(at - 20, 0) + int(ecg[1, max(at - 20, 0) : at + 20].argmax()) for at in places])
    rr_ms = 2 * float(np.median(np.diff(peaks)))
    found = fit_classes({"normal": crop_beats(ecg, peaks)}, {"normal": rr_ms}, FitConfig(min_beats=3))
    assert found.skipped == {}
    assert found.correlation.min() > 0.94
    assert found.correlation.median() > 0.985
