"""The scores of a set of generated ECGs against the recordings they were generated like; arrays in, estimates out.

Every set is scored alike: a generator's, and the trivial ones that say what a figure is worth (a flat line, other
people's recordings, the simulator, the autoencoder). What cannot be measured in both of a pair is left out of a
measure, and the support of each measure says how many were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from ecgray.metrics import frechet, neighbours
from ecgray.metrics.bootstrap import Estimate, PatientBootstrap
from ecgray.metrics.frechet import frechet_scores, half_of
from ecgray.metrics.neighbours import manifold_scores, spread_within

INTERVALS = ("pr_ms", "qrs_ms", "qt_ms", "qtcf_ms", "st60_mv", "p_ms", "t_ms")
"""Intervals whose absolute errors are scored, by their median over records."""
RATE = "heart_rate_bpm"


@dataclass(frozen=True)
class EcgSet:
    """What is known of the ECGs of a set, a row each; NaN where something could not be measured."""

    patients: np.ndarray
    """Of the paired recording; of a free prompt, an id of its own."""
    place: Int[np.ndarray, " ecg"]
    """Row of the paired recording in the real set; -1 for a free prompt."""
    asked_bpm: Float[np.ndarray, " ecg"]
    """The heart rate that was asked for."""
    errors: Mapping[str, Float[np.ndarray, " ecg"]]
    """Against the paired recording (`signal_errors`, `aligned_errors`), and of the ECG itself (`identity_residual`)."""
    measured: Mapping[str, Float[np.ndarray, " ecg"]]
    """heart_rate_bpm and `INTERVALS`."""
    embedding: Float[np.ndarray, "ecg width"]
    text: Int[np.ndarray, " ecg"]
    """Which text was asked for: equal numbers, equal texts."""
    text_embedding: Float[np.ndarray, "ecg width"]

    def __len__(self) -> int:
        return len(self.place)


def score_set(
    own: EcgSet,
    real: EcgSet,
    *,
    population: Literal["whole", "halves", "none"] = "whole",
    k: int = 5,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Every measure of a set. `population`: what its distribution is held against.

    whole: that of the real set; halves: the real set's halves against each other (for the real set itself); none: the
    set is the real one in another order, so that its distribution says nothing.
    """
    boot = PatientBootstrap(own.patients, resamples=resamples, seed=seed)
    found = {name: boot.mean(values) for name, values in own.errors.items()}
    found |= _rate_and_intervals(own, real, boot) | _agreement(own, real, boot)
    if population == "none":
        return found
    settings = {"k": k, "resamples": resamples, "seed": seed}
    if population == "whole":
        return found | _distribution(own, real, **settings) | _diversity(own, boot)
    names, patient = np.unique(real.patients, return_inverse=True)
    first = half_of(patient, len(names), seed=seed)
    whole = PatientBootstrap(real.patients, resamples=resamples, seed=seed)
    halves = _distribution(_rows(real, ~first), _rows(real, first), **settings)
    for name in frechet.NAMES[1:]:  # what the others are divided by: there is nothing to divide
        del halves[name]
    return found | halves | _diversity(real, whole)


def _paired(values: Float[np.ndarray, " record"], place: Int[np.ndarray, " ecg"]) -> Float[np.ndarray, " ecg"]:
    """The value of the paired recording; NaN where there is none."""
    if not len(values):
        return np.full(len(place), np.nan)
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan)


def _rate_and_intervals(own: EcgSet, real: EcgSet, boot: PatientBootstrap) -> dict[str, Estimate]:
    rate = own.measured[RATE]
    found = {
        "rate_condition_bpm": boot.mean(np.abs(rate - own.asked_bpm)),
        "rate_paired_bpm": boot.mean(np.abs(rate - _paired(real.measured[RATE], own.place))),
    }
    for name in INTERVALS:
        found[name] = boot.median(np.abs(own.measured[name] - _paired(real.measured[name], own.place)))
    return found


def _agreement(own: EcgSet, real: EcgSet, boot: PatientBootstrap) -> dict[str, Estimate]:
    """The mean cosine with the text, and rCLIP: by the paired recording's cosine with the same text (Eq. 26)."""
    ours = (own.embedding.astype(np.float64) * own.text_embedding).sum(axis=1)
    theirs = np.full(len(own), np.nan)
    pairs = own.place >= 0
    theirs[pairs] = (real.embedding[own.place[pairs]].astype(np.float64) * own.text_embedding[pairs]).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(theirs > 0, ours / theirs, np.nan)
    return {
        "clip": boot.mean(ours),
        "rclip_ratio_of_means": boot.ratio(ours, theirs),
        "rclip_mean_of_ratios": boot.mean(each),
    }


