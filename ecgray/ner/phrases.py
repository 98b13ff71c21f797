"""Phrases that say the same: the base form of a wording, other wordings of it, and whose wording it is."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Mapping, Sequence

from ecgray.ner.words import paraphrases, rewrites, wordings

_LONGEST = 6


@functools.cache
def _sets() -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Each phrase, in words, and the set that it stands in; the first set that has it counts."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for same in rewrites():
        for phrase in same:
            found.setdefault(tuple(phrase.split()), same)
    return found


def _parts(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The text cut into the longest phrases that a set has; other words stand alone, with no set."""
    words, known = text.split(), _sets()
    parts: list[tuple[str, tuple[str, ...]]] = []
    start = 0
    while start < len(words):
        for length in range(min(_LONGEST, len(words) - start), 0, -1):
            same = known.get(tuple(words[start : start + length]))
            if same or length == 1:
                parts.append((" ".join(words[start : start + length]), same or ()))
                start += length
                break
    return parts


@functools.lru_cache(maxsize=1 << 18)
def base_form(text: str) -> str:
    """The text with every phrase in its base form.

    >>> base_form("1st degree a-v block"), base_form("inverted t waves")
    ('first degree av block', 't wave inversion')
    """
    plain = re.sub(r"\(e?s\)", "", text)  # complex(es)
    plain = re.sub(r"[,()]|(?<=\s)-(?=\s)", " ", plain)
    return " ".join(same[0] if same else part for part, same in _parts(plain))


@functools.cache
def owners() -> Mapping[str, str]:
    """Whose wording a base form is: the standard term. A name wins over a synonym, and so on."""
    found: dict[str, str] = {}
    depth = max(len(each) for each in wordings().values())
    for place in range(depth):
        for name, each in wordings().items():
            if place < len(each):
                found.setdefault(base_form(each[place]), name)
    for name, each in paraphrases().items():
        for text in each:
            found.setdefault(base_form(text), name)
    return found


def reword(text: str, rng: random.Random, *, chance: float = 0.55) -> str:
    """The text with some of its phrases said in another way."""
    return " ".join(rng.choice(same) if same and rng.random() < chance else part for part, same in _parts(text))


_BARE = frozenset({"normal", "abnormal"})
"""Wordings that mean the whole ECG where they stand alone, and anything beside another word."""


def holds_wording(words: Sequence[str]) -> bool:
    """Whether any run of these words is a wording of a term."""
    known = owners()
    runs = (
        " ".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, min(len(words), start + _LONGEST + 2) + 1)
    )
    return any(base_form(run) in known for run in runs if run not in _BARE)
