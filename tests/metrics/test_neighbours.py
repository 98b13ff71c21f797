"""Precision, recall, density, coverage and spread, against scikit-learn's neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from ecgray.metrics import neighbours
from ecgray.metrics.neighbours import manifold_scores, nearest_distances, spread_within

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("k", [3, 5])
def test_distances_equal_scikit_learns(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    points = RNG.standard_normal((80, 6)) + 50
    monkeypatch.setattr(neighbours, "_BLOCK_VALUES", 80 * 7)  # several blocks
    golden = NearestNeighbors(n_neighbors=k + 1).fit(points).kneighbors(points)[0][:, k]
    np.testing.assert_allclose(nearest_distances(points, k=k), golden)


def test_scores_equal_those_of_all_pairs() -> None:
    real, generated, k = RNG.standard_normal((40, 3)), RNG.standard_normal((30, 3)) + 0.4, 3
    apart = np.linalg.norm(generated[:, None] - real, axis=-1)
    held = apart <= nearest_distances(real, k=k)
    golden = {
        "precision": held.any(1).mean(),
        "density": held.sum(1).mean() / k,
        "recall": (apart <= nearest_distances(generated, k=k)[:, None]).any(0).mean(),
        "coverage": held.any(0).mean(),
    }
    found = manifold_scores(real, generated, k=k)
    assert {name: values.mean() for name, values in found.items()} == pytest.approx(golden)


def test_a_set_is_within_itself_and_a_distant_one_is_not() -> None:
    real = RNG.standard_normal((50, 4))
    assert {values.mean() >= 1 for values in manifold_scores(real, real).values()} == {True}
    assert {values.max() for values in manifold_scores(real, real + 100).values()} == {0.0}


def test_one_mode_is_precise_and_does_not_recall() -> None:
    real = np.concatenate([RNG.standard_normal((50, 4)), RNG.standard_normal((50, 4)) + 20])
    found = manifold_scores(real, RNG.standard_normal((100, 4)))
    assert found["precision"].mean() > 0.8
    assert found["recall"].mean() < 0.6
    assert found["coverage"].mean() < 0.6


def test_too_few_for_a_neighbour_have_no_score() -> None:
    assert all(np.isnan(values).all() for values in manifold_scores(RNG.random((5, 2)), RNG.random((9, 2))).values())


def test_copies_have_no_spread() -> None:
    points = np.concatenate([np.ones((3, 2)), RNG.random((3, 2))])
    found = spread_within(points, np.array(["same"] * 3 + ["other"] * 3))
    assert found[:3].tolist() == [0, 0, 0]
    golden = np.linalg.norm(points[3:, None] - points[3:], axis=-1).sum(1) / 2
    np.testing.assert_allclose(found[3:], golden)
