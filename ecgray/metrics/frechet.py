"""The Frechet distance of two sets of embeddings, raw and as the three ratios that are all called rFID.

FID(a, b) = |mu_a - mu_b|^2 + Tr(S_a + S_b - 2 (S_a S_b)^(1/2)). The paper's rFID (Eq. 26) divides by the distance of
two halves of the real set, and its tables count higher as better; which cannot both hold. The halves hold half as many
records and so lie about twice as far apart as two whole sets of the same origin: a perfect generator scores 0.5 in the
ratio as printed, 2.0 in its inverse, 0.667 in the bounded one. All three are given by name, beside the raw distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ecgray.metrics.bootstrap import Estimate, draw_patients

NAMES = ("frechet", "frechet_halves", "rfid_literal", "rfid_inverse", "rfid_bounded")
"""FID(set, real); FID(real half, other half); the 1st by the 2nd (Eq. 26); the 2nd by the 1st; 2nd / (1st + 2nd)."""
_BLOCK = 512


@dataclass(frozen=True)
class Moments:
    """Means and covariances, of one set or of one in each resample."""

    mean: Float[np.ndarray, "*resample width"]
    covariance: Float[np.ndarray, "*resample width width"]

    @staticmethod
    def of(embeddings: Float[np.ndarray, "record width"]) -> Moments:
        """Of a set, in float64; the covariance by n - 1."""
        values = embeddings.astype(np.float64)
        centred = values - values.mean(axis=0)
        return Moments(values.mean(axis=0), centred.T @ centred / max(len(values) - 1, 1))


def frechet_distance(a: Moments, b: Moments) -> Float[np.ndarray, "*resample"]:
    """The Frechet distance of two Gaussians, or of one pair a resample; never below 0.

    The trace of (S_a S_b)^(1/2) is the sum of the singular values of S_a^(1/2) S_b^(1/2): nothing becomes complex where
    a covariance is singular.

    >>> one = Moments(np.zeros(2), np.eye(2))
    >>> float(frechet_distance(one, Moments(np.array([3.0, 0.0]), 4 * np.eye(2))))
    11.0
    """
    apart = np.square(a.mean - b.mean).sum(axis=-1)
    cross = np.linalg.svd(_root(a.covariance) @ _root(b.covariance), compute_uv=False).sum(axis=-1)
    traces = np.trace(a.covariance, axis1=-2, axis2=-1) + np.trace(b.covariance, axis1=-2, axis2=-1)
    return np.asarray(np.maximum(apart + traces - 2 * cross, 0.0))


def _root(matrix: Float[np.ndarray, "*resample width width"]) -> Float[np.ndarray, "*resample width width"]:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    scaled = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return scaled @ np.swapaxes(vectors, -1, -2)


def frechet_scores(
    real: Float[np.ndarray, "record width"],
    other: Float[np.ndarray, "generated width"],
    *,
    real_patients: np.ndarray,
    other_patients: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """The distances and ratios of `NAMES` with 95 % intervals; patients are drawn together in both sets.

    Drawing patients with replacement pushes every Frechet distance up, as fewer different records do. So the interval
    is the resamples' spread around their median, laid around the distance itself.
    """
    support = len(other)
    if min(len(real) // 2, support) < 2:
        return {name: Estimate(None, records=support) for name in NAMES}
    names, index = np.unique(np.concatenate([real_patients, other_patients]), return_inverse=True)
    first = half_of(index[: len(real)], len(names), seed=seed)
    sets = [(real, index[: len(real)]), (other, index[len(real) :])]
    sets += [(real[half], index[: len(real)][half]) for half in (first, ~first)]
    whole = _figures([Moments.of(values) for values, _ in sets])
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    for weights in draw_patients(len(names), resamples, records=len(index), seed=seed):
        for start in range(0, weights.shape[1], _BLOCK):
            part = weights[:, start : start + _BLOCK].astype(np.float64)
            drawn = _figures([_weighted(values, patient, part) for values, patient in sets])
            for name in NAMES:
                resampled[name].append(drawn[name])
    return {
        name: _around(float(whole[name]), np.concatenate(resampled[name]) if resampled[name] else np.empty(0), support)
        for name in NAMES
    }


def half_of(patient: Int[np.ndarray, " record"], patients: int, *, seed: int) -> Bool[np.ndarray, " record"]:
    """Which records make up the first half: whole patients (numbers below `patients`), drawn, until half is there.

    >>> half_of(np.array([0, 0, 1, 1]), 2, seed=0).sum()
    np.int64(2)
    """
    order = np.random.default_rng([seed, 1]).permutation(patients)
    counts = np.bincount(patient, minlength=patients)[order]
    chosen = np.zeros(patients, bool)
    chosen[order[np.cumsum(counts) - counts / 2 <= len(patient) / 2]] = True
    return chosen[patient]


def _figures(moments: list[Moments]) -> dict[str, Float[np.ndarray, "*resample"]]:
    real, other, first, second = moments
    distance, halves = frechet_distance(other, real), frechet_distance(first, second)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (distance / halves, halves / distance, halves / (distance + halves))
    return dict(zip(NAMES, (distance, halves, *ratios), strict=True))


def _weighted(
    values: Float[np.ndarray, "record width"],
    patient: Int[np.ndarray, " record"],
    weights: Float[np.ndarray, "patient resample"],
) -> Moments:
    """Mean and covariance in each resample: sums over records, each as often as its patient was drawn."""
    width = values.shape[1]
    centre = values.mean(axis=0, dtype=np.float64)  # far from 0 the difference of two large sums would lose digits
    count, first = np.zeros((weights.shape[1], 1)), np.zeros((weights.shape[1], width))
    second = np.zeros((weights.shape[1], width * width))
    for start in range(0, len(values), _BLOCK):
        rows = values[start : start + _BLOCK].astype(np.float64) - centre
        each = weights[patient[start : start + _BLOCK]].T  # (resample, record)
        count += each.sum(axis=1, keepdims=True)
        first += each @ rows
        second += each @ (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    mean = first / np.maximum(count, 1)
    outer = mean[:, :, None] * mean[:, None, :]
    spread = second.reshape(-1, width, width) - count[..., None] * outer
    return Moments(mean + centre, spread / np.maximum(count - 1, 1)[..., None])


def _around(value: float, resampled: Float[np.ndarray, " resample"], support: int) -> Estimate:
    known = resampled[np.isfinite(resampled)]
    centred = known - np.median(known) + value if len(known) else known
    return Estimate.of(value, np.maximum(centred, 0.0), support)
