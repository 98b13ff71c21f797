"""Recordings made alike: twelve leads in our order, 500 Hz, 10 s, int16 at 1,000 counts per mV.

Nothing is filtered or normalised: a stored count equals the source within half a count. What was seen or done is said
by flags (docs/data.md); what no ECG can be made of raises `EcgInputError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS, find_leads
from ecgray.tables import COUNTS_PER_MV, FS, SAMPLES
from ecgray.waveform.quality import IDENTITY_UV, clipped_leads, quality_flags, rate_is_suspect
from ecgray.waveform.record import Recording

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int16

FS_RANGE = (100.0, 5000.0)
"""Sampling rates that are taken, Hz."""
SHORTEST_S = 2.5
"""A recording shorter than this is refused; one shorter than 10 s is padded with zeros at its end."""
PLAUSIBLE_MV = 20.0
"""The 99th percentile of |x| may not be above this: real records reach 11.9 mV."""

_LARGEST = 32767
_NEIGHBOURS = 3
_MARGIN_S = 1.0
_FINEST = 5000  # every whole sampling rate is met exactly, any other within a sample in 10 s
_WANTED = "I, II and V1 to V6 are needed (the four others follow from I and II)"


@dataclass(frozen=True, eq=False)
class StandardEcg:
    """An ECG as ecgray stores it."""

    counts: Int16[np.ndarray, "lead=12 time=5000"]
    """1/1000 mV, 500 Hz, leads in the order of `ecgray.leads.LEADS`."""
    flags: tuple[str, ...]
    source_fs: float
    """Samples per second of the source."""
    source_duration_s: float
    """Length of the source in seconds."""


def standardise(recording: Recording, *, allow_missing_leads: bool = False, rr_ms: float | None = None) -> StandardEcg:
    """Bring a recording to twelve leads, 500 Hz and 10 s.

    III, aVR, aVL and aVF are derived from I and II where the source lacks them. Another lead that is lacking is an
    error, or with `allow_missing_leads` zeros and a flag. `rr_ms`, the mean RR interval that the recorder
    states, checks the sampling rate. Raises `EcgInputError`.
    """
    _check_rate_and_length(recording)
    found = _found(recording.names)
    _check_leads(found, allow_missing_leads)
    rows, flags = _rows(recording, found)
    length = rows.shape[1]
    counts, missing = _twelve(rows, tuple(found))
    if len(found) < len(LEADS):
        flags += _lead_flags(found, missing)
    flags += quality_flags(counts, missing=missing, identity_uv=_identity_uv(recording))
    if rr_ms is not None and rate_is_suspect(counts, rr_ms):
        flags.append("sampling_rate_suspect")
    if length < SAMPLES:
        counts = np.pad(counts, ((0, 0), (0, SAMPLES - length)))
        flags.append("padded")
    if recording.duration_s > SAMPLES / FS:
        flags.append("first_10_s")
    return StandardEcg(
        np.ascontiguousarray(counts), (*recording.flags, *dict.fromkeys(flags)), recording.fs, recording.duration_s
    )


def _check_rate_and_length(recording: Recording) -> None:
    low, high = FS_RANGE
    if not low <= recording.fs <= high:
        raise EcgInputError(
            "sampling_rate_out_of_range",
            f"The sampling rate is {recording.fs:g} Hz; {low:g} to {high:g} Hz are taken.",
        )
    if recording.duration_s < SHORTEST_S:
        raise EcgInputError(
            "too_short", f"The recording lasts {recording.duration_s:.3g} s; at least {SHORTEST_S} s are needed."
        )


@lru_cache(maxsize=256)
def _found(names: tuple[str, ...]) -> Mapping[str, int]:
    """Where each lead stands, in our order."""
    found = find_leads(names)
    return {lead: found[lead] for lead in LEADS if lead in found}


def _check_leads(found: Mapping[str, int], allow_missing_leads: bool) -> None:
    lacking = [lead for lead in ("I", "II", *LEADS[6:]) if lead not in found]
    if lacking and not allow_missing_leads:
        raise EcgInputError("leads_missing", f"The recording lacks {', '.join(lacking)}; {_WANTED}.")


def _rows(recording: Recording, found: Mapping[str, int]) -> tuple[Int16[np.ndarray, "lead time"], list[str]]:
    """The leads that are there, in our order, as counts of 1/1000 mV at 500 Hz, at most 10 s; and what was done."""
    order = list(found.values())
    exact = _exact(recording, order)
    if exact is not None:
        return exact, []
    ratio = Fraction(FS / recording.fs).limit_denominator(_FINEST)
    wanted_s = SAMPLES / FS + (0 if ratio == 1 else _MARGIN_S)
    window = recording.millivolts(order, int(np.ceil(wanted_s * recording.fs)))
    _check_amplitude(window)
    flags = []
    bad = ~np.isfinite(window)
    if bad.any():
        flags.append("non_finite_repaired")
        window = repair(window, bad)
    if ratio != 1:
        flags += [f"clipped:{lead}" for lead in clipped_leads(window, tuple(found))]
        flags.append("resampled")
        window = resample(window, ratio)
    return _quantised(window[:, :SAMPLES], tuple(found), flags)


def _exact(recording: Recording, order: list[int]) -> Int16[np.ndarray, "lead time"] | None:
    """Counts that become ours by a whole factor, without a detour through floats; None where they do not."""
    counts = recording.counts
    factor = _factor(recording.gain, recording.baseline)
    if counts.dtype != np.int16 or not factor or recording.fs != FS:
        return None
    rows = counts[:, :SAMPLES] if order == list(range(len(counts))) else counts[order, :SAMPLES]
    low, high = int(rows.min()), int(rows.max())
    if factor * max(-low, high) > _LARGEST:  # and so where a sample is missing
        return None
    if factor != 1:
        rows = rows * np.int16(factor)
    if factor * max(-low, high) > PLAUSIBLE_MV * COUNTS_PER_MV:
        _check_amplitude(rows / COUNTS_PER_MV)
    return rows


@lru_cache(maxsize=1024)
def _factor(gain: tuple[float, ...], baseline: tuple[int, ...]) -> int:
    """What a count is to be multiplied by, 0 where no whole number does for all leads."""
    if any(baseline) or len(set(gain)) != 1 or gain[0] <= 0:
        return 0
    factor = COUNTS_PER_MV / gain[0]
    return int(factor) if factor.is_integer() and factor <= _LARGEST else 0


def _check_amplitude(signal: Float[np.ndarray, "lead time"]) -> None:
    size = np.abs(signal[~np.isnan(signal)])
    if size.size == 0:
        raise EcgInputError("signal_empty", "No sample of the recording was measured; check the recorder's export.")
    place = int(0.99 * (size.size - 1))
    p99 = float(np.partition(size, place)[place])
    if p99 > PLAUSIBLE_MV:
        raise EcgInputError(
            "amplitude_implausible",
            f"1 % of the samples are above {p99:.4g} mV; an ECG stays below {PLAUSIBLE_MV:g} mV. Check unit and gain.",
        )


def repair(
    signal: Float[np.ndarray, "lead time"], bad: Bool[np.ndarray, "lead time"]
) -> Float[np.ndarray, "lead time"]:
    """Replace the `bad` samples by the mean of the good ones among three on each side, else the lead's mean, else 0.

    >>> row = np.array([[1.0, np.nan, 3.0]])
    >>> repair(row, np.isnan(row)).tolist()
    [[1.0, 2.0, 3.0]]
    """
    good = np.where(bad, 0.0, signal)
    count = np.maximum((~bad).sum(axis=1, keepdims=True), 1)
    mean = np.broadcast_to(good.sum(axis=1, keepdims=True) / count, signal.shape)
    width = 2 * _NEIGHBOURS + 1
    pad = ((0, 0), (_NEIGHBOURS, _NEIGHBOURS))
    sums = np.lib.stride_tricks.sliding_window_view(np.pad(good, pad), width, axis=1).sum(axis=2)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(~bad, pad), width, axis=1).sum(axis=2)
    filled = np.where(near > 0, sums / np.maximum(near, 1), mean)
    return np.where(bad, filled, signal)


def resample(signal: Float[np.ndarray, "lead time"], ratio: Fraction) -> Float[np.ndarray, "lead time_500"]:
    """`ratio` times as many samples a second, by a polyphase low-pass filter.

    The ends are continued by their last value and the offset is set aside, so that neither rings.

    >>> resample(np.full((1, 3), 3.0), Fraction(2)).tolist()
    [[3.0, 3.0, 3.0, 3.0, 3.0, 3.0]]
    """
    from scipy.signal import resample_poly

    offset = signal.mean(axis=1, keepdims=True)
    taps = _low_pass(max(ratio.numerator, ratio.denominator))
    longer = resample_poly(signal - offset, ratio.numerator, ratio.denominator, axis=1, window=taps, padtype="edge")
    return longer[:, : round(signal.shape[1] * ratio)] + offset


@lru_cache(maxsize=16)
def _low_pass(factor: int) -> Float[np.ndarray, " tap"]:
    """The filter that scipy designs by default; designed once for an archive."""
    from scipy.signal import firwin

    return firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0))


def _identity_uv(recording: Recording) -> float:
    """How far a good recording may be from the frontal identities: two counts where a count is coarse."""
    if recording.counts.dtype != np.int16:
        return IDENTITY_UV
    return max(IDENTITY_UV, 2 * COUNTS_PER_MV / min(abs(gain) for gain in recording.gain))


def _quantised(
    signal: Float[np.ndarray, "lead time"], leads: tuple[str, ...], flags: list[str]
) -> tuple[Int16[np.ndarray, "lead time"], list[str]]:
    """Millivolts to counts; what does not fit is cut off and flagged as clipped."""
    scaled = np.rint(signal * COUNTS_PER_MV)
    over = (np.abs(scaled) > _LARGEST).any(axis=1)
    flags = flags + [f"clipped:{lead}" for lead, cut in zip(leads, over, strict=True) if cut]
    return np.clip(scaled, -_LARGEST, _LARGEST).astype(np.int16), flags


def _twelve(
    rows: Int16[np.ndarray, "lead time"], leads: tuple[str, ...]
) -> tuple[Int16[np.ndarray, "lead=12 time"], frozenset[str]]:
    """All twelve leads, and the names of those that neither are there nor follow from I and II."""
    if len(leads) == len(LEADS):
        return rows, frozenset()
    counts = np.zeros((len(LEADS), rows.shape[1]), np.int16)
    places = [LEADS.index(lead) for lead in leads]
    counts[places] = rows
    absent = [lead for lead in LEADS if lead not in leads]
    if "I" in leads and "II" in leads:
        derived = dict(zip(LEADS[2:6], _derived(counts[0], counts[1]), strict=True))
        for lead in (lead for lead in absent if lead in derived):
            counts[LEADS.index(lead)] = derived[lead]
        absent = [lead for lead in absent if lead not in derived]
    return counts, frozenset(absent)


def _derived(lead_i: Int16[np.ndarray, " time"], lead_ii: Int16[np.ndarray, " time"]) -> list[np.ndarray]:
    """III, aVR, aVL and aVF in counts: III exactly, the others within half a count."""
    one, two = lead_i.astype(np.int32), lead_ii.astype(np.int32)
    four = (two - one, -((one + two) // 2), (2 * one - two) // 2, (2 * two - one) // 2)
    return [np.clip(lead, -_LARGEST, _LARGEST).astype(np.int16) for lead in four]


def _lead_flags(found: Mapping[str, int], missing: frozenset[str]) -> list[str]:
    derived = len(found) + len(missing) < len(LEADS)
    return (["leads_derived"] if derived else []) + [f"lead_missing:{lead}" for lead in LEADS if lead in missing]
