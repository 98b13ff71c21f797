"""How well scores rank the sick above the healthy: AUROC by class, its macro average, and what chance leaves open.

AUROC is the probability that a record with the finding scores higher than one without, ties counting half. Intervals
come from resampling *patients*: two records of one patient are no independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.sparse

from ecgray.metrics.bootstrap import draw_patients

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Num


@dataclass(frozen=True)
class Scores:
    """AUROC of each class, and of each class in each resample of the patients.

    NaN stands for a class without a positive or without a negative.
    """

    auroc: Float[np.ndarray, "label"]
    resampled: Float[np.ndarray, "resample label"]

    @property
    def macro(self) -> float:
        """The unweighted mean over the classes that can be scored; NaN where none can."""
        return float(_mean(self.auroc[None])[0])

    @property
    def resampled_macro(self) -> Float[np.ndarray, "resample"]:
        """The same mean in each resample, over the classes that the whole can score and this resample can too."""
        return _mean(self.resampled)


def auroc(truth: Bool[np.ndarray, "record"], score: Float[np.ndarray, "record"]) -> float:
    """P(score of a positive > score of a negative) + P(equal) / 2; NaN without positives or without negatives.

    >>> auroc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    one = np.ones((len(truth), 1))
    return float(_Ranked.of(truth, score, np.arange(len(truth))).auroc(one)[0])


def score_classes(
    truth: Bool[np.ndarray, "record label"],
    score: Float[np.ndarray, "record label"],
    *,
    patients: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """AUROC of each class with a bootstrap over `patients` (one id a record).

    Two calls with the same patients and seed draw the same resamples, so their differences are paired.
    """
    _, patient = np.unique(patients, return_inverse=True)
    ranked = [_Ranked.of(truth[:, label], score[:, label], patient) for label in range(truth.shape[1])]
    once = np.ones((int(patient.max(initial=-1)) + 1, 1))
    whole = np.array([each.auroc(once)[0] for each in ranked])
    blocks = [
        np.stack([each.auroc(weights) for each in ranked], axis=1)  # (resample, label)
        for weights in draw_patients(len(once), resamples, records=len(truth), seed=seed)
    ]
    return Scores(whole, np.concatenate(blocks) if blocks else np.empty((0, len(ranked))))


def interval(
    resampled: Float[np.ndarray, "resample *label"], *, percent: float = 95.0
) -> tuple[Float[np.ndarray, "*label"], Float[np.ndarray, "*label"]]:
    """The percentile interval over the resamples that could be scored; NaN where none could.

    >>> low, high = interval(np.linspace(0.0, 1.0, 1001))
    >>> round(float(low), 3), round(float(high), 3)
    (0.025, 0.975)
    """
    tails = [(100 - percent) / 2, (100 + percent) / 2]
    empty = np.isnan(resampled).all(axis=0)
    filled = np.where(empty, 0.0, resampled)
    if len(filled) == 0:
        return np.full(resampled.shape[1:], np.nan), np.full(resampled.shape[1:], np.nan)
    low, high = np.nanpercentile(filled, tails, axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def _mean(values: Float[np.ndarray, "row label"]) -> Float[np.ndarray, "row"]:
    scored = ~np.isnan(values)
    count = scored.sum(axis=1)
    total = np.where(scored, values, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True)
class _Ranked:
    """One class, sorted once: what remains for each resample is two sparse sums over patients and one running sum.

    The distinct scores u_1 < u_2 < ... of the rarer side cut the other side into bins: below u_1, equal to u_1, between
    u_1 and u_2, and on. With the patients' weights summed in each bin, a running sum over the bins says how much of the
    other side lies below each u_k, and the bin of u_k how much is tied.
    """

    rare: scipy.sparse.csr_array
    """(distinct score, patient): records of the rarer side."""
    other: scipy.sparse.csr_array
    """(bin, patient): records of the other side."""
    positives_are_rare: bool

    @classmethod
    def of(
        cls,
        truth: Bool[np.ndarray, "record"],
        score: Num[np.ndarray, "record"],
        patient: Int[np.ndarray, "record"],
    ) -> _Ranked:
        if not np.isfinite(score).all():
            raise ValueError("a score is not a finite number; a ranking needs numbers")
        positives_are_rare = bool(2 * truth.sum() <= len(truth))
        rare = truth if positives_are_rare else ~truth
        values, rank = np.unique(score[rare], return_inverse=True)
        below, up_to = (np.searchsorted(values, score[~rare], side=side) for side in ("left", "right"))
        patients = int(patient.max(initial=-1)) + 1
        # Even bins lie between two distinct scores, odd ones on one: 2 * below, plus 1 where tied.
        return cls(
            rare=_count(rank, patient[rare], (len(values), patients)),
            other=_count(below + up_to, patient[~rare], (2 * len(values) + 1, patients)),
            positives_are_rare=positives_are_rare,
        )

    def auroc(self, weights: Float[np.ndarray, "patient resample"]) -> Float[np.ndarray, "resample"]:
        """AUROC where each patient counts as often as `weights` says."""
        rare = cast("np.ndarray", self.rare @ weights).astype(np.float64)  # (distinct score, resample)
        other = cast("np.ndarray", self.other @ weights)  # (bin, resample)
        tied = other[1::2] / 2
        np.cumsum(other, axis=0, out=other)
        ranks = other[:-1:2] + tied  # how much of the other side lies below each distinct score
        pairs = rare.sum(axis=0) * other[-1].astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            higher = np.where(pairs > 0, np.einsum("sr,sr->r", rare, ranks) / pairs, np.nan)
        return higher if self.positives_are_rare else 1 - higher


def _count(
    row: Int[np.ndarray, "record"], patient: Int[np.ndarray, "record"], shape: tuple[int, int]
) -> scipy.sparse.csr_array:
    ones = np.ones(len(row), np.float32)
    return scipy.sparse.csr_array((ones, (row, patient)), shape=shape)  # repeated places are summed
