"""Names that hold several findings: "inferior and lateral ST elevation", "ST and T wave changes in inferior leads".

What stands on one side of "and" may be short for more: the words before it, or after it, belong to both sides.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ecgray.text.guards import same_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SPLITTING = frozenset({"and", "with"})
MAX_WORDS = 24
"""Longer names are taken as one."""

Words = tuple[str, ...]


def exact_parts(words: Words, find: Callable[[Words], str | None]) -> tuple[str, ...] | None:
    """What the parts of a name stand for, where `find` knows every part; None where there is no such split.

    The split that shares the fewest words is taken: it claims the least ("anterior ischemia and infarction" says
    nothing of where the infarction lies).

    >>> known = {("inferior", "st", "elevation"): "inferior st elevation", ("lateral", "st", "elevation"): "lateral"}
    >>> exact_parts(("inferior", "and", "lateral", "st", "elevation"), known.get)
    ('inferior st elevation', 'lateral')
    """
    if len(words) > MAX_WORDS:
        return None
    for left, right in _halves(words):
        for head, tail in _shares(left, right):
            first, second = left + tail, head + right
            one = _known(first, find)
            other = _known(second, find) if one else None
            if one and other:
                return tuple(dict.fromkeys(one + other))
    return None


def _known(words: Words, find: Callable[[Words], str | None]) -> tuple[str, ...] | None:
    found = find(words)
    return (found,) if found else exact_parts(words, find)


def _halves(words: Words) -> Iterator[tuple[Words, Words]]:
    for place, word in enumerate(words):
        if word in _SPLITTING and 0 < place < len(words) - 1:
            yield words[:place], tuple(itertools.dropwhile(_SPLITTING.__contains__, words[place:]))
            return  # the rest is split when its turn comes


def _shares(left: Words, right: Words) -> list[tuple[Words, Words]]:
    """What both sides may share, before and behind; the least first."""
    every = itertools.product(range(len(left)), range(len(right)))
    ordered = sorted(every, key=lambda pair: (sum(pair), pair))
    return [(left[:head], right[len(right) - tail :]) for head, tail in ordered]


def likely_parts(words: Words) -> tuple[Words, ...]:
    """The parts that a name most likely has, by its grammar; the name itself where it has one.

    Two words of the same kind on both sides of "and" (sites, sides, waves) share what stands around them.

    >>> likely_parts(("st", "and", "t", "abnormality", "inferior"))
    (('st', 'abnormality', 'inferior'), ('t', 'abnormality', 'inferior'))
    >>> likely_parts(("marked", "sinus", "bradycardia", "with", "short", "pr"))
    (('marked', 'sinus', 'bradycardia'), ('short', 'pr'))
    """
    if len(words) > MAX_WORDS:
        return (words,)
    for left, right in _halves(words):
        if right and same_family(left[-1], right[0]):
            return likely_parts(left + right[1:]) + likely_parts(left[:-1] + right)
        if right:
            return likely_parts(left) + likely_parts(right)
    return (words,)
