"""Gates: no more inside than there is room for, whoever leaves in whatever way."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.service.gate import Gate
from ecgray.service.problems import Problem


def test_the_room_is_kept_and_given_back():
    gate = Gate(4, "recordings")
    with gate.entered(2), gate.entered(), gate.entered():
        assert gate.is_full()
        with pytest.raises(Problem) as caught, gate.entered():
            pass
        assert (caught.value.status, caught.value.code, gate.inside) == (429, "overloaded", 4)
    assert gate.inside == 0


def test_who_leaves_by_an_error_leaves():
    gate = Gate(1, "recordings")
    for error in (ValueError, KeyboardInterrupt, GeneratorExit):
        with contextlib.suppress(error), gate.entered():
            raise error
        assert gate.inside == 0


def test_what_is_wide_counts_as_half_the_gate_and_need_not_wait_until_it_is_empty():
    gate = Gate(8, "recordings")
    with gate.entered(3), gate.entered(64):
        assert gate.inside == 7
        with pytest.raises(Problem), gate.entered(64):
            pass
    assert gate.inside == 0


@settings(max_examples=100, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 70), st.booleans()), max_size=40), st.integers(1, 8))
def test_there_is_never_more_inside_than_there_is_room(steps: list[tuple[int, bool]], most: int):
    gate, held = Gate(most, "recordings"), list[tuple[int, contextlib.ExitStack]]()
    for weight, leave in steps:
        if leave and held:
            held.pop(weight % len(held))[1].close()
        else:
            stack = contextlib.ExitStack()
            with contextlib.suppress(Problem):
                stack.enter_context(gate.entered(weight))
                held.append((weight, stack))
        assert gate.inside == sum(min(weight, max(1, most // 2)) for weight, _ in held)
        assert gate.inside <= most
    for _, stack in held:
        stack.close()
    assert gate.inside == 0
