"""A patient to show: the first who has a condition and little besides."""

from __future__ import annotations

import pytest

from ecgray.demo.conditions import BY_NAME, DECK
from ecgray.demo.people import draw_people, first_with


@pytest.mark.parametrize("name", sorted(set(DECK)))
def test_whoever_is_chosen_has_the_condition(name: str):
    found = first_with(name, seed=3)
    assert BY_NAME[name].name in found.conditions
    assert found.visit == 0
    assert found.conditions == first_with(name, seed=3).conditions, "the same seed chooses the same"


def test_it_is_one_of_the_archives_own_patients_and_nobody_has_less_besides():
    name = "atrial fibrillation"
    found = first_with(name, seed=3, patients=200)
    firsts = [each for each in draw_people(200, seed=3) if each.visit == 0]
    assert next(each for each in firsts if each.subject_id == found.subject_id).conditions == found.conditions
    with_it = [len(each.conditions) for each in firsts if name in each.conditions]
    assert len(found.conditions) <= sorted(with_it)[len(with_it) // 2]


def test_a_condition_that_is_never_drawn_is_no_condition():
    with pytest.raises(KeyError):
        first_with("broken heart", seed=3)
    with pytest.raises(KeyError):
        first_with("atrial fibrillation", seed=3, patients=0)
