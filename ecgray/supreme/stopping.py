"""When to stop: no better validation score for `patience` looks in a row."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """A score (higher is better) watched over epochs. Each look gives a new one; `to_json` it into a checkpoint.

    >>> watch = EarlyStopping(patience=2)
    >>> for score in (0.6, 0.7, 0.69, 0.7):
    ...     watch = watch.look(score)
    >>> watch.best, watch.best_look, watch.stop
    (0.7, 2, True)
    """

    patience: int
    """Looks without a better score after which to stop; 0 never stops. The paper uses 10 epochs."""
    min_gain: float = 0.0
    """A score counts as better when it exceeds the best by more than this."""
    best: float = -math.inf
    """The best score so far."""
    best_look: int = 0
    """At which look it came, from 1."""
    looks: int = 0
    """How many looks so far."""

    def look(self, score: float) -> EarlyStopping:
        """Take note of one more score; NaN is never better."""
        looks = self.looks + 1
        if score > self.best + self.min_gain:
            return dataclasses.replace(self, best=score, best_look=looks, looks=looks)
        return dataclasses.replace(self, looks=looks)

    @property
    def improved(self) -> bool:
        """Whether the last look was the best so far."""
        return self.looks > 0 and self.best_look == self.looks

    @property
    def stop(self) -> bool:
        """Whether patience has run out."""
        return self.patience > 0 and self.looks - self.best_look >= self.patience
