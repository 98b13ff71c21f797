"""What is wrong with an ECG, seen from cheap statistics: no filter, no beat detection, about 0.1 ms a record.

A flag warns and never refuses; only an ECG without any signal is refused. The limits are set on real recordings
(docs/data.md says how often each fires on good and on bad ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.tables import FS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int16, Int32, Shaped

FLAT_COUNTS = 50
"""A lead whose typical peak-to-peak in a second is below this (0.05 mV) has lost its electrode."""
NOISE_SHARE = 0.06
"""A lead is noisy where its typical step between neighbouring samples is above this share of its peak-to-peak."""
WANDER_SHARE = 2.0
"""A lead wanders where its baseline moves by more than this many times its peak-to-peak in a second."""
REVERSAL_CORRELATION = -0.3
"""I and V6 look at the heart from the same side; a correlation below this suggests swapped arm electrodes."""
IDENTITY_UV = 5.0
"""Good recordings obey the frontal identities within 2 uV (and within two counts of a coarser source)."""

RATE_FACTOR = 1.7
"""Beats that come this much faster or slower than the recorder said speak for a wrong sampling rate."""

_BLOCK = 50  # 100 ms: most blocks hold no QRS, so that their median is the noise between the beats
_SPARSE = 4  # one block in four will do for a median
_RUN, _RUNS, _HELD = 5, 3, 250
_LIMIT = 32767
_STEP, _TOP, _STILL = 5, 20, 20


class _Seconds(NamedTuple):
    """What each second of each lead shows."""

    high: Shaped[np.ndarray, "lead second"]
    low: Shaped[np.ndarray, "lead second"]
    mean: Float[np.ndarray, "lead second"]
    size: Float[np.ndarray, " lead"]
    """The typical peak-to-peak in a second."""


def quality_flags(
    counts: Int16[np.ndarray, "lead=12 time"],
    *,
    missing: frozenset[str] = frozenset(),
    identity_uv: float = IDENTITY_UV,
) -> list[str]:
    """Flags of twelve leads in counts of 1/1000 mV at 500 Hz, at least one second; `missing` leads are not looked at.

    Raises `EcgInputError` signal_flat where every lead is constant.
    """
    seconds = _seconds(counts)
    low, high = _extremes(counts, seconds)
    if (low == high).all():
        raise EcgInputError("signal_flat", "Every lead is one constant value; was a patient connected?")
    flat = seconds.size < FLAT_COUNTS
    noisy = _noise(counts) > NOISE_SHARE * seconds.size
    wanders = np.ptp(seconds.mean, axis=1) > WANDER_SHARE * np.maximum(seconds.size, FLAT_COUNTS)
    flags = _named("lead_flat", flat, missing)
    flags += _named("noise_high", noisy & ~flat, missing)
    flags += _named("wander_high", wanders, missing)
    flags += [f"clipped:{lead}" for lead in _clipped(counts, LEADS, low, high)]
    if not missing.intersection(LEADS[:6]) and _identity_residual(counts) > identity_uv:
        flags.append("lead_identity_violation")
    if not missing.intersection(("I", "V6")) and _looks_reversed(counts, seconds):
        flags.append("possible_limb_reversal")
    return flags


def _named(flag: str, leads: Bool[np.ndarray, "lead=12"], missing: frozenset[str]) -> list[str]:
    return [f"{flag}:{LEADS[place]}" for place in np.flatnonzero(leads).tolist() if LEADS[place] not in missing]


def _seconds(counts: Int16[np.ndarray, "lead time"]) -> _Seconds:
    number = counts.shape[1] // FS
    parts = counts[:, : number * FS].reshape(len(counts), number, FS)
    high, low = parts.max(axis=2).astype(np.int32), parts.min(axis=2).astype(np.int32)
    mean = parts.sum(axis=2, dtype=np.int32) / FS
    return _Seconds(high, low, mean, _median(high - low))


def _extremes(
    counts: Int16[np.ndarray, "lead time"], seconds: _Seconds
) -> tuple[Int32[np.ndarray, " lead"], Int32[np.ndarray, " lead"]]:
    """The smallest and the largest count of each lead; whole seconds have been looked at already."""
    rest = counts[:, seconds.high.shape[1] * FS :]
    low, high = seconds.low.min(axis=1), seconds.high.max(axis=1)
    return np.minimum(low, rest.min(axis=1, initial=_LIMIT)), np.maximum(high, rest.max(axis=1, initial=-_LIMIT - 1))


def _median(values: Shaped[np.ndarray, "lead part"]) -> Shaped[np.ndarray, " lead"]:
    """The upper median: np.median takes longer than all else here."""
    return np.sort(values, axis=1)[:, values.shape[1] // 2]


def _noise(counts: Shaped[np.ndarray, "lead time"]) -> Float[np.ndarray, " lead"]:
    """The mean step between neighbouring samples in a typical block of 100 ms, in counts."""
    every = _BLOCK * _SPARSE
    blocks = counts.shape[1] // every
    parts = counts[:, : blocks * every].reshape(len(counts), blocks, every)
    steps = parts[:, :, 1 : _BLOCK + 1] - parts[:, :, :_BLOCK]
    np.abs(steps, out=steps)
    return _median(steps.astype(np.float32) @ np.full(_BLOCK, 1 / _BLOCK, np.float32))  # faster than a sum


def _identity_residual(counts: Int16[np.ndarray, "lead=12 time"]) -> float:
    """The largest deviation from SE-Diff Eq. 19 in counts. Sums may wrap around: a small deviation stays small."""
    one, two, three = counts[:3]
    residuals = np.empty((4, counts.shape[1]), np.int16)  # written in place: half the time of one expression each
    np.subtract(three, two, out=residuals[0])
    np.add(counts[3:6], counts[3:6], out=residuals[1:])
    of_iii, of_avr, of_avl, of_avf = residuals
    of_iii += one
    of_avr += one
    of_avr += two
    of_avl += three
    of_avl -= one
    of_avf -= two
    of_avf -= three
    low, high = residuals.min(axis=1).tolist(), residuals.max(axis=1).tolist()
    return max(high[0], -low[0], max(high[1:]) / 2, -min(low[1:]) / 2)


def _looks_reversed(counts: Int16[np.ndarray, "lead=12 time"], seconds: _Seconds) -> bool:
    """Whether I points down, and against V6, as with the arm electrodes swapped (it may be a far-right axis)."""
    net = _median(seconds.high[:1] + seconds.low[:1] - 2 * seconds.mean[:1])
    if net[0] >= 0:
        return False
    number = seconds.mean.shape[1]
    pair = counts[[0, 11], : number * FS].reshape(2, number, FS) - seconds.mean[[0, 11], :, None]
    one, six = pair.reshape(2, -1)
    return bool(one @ six < REVERSAL_CORRELATION * np.sqrt((one @ one) * (six @ six)))


def clipped_leads(rows: Shaped[np.ndarray, "lead time"], leads: Sequence[str]) -> list[str]:
    """The leads that a recorder's limit has cut.

    Such a lead returns to its own extreme value, far from its median, in at least three runs of 10 ms; or stays there
    for half a second; or touches the largest count that int16 holds, twice.
    """
    return _clipped(rows, leads, rows.min(axis=1), rows.max(axis=1))


def _clipped(
    rows: Shaped[np.ndarray, "lead time"],
    leads: Sequence[str],
    low: Shaped[np.ndarray, " lead"],
    high: Shaped[np.ndarray, " lead"],
) -> list[str]:
    cut = [False] * len(leads)
    for extreme in (low, high):
        held = rows == extreme.astype(rows.dtype)[:, None]
        most = np.count_nonzero(held) - len(leads) + 1  # by any one lead: each is there once at least
        if most >= _RUN * _RUNS or np.abs(extreme).max() >= _LIMIT:
            for place, value in enumerate(extreme.tolist()):
                cut[place] |= _is_cut(rows[place], held[place], value)
    differs = (low < high).tolist()
    return [lead for lead, is_cut, varies in zip(leads, cut, differs, strict=True) if is_cut and varies]


def _is_cut(row: Shaped[np.ndarray, " time"], held: Bool[np.ndarray, " time"], extreme: float) -> bool:
    count = np.count_nonzero(held)
    if count < _RUN * _RUNS:
        return bool(count > 1 and abs(extreme) >= _LIMIT)
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False))
    runs = edges[1::2] - edges[::2]
    if abs(extreme) >= _LIMIT or runs.max() >= _HELD:
        return True
    far = abs(extreme - float(np.median(row))) > (float(row.max()) - float(row.min())) / 4
    return bool(far and np.count_nonzero(runs >= _RUN) >= _RUNS)


def rate_is_suspect(counts: Int16[np.ndarray, "lead=12 time"], rr_ms: float) -> bool:
    """Whether the beats disagree with the mean RR interval that the recorder states, as by a wrong sampling rate.

    Four leads agree with the recorder as a rule; only where they do not, all twelve are asked.
    """
    for leads in (counts[1::3], counts):
        measured = mean_rr_ms(leads)
        if measured is not None and 1 / RATE_FACTOR < measured / rr_ms < RATE_FACTOR:
            return False
    return measured is not None


def mean_rr_ms(counts: Int16[np.ndarray, "lead time"]) -> float | None:
    """The mean RR interval in ms; None below three beats.

    A beat is where the steps over 10 ms, each lead's against its own largest, add up; the next is 240 ms away at least.
    On 140 LUDB records it agrees with the cardiologists' marks within 10 % in every one.
    """
    sparse = counts[:, ::_STEP].astype(np.float32)
    steps = np.abs(sparse[:, 1:] - sparse[:, :-1])
    largest = np.sort(steps, axis=1)[:, -_TOP, None]
    activity = np.minimum(steps / np.maximum(largest, _STILL), 1.5).sum(axis=0)
    active = np.flatnonzero(activity > 0.4 * np.sort(activity)[-_TOP])
    beats = np.concatenate((active[:1], active[1:][active[1:] - active[:-1] > 0.24 * FS / _STEP]))
    if len(beats) < 3:
        return None
    return float(beats[-1] - beats[0]) / (len(beats) - 1) * _STEP * 1000 / FS
