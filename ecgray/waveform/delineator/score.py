"""How near a reading comes to cardiologists' marks: end by end as CSE counts, and record by record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from ecgray.tables import FS
from ecgray.waveform.delineator.config import CLASSES
from ecgray.waveform.delineator.marks import Marks
from ecgray.waveform.delineator.reader import Reading
from ecgray.waveform.delineator.segments import Segments
from ecgray.waveform.intervals import measure

MS = 1000 / FS
WINDOW_MS = 150
"""How far a found end may lie from a marked one and still count as it."""
CSE_MS = {
    ("P", "onset"): 10.2,
    ("P", "offset"): 12.7,
    ("QRS", "onset"): 6.5,
    ("QRS", "offset"): 11.6,
    ("T", "offset"): 30.6,
}
"""The CSE working party's tolerances: standard deviation of the error, ms."""
SCORED = ("pr_ms", "qrs_ms", "qt_ms", "p_ms", "t_ms", "qrs_global_ms", "qt_global_ms")
EDGE = 5
"""Samples beyond a lead's first and last mark within which a wave nobody marked counts as false."""


@dataclass(frozen=True)
class EndScore:
    """One end of one kind of wave, over all leads and records."""

    wave: str
    end: str
    sensitivity: float
    precision: float
    mean_ms: float
    """Found less marked: positive is late."""
    sd_ms: float
    matched: int


@dataclass(frozen=True)
class IntervalScore:
    """One interval over all records."""

    mean_absolute_error: float
    median_absolute_error: float
    bias: float
    records: int
    """Records where both have a value."""
    missed: int
    """Records where the cardiologists have a value and we have none."""
    invented: int
    """Records where we have a value and the cardiologists have none."""


def reading_of(marks: Sequence[Marks]) -> Reading:
    """The cardiologists' marks as if they had been found, so that the same code measures both."""
    seen = np.array([[len(waves) > 0 for waves in record] for record in marks])
    p, qrs, t = (_segments(marks, CLASSES.index(name)) for name in ("P", "QRS", "T"))
    peaks = [_beats(record) for record in marks]
    return Reading(p, qrs, t, seen, peaks)


def _segments(marks: Sequence[Marks], kind: int) -> Segments:
    rows = [
        (record, lead, wave.onset, wave.offset)
        for record, leads in enumerate(marks)
        for lead, waves in enumerate(leads)
        for wave in waves
        if wave.kind == kind
    ]
    record, lead, onset, offset = np.array(rows, np.float64).reshape(-1, 4).T
    return Segments(record.astype(np.int64), lead.astype(np.int64), onset, offset, np.ones(len(rows), bool))


def _beats(marks: Marks) -> np.ndarray:
    """R peaks: the QRS peaks of the lead in which most are marked."""
    peaks = [[wave.peak for wave in waves if wave.kind == CLASSES.index("QRS")] for waves in marks]
    return np.array(max(peaks, key=len, default=[]), np.int64)


def score_ends(marks: Sequence[Marks], reading: Reading) -> list[EndScore]:
    """Sensitivity, precision and error of each end, over every lead that was marked, as far as it was marked."""
    found = {"P": reading.p, "QRS": reading.qrs, "T": reading.t}
    return [_score_end(marks, found[wave], wave, end) for wave in found for end in ("onset", "offset")]


def _score_end(marks: Sequence[Marks], found: Segments, wave: str, end: str) -> EndScore:
    errors: list[float] = []
    missed = false = 0
    for record, leads in enumerate(marks):
        for lead, waves in enumerate(leads):
            if not waves:
                continue
            true = [getattr(each, end) for each in waves if each.kind == CLASSES.index(wave)]
            ours = getattr(found.of(record, lead), end)
            pairs = match(true, ours, window=WINDOW_MS / MS)
            errors += [ours[b] - true[a] for a, b in pairs]
            missed += len(true) - len(pairs)
            within = (ours >= waves[0].onset - EDGE) & (ours <= waves[-1].offset + EDGE)
            within[[b for _, b in pairs]] = False
            false += int(within.sum())
    ms, hit = np.array(errors) * MS, len(errors)
    return EndScore(
        wave,
        end,
        sensitivity=hit / max(hit + missed, 1),
        precision=hit / max(hit + false, 1),
        mean_ms=float(ms.mean()) if hit else float("nan"),
        sd_ms=float(ms.std()) if hit else float("nan"),
        matched=hit,
    )


def match(
    true: Sequence[float] | np.ndarray, found: Float[np.ndarray, " found"], *, window: float
) -> list[tuple[int, int]]:
    """Pairs of the nearest, each used once, in the order of `true`.

    >>> match([10, 50], np.array([12.0, 48.0, 49.0]), window=5)
    [(0, 0), (1, 2)]
    """
    pairs: list[tuple[int, int]] = []
    free = np.ones(len(found), bool)
    for place, time in enumerate(true):
        distance = np.where(free, np.abs(found - time), np.inf)
        if len(found) and distance.min() <= window:
            nearest = int(distance.argmin())
            free[nearest] = False
            pairs.append((place, nearest))
    return pairs


def score_intervals(
    marks: Sequence[Marks], reading: Reading, signal: Float32[np.ndarray, "record lead time"]
) -> dict[str, IntervalScore]:
    """Every interval of every record, ours against the one that the marks give, ms."""
    true = _values(reading_of(marks), signal)
    ours = _values(reading, signal)
    scores = {}
    for name in SCORED:
        a, b = (np.array([row[name] for row in rows], np.float64) for rows in (true, ours))
        error = (b - a)[np.isfinite(a) & np.isfinite(b)]
        some = len(error) > 0
        scores[name] = IntervalScore(
            mean_absolute_error=float(np.abs(error).mean()) if some else float("nan"),
            median_absolute_error=float(np.median(np.abs(error))) if some else float("nan"),
            bias=float(error.mean()) if some else float("nan"),
            records=len(error),
            missed=int((np.isfinite(a) & ~np.isfinite(b)).sum()),
            invented=int((~np.isfinite(a) & np.isfinite(b)).sum()),
        )
    return scores


def _values(reading: Reading, signal: Float32[np.ndarray, "record lead time"]) -> list[dict[str, float | None]]:
    return [
        measure(row[reading.seen[record]], reading.beats(record), reading.r_peaks[record]).values
        for record, row in enumerate(signal)
    ]
