"""Who has what: the deck, what excludes what, what implies what."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ecgray.demo.conditions import BY_NAME, CONDITIONS, DECK, SINUS, deal, draw_conditions, draw_next, fits
from ecgray.demo.people import AGAIN
from ecgray.text.tasks import load_task

PATIENTS = 1667


def all_recordings(seed: int) -> list[frozenset[str]]:
    """What each recording of 1,667 patients shows, about 2,000 in all."""
    found = []
    for number, card in enumerate(deal(PATIENTS, seed=seed)):
        rng = np.random.default_rng([seed, 2, number])
        conditions = draw_conditions(card, rng)
        found.append(conditions)
        while rng.random() < AGAIN:
            conditions = draw_next(conditions, rng)
            found.append(conditions)
    return found


@pytest.fixture(scope="module")
def recordings() -> list[frozenset[str]]:
    return all_recordings(1)


def test_the_conditions_are_the_demo_task_s():
    """The names are the standard terms that the demo asks for."""
    assert {one.query for one in load_task("demo").classes} == set(BY_NAME)


@pytest.mark.parametrize("seed", range(5))
def test_two_thousand_recordings_hold_forty_of_each(seed: int):
    found = all_recordings(seed)
    counts = Counter(name for conditions in found for name in conditions)
    assert 1900 < len(found) < 2100
    assert min(counts[name] for name in BY_NAME) >= 40


def test_normal_is_what_has_nothing_else(recordings):
    for conditions in recordings:
        if "normal ecg" in conditions:
            assert conditions == {"normal ecg", "sinus rhythm"}
        else:
            assert conditions != {"sinus rhythm"}


def test_there_is_one_rhythm(recordings):
    for conditions in recordings:
        setting = [name for name in conditions if "rhythm" in BY_NAME[name].claims]
        assert len(setting) == 1, conditions


def test_nothing_claims_what_another_has(recordings):
    implied = {name for condition in CONDITIONS for name in condition.implies}
    for conditions in recordings:
        claims = [claim for name in conditions - implied for claim in BY_NAME[name].claims]
        assert len(claims) == len(set(claims)), conditions


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("left bundle branch block", "right bundle branch block"),
        ("atrial fibrillation", "first degree av block"),
        ("atrial fibrillation", "left atrial enlargement"),
        ("supraventricular tachycardia", "sinus tachycardia"),
        ("paced rhythm", "left ventricular hypertrophy"),
        ("low qrs voltage", "left ventricular hypertrophy"),
        ("long qt interval", "short qt interval"),
        ("left axis deviation", "right axis deviation"),
    ],
)
def test_what_cannot_be_at_once_is_not(one: str, other: str, recordings):
    assert not fits(other, frozenset({one}))
    assert not any({one, other} <= conditions for conditions in recordings)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("right bundle branch block", "left anterior fascicular block"),
        ("atrial fibrillation", "left ventricular hypertrophy"),
        ("sinus bradycardia", "first degree av block"),
    ],
)
def test_what_goes_together_is_found_together(one: str, other: str):
    assert any({one, other} <= conditions for seed in range(4) for conditions in all_recordings(seed))


def test_a_fascicular_block_turns_the_axis_and_a_large_right_ventricle_too(recordings):
    for conditions in recordings:
        assert "left anterior fascicular block" not in conditions or "left axis deviation" in conditions
        assert "right ventricular hypertrophy" not in conditions or "right axis deviation" in conditions


def test_many_have_several(recordings):
    several = sum(len(conditions - set(SINUS)) > 1 for conditions in recordings)
    assert 0.2 < several / len(recordings) < 0.6


def test_the_same_seed_deals_the_same_and_a_small_archive_begins_a_large_one():
    assert deal(300, seed=5) == deal(300, seed=5)
    assert deal(300, seed=5)[:100] == deal(100, seed=5)
    assert deal(300, seed=5) != deal(300, seed=6)
    assert sorted(deal(len(DECK), seed=5)) == sorted(DECK)


def test_a_block_stays_and_an_infarct_may_leave_a_scar():
    rng = np.random.default_rng(0)
    acute = frozenset(
        {"sinus rhythm", "left anterior fascicular block", "left axis deviation", "anterior st elevation"}
    )
    later = [draw_next(acute, rng) for _ in range(200)]
    assert all("left anterior fascicular block" in conditions for conditions in later)
    gone = [conditions for conditions in later if "anterior st elevation" not in conditions]
    assert 0 < len(gone) < 200
    assert any("anteroseptal myocardial infarction" in conditions for conditions in gone)
