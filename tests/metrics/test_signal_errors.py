"""Distances between paired ECGs: what each must be where it is known, and that moving undoes a shift."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from ecgray.leads import derive_frontal
from ecgray.metrics.signal_errors import PLAIN, aligned_errors, best_shift, identity_residual, signal_errors

RNG = np.random.default_rng(0)
ECG = RNG.standard_normal((3, 12, 5000)).astype(np.float32)


def test_a_flat_line_scores_the_mean_of_the_absolute_values() -> None:
    found = signal_errors(ECG, np.zeros_like(ECG))
    np.testing.assert_allclose(found["mae_mv"], np.abs(ECG).mean((1, 2)), rtol=1e-6)
    assert (found["correlation"] == 0).all()


def test_golden_numbers_by_scipy_and_by_hand() -> None:
    other = ECG + RNG.standard_normal(ECG.shape).astype(np.float32)
    found = signal_errors(ECG, other)
    square = (ECG.astype(float) - other) ** 2
    by_lead = np.sqrt(square.mean(-1)) / (ECG.max(-1) - ECG.min(-1))
    whole = np.sqrt(square.mean((1, 2))) / (ECG.max((1, 2)) - ECG.min((1, 2)))
    np.testing.assert_allclose(found["nrmse_lead"], by_lead.mean(1), rtol=1e-5)
    np.testing.assert_allclose(found["nrmse_range"], whole, rtol=1e-5)
    pairs = (zip(*pair, strict=True) for pair in zip(ECG, other, strict=True))
    golden = [np.mean([pearsonr(a, b).statistic for a, b in leads]) for leads in pairs]
    np.testing.assert_allclose(found["correlation"], golden, atol=1e-6)


def test_equal_ecgs_have_no_error_and_a_flat_lead_spoils_nothing() -> None:
    ecg = ECG.copy()
    ecg[:, 4] = 0
    found = signal_errors(ecg, ecg)
    assert all(np.abs(found[name]).max() == 0 for name in PLAIN[:3])
    np.testing.assert_allclose(found["correlation"], 11 / 12)


@pytest.mark.parametrize("shift", [-500, -37, 0, 1, 499])
def test_moving_undoes_a_shift(shift: int) -> None:
    later = np.roll(ECG, shift, axis=-1)
    assert best_shift(ECG, later, most=500).tolist() == [shift] * 3
    found = aligned_errors(ECG, later)
    assert found["mae_mv_aligned"].max() == 0
    np.testing.assert_allclose(found["correlation_aligned"], 1)


def test_the_best_shift_is_that_of_a_loop_over_all() -> None:
    real, other = RNG.standard_normal((2, 5, 3, 90))
    loop = [
        [((one[:, 20:70] - two[:, 20 + by : 70 + by]) ** 2).sum() for by in range(-20, 21)]
        for one, two in zip(real, other, strict=True)
    ]
    assert best_shift(real, other, most=20).tolist() == (np.argmin(loop, axis=1) - 20).tolist()


def test_a_flat_line_gains_nothing_by_being_moved() -> None:
    flat = np.zeros_like(ECG)
    assert best_shift(ECG, flat, most=500).tolist() == [0, 0, 0]
    middle = np.abs(ECG[..., 500:4500]).mean((1, 2))
    np.testing.assert_allclose(aligned_errors(ECG, flat)["mae_mv_aligned"], middle, rtol=1e-6)


def test_leads_of_one_heart_have_no_residual() -> None:
    ecg = ECG.astype(np.float64)
    ecg[:, 2:6] = np.stack(derive_frontal(ecg[:, 0], ecg[:, 1]), axis=1)
    assert identity_residual(ecg)["identity_max_uv"].max() == 0
    ecg[:, [4, 5]] = ecg[:, [5, 4]]
    assert identity_residual(ecg)["identity_mean_uv"].min() > 100
