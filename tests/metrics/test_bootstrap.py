"""Estimates by resampling patients, against a plain loop over resamples."""

from __future__ import annotations

import numpy as np
import pytest

from ecgray.metrics import bootstrap
from ecgray.metrics.bootstrap import PatientBootstrap

RNG = np.random.default_rng(0)
PATIENTS = RNG.integers(0, 30, 120).astype(str)


def resampled(values: np.ndarray, boot: PatientBootstrap, figure) -> np.ndarray:
    """Records repeated as often as their patient was drawn, one resample after the other."""
    counts = boot.weights[boot.patient].astype(int)
    return np.array([figure(np.repeat(values, counts[:, n])) for n in range(counts.shape[1])])


@pytest.mark.parametrize(("name", "figure"), [("mean", np.nanmean), ("median", np.nanmedian)])
def test_intervals_equal_those_of_repeated_records(monkeypatch: pytest.MonkeyPatch, name: str, figure) -> None:
    values = np.where(RNG.random(120) < 0.1, np.nan, RNG.standard_normal(120))
    boot = PatientBootstrap(PATIENTS, resamples=60, seed=3)
    monkeypatch.setattr(bootstrap, "_BLOCK_WEIGHTS", 700)  # several blocks
    found = getattr(boot, name)(values)
    low, high = np.percentile(resampled(values, boot, figure), [2.5, 97.5])
    assert (found.value, found.low, found.high) == pytest.approx((figure(values), low, high))
    assert found.records == np.isfinite(values).sum()


def test_a_ratio_is_that_of_the_sums_over_records_that_have_both() -> None:
    above, below = RNG.random(120) + 1, RNG.random(120) + 2
    above[3] = below[5] = np.nan
    both = np.isfinite(above) & np.isfinite(below)
    found = PatientBootstrap(PATIENTS, resamples=20).ratio(above, below)
    assert found.value == pytest.approx(above[both].sum() / below[both].sum())
    assert found.records == 118


def test_one_patient_leaves_no_doubt_and_none_leaves_no_figure() -> None:
    alike = PatientBootstrap(np.array(["a"] * 4), resamples=20)
    found = alike.median(np.array([1.0, 2.0, 3.0, 10.0]))
    assert (found.value, found.low, found.high) == (2.5, 2.5, 2.5)
    assert alike.mean(np.full(4, np.nan)).value is None
    assert alike.median(np.full(4, np.nan)).value is None
