"""How well a model reads statements: exact (entity, certainty) pairs, and what it says of strange statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecgray.text.entities import Reading


@dataclass(frozen=True)
class ReadingScore:
    """Counts over a set of statements; a pair is an entity and its certainty."""

    statements: int
    right: int
    """Pairs said that are true."""
    said: int
    true: int
    exact: int
    """Statements whose pairs are exactly the true ones and whose `unknown` is right."""
    unknown: int
    """Statements answered with `unknown`."""

    @property
    def precision(self) -> float:
        """Of the pairs said, how many are true; 1 where none was said."""
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Of the true pairs, how many were said; 1 where there is none."""
        return self.right / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """2 right / (said + true); 1 where there is neither."""
        return 2 * self.right / (self.said + self.true) if self.said + self.true else 1.0

    @property
    def unknown_share(self) -> float:
        """Part of the statements answered with `unknown`."""
        return self.unknown / self.statements if self.statements else 0.0


def score_readings(said: Sequence[Reading | None], true: Sequence[Reading]) -> ReadingScore:
    """Score the readings said against the true ones; None stands for an answer that was none.

    >>> from ecgray.text.entities import Entity
    >>> one = Reading((Entity("lvh", "Abnormal", "lvh"),), unknown=False)
    >>> score_readings([one, None], [one, one]).f1
    0.6666666666666666
    """
    right = total = wanted = exact = unknown = 0
    for ours, gold in zip(said, true, strict=True):
        pairs, gold_pairs = _pairs(ours), _pairs(gold)
        right += len(pairs & gold_pairs)
        total += len(pairs)
        wanted += len(gold_pairs)
        exact += ours is not None and pairs == gold_pairs and ours.unknown == gold.unknown
        unknown += ours is not None and ours.unknown
    return ReadingScore(len(true), right, total, wanted, exact, unknown)


def _pairs(reading: Reading | None) -> set[tuple[str, str]]:
    return set() if reading is None else {(each.name, each.certainty) for each in reading.entities}
