"""Between recordings and what the baselines learn: strips of 8 leads at 102.4 Hz, beats of 8 leads at 180 Hz; in mV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ecgray.baselines.config import BEAT_FS, BEAT_R, BEAT_SAMPLES, STRIP_SAMPLES
from ecgray.sediff.input import eight_leads, resample, twelve_leads
from ecgray.tables import FS, SAMPLES

_SLOW = SAMPLES * BEAT_FS // FS
"""Samples of a recording at a beat's rate."""
_PLACES = np.rint((np.arange(BEAT_SAMPLES) - BEAT_R) * FS / BEAT_FS).astype(np.int64)
"""Where a beat's samples lie in a recording, from its R peak; off by 1 ms at the most."""


def to_strips(ecg: Float[Tensor, "batch lead=12 time=5000"]) -> Float[Tensor, "batch lead=8 sample=1024"]:
    """What wgan and sssd learn from; what is no number counts as 0 mV."""
    return resample(_clean(ecg), STRIP_SAMPLES)


def to_recordings(strip: Float[Tensor, "batch lead=8 sample=1024"]) -> Float[Tensor, "batch lead=12 time=5000"]:
    """Twelve leads at 500 Hz."""
    return twelve_leads(resample(strip.float(), SAMPLES))


def whole_beats(r_peaks: Int64[np.ndarray, " peak"], *, most: int) -> Int64[np.ndarray, " _"]:
    """The R peaks whose beats lie within the recording, `most` of them: the first, others spread evenly.

    >>> whole_beats(np.array([100, 128, 800, 1500, 4774, 4775]), most=3)
    array([ 128,  800, 4774])
    """
    peaks = r_peaks[(r_peaks + _PLACES[0] >= 0) & (r_peaks + _PLACES[-1] < SAMPLES)]
    return peaks[np.linspace(0, max(len(peaks) - 1, 0), min(most, len(peaks))).astype(np.int64)]


def to_beats(
    ecg: Float[Tensor, "batch lead=12 time=5000"], r_peaks: Sequence[Int64[np.ndarray, " _"]]
) -> Float[Tensor, "beat lead=8 sample=128"]:
    """What beatdiff learns from: the beats about each recording's R peaks, each lead about its median."""
    smooth = resample(resample(_clean(ecg), _SLOW), SAMPLES)  # nothing above 90 Hz is left, that would fold down
    beats = [lead[:, torch.from_numpy(peaks[:, None] + _PLACES)] for lead, peaks in zip(smooth, r_peaks, strict=True)]
    found = torch.cat(beats, dim=1).transpose(0, 1)
    return found - found.median(dim=-1, keepdim=True).values


def _clean(ecg: Float[Tensor, "*batch lead=12 time"]) -> Float[Tensor, "*batch lead=8 time"]:
    return torch.nan_to_num(eight_leads(ecg).float(), nan=0.0, posinf=0.0, neginf=0.0)
