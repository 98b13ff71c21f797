"""Beats cut out around their R peaks, their spectra, and the one that stands for many (SE-Diff Eq. 13 and 14).

A crop begins 0.2 s before R and ends 0.4 s after it: 300 samples at 500 Hz, R at sample 100. It holds P, QRS and T of
most hearts; at 40 bpm the end of T may lie outside, at 150 bpm the next P inside. A crop that the strip's edge would
cut is none, and one that holds a NaN is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from ecgray.errors import ConfigError

BEAT_SAMPLES = 300
BEAT_FS = 500
R_SAMPLE = 100
"""The sample of the R peak in each crop: 0.2 s."""

LEVEL_WITHIN = (40, 80)
"""Samples in which the level before QRS is looked for: 120 to 40 ms before R."""
LEVEL_SAMPLES = 8
"""The level is the mean of so many: 16 ms."""


def crop_beats(
    ecg: Float[np.ndarray, "lead=12 time"], r_peaks: Int[np.ndarray, " peak"]
) -> Float32[np.ndarray, "beat lead=12 sample=300"]:
    """The whole beats of a record, in the order of time (Eq. 13); the first one is what the beat decoder learns.

    `ecg` is in mV at 500 Hz, `r_peaks` are samples. None where no R peak has 0.2 s before and 0.4 s after it.

    >>> ecg = np.zeros((12, 1000), np.float32)
    >>> crop_beats(ecg, np.array([99, 100, 800, 801])).shape
    (2, 12, 300)
    """
    starts = np.sort(np.asarray(r_peaks, np.int64)) - R_SAMPLE
    starts = starts[(starts >= 0) & (starts + BEAT_SAMPLES <= ecg.shape[1])]
    if not len(starts):
        return np.empty((0, len(ecg), BEAT_SAMPLES), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(ecg, BEAT_SAMPLES, axis=1)  # (lead, start, sample)
    beats = windows[:, starts].swapaxes(0, 1).astype(np.float32)
    return beats[np.isfinite(beats).all((1, 2))]


def padded_beats(
    ecg: Float[np.ndarray, "record lead=12 time"], r_peaks: Sequence[Int[np.ndarray, " _"]], *, most: int | None = None
) -> tuple[Float32[np.ndarray, "record beat lead=12 sample=300"], Bool[np.ndarray, "record beat"]]:
    """The whole beats of many records, and which are beats: a record with fewer than another is padded with zeros.

    Of a record that has more than `most`, the first beat counts and others spread evenly as far as the last.

    >>> beats, real = padded_beats(np.zeros((2, 12, 1000), np.float32), [np.array([200, 500]), np.array([300])])
    >>> beats.shape, real.tolist()
    ((2, 2, 12, 300), [[True, True], [True, False]])
    """
    crops = [crop_beats(record, peaks) for record, peaks in zip(ecg, r_peaks, strict=True)]
    if most is not None:
        crops = [spread(beats, most) for beats in crops]
    padded = np.zeros((len(crops), max(map(len, crops), default=0), ecg.shape[1], BEAT_SAMPLES), np.float32)
    real = np.zeros(padded.shape[:2], bool)
    for record, beats in enumerate(crops):
        padded[record, : len(beats)] = beats
        real[record, : len(beats)] = True
    return padded, real


def spread(
    beats: Float32[np.ndarray, "_ lead=12 sample=300"], most: int
) -> Float32[np.ndarray, "_ lead=12 sample=300"]:
    """At most so many of a record's beats: the first, and others spread evenly as far as the last.

    >>> beats = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 12, 300), np.float32)
    >>> spread(beats, 3)[:, 0, 0].tolist(), len(spread(beats, 9))
    ([0.0, 2.0, 4.0], 5)
    """
    return beats[np.linspace(0, max(len(beats) - 1, 0), min(most, len(beats))).astype(np.int64)]


def log_spectrum(
    beats: Float[Tensor, "*batch time=300"], *, f_max_hz: float = 40.0, epsilon: float = 1e-3
) -> Float[Tensor, "*batch bin"]:
    """The one-sided log magnitude of each beat without its mean, log(epsilon + |rFFT|) (Eq. 14).

    Bin k lies at k * 500 / 300 Hz = k * 1.67 Hz, from k = 0 to `f_max_hz`: 25 bins up to 40 Hz. Bin 0 is log(epsilon)
    for every beat, since its mean is gone; it is kept, as Eq. 15 counts it. Magnitudes are those of mV, unnormalised.

    >>> tone = torch.sin(2 * torch.pi * 10 * torch.arange(300) / 500)
    >>> spectrum = log_spectrum(tone)
    >>> len(spectrum), int(spectrum.argmax()), round(float(spectrum.max().exp()))
    (25, 6, 150)
    """
    last = int(f_max_hz * BEAT_SAMPLES / BEAT_FS + 1e-9)
    if not beats.numel():  # what the library of the transform refuses
        return beats.new_zeros(*beats.shape[:-1], last + 1)
    spectrum = torch.fft.rfft(beats - beats.mean(dim=-1, keepdim=True))[..., : last + 1]
    return torch.log(epsilon + spectrum.abs())


def typical_beat(
    beats: Float[np.ndarray, "beat lead=12 sample=300"], *, min_correlation: float = 0.8
) -> Float32[np.ndarray, "lead=12 sample=300"]:
    """The beat that stands for all: the median of those alike, in mV from the level before QRS.

    A beat is left out where its correlation with the median of all (each lead without its median, leads together) is
    below `min_correlation`, as that of an extrasystole; but half of the beats at least are kept. A beat with a NaN
    counts for nothing. The level is each beat's own, so that a wandering baseline does not blur the median.
    """
    whole = beats[np.isfinite(beats).all((1, 2))].astype(np.float64)
    if not len(whole):
        raise ConfigError(f"None of {len(beats)} beats is finite; a typical beat needs one or more.")
    centred = whole - np.median(whole, -1, keepdims=True)
    alike = correlation(centred, np.median(centred, 0)[None])
    kept = whole[alike >= min(min_correlation, float(np.median(alike)))]
    start = calmest(np.median(kept, 0))
    levelled = kept - kept[..., start : start + LEVEL_SAMPLES].mean(-1, keepdims=True)
    return np.median(levelled, 0).astype(np.float32)


def correlation(
    beats: Float[np.ndarray, "beat lead sample"], other: Float[np.ndarray, "#beat lead sample"]
) -> Float[np.ndarray, " beat"]:
    """Pearson's, over leads and samples together; 0 where one of the two is flat."""
    one, two = (part.reshape(len(part), -1) for part in (beats, other))
    one, two = (part - part.mean(1, keepdims=True) for part in (one, two))
    size = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    return np.divide((one * two).sum(1), size, out=np.zeros_like(size), where=size > 0)


def calmest(beat: Float[np.ndarray, "lead sample=300"]) -> int:
    """The first sample of the 16 ms before QRS in which the leads together move least: the PR segment's level."""
    slope = np.abs(np.diff(beat[:, slice(*LEVEL_WITHIN)], axis=1)).sum(0)
    moved = np.convolve(slope, np.ones(LEVEL_SAMPLES - 1), mode="valid")
    return LEVEL_WITHIN[0] + int(np.argmin(moved))
