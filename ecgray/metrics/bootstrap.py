"""What chance leaves open in a figure: estimates with 95 % intervals from resampling patients.

Two records of one patient are no independent evidence, so that patients are drawn, with all of their records. A
resample is a weight for each patient; means, medians and ratios are computed for all resamples at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

_BLOCK_WEIGHTS = 1 << 23
"""Patients times resamples held at once: 32 MB."""
_EXACT_IN_FLOAT32 = 1 << 22
"""Up to so many records, sums of weights stay whole numbers in float32."""


def draw_patients(
    patients: int, resamples: int, *, records: int, seed: int
) -> Iterator[Float[np.ndarray, "patient resample"]]:
    """How often each patient stands in each resample, a block of resamples at a time."""
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_WEIGHTS // max(patients, 1))
    kind = np.float32 if records <= _EXACT_IN_FLOAT32 else np.float64
    for start in range(0, resamples, block):
        weights = np.empty((patients, min(block, resamples - start)), kind)
        for column in range(weights.shape[1]):
            weights[:, column] = np.bincount(random.integers(0, patients, patients), minlength=patients)
        yield weights


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and how many records it rests on; None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    records: int = 0

    @staticmethod
    def of(value: float, resampled: Float[np.ndarray, " resample"], records: int) -> Estimate:
        """The percentile interval of the resamples that could be computed.

        >>> Estimate.of(0.5, np.linspace(0.0, 1.0, 1001), 20)
        Estimate(value=0.5, low=0.025, high=0.975, records=20)
        """
        if not np.isfinite(value):
            return Estimate(None, records=records)
        known = resampled[np.isfinite(resampled)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        return Estimate(float(value), _number(low), _number(high), records)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class PatientBootstrap:
    """Estimates over the records of `patients` (an id for each record), all from the same resamples.

    A value that is NaN says that the record could not be measured: it is left out, and not counted as support.

    >>> boot = PatientBootstrap(np.array(["a", "a", "b"]), resamples=50, seed=0)
    >>> found = boot.mean(np.array([1.0, 3.0, np.nan]))
    >>> found.value, found.records
    (2.0, 2)
    """

    def __init__(self, patients: np.ndarray, *, resamples: int = 1000, seed: int = 0) -> None:
        names, self.patient = np.unique(patients, return_inverse=True)
        self.patients, self.resamples, self.seed = len(names), resamples, seed

    @cached_property
    def weights(self) -> Float[np.ndarray, "patient resample"]:
        """How often each patient stands in each resample."""
        records = len(self.patient)
        blocks = list(draw_patients(self.patients, self.resamples, records=records, seed=self.seed))
        return np.concatenate(blocks, axis=1) if blocks else np.empty((self.patients, 0), np.float32)

    def mean(self, values: Float[np.ndarray, " record"]) -> Estimate:
        """The mean over records."""
        return self.ratio(values, np.ones(len(values)))

    def ratio(self, above: Float[np.ndarray, " record"], below: Float[np.ndarray, " record"]) -> Estimate:
        """The ratio of two means: sum of `above` by sum of `below`, over records that have both."""
        known = np.isfinite(above) & np.isfinite(below)
        sums = [
            np.bincount(self.patient[known], values[known].astype(np.float64), minlength=self.patients)
            for values in (above, below)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            value = sums[0].sum() / sums[1].sum()
            resampled = (sums[0] @ self.weights) / (sums[1] @ self.weights)
        return Estimate.of(float(value), resampled, int(known.sum()))

    def median(self, values: Float[np.ndarray, " record"]) -> Estimate:
        """The median over records; in a resample each record counts as often as its patient was drawn."""
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            return Estimate(None)
        order = known[np.argsort(values[known], kind="stable")]
        ranked, patient = values[order].astype(np.float64), self.patient[order]
        block = max(1, _BLOCK_WEIGHTS // len(order))
        starts = range(0, self.resamples, block)
        found = [_medians(ranked, self.weights[patient, start : start + block]) for start in starts]
        return Estimate.of(float(np.median(ranked)), np.concatenate([np.empty(0), *found]), len(order))


def _medians(
    ranked: Float[np.ndarray, " record"], weights: Float[np.ndarray, "record resample"]
) -> Float[np.ndarray, " resample"]:
    """The weighted median of rising values in each resample; NaN where nothing was drawn."""
    below = np.cumsum(weights, axis=0)
    half = below[-1] / 2
    first, second = (below >= half).argmax(axis=0), (below > half).argmax(axis=0)
    return np.where(below[-1] > 0, (ranked[first] + ranked[second]) / 2, np.nan)
