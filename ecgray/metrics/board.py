"""A score board: AUROC by class with intervals and support, the macro average, and the trivial rows beside it.

A number without its yardsticks says little: beside the model stand the same network with random weights, scored on the
same patients and resamples, and the row that answers every class with its prevalence (0.5 by definition).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ecgray.metrics.auroc import Scores, interval, score_classes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Auc:
    """An AUROC with its 95 % interval over resampled patients; None where no resample could be scored."""

    auc: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told apart, and from how many."""

    name: str
    query: str
    positives: int
    negatives: int
    positive_patients: int
    model: Auc | None
    """None where the class has no positive or no negative: it cannot be scored."""
    random: Auc | None
    """The same network with random weights; None where it was not asked."""

    @property
    def reason(self) -> str | None:
        """Why the class cannot be scored; None where it is.

        >>> ClassScore("AF", "atrial fibrillation", 0, 10, 0, None, None).reason
        'no record has it'
        """
        if self.model is not None:
            return None
        return "no record has it" if self.positives == 0 else "every record has it"


@dataclass(frozen=True)
class Board:
    """All classes of a task, and the macro averages over those that can be scored."""

    records: int
    patients: int
    resamples: int
    model: Auc | None
    random: Auc | None
    gain: Auc | None
    """Macro average of the model less that of the random weights, resample by resample; `auc` is the difference."""
    classes: tuple[ClassScore, ...]

    @property
    def not_scored(self) -> list[str]:
        """Names of the classes that cannot be scored."""
        return [each.name for each in self.classes if each.model is None]


def make_board(
    classes: Sequence[tuple[str, str]],
    truth: Bool[np.ndarray, "record label"],
    *,
    model: Float[np.ndarray, "record label"],
    random: Float[np.ndarray, "record label"] | None,
    patients: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> Board:
    """Score the answers of a model (and of random weights) to `classes`, pairs of name and query.

    The rows share their resamples, so that the gain over random weights has an interval of its own.
    """
    ours, theirs = (
        None if answers is None else score_classes(truth, answers, patients=patients, resamples=resamples, seed=seed)
        for answers in (model, random)
    )
    assert ours is not None
    scores = tuple(
        ClassScore(
            name=name,
            query=query,
            positives=int(truth[:, label].sum()),
            negatives=int((~truth[:, label]).sum()),
            positive_patients=len(np.unique(patients[truth[:, label]])),
            model=_of_class(ours, label),
            random=_of_class(theirs, label) if theirs else None,
        )
        for label, (name, query) in enumerate(classes)
    )
    return Board(
        records=len(truth),
        patients=len(np.unique(patients)),
        resamples=resamples,
        model=_macro(ours),
        random=_macro(theirs) if theirs else None,
        gain=_auc(ours.macro - theirs.macro, ours.resampled_macro - theirs.resampled_macro) if theirs else None,
        classes=scores,
    )


def _of_class(scores: Scores, label: int) -> Auc | None:
    return _auc(scores.auroc[label], scores.resampled[:, label])


def _macro(scores: Scores) -> Auc | None:
    return _auc(scores.macro, scores.resampled_macro)


def _auc(value: float, resampled: Float[np.ndarray, "resample"]) -> Auc | None:
    if np.isnan(value):
        return None
    low, high = (float(end) for end in interval(resampled))
    return Auc(float(value), None if np.isnan(low) else low, None if np.isnan(high) else high)
