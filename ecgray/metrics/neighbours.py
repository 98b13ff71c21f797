"""Precision, recall, density and coverage of a generated set by nearest neighbours, and its diversity.

Around each record lies a ball that reaches to its k-th neighbour of the same set. Precision is the part of the
generated ECGs within a ball of a real one, recall the part of the real ones within a ball of a generated one
(Kynkaanniemi et al. 2019). Density counts in how many real balls a generated one lies, by k; coverage is the part of
the real balls that hold a generated one (Naeem et al. 2020): an outlier among the real records, whose ball is large,
spoils them less.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

NAMES = ("precision", "density", "recall", "coverage")
_BLOCK_VALUES = 1 << 24
"""Distances held at once: 128 MB in float64."""


def nearest_distances(points: Float[np.ndarray, "point width"], *, k: int) -> Float[np.ndarray, " point"]:
    """The Euclidean distance of each point to its k-th nearest other one.

    >>> nearest_distances(np.array([[0.0], [1.0], [3.0]]), k=1).tolist()
    [1.0, 1.0, 2.0]
    """
    found = [np.partition(block, k, axis=1)[:, k] for _, block in _distances(points, points, same=True)]
    return np.sqrt(np.concatenate(found))


def manifold_scores(
    real: Float[np.ndarray, "record width"], generated: Float[np.ndarray, "generated width"], *, k: int = 5
) -> dict[str, Float[np.ndarray, " _"]]:
    """The values whose means are the scores of `NAMES`: the first two a generated ECG each, the others a real one each.

    NaN where a set has too few records for a k-th neighbour.
    """
    if min(len(real), len(generated)) <= k:
        sizes = (len(generated), len(generated), len(real), len(real))
        return {name: np.full(size, np.nan) for name, size in zip(NAMES, sizes, strict=True)}
    around_real, around_generated = (nearest_distances(one, k=k) ** 2 for one in (real, generated))
    inside = np.zeros(len(generated))
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, square in _distances(generated, real):
        held: Bool[np.ndarray, "generated record"] = square <= around_real
        inside[rows] = held.sum(axis=1)
        covered |= held.any(axis=0)
        recalled |= (square <= around_generated[rows, None]).any(axis=0)
    values = ((inside > 0).astype(float), inside / k, recalled.astype(float), covered.astype(float))
    return dict(zip(NAMES, values, strict=True))


def spread_within(points: Float[np.ndarray, "point width"], groups: np.ndarray) -> Float[np.ndarray, " point"]:
    """How varied the points of one group are: of each the mean distance to the others of its group, NaN where alone.

    >>> spread_within(np.array([[0.0], [2.0], [9.0]]), np.array(["a", "a", "b"])).tolist()
    [2.0, 2.0, nan]
    """
    found = np.full(len(points), np.nan)
    _, group = np.unique(groups, return_inverse=True)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(rows) > 1:
            sums = [np.sqrt(block).sum(axis=1) for _, block in _distances(points[rows], points[rows], same=True)]
            found[rows] = np.concatenate(sums) / (len(rows) - 1)
    return found


def _distances(
    rows: Float[np.ndarray, "row width"], columns: Float[np.ndarray, "column width"], *, same: bool = False
) -> Iterator[tuple[slice, Float[np.ndarray, "row column"]]]:
    """Squared distances, a block of rows at a time; of `same` sets the diagonal is exactly 0."""
    centre = columns.mean(axis=0, dtype=np.float64)
    rows, columns = rows.astype(np.float64) - centre, columns.astype(np.float64) - centre
    lengths = np.square(columns).sum(axis=1)
    block = max(1, _BLOCK_VALUES // max(len(columns), 1))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        square = np.square(part).sum(axis=1)[:, None] + lengths - 2 * part @ columns.T
        np.maximum(square, 0.0, out=square)
        if same:
            square[np.arange(len(part)), start + np.arange(len(part))] = 0.0
        yield slice(start, start + len(part)), square
