"""What retrieval may find, and what it finds: training patients' admissions, with the ECG report that each brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from ecgray.ehr.linking import Links
from ecgray.ehr.profiles import Level, Profiles, profiles_of
from ecgray.ehr.similar import Pool, Searcher, Weights, build_pool


@dataclass(frozen=True)
class Experience:
    """All that a search needs: every admission's profile, and the pool of those that may be found."""

    profiles: Profiles
    """One row an admission of the admissions table."""
    owner: Int64[np.ndarray, " admission"]
    """A number for each patient."""
    pool: Pool
    rows: Int64[np.ndarray, " pool"]
    """The admission that each row of the pool is."""
    reports: tuple[str, ...]
    """The ECG report that each row of the pool brings."""

    def coded(self, admission: int) -> bool:
        """Whether an admission has a code in any view."""
        return any(len(view.row(admission)) for view in self.profiles.views)

    def search(
        self, admissions: Int64[np.ndarray, " query"], *, weights: Weights, k: int
    ) -> tuple[Int64[np.ndarray, "query k"], Float64[np.ndarray, "query k"]]:
        """The `k` most similar rows of the pool for each admission, and tau; -1 and 0 where there are fewer."""
        searcher = Searcher(self.pool, weights=weights, k=k)
        return searcher.search(self.profiles.take(admissions), self.owner[admissions])


def gather_experience(
    admissions: pa.Table, links: Links, split: pa.ChunkedArray, report: pa.ChunkedArray, *, level: Level = "full"
) -> Experience:
    """The pool over a `tables.ADMISSIONS` and the records that are linked to it.

    An admission is in the pool if it has a code and a training record with a report is linked to it: the first
    that was recorded in it, else the first after it, is the report that it brings.
    """
    profiles = profiles_of(admissions, level=level)
    patients = admissions["subject_id"].combine_chunks().dictionary_encode()
    owner = patients.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    telling = pc.and_(pc.equal(split, "train"), pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(report)), 0))
    may = np.flatnonzero(np.asarray(pc.fill_null(telling, False)) & (links.admission >= 0))
    may = may[profiles.sizes().sum(0)[links.admission[may]] > 0]
    order = may[np.lexsort((links.seconds[may], ~links.during[may], links.admission[may]))]
    rows, first = np.unique(links.admission[order], return_index=True)
    reports = report.take(pa.array(order[first])).to_pylist()
    return Experience(profiles, owner, build_pool(profiles.take(rows), owner[rows]), rows, tuple(reports))


def mean_overlap(
    own: Sequence[frozenset[str]], retrieved: Sequence[Sequence[frozenset[str]]]
) -> Float64[np.ndarray, "record score=2"]:
    """How much of a record's own findings is in what was retrieved for it.

    The mean Jaccard index with each neighbour, and F1 of all neighbours' findings together; NaN where nothing was
    retrieved or the record has none.

    >>> mean_overlap([frozenset("ab")], [[frozenset("ab"), frozenset("c")]]).tolist()
    [[0.5, 0.8]]
    """
    scores = np.full((len(own), 2), np.nan)
    for number, (mine, theirs) in enumerate(zip(own, retrieved, strict=True)):
        if mine and theirs:
            scores[number, 0] = sum(len(mine & each) / len(mine | each) for each in theirs) / len(theirs)
            union = frozenset[str]().union(*theirs)
            scores[number, 1] = 2 * len(mine & union) / (len(mine) + len(union))
    return scores
