"""From probabilities to waves: runs of one class, their ends where its probability crosses one half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from ecgray.tables import FS
from ecgray.waveform.delineator.config import OUTPUT_FS

MIN_STEPS = 5
"""A run below 20 ms is no wave."""


@dataclass(frozen=True)
class Segments:
    """Waves of one class of many records, sorted by record, lead and time; times in samples at 500 Hz."""

    record: Int64[np.ndarray, " wave"]
    lead: Int64[np.ndarray, " wave"]
    onset: Float[np.ndarray, " wave"]
    offset: Float[np.ndarray, " wave"]
    whole: np.ndarray
    """Whether both ends lie within the strip."""

    def of(self, record: int, lead: int) -> Segments:
        """Those of one lead of one record."""
        first, last = np.searchsorted(self.record * 1000 + self.lead, [record * 1000 + lead, record * 1000 + lead + 1])
        return Segments(*(part[first:last] for part in (self.record, self.lead, self.onset, self.offset, self.whole)))

    def __len__(self) -> int:
        return len(self.record)


def segments(probability: Float32[np.ndarray, "record lead step"]) -> Segments:
    """The waves of one class, all records at once; the ends are interpolated between two samples.

    >>> one = np.array([[[0, 0, 0.25, 0.75, 1, 1, 1, 1, 1, 0.75, 0.25, 0]]], np.float32)
    >>> found = segments(one)
    >>> found.onset.tolist(), found.offset.tolist(), found.whole.tolist()
    ([5.0], [19.0], [True])
    """
    records, leads, steps = probability.shape
    inside = np.zeros((records, leads, steps + 2), np.int8)
    inside[..., 1:-1] = probability >= 0.5
    change = np.diff(inside, axis=-1)
    record, lead, first = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[2]  # one past the last
    long = end - first >= MIN_STEPS
    record, lead, first, end = record[long], lead[long], first[long], end[long]
    whole = (first > 0) & (end < steps)
    ratio = FS / OUTPUT_FS
    onset = _crossing(probability, record, lead, np.maximum(first, 1))
    offset = _crossing(probability, record, lead, np.minimum(end, steps - 1))
    onset, offset = np.where(first > 0, onset, 0), np.where(end < steps, offset, steps - 1)
    return Segments(record, lead, onset * ratio, offset * ratio, whole)


def _crossing(
    probability: Float32[np.ndarray, "record lead step"],
    record: Int64[np.ndarray, " wave"],
    lead: Int64[np.ndarray, " wave"],
    step: Int64[np.ndarray, " wave"],
) -> Float[np.ndarray, " wave"]:
    """Where the line from `step` - 1 to `step` passes one half."""
    before = probability[record, lead, step - 1].astype(np.float64)
    rise = probability[record, lead, step] - before
    return step - 1 + np.divide(0.5 - before, rise, out=np.full(len(step), 0.5), where=rise != 0)
