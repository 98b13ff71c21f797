"""How good retrieval is at other weights and numbers of neighbours, on patients whom the pool does not hold.

The paper asks a language model for a mark (App. K), which nobody can repeat; here what was retrieved is held against
the record itself: how many of its own findings the neighbours' ECG reports state, how many of its own diagnoses they
have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from ecgray.ehr.retrieval import Experience, mean_overlap
from ecgray.ehr.similar import Weights
from ecgray.ehr.wording import findings

SCORES = ("statement_jaccard", "statement_f1", "diagnosis_jaccard")
"""Findings: mean Jaccard index with each neighbour's, F1 of all neighbours' together; diagnoses by category."""


@dataclass(frozen=True)
class Questions:
    """Held-out records, and all that is needed to score what is retrieved for them."""

    experience: Experience
    admission: Int64[np.ndarray, " record"]
    """The row of each record's admission."""
    patient: Int64[np.ndarray, " record"]
    own: tuple[frozenset[str], ...]
    """What each record's report states."""
    pool: tuple[frozenset[str], ...]
    """What the report of each row of the pool states."""
    diagnoses: tuple[frozenset[str], ...]
    """The categories of each admission's diagnoses."""

    def __len__(self) -> int:
        return len(self.admission)


def gather_questions(
    experience: Experience,
    admissions: pa.Table,
    *,
    admission: Int64[np.ndarray, " record"],
    reports: Sequence[str],
    most: int,
    seed: int,
) -> Questions:
    """Questions of these records, at most `most` of them; those without an admission or a finding ask nothing."""
    own = [findings(report or "") for report in reports]
    asking = np.flatnonzero((admission >= 0) & np.array([bool(each) for each in own], bool))
    if len(asking) > most:
        asking = np.sort(np.random.default_rng(seed).choice(asking, most, replace=False))
    diagnoses = tuple(map(frozenset[str], admissions["diagnoses_3"].to_pylist()))
    pool = tuple(findings(report) for report in experience.reports)
    rows = admission[asking]
    return Questions(experience, rows, experience.owner[rows], tuple(own[at] for at in asking), pool, diagnoses)


def score_retrieval(questions: Questions, *, weights: Weights, k: int) -> Float64[np.ndarray, "record score=3"]:
    """`SCORES` of each record at these weights; NaN where nothing was retrieved."""
    admissions, place = np.unique(questions.admission, return_inverse=True)
    found, _ = questions.experience.search(admissions, weights=weights, k=k)
    return _scores(questions, found[place])


def score_chance(questions: Questions, *, k: int, seed: int) -> Float64[np.ndarray, "record score=3"]:
    """The same for neighbours drawn from the pool by chance."""
    drawn = np.random.default_rng(seed).integers(0, len(questions.pool), (len(questions), k))
    return _scores(questions, drawn)


def _scores(questions: Questions, found: Int64[np.ndarray, "record k"]) -> Float64[np.ndarray, "record score=3"]:
    kept = [row[row >= 0].tolist() for row in found]
    rows = questions.experience.rows
    said = [[questions.pool[each] for each in row] for row in kept]
    ill = [[questions.diagnoses[rows[each]] for each in row] for row in kept]
    mine = [questions.diagnoses[row] for row in questions.admission]
    return np.concatenate([mean_overlap(questions.own, said), mean_overlap(mine, ill)[:, :1]], axis=1)
