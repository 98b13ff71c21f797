"""Who the drawn patients are, and when which recording was made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ecgray.demo.conditions import BY_NAME, deal, draw_conditions, draw_next
from ecgray.demo.heart import Patient, draw_heart
from ecgray.demo.reports import Measurements, draw_report, measure
from ecgray.demo.rhythm import draw_rhythm
from ecgray.demo.strip import Body, Drawing, draw_drawing

AGAIN = 1 / 6
"""Chance of one more recording of the same patient: 1.2 recordings each."""
MOST_VISITS = 8

_FIRST_SUBJECT, _SUBJECT_STEP = 10_000_032, 61
_FIRST_STUDY, _STUDY_PRIME, _STUDY_STEP = 40_000_000, 9_999_991, 7_368_787
_FIRST_ADMISSION, _ADMISSION_STEP = 20_000_000, 3_141_593


@dataclass(frozen=True)
class Recording:
    """One recording, all but its voltages."""

    patient: Patient
    visit: int
    """Which recording of the patient, from 0."""
    subject_id: int
    study_id: int
    hadm_id: int | None
    """The admission that it falls into; None for an outpatient."""
    time: datetime
    conditions: frozenset[str]
    statements: list[str]
    measured: Measurements
    drawing: Drawing
    rng: np.random.Generator
    """What is left of the recording's randomness, for its admission."""


def draw_people(patients: int, *, seed: int) -> Iterator[Recording]:
    """Every recording of every patient, in order."""
    for number, card in enumerate(deal(patients, seed=seed)):
        yield from _draw_person(number, card, seed=seed)


def first_with(condition: str, *, seed: int, patients: int = 1000) -> Recording:
    """The first recording of the first patient who is dealt this condition and has little besides.

    Raises `KeyError` for a condition that is never drawn.
    """
    asked = BY_NAME[condition].name
    best: tuple[int, int] | None = None
    cards = deal(patients, seed=seed)
    for number, card in enumerate(cards):
        if card == asked:
            others = len(draw_conditions(card, np.random.default_rng([seed, 2, number])))
            best = min(best or (others, number), (others, number))
    if best is None:
        raise KeyError(condition)
    return next(_draw_person(best[1], asked, seed=seed))


def _draw_person(number: int, card: str, *, seed: int) -> Iterator[Recording]:
    rng = np.random.default_rng([seed, 2, number])
    conditions = draw_conditions(card, rng)
    patient = _draw_patient(number, card, rng)
    time = datetime(2110 + int(rng.integers(85)), 1, 1) + timedelta(seconds=int(rng.integers(365 * 86_400)))
    for visit in range(MOST_VISITS):
        yield _draw_recording(patient, visit, conditions, time, seed=seed)
        if rng.random() > AGAIN:
            return
        conditions = draw_next(conditions, rng)
        time += timedelta(minutes=int(np.exp(rng.uniform(np.log(3 * 1440), np.log(900 * 1440)))))


def _draw_patient(number: int, card: str, rng: np.random.Generator) -> Patient:
    mean, spread = BY_NAME[card].age
    age = float(np.clip(rng.normal(mean, spread), 18.0, 91.0))
    men = 0.78 if card == "early repolarization" else 0.52
    return Patient(number=number, age=age, sex="M" if rng.random() < men else "F", fitness=float(rng.uniform(-1, 1)))


def _draw_recording(
    patient: Patient, visit: int, conditions: frozenset[str], time: datetime, *, seed: int
) -> Recording:
    body = Body(seed=seed, patient=patient.number)
    now = np.random.default_rng([seed, 3, patient.number, visit])
    heart = draw_heart(patient, conditions, body=body.part("heart"), now=now)
    rhythm = draw_rhythm(heart, now)
    drawing = draw_drawing(heart, rhythm, body=body, now=now)
    index = patient.number * MOST_VISITS + visit
    return Recording(
        patient=patient,
        visit=visit,
        subject_id=_FIRST_SUBJECT + _SUBJECT_STEP * patient.number,
        study_id=_FIRST_STUDY + index * _STUDY_STEP % _STUDY_PRIME,
        hadm_id=_FIRST_ADMISSION + index * _ADMISSION_STEP % _STUDY_PRIME if now.random() < 0.85 else None,
        time=time,
        conditions=conditions,
        statements=draw_report(heart, rhythm, now),
        measured=measure(heart, rhythm, drawing.strip, now),
        drawing=drawing,
        rng=now,
    )
