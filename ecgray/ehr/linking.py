"""Which admission an ECG belongs to: the one it was recorded in, else the last one before it, else none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int64

from ecgray.ehr.hospital import parse_times

_DAY_S = 86_400


@dataclass(frozen=True)
class Links:
    """The admission of each ECG."""

    admission: Int64[np.ndarray, " ecg"]
    """Its row in the admissions table; -1 where none."""
    during: Bool[np.ndarray, " ecg"]
    """Whether the ECG was recorded in it; before the ECG else."""
    timed: Bool[np.ndarray, " ecg"]
    """Whether anybody knows when the ECG was recorded."""
    seconds: Int64[np.ndarray, " ecg"]
    """When it was recorded, since 1970."""

    def at(self, here: slice) -> Links:
        """Those of some ECGs."""
        return Links(self.admission[here], self.during[here], self.timed[here], self.seconds[here])

    def codes(self) -> list[str | None]:
        """Why an ECG has no admission: no_time or no_admission; None where it has one."""
        return [
            None if row >= 0 else "no_admission" if timed else "no_time"
            for row, timed in zip(self.admission.tolist(), self.timed.tolist(), strict=True)
        ]

    def kinds(self) -> list[str | None]:
        """During, before, or None."""
        return [
            None if row < 0 else "during" if inside else "before"
            for row, inside in zip(self.admission.tolist(), self.during.tolist(), strict=True)
        ]


def link_ecgs(
    subject: pa.Array | pa.ChunkedArray,
    time: pa.Array | pa.ChunkedArray,
    admissions: pa.Table,
    *,
    days_before: float,
    emergency: bool = True,
) -> Links:
    """Link ECGs to admissions by patient and time.

    `subject` and `time` (ISO 8601) are columns of the records table, `admissions` a `tables.ADMISSIONS`. An ECG between
    admission and discharge belongs to that admission, with `emergency` also one in the emergency department from where
    the patient was admitted; where stays overlap, to the one admitted last of those that hold it. Any other belongs to
    the last admission that ended before it, if that was at most `days_before` days ago.
    """
    at, timed = parse_times(_whole(time).cast(pa.string()))
    people = pc.unique(admissions["subject_id"])
    owner = _places(admissions["subject_id"], people)
    asked = _places(subject, people)
    begin = _seconds(admissions["arrived" if emergency else "admitted"])
    end = _seconds(admissions["discharged"])
    order = np.lexsort((end, begin, owner))
    owner, begin, end = owner[order], begin[order], end[order]
    found = _last_begun(owner, begin, asked, at)
    known = timed & (asked >= 0) & (found >= 0)
    known[known] = owner[found[known]] == asked[known]
    if not known.any():
        return Links(np.full(len(at), -1), np.zeros(len(at), bool), timed, at)
    over = end[found] < at  # but a stay that began before may still go on, or have ended later
    found = np.where(over, _ends_last(owner, end)[found], found)
    during = known & (at <= end[found])
    before = known & ~during & (at - end[found] <= days_before * _DAY_S)
    return Links(np.where(during | before, order[found], -1), during, timed, at)


def _last_begun(
    owner: Int64[np.ndarray, " stay"],
    begin: Int64[np.ndarray, " stay"],
    asked: Int64[np.ndarray, " ecg"],
    at: Int64[np.ndarray, " ecg"],
) -> Int64[np.ndarray, " ecg"]:
    """The last stay, in the order of patient and begin, that is not after each ECG; of whichever patient."""
    both = np.concatenate([begin, at, [0]])
    first, span = both.min(), both.max() - both.min() + 1
    return np.searchsorted(owner * span + begin - first, asked * span + at - first, side="right") - 1


def _ends_last(owner: Int64[np.ndarray, " stay"], end: Int64[np.ndarray, " stay"]) -> Int64[np.ndarray, " stay"]:
    """Of each stay and those of the same patient before it, the one that ends last."""
    by_end = np.argsort(end, kind="stable")
    rank = np.empty(len(end), np.int64)
    rank[by_end] = np.arange(len(end))
    return by_end[np.maximum.accumulate(owner * len(end) + rank) % len(end)]


def _places(column: pa.Array | pa.ChunkedArray, people: pa.Array | pa.ChunkedArray) -> Int64[np.ndarray, " _"]:
    found = pc.fill_null(pc.index_in(_whole(column), value_set=people), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int64)


def _seconds(column: pa.ChunkedArray) -> Int64[np.ndarray, " stay"]:
    return column.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
