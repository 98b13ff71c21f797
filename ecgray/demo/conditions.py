"""What a drawn patient can have, how often, and what goes with what.

A patient is dealt one card of a shuffled deck (so that every condition is present even among few patients), then
further conditions by chance, as far as the body allows: two conditions that claim the same part of the heart exclude
each other. A sinus rhythm is named as carts and PTB-XL name it: by one of four terms, after its rate and evenness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Condition:
    """One condition of the embedded archive."""

    name: str
    """The standard term."""
    cards: int
    """How many of the deck's cards lead with it."""
    also: float = 0.0
    """Chance that it comes along with another condition that leaves room for it."""
    claims: frozenset[str] = field(default_factory=frozenset)
    """Parts of the heart that it alone decides."""
    implies: tuple[str, ...] = ()
    """Conditions that hold wherever it does."""
    age: tuple[float, float] = (64.0, 14.0)
    """Mean and spread of the age at which it is led with, in years."""
    lasts: float = 1.0
    """Chance that it is still there at the patient's next recording."""


def _claims(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NO_P = "rhythm p pr atrial-beats"
_OWN_QRS = "left right voltage st t anterior inferior"

CONDITIONS: tuple[Condition, ...] = (
    Condition("normal ecg", 17, age=(46.0, 17.0)),
    Condition("sinus rhythm", 0, claims=_claims("rhythm")),
    Condition("sinus bradycardia", 2, claims=_claims("rhythm"), age=(58.0, 17.0), lasts=0.8),
    Condition("sinus tachycardia", 2, claims=_claims("rhythm qt"), age=(55.0, 18.0), lasts=0.8),
    Condition(
        "sinus arrhythmia", 2, claims=_claims("rhythm pr atrial-beats ventricular-beats"), age=(36.0, 16.0), lasts=0.8
    ),
    Condition("atrial fibrillation", 5, claims=_claims(_NO_P), age=(74.0, 10.0), lasts=0.75),
    Condition("atrial flutter", 4, claims=_claims(f"{_NO_P} qt ventricular-beats t"), age=(70.0, 11.0), lasts=0.8),
    Condition(
        "supraventricular tachycardia",
        3,
        claims=_claims(f"{_NO_P} qt ventricular-beats st t left right"),
        age=(48.0, 17.0),
        lasts=0.8,
    ),
    Condition("premature atrial complex", 1, also=0.07, claims=_claims("atrial-beats"), lasts=0.75),
    Condition("premature ventricular complex", 1, also=0.07, claims=_claims("ventricular-beats"), lasts=0.75),
    Condition("first degree av block", 1, also=0.08, claims=_claims("pr"), age=(70.0, 12.0)),
    Condition("second degree av block", 3, claims=_claims("pr atrial-beats ventricular-beats"), age=(71.0, 12.0)),
    Condition(
        "third degree av block",
        3,
        claims=_claims("rhythm p pr atrial-beats ventricular-beats left right voltage axis st t qt"),
        age=(75.0, 10.0),
        lasts=0.8,
    ),
    Condition("left bundle branch block", 3, also=0.012, claims=_claims(f"{_OWN_QRS} qt"), age=(72.0, 11.0)),
    Condition("right bundle branch block", 3, also=0.035, claims=_claims("right anterior-t"), age=(70.0, 13.0)),
    Condition("incomplete left bundle branch block", 3, also=0.012, claims=_claims("left right anterior st t")),
    Condition("incomplete right bundle branch block", 3, also=0.04, claims=_claims("right"), age=(50.0, 19.0)),
    Condition(
        "left anterior fascicular block",
        2,
        also=0.05,
        claims=_claims("left axis inferior"),
        implies=("left axis deviation",),
        age=(69.0, 12.0),
    ),
    Condition("left ventricular hypertrophy", 2, also=0.08, claims=_claims("voltage")),
    Condition(
        "right ventricular hypertrophy",
        3,
        claims=_claims("voltage axis right left anterior anterior-t st t"),
        implies=("right axis deviation",),
    ),
    Condition("left axis deviation", 1, also=0.06, claims=_claims("axis inferior")),
    Condition("right axis deviation", 1, also=0.025, claims=_claims("axis"), age=(45.0, 19.0)),
    Condition("anterior st elevation", 3, claims=_claims("st t anterior-t anterior"), lasts=0.8),
    Condition("inferior st elevation", 3, claims=_claims("st t inferior"), lasts=0.8),
    Condition("lateral st elevation", 3, claims=_claims("st t lateral"), lasts=0.8),
    Condition("anterior st depression", 3, also=0.012, claims=_claims("st t anterior-t"), lasts=0.75),
    Condition("inferior st depression", 3, also=0.02, claims=_claims("st t"), lasts=0.75),
    Condition("lateral st depression", 3, also=0.04, claims=_claims("st t"), lasts=0.75),
    Condition("inferior myocardial infarction", 2, also=0.06, claims=_claims("inferior axis"), age=(67.0, 11.0)),
    Condition("anteroseptal myocardial infarction", 2, also=0.05, claims=_claims("anterior"), age=(67.0, 11.0)),
    Condition("anterior t wave inversion", 3, also=0.03, claims=_claims("t st anterior-t"), lasts=0.8),
    Condition("inferior t wave inversion", 3, also=0.03, claims=_claims("t st"), lasts=0.8),
    Condition("lateral t wave inversion", 3, also=0.03, claims=_claims("t st"), lasts=0.8),
    Condition("long qt interval", 1, also=0.06, claims=_claims("qt"), age=(60.0, 17.0), lasts=0.75),
    Condition("short qt interval", 3, claims=_claims("qt st t"), age=(42.0, 17.0), lasts=0.9),
    Condition("short pr interval", 3, claims=_claims("pr p"), age=(44.0, 17.0)),
    Condition("left atrial enlargement", 1, also=0.08, claims=_claims("p")),
    Condition("right atrial enlargement", 3, also=0.03, claims=_claims("p"), age=(60.0, 15.0)),
    Condition("early repolarization", 3, claims=_claims("st t anterior inferior lateral qt"), age=(31.0, 10.0)),
    Condition("low qrs voltage", 2, also=0.04, claims=_claims("voltage")),
    Condition(
        "paced rhythm",
        3,
        claims=_claims(f"{_NO_P} ventricular-beats qt axis {_OWN_QRS}"),
        age=(77.0, 9.0),
    ),
    Condition(
        "ventricular preexcitation",
        3,
        claims=_claims(f"pr p axis qt ventricular-beats {_OWN_QRS}"),
        age=(34.0, 14.0),
        lasts=0.9,
    ),
)
"""Every condition that the archive draws; the order is that of the documents."""

BY_NAME = {condition.name: condition for condition in CONDITIONS}
SINUS = ("sinus rhythm", "sinus bradycardia", "sinus tachycardia", "sinus arrhythmia")
DECK = tuple(condition.name for condition in CONDITIONS for _ in range(condition.cards))


def deal(patients: int, *, seed: int) -> list[str]:
    """The leading condition of each patient: whole decks, each shuffled, so that none runs short.

    >>> sorted(deal(len(DECK), seed=1)) == sorted(DECK)
    True
    """
    decks = -(-patients // len(DECK))
    hands = [np.random.default_rng([seed, 1, deck]).permutation(len(DECK)) for deck in range(decks)]
    return [DECK[card] for hand in hands for card in hand][:patients]


def fits(name: str, present: frozenset[str]) -> bool:
    """Whether the body leaves room for a further condition.

    >>> fits("right bundle branch block", frozenset({"left bundle branch block"}))
    False
    >>> fits("right bundle branch block", frozenset({"left anterior fascicular block"}))
    True
    """
    taken = frozenset().union(*(BY_NAME[other].claims for other in present), frozenset())
    return name not in present and not BY_NAME[name].claims & taken and "normal ecg" not in present


def draw_conditions(card: str, rng: np.random.Generator) -> frozenset[str]:
    """All that a patient has whose leading condition is `card`."""
    present = _with_rhythm(frozenset({card}), rng)
    if card == "normal ecg":
        return present
    wanted = rng.random(len(CONDITIONS)) < np.array([condition.also for condition in CONDITIONS])
    for number in rng.permutation(np.flatnonzero(wanted)):
        name = CONDITIONS[number].name
        if fits(name, present):
            present = present | {name}
    return with_implied(present)


def draw_next(before: frozenset[str], rng: np.random.Generator) -> frozenset[str]:
    """What of it is left at the patient's next recording: a block stays, a premature beat may not be caught again."""
    kept = frozenset(
        name for name in sorted(before) if name not in ("normal ecg", *SINUS) and rng.random() < BY_NAME[name].lasts
    )
    for acute, scar in _SCARS.items():
        if acute in before - kept and fits(scar, kept) and rng.random() < 0.6:
            kept = kept | {scar}
    same = before & frozenset(SINUS)
    if same and rng.random() < 0.7 and fits(next(iter(same)), kept):
        kept = kept | same
    present = with_implied(_with_rhythm(kept, rng))
    return present | {"normal ecg"} if present == {"sinus rhythm"} else present


_SCARS = {
    "inferior st elevation": "inferior myocardial infarction",
    "anterior st elevation": "anteroseptal myocardial infarction",
}


def with_implied(present: frozenset[str]) -> frozenset[str]:
    """The conditions and what they imply: a left anterior fascicular block turns the axis to the left."""
    return present.union(*(BY_NAME[name].implies for name in present))


def _with_rhythm(present: frozenset[str], rng: np.random.Generator) -> frozenset[str]:
    """A sinus rhythm, where nothing else sets the pace."""
    if any("rhythm" in BY_NAME[name].claims for name in present):
        return present
    if "normal ecg" in present:
        return present | {"sinus rhythm"}
    for name in rng.permutation(_SINUS_DECK):
        if fits(str(name), present):
            return present | {str(name)}
    return present | {"sinus rhythm"}


_SINUS_DECK = ("sinus rhythm",) * 15 + ("sinus bradycardia",) * 2 + ("sinus tachycardia",) * 2 + ("sinus arrhythmia",)
