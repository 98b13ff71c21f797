"""R peaks, heard by all leads at once: a null instead of a wrong number.

A beat is where the leads together find a QRS (the mean of their probabilities above one half), so that a noisy lead
neither adds nor hides one. Within it the R peak is the extreme of one lead: II where it shows the beat, else the one of
the largest QRS. The sign of that extreme is settled once a record, so that R does not jump to S from beat to beat.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from ecgray.leads import LEADS
from ecgray.tables import FS
from ecgray.waveform.delineator.network import LAG
from ecgray.waveform.delineator.segments import segments

REFRACTORY_S = 0.18
"""Two beats are at least this far apart: 333 bpm."""
SHOWS_MV = 0.15
"""Peak to peak of the QRS in lead II from which its R peak is taken there."""


def find_r_peaks(
    signal: Float32[np.ndarray, "record lead time"],
    qrs: Float32[np.ndarray, "record lead step"],
    seen: Bool[np.ndarray, "record lead"],
) -> list[Int64[np.ndarray, " _"]]:
    """The R peaks of each record, in samples at 500 Hz, sorted; none where no lead shows a QRS.

    `signal` is in mV, `qrs` the probability of QRS at 250 Hz, `seen` the leads that count.
    """
    weight = seen / np.maximum(seen.sum(1, keepdims=True), 1)
    together = np.einsum("rls,rl->rs", qrs, weight.astype(np.float32))
    found = segments(together[:, None])
    peaks = []
    for record in range(len(signal)):
        runs = found.of(record, 0)
        starts, ends = np.floor(runs.onset).astype(np.int64), np.ceil(runs.offset).astype(np.int64) + 1
        heights = np.array([together[record, a // 2 : b // 2 + 1].max() for a, b in zip(starts, ends, strict=True)])
        kept = _apart((starts + ends) / 2, heights)
        peaks.append(_extremes(signal[record], seen[record], starts[kept], ends[kept]))
    return peaks


def _apart(middle: np.ndarray, height: np.ndarray) -> Int64[np.ndarray, " beat"]:
    """Which runs are beats: of two within the refractory time, the surer one."""
    kept: list[int] = []
    for run in range(len(middle)):
        if kept and middle[run] - middle[kept[-1]] < REFRACTORY_S * FS:
            if height[run] > height[kept[-1]]:
                kept[-1] = run
        else:
            kept.append(run)
    return np.array(kept, np.int64)


def _extremes(
    signal: Float32[np.ndarray, "lead time"],
    seen: Bool[np.ndarray, " lead"],
    starts: Int64[np.ndarray, " beat"],
    ends: Int64[np.ndarray, " beat"],
) -> Int64[np.ndarray, " beat"]:
    """The sample of the R peak in each run."""
    if len(starts) == 0:
        return starts
    sizes = np.stack([np.ptp(signal[:, a:b], axis=1) for a, b in zip(starts, ends, strict=True)])
    size = np.where(seen, np.median(sizes, 0), -1)
    second = LEADS.index("II")
    lead = second if len(size) == len(LEADS) and size[second] >= SHOWS_MV else int(np.argmax(size))
    row = signal[lead]
    pieces = [row[a:b] - (row[a] + row[min(b, len(row)) - 1]) / 2 for a, b in zip(starts, ends, strict=True)]
    up, down = np.median([piece.max() for piece in pieces]), np.median([-piece.min() for piece in pieces])
    sign = 1 if up >= 0.5 * down else -1  # R is positive; a QRS without one has its S or QS instead
    return starts + np.array([int(np.argmax(sign * piece)) for piece in pieces], np.int64)


STEEP = 0.3
"""Part of a beat's steepness from which a place outside the beats looks like a beat that was missed."""


LONG_GAP = 1.5
"""Part of the median RR from which an interval may hide a beat."""


def steep_elsewhere(
    signal: Float32[np.ndarray, "lead time"], r_peaks: Int64[np.ndarray, " beat"], *, reach_s: float = 0.12
) -> Int64[np.ndarray, " place"]:
    """Where, farther than `reach_s` from every R peak, it is nearly as steep as the beats are; in samples.

    None where all beats were found. A tachycardia of which every third beat was found has two for each, and its rate is
    better not told. Steepness is the squared change in 20 ms of the signal smoothed over 20 ms, summed over the leads,
    each in units of its own.
    """
    if len(r_peaks) == 0:
        return r_peaks
    total = np.cumsum(np.pad(signal.astype(np.float64), ((0, 0), (1, 0))), axis=1)
    smooth = (total[:, LAG:] - total[:, :-LAG]) / LAG
    change = smooth[:, LAG:] - smooth[:, :-LAG]  # centred LAG samples after where it begins
    size = np.maximum(np.median(np.abs(change), axis=1, keepdims=True), 1e-3)
    steep = ((change / size) ** 2).sum(0)
    time = np.arange(len(steep)) + LAG
    near = np.abs(time[:, None] - r_peaks[None]).min(1)
    reach = round(reach_s * FS)
    heights = [steep[np.abs(time - peak) <= reach].max(initial=0) for peak in r_peaks]
    suspect = np.flatnonzero((near > reach) & (steep > STEEP * np.median(heights)))
    return time[suspect[np.diff(suspect, prepend=-FS) > reach]]


def hides_a_beat(r_peaks: Int64[np.ndarray, " beat"], places: Int64[np.ndarray, " place"]) -> bool:
    """Whether a steep place lies in an RR interval of half as much again as the median: its mean would be wrong.

    A pause alone hides nothing.

    >>> peaks = np.array([500, 600, 700, 900])
    >>> [hides_a_beat(peaks, np.array(places, np.int64)) for places in ([800], [950], [])]
    [True, False, False]
    """
    rr = np.diff(r_peaks)
    if len(rr) == 0:
        return False
    after = np.searchsorted(r_peaks, places)  # the place lies before this peak
    inside = after[(after > 0) & (after < len(r_peaks))]
    return bool((rr[inside - 1] > LONG_GAP * np.median(rr)).any())
