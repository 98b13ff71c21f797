"""Which of two classes an ECG is of, and which ECGs a draw learns from. Class 1 is the one of which there are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ecgray.downstream.config import Regime, Task

CLASS_NAMES: dict[Task, tuple[str, str]] = {"sex": ("F", "M"), "svt": ("sinus rhythm", "supraventricular tachycardia")}
"""Majority and minority; the paper has 10 % men, and 10 % supraventricular tachycardia."""
SVT = (
    "supraventricular tachycardia",
    "paroxysmal supraventricular tachycardia",
    "supraventricular tachycardia with aberrancy",
)
SINUS = ("sinus rhythm", "normal ecg")


def sex_class(sex: str | None) -> int:
    """0 for F, 1 for M, -1 where unknown."""
    return CLASS_NAMES["sex"].index(sex) if sex in CLASS_NAMES["sex"] else -1


def rhythm_class(terms: Sequence[str]) -> int:
    """0 for sinus rhythm, 1 for a supraventricular tachycardia, -1 for neither or both.

    >>> rhythm_class(["normal ecg"]), rhythm_class(["supraventricular tachycardia"]), rhythm_class(["pacing"])
    (0, 1, -1)
    """
    fast, sinus = not set(SVT).isdisjoint(terms), not set(SINUS).isdisjoint(terms)
    return -1 if fast == sinus else int(fast)


def prompt_class(prompt: str) -> int:
    """The rhythm that a text asks for, as `rhythm_class`.

    >>> prompt_class("Supraventricular tachycardia, 180 bpm"), prompt_class("Sinus rhythm. Normal ECG")
    (1, 0)
    """
    text = prompt.lower()
    return rhythm_class([term for term in (*SVT, *SINUS) if term in text])


@dataclass(frozen=True)
class Draw:
    """The ECGs of one regime in one draw."""

    real: Int[np.ndarray, " _"]
    """Rows of the real ECGs; some may stand more than once."""
    generated: Int[np.ndarray, " _"]
    """Rows of the generated ones."""


def draw_training(
    real: Int[np.ndarray, " record"],
    generated: Int[np.ndarray, " ecg"],
    patients: np.ndarray,
    *,
    majority: int,
    minority: int,
    seed: int,
) -> dict[Regime, Draw]:
    """What each regime learns from, drawn together: all share the majority and the few of the minority.

    `real` and `generated` are classes. One record a patient. Where there are fewer generated ECGs of the minority than
    the majority has more, all of them are taken.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(real))
    first = np.zeros(len(real), bool)
    first[order[np.unique(patients[order], return_index=True)[1]]] = True
    of = [order[(real[order] == which) & first[order]] for which in (0, 1)]
    many, few, as_many = of[0][:majority], of[1][:minority], of[1][:majority]
    lacking = max(len(many) - len(few), 0)
    made = random.permutation(np.flatnonzero(generated == 1))[:lacking]
    none = np.zeros(0, int)
    again = np.concatenate([few, np.resize(few, lacking) if len(few) else none])
    return {
        "unbalanced": Draw(np.concatenate([many, few]), none),
        "repeated": Draw(np.concatenate([many, again]), none),
        "synthetic": Draw(np.concatenate([many, few]), made),
        "balanced": Draw(np.concatenate([many, as_many]), none),
    }


def draw_test(real: Int[np.ndarray, " record"], *, each: int, seed: int) -> Int[np.ndarray, " _"]:
    """As many of both classes, `each` at the most: the same for every draw and regime."""
    order = np.random.default_rng([seed, 7]).permutation(len(real))
    of = [order[real[order] == which] for which in (0, 1)]
    count = min(each, *map(len, of))
    return np.sort(np.concatenate([rows[:count] for rows in of]))
