"""One heart at one recording: its rate, its intervals and its axis, as its conditions have them.

Every figure is drawn, none is a constant of the class: a left bundle branch block may last 124 or 170 ms, a normal QRS
74 or 107 ms. What separates two conditions in the drawing is what separates them by definition, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecgray.demo.conditions import BY_NAME


@dataclass(frozen=True)
class Patient:
    """Who it is; the same at every recording."""

    number: int
    """Which patient of the archive, from 0."""
    age: float
    """Age at the first recording, in years."""
    sex: str
    """F or M."""
    fitness: float
    """From -1 to 1: how slow the heart beats at rest and how much it follows the breath."""


@dataclass(frozen=True)
class Heart:
    """One heart at one recording."""

    patient: Patient
    conditions: frozenset[str]
    rate_bpm: float
    """Rate of what sets the pace: the sinus node, the ventricles in atrial fibrillation, an escape rhythm."""
    p_ms: float
    pr_ms: float
    qrs_ms: float
    qtc_ms: float
    """QT by Fridericia."""
    axis_deg: float
    """Axis of the QRS in the frontal plane."""
    oddities: frozenset[str] = frozenset()
    """What no condition names and many hearts have; a cart may mention it. See `ODDITIES`."""

    def has(self, *names: str) -> bool:
        """Whether any of these conditions is present."""
        return not self.conditions.isdisjoint(names)

    def shows(self, oddity: str) -> bool:
        """Whether it has this oddity."""
        return oddity in self.oddities

    @property
    def rr_s(self) -> float:
        """Mean time between two beats of what sets the pace."""
        return 60 / self.rate_bpm


ODDITIES: dict[str, tuple[float, float, str]] = {  # chance beside other conditions, in a normal ECG, what excludes it
    "flat t": (0.25, 0.0, "st t"),
    "low st": (0.15, 0.0, "st t"),
    "poor r progression": (0.1, 0.03, "anterior voltage"),
    "small second r": (0.05, 0.06, "right"),
    "slow qrs": (0.07, 0.0, "left right"),
}
"""Findings without a term of their own, so that a condition is not the only thing that makes an ECG look unusual."""


def draw_heart(
    patient: Patient, conditions: frozenset[str], *, body: np.random.Generator, now: np.random.Generator
) -> Heart:
    """The figures of a heart: `body` draws what stays the same for a patient, `now` what the day brings."""
    oddities = _oddities(conditions, body)
    qrs_ms = _qrs_ms(conditions, body)
    if "slow qrs" in oddities:
        qrs_ms = _within(body, 114.0, 4.0, 108.0, 124.0)
    pr_ms = _pr_ms(conditions, body)
    return Heart(
        patient=patient,
        conditions=conditions,
        rate_bpm=_rate_bpm(patient, conditions, now),
        p_ms=min(_p_ms(conditions, body), pr_ms - 8),
        pr_ms=pr_ms,
        qrs_ms=qrs_ms,
        qtc_ms=_qtc_ms(patient, conditions, qrs_ms, body),
        axis_deg=_axis_deg(patient, conditions, body),
        oddities=oddities,
    )


def _oddities(conditions: frozenset[str], rng: np.random.Generator) -> frozenset[str]:
    claimed = set().union(*(BY_NAME[name].claims for name in conditions))
    chances = rng.random(len(ODDITIES))
    normal = "normal ecg" in conditions
    return frozenset(
        name
        for chance, (name, (beside, in_normal, excluded)) in zip(chances, ODDITIES.items(), strict=True)
        if chance < (in_normal if normal else beside) and claimed.isdisjoint(excluded.split())
    )


def _within(rng: np.random.Generator, mean: float, spread: float, low: float, high: float) -> float:
    """A normal draw, drawn again until it lies between the limits."""
    while True:
        value = rng.normal(mean, spread)
        if low <= value <= high:
            return float(value)


def _rate_bpm(patient: Patient, conditions: frozenset[str], rng: np.random.Generator) -> float:
    limits = {  # mean, spread, lowest, highest
        "sinus bradycardia": (53.0, 5.0, 39.0, 58.0),
        "sinus tachycardia": (112.0, 12.0, 103.0, 155.0),
        "sinus arrhythmia": (68.0, 8.0, 54.0, 88.0),
        "atrial fibrillation": (88.0, 26.0, 48.0, 165.0),
        "supraventricular tachycardia": (180.0, 18.0, 152.0, 218.0),
        "third degree av block": (40.0, 7.0, 28.0, 54.0),
        "paced rhythm": (70.0, 8.0, 59.0, 95.0),
    }
    if "second degree av block" in conditions and "sinus tachycardia" not in conditions:  # the sinus node's own rate
        slow = "sinus bradycardia" in conditions
        return _within(
            rng, 54.0 if slow else 77.0, 5.0 if slow else 9.0, 48.0 if slow else 62.0, 58.0 if slow else 98.0
        )
    for name, (mean, spread, low, high) in limits.items():
        if name in conditions:
            return _within(rng, mean, spread, low, high)
    return _within(rng, 75.0 - 7.0 * patient.fitness, 9.0, 61.5, 98.0)


def _p_ms(conditions: frozenset[str], rng: np.random.Generator) -> float:
    if "left atrial enlargement" in conditions:
        return _within(rng, 131.0, 9.0, 120.0, 155.0)
    return _within(rng, 102.0, 9.0, 80.0, 117.0)


def _pr_ms(conditions: frozenset[str], rng: np.random.Generator) -> float:
    if conditions & {"short pr interval", "ventricular preexcitation"}:
        return _within(rng, 103.0, 9.0, 84.0, 116.0)
    if "first degree av block" in conditions:
        return 208.0 + min(rng.gamma(1.6, 22.0), 150.0)
    if "left atrial enlargement" in conditions:
        return _within(rng, 172.0, 15.0, 140.0, 198.0)
    return _within(rng, 156.0, 18.0, 124.0, 196.0)


def _qrs_ms(conditions: frozenset[str], rng: np.random.Generator) -> float:
    limits = {
        "left bundle branch block": (144.0, 13.0, 124.0, 182.0),
        "right bundle branch block": (138.0, 11.0, 122.0, 172.0),
        "paced rhythm": (158.0, 14.0, 132.0, 195.0),
        "ventricular preexcitation": (128.0, 12.0, 112.0, 158.0),
        "incomplete left bundle branch block": (112.0, 4.5, 104.0, 118.5),
        "incomplete right bundle branch block": (107.0, 5.0, 100.0, 118.0),
        "left anterior fascicular block": (101.0, 6.0, 88.0, 114.0),
        "left ventricular hypertrophy": (99.0, 7.0, 82.0, 114.0),
        "right ventricular hypertrophy": (97.0, 7.0, 82.0, 112.0),
        "inferior myocardial infarction": (96.0, 7.0, 82.0, 112.0),
        "anteroseptal myocardial infarction": (96.0, 7.0, 82.0, 112.0),
    }
    if "third degree av block" in conditions and rng.random() < 0.5:  # the escape rhythm's place is below the bundle
        return _within(rng, 140.0, 12.0, 122.0, 170.0)
    for name, (mean, spread, low, high) in limits.items():
        if name in conditions:
            return _within(rng, mean, spread, low, high)
    return _within(rng, 90.0, 8.0, 72.0, 107.0)


def _qtc_ms(patient: Patient, conditions: frozenset[str], qrs_ms: float, rng: np.random.Generator) -> float:
    if "long qt interval" in conditions:
        return _within(rng, 512.0, 26.0, 484.0, 600.0)
    if "short qt interval" in conditions:
        return _within(rng, 318.0, 13.0, 280.0, 338.0)
    woman = patient.sex == "F"
    qtc = _within(rng, 412.0 if woman else 402.0, 15.0, 368.0, 446.0 if woman else 438.0)
    return qtc + 0.7 * max(qrs_ms - 110.0, 0.0)


def _axis_deg(patient: Patient, conditions: frozenset[str], rng: np.random.Generator) -> float:
    if "left anterior fascicular block" in conditions:
        return _within(rng, -58.0, 9.0, -78.0, -46.0)
    if "left axis deviation" in conditions:
        return _within(rng, -42.0, 8.0, -65.0, -33.0)
    if "right axis deviation" in conditions:
        return _within(rng, 116.0, 14.0, 101.0, 155.0)
    if "paced rhythm" in conditions:
        return _within(rng, -72.0, 18.0, -110.0, -35.0)
    if "ventricular preexcitation" in conditions:
        return float(rng.choice([_within(rng, -10.0, 25.0, -50.0, 40.0), _within(rng, 75.0, 12.0, 45.0, 98.0)]))
    if "left bundle branch block" in conditions:
        return _within(rng, -3.0, 26.0, -29.0, 75.0)
    if "inferior myocardial infarction" in conditions:
        return _within(rng, -8.0, 20.0, -29.0, 45.0)
    if "normal ecg" in conditions:
        return _within(rng, 64.0 - 0.55 * (patient.age - 30.0), 23.0, -26.0, 88.0)
    return _within(rng, 52.0 - 0.75 * (patient.age - 40.0), 26.0, -28.0, 89.0)