def _distribution(own: EcgSet, real: EcgSet, *, k: int, resamples: int, seed: int) -> dict[str, Estimate]:
    known, kept = (np.isfinite(each.embedding).all(axis=1) for each in (own, real))
    own, real = _rows(own, known), _rows(real, kept)
    found = frechet_scores(
        real.embedding,
        own.embedding,
        real_patients=real.patients,
        other_patients=own.patients,
        resamples=resamples,
        seed=seed,
    )
    values = manifold_scores(real.embedding, own.embedding, k=k)
    boots = [PatientBootstrap(each.patients, resamples=resamples, seed=seed) for each in (own, own, real, real)]
    return found | {name: boot.mean(values[name]) for name, boot in zip(neighbours.NAMES, boots, strict=True)}


def _diversity(own: EcgSet, boot: PatientBootstrap) -> dict[str, Estimate]:
    """The mean distance of two embeddings: of the same text, and of any two."""
    return {
        "spread_text": boot.mean(spread_within(own.embedding, own.text)),
        "spread": boot.mean(spread_within(own.embedding, np.zeros(len(own), int))),
    }


def _rows(ecgs: EcgSet, kept: Bool[np.ndarray, " ecg"]) -> EcgSet:
    return EcgSet(
        ecgs.patients[kept],
        ecgs.place[kept],
        ecgs.asked_bpm[kept],
        {name: values[kept] for name, values in ecgs.errors.items()},
        {name: values[kept] for name, values in ecgs.measured.items()},
        ecgs.embedding[kept],
        ecgs.text[kept],
        ecgs.text_embedding[kept],
    )


@dataclass(frozen=True)
class Measure:
    """How a measure stands in a table."""

    name: str
    head: str
    digits: int
    table: str
    better: str
    """lower, higher, or what a perfect generator scores."""


MEASURES: tuple[Measure, ...] = (
    Measure("mae_mv", "MAE mV", 4, "waves", "lower"),
    Measure("mae_mv_aligned", "MAE mV, aligned", 4, "waves", "lower"),
    Measure("nrmse_range", "NRMSE by range", 4, "waves", "lower"),
    Measure("nrmse_range_aligned", "by range, aligned", 4, "waves", "lower"),
    Measure("nrmse_lead", "NRMSE by lead", 4, "waves", "lower"),
    Measure("nrmse_lead_aligned", "by lead, aligned", 4, "waves", "lower"),
    Measure("correlation", "Pearson r", 3, "waves", "higher"),
    Measure("correlation_aligned", "r, aligned", 3, "waves", "higher"),
    Measure("identity_mean_uv", "frontal residual uV", 1, "waves", "lower"),
    Measure("identity_max_uv", "its largest uV", 1, "waves", "lower"),
    Measure("rate_condition_bpm", "HR vs asked bpm", 2, "rate and intervals", "lower"),
    Measure("rate_paired_bpm", "HR vs pair bpm", 2, "rate and intervals", "lower"),
    Measure("pr_ms", "PR ms", 1, "rate and intervals", "lower"),
    Measure("qrs_ms", "QRSd ms", 1, "rate and intervals", "lower"),
    Measure("qt_ms", "QT ms", 1, "rate and intervals", "lower"),
    Measure("qtcf_ms", "QTcF ms", 1, "rate and intervals", "lower"),
    Measure("st60_mv", "ST@J+60 mV", 3, "rate and intervals", "lower"),
    Measure("p_ms", "P ms", 1, "rate and intervals", "lower"),
    Measure("t_ms", "T ms", 1, "rate and intervals", "lower"),
    Measure("clip", "cosine with text", 3, "text and distribution", "higher"),
    Measure("rclip_ratio_of_means", "rCLIP, ratio of means", 3, "text and distribution", "1"),
    Measure("rclip_mean_of_ratios", "rCLIP, mean of ratios", 3, "text and distribution", "1"),
    Measure("frechet", "FID(set, real)", 4, "text and distribution", "lower"),
    Measure("frechet_halves", "FID(real, real)", 4, "text and distribution", ""),
    Measure("rfid_literal", "rFID literal", 3, "text and distribution", "0.5"),
    Measure("rfid_inverse", "rFID inverse", 3, "text and distribution", "2"),
    Measure("rfid_bounded", "rFID bounded", 3, "text and distribution", "0.667"),
    Measure("precision", "precision", 3, "text and distribution", "higher"),
    Measure("recall", "recall", 3, "text and distribution", "higher"),
    Measure("density", "density", 3, "text and distribution", "1"),
    Measure("coverage", "coverage", 3, "text and distribution", "higher"),
    Measure("spread_text", "spread, same text", 3, "text and distribution", "the real set's"),
    Measure("spread", "spread, any two", 3, "text and distribution", "the real set's"),
)
"""Every measure, in the order of the tables."""
assert set(frechet.NAMES) <= {each.name for each in MEASURES}
