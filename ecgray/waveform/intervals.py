"""Intervals of a record: what a cardiologist would measure with calipers, and null with a reason where nobody could.

Per beat and lead: PR from the onset of P to that of QRS, QRS duration, QT from the onset of QRS to the end of T, the
durations of P and T. A lead's value is the median over its beats, a record's the median over its leads, as LUDB's
cardiologists marked lead by lead. The global values, from the earliest onset to the latest offset in any lead, stand
beside them: they are longer, for no lead sees the whole of a wave.

QTcF = QT / RR^(1/3), RR in seconds (Fridericia). ST60 is the level 60 ms after the J point (the end of QRS) against the
level just before QRS.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Int64

from ecgray.tables import FS
from ecgray.waveform.delineator.segments import Segments

MS = 1000 / FS
"""Milliseconds a sample."""
LONGEST_PR, LONGEST_QT = 400 / MS, 800 / MS
"""Samples between the onsets of P and QRS, and from the onset of QRS to the end of T, at the most."""
P_SHARE = 0.5
"""Part of a lead's beats that need a P wave before them, for the lead to have a PR interval."""
LEAD_SHARE = 1 / 3
"""Part of the readable leads that must have a value, for the record to have one."""

VALUES = (
    "heart_rate_bpm",
    "rr_ms",
    "pr_ms",
    "qrs_ms",
    "qt_ms",
    "qtcf_ms",
    "st60_mv",
    "p_ms",
    "t_ms",
    "qrs_global_ms",
    "qt_global_ms",
)
_OF_RATE = ("heart_rate_bpm", "rr_ms", "qtcf_ms")


@dataclass(frozen=True)
class Intervals:
    """What was measured in one record; None where it could not be."""

    values: dict[str, float | None]
    """Every name of `VALUES`, in the unit that its name ends in."""
    r_peaks: Int64[np.ndarray, " beat"]
    """The R peaks, in samples at 500 Hz."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a value is None, a stable word each: docs/data.md lists them."""


@dataclass(frozen=True)
class LeadBeats:
    """The beats of one lead: a row each, NaN where a wave was not found. Samples at 500 Hz."""

    onset: Float[np.ndarray, " beat"]
    offset: Float[np.ndarray, " beat"]
    p_onset: Float[np.ndarray, " beat"]
    p_offset: Float[np.ndarray, " beat"]
    t_onset: Float[np.ndarray, " beat"]
    t_offset: Float[np.ndarray, " beat"]

    def __len__(self) -> int:
        return len(self.onset)


def nothing(r_peaks: Int64[np.ndarray, " beat"], reason: str) -> Intervals:
    """A record of which nothing can be told, and why."""
    return Intervals(dict.fromkeys(VALUES), r_peaks, dict.fromkeys(VALUES, reason))


def without_rate(found: Intervals, reason: str) -> Intervals:
    """The same without the values that a missed beat makes wrong.

    >>> found = without_rate(nothing(np.array([500]), "one_beat"), "beats_uncertain")
    >>> sorted(name for name, why in found.reasons.items() if why == "beats_uncertain")
    ['heart_rate_bpm', 'qtcf_ms', 'rr_ms']
    """
    return Intervals(
        found.values | dict.fromkeys(_OF_RATE), found.r_peaks, found.reasons | dict.fromkeys(_OF_RATE, reason)
    )


def beats_of(p: Segments, qrs: Segments, t: Segments) -> LeadBeats:
    """Each whole QRS of one lead with the P wave before it and the T wave after it.

    P is the last whole one that ends before QRS and began at most 400 ms before it, with no other QRS between; T the
    first whole one that begins after QRS ends and is over 800 ms after it began, before the next QRS.
    """
    whole = qrs.whole
    onset, offset = qrs.onset[whole], qrs.offset[whole]
    before = np.concatenate([[-np.inf], qrs.offset])[:-1][whole] if len(qrs) else onset
    after = np.concatenate([qrs.onset, [np.inf]])[1:][whole] if len(qrs) else onset
    slack = 5  # two curves that cross one half at almost the same place
    chosen_p = _pick(p, onset - LONGEST_PR, before - slack, onset + slack, last=True)
    chosen_t = _pick(t, offset - slack, offset - slack, np.minimum(onset + LONGEST_QT, after + slack), last=False)
    return LeadBeats(onset, offset, *chosen_p, *chosen_t)


def _pick(
    wave: Segments,
    earliest: Float[np.ndarray, " beat"],
    after: Float[np.ndarray, " beat"],
    latest: Float[np.ndarray, " beat"],
    *,
    last: bool,
) -> tuple[Float[np.ndarray, " beat"], Float[np.ndarray, " beat"]]:
    """For each beat the last (or first) whole wave that lies between two times; NaN where there is none."""
    onset, offset = wave.onset[wave.whole], wave.offset[wave.whole]
    if len(onset) == 0:
        return np.full(len(earliest), np.nan), np.full(len(earliest), np.nan)
    fits = (onset >= np.maximum(earliest, after)[:, None]) & (offset <= latest[:, None])
    place = len(onset) - 1 - np.argmax(fits[:, ::-1], 1) if last else np.argmax(fits, 1)
    some = fits.any(1)
    return np.where(some, onset[place], np.nan), np.where(some, offset[place], np.nan)


