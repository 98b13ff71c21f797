"""Between recordings and what the baselines learn: strips of 8 leads at 100 Hz, beats of 8 leads at 250 Hz; in mV."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import BEAT_FS, BEAT_R, BEAT_SAMPLES, STRIP_SAMPLES
from ecgray.sediff.input import eight_leads, resample, twelve_leads
from ecgray.tables import FS, SAMPLES

_FAST = FS // BEAT_FS


def to_strips(ecg: Float[Tensor, "batch lead=12 time=5000"]) -> Float[Tensor, "batch lead=8 sample=1000"]:
    """What wgan and sssd learn from; what is no number counts as 0 mV."""
    return resample(_clean(ecg), STRIP_SAMPLES)


def to_recordings(strip: Float[Tensor, "batch lead=8 sample=1000"]) -> Float[Tensor, "batch lead=12 time=5000"]:
    """Twelve leads at 500 Hz."""
    return twelve_leads(resample(strip.float(), SAMPLES))


def whole_beats(r_peaks: Int64[np.ndarray, " peak"], *, most: int) -> Int64[np.ndarray, " _"]:
    """The R peaks whose beats lie within the recording, `most` of them: the first, others spread evenly.

    >>> whole_beats(np.array([100, 128, 800, 1500, 4776, 4777]), most=3)
    array([ 128,  800, 4776])
    """
    peaks = r_peaks[(r_peaks >= BEAT_R * _FAST) & (r_peaks + (BEAT_SAMPLES - BEAT_R) * _FAST <= SAMPLES)]
    return peaks[np.linspace(0, max(len(peaks) - 1, 0), min(most, len(peaks))).astype(np.int64)]


def to_beats(
    ecg: Float[Tensor, "lead=12 time=5000"], r_peaks: Int64[np.ndarray, " beat"]
) -> Float[Tensor, "beat lead=8 sample=176"]:
    """What beatdiff learns from: the beats of a recording about these R peaks, each lead about its median."""
    eight = _clean(ecg)
    starts = (r_peaks - BEAT_R * _FAST).tolist()
    beats = torch.stack([eight[:, start : start + BEAT_SAMPLES * _FAST] for start in starts])
    # Two samples become one, by 1/4, 1/2 and 1/4 about the even one: the R peak stays where it is.
    padded = F.pad(beats, (1, 0), mode="replicate")
    beats = (padded[..., :-1:_FAST] + 2 * beats[..., ::_FAST] + beats[..., 1::_FAST]) / 4
    return beats - beats.median(dim=-1, keepdim=True).values


def _clean(ecg: Float[Tensor, "*batch lead=12 time"]) -> Float[Tensor, "*batch lead=8 time"]:
    return torch.nan_to_num(eight_leads(ecg).float(), nan=0.0, posinf=0.0, neginf=0.0)
