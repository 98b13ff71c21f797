"""The Frechet distance: closed forms, SciPy's matrix square root, and what a perfect generator scores."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from ecgray.metrics.frechet import NAMES, Moments, _weighted, frechet_distance, frechet_scores

RNG = np.random.default_rng(0)


def points(records: int, width: int = 8, *, shift: float = 0.0) -> np.ndarray:
    mixing = np.random.default_rng(1).standard_normal((width, width))
    return RNG.standard_normal((records, width)) @ mixing + shift


def test_equal_sets_are_not_apart() -> None:
    one = Moments.of(points(50))
    assert float(frechet_distance(one, one)) == pytest.approx(0, abs=1e-9)


def test_gaussians_by_the_closed_form() -> None:
    """Diagonal covariances: |difference of means|^2 + sum of squared differences of deviations."""
    a, b = RNG.random(6) + 0.5, RNG.random(6) + 0.5
    mean = RNG.standard_normal(6)
    found = frechet_distance(Moments(np.zeros(6), np.diag(a**2)), Moments(mean, np.diag(b**2)))
    assert float(found) == pytest.approx((mean**2).sum() + ((a - b) ** 2).sum())


def test_the_same_as_by_scipy() -> None:
    a, b = points(60), points(80, shift=0.3)
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    golden = apart + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert float(frechet_distance(Moments.of(a), Moments.of(b))) == pytest.approx(golden, rel=1e-8)


def test_a_singular_covariance_is_no_obstacle() -> None:
    few = points(5, width=16)
    assert np.isfinite(frechet_distance(Moments.of(few), Moments.of(points(40, width=16))))


def test_weighted_moments_are_those_of_repeated_records() -> None:
    values, patient = points(700) + 100, RNG.integers(0, 90, 700)
    weights = RNG.integers(0, 3, (90, 4)).astype(float)
    found = _weighted(values, patient, weights)
    for n in range(4):
        again = Moments.of(np.repeat(values, weights[patient, n].astype(int), axis=0))
        np.testing.assert_allclose(found.mean[n], again.mean)
        np.testing.assert_allclose(found.covariance[n], again.covariance, atol=1e-8)


def test_a_perfect_generator_scores_a_half_two_and_two_thirds() -> None:
    """In the mean over many: one set's distances are a matter of luck."""
    rows = []
    for _ in range(60):
        who = np.arange(400).astype(str)
        found = frechet_scores(points(400), points(400), real_patients=who, other_patients=who, resamples=0)
        rows.append([found[name].value for name in NAMES])
    distance, halves = np.mean(rows, axis=0)[:2]
    assert distance / halves == pytest.approx(0.5, abs=0.1)
    assert halves / distance == pytest.approx(2.0, abs=0.4)
    assert halves / (distance + halves) == pytest.approx(0.667, abs=0.05)


def test_intervals_hold_the_distance_and_widen_with_fewer_patients() -> None:
    real, other = points(300), points(300, shift=0.5)
    many, few = np.arange(300).astype(str), (np.arange(300) // 30).astype(str)
    wide, narrow = (
        frechet_scores(real, other, real_patients=who, other_patients=who, resamples=200)["frechet"]
        for who in (few, many)
    )
    for found in (wide, narrow):
        assert found.low < found.value < found.high
        assert found.records == 300
    assert wide.high - wide.low > narrow.high - narrow.low


def test_too_few_records_have_no_distance() -> None:
    found = frechet_scores(points(2), points(1), real_patients=np.array(["a", "b"]), other_patients=np.array(["a"]))
    assert found["frechet"].value is None