def lead_values(beats: LeadBeats) -> dict[str, float]:
    """The medians of one lead in ms; a name is missing where the lead has no such value."""
    if len(beats) == 0:
        return {}
    found = {"qrs_ms": _median(beats.offset - beats.onset)}
    with_p = np.isfinite(beats.p_onset)
    if with_p.mean() >= P_SHARE:
        found |= {"pr_ms": _median(beats.onset - beats.p_onset), "p_ms": _median(beats.p_offset - beats.p_onset)}
    if np.isfinite(beats.t_offset).any():
        found |= {"qt_ms": _median(beats.t_offset - beats.onset), "t_ms": _median(beats.t_offset - beats.t_onset)}
    return found


def _median(samples: Float[np.ndarray, " beat"]) -> float:
    return float(np.nanmedian(samples)) * MS


def st60_mv(signal: Float32[np.ndarray, " time"], beats: LeadBeats) -> float | None:
    """The median level 60 ms after the J point of one lead, against the 20 ms before QRS; None without a beat."""
    levels = []
    for onset, offset in zip(beats.onset, beats.offset, strict=True):
        start, end = int(onset) - 10, int(offset + 60 / MS)
        if start >= 0 and end + 3 <= len(signal):
            levels.append(float(signal[end - 2 : end + 3].mean() - signal[start : int(onset)].mean()))
    return float(np.median(levels)) if levels else None


def measure(
    signal: Float32[np.ndarray, "lead time"], leads: list[LeadBeats], r_peaks: Int64[np.ndarray, " beat"]
) -> Intervals:
    """The intervals of one record from the beats of its readable leads (`leads`, `signal` row by row) and its R peaks.

    `st60_mv` is the level of the lead in which it is farthest from zero.
    """
    values: dict[str, float | None] = dict.fromkeys(VALUES)
    reasons: dict[str, str] = {}
    if not leads:
        return nothing(r_peaks, "no_lead")
    if len(r_peaks) == 0:
        return nothing(r_peaks, "no_beat")
    if len(r_peaks) > 1:
        rr = float(np.median(np.diff(r_peaks))) * MS
        mean_rr = float(np.mean(np.diff(r_peaks))) * MS
        values |= {"rr_ms": mean_rr, "heart_rate_bpm": 60_000 / mean_rr}
    else:
        reasons |= {"rr_ms": "one_beat", "heart_rate_bpm": "one_beat", "qtcf_ms": "one_beat"}
        rr = np.nan
    found = [lead_values(beats) for beats in leads]
    for name, reason in _WHY.items():
        of_leads = [each[name] for each in found if name in each]
        if len(of_leads) >= max(1, LEAD_SHARE * len(leads)):
            values[name] = float(np.median(of_leads))
        else:
            reasons[name] = reason
    values |= _global(leads)
    levels = [level for row, beats in zip(signal, leads, strict=True) if (level := st60_mv(row, beats)) is not None]
    values["st60_mv"] = max(levels, key=abs) if levels else None
    if values["qt_ms"] is not None and np.isfinite(rr):
        values["qtcf_ms"] = values["qt_ms"] / (rr / 1000) ** (1 / 3)
    for name, reason in {"qtcf_ms": "no_t_wave", "qt_global_ms": "no_t_wave", "qrs_global_ms": "no_beat"}.items():
        if values[name] is None:
            reasons.setdefault(name, reason)
    if values["st60_mv"] is None:
        reasons["st60_mv"] = "no_beat"
    return Intervals(values, r_peaks, reasons)


_WHY = {"pr_ms": "no_p_wave", "p_ms": "no_p_wave", "qrs_ms": "no_beat", "qt_ms": "no_t_wave", "t_ms": "no_t_wave"}


def _global(leads: list[LeadBeats]) -> dict[str, float | None]:
    """From the earliest onset to the latest offset in any lead, beat by beat; the median over beats, in ms."""
    onset, offset, t_offset = (np.concatenate([getattr(each, name) for each in leads]) for name in _ENDS)
    order = np.argsort(onset)
    onset, offset, t_offset = onset[order], offset[order], t_offset[order]
    if len(onset) == 0:
        return {"qrs_global_ms": None, "qt_global_ms": None}
    starts = np.flatnonzero(np.diff(onset, prepend=-np.inf) > 60 / MS)  # a new beat: 60 ms after the last lead's onset
    enough = np.diff(np.append(starts, len(onset))) >= max(1, LEAD_SHARE * len(leads))
    first = onset[starts][enough]
    qrs = (np.maximum.reduceat(offset, starts)[enough] - first) * MS
    last_t = np.fmax.reduceat(t_offset, starts)[enough]
    qt = (last_t - first)[np.isfinite(last_t)] * MS
    return {
        "qrs_global_ms": float(np.median(qrs)) if len(qrs) else None,
        "qt_global_ms": float(np.median(qt)) if len(qt) else None,
    }


_ENDS = ("onset", "offset", "t_offset")
