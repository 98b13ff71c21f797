"""A record by the simulator alone: the waves of a class and a heart rate, nothing learnt of any single patient.

What a generator has to beat. The morphologies are those that ship (fitted to training patients of real archives).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32

from ecgray.tables import FS, SAMPLES
from ecgray.waveform.fitting import Fit
from ecgray.waveform.simulator import Waves, course_of, draw
from ecgray.waveform.tachogram import draw_tachogram, resting

IRREGULAR = "atrial fibrillation"
_REGULAR_SHARE, _IRREGULAR_SHARE = 0.03, 0.18
"""Standard deviation of RR as a part of RR, in all classes and in atrial fibrillation."""
SLOWEST_BPM, FASTEST_BPM = 25.0, 240.0


def stand_ins(
    fit: Fit, classes: Sequence[str], heart_rate_bpm: Float[np.ndarray, " record"], *, seed: int
) -> Float32[np.ndarray, "record lead=12 time=5000"]:
    """Ten seconds of each class at each heart rate, in mV at 500 Hz; they begin anywhere in a beat.

    A rate that is not known (NaN) is the class's own.
    """
    rows = torch.tensor([fit.classes.index(name) for name in classes])
    own = (60 / fit.rr_s[rows]).numpy()
    rate = np.clip(np.where(np.isfinite(heart_rate_bpm), heart_rate_bpm, own), SLOWEST_BPM, FASTEST_BPM)
    rr_s = torch.from_numpy(60 / rate)
    share = torch.tensor([_IRREGULAR_SHARE if name == IRREGULAR else _REGULAR_SHARE for name in classes])
    rhythm = dataclasses.replace(resting(len(classes)), mean_rr_s=rr_s, sd_rr_s=(share * rr_s).double())
    longest = float(60 / SLOWEST_BPM)
    drawn = draw_tachogram(rhythm, duration_s=10 + longest, generator=torch.Generator().manual_seed(seed))
    whole = fit.morphology()
    waves = Waves(whole.amplitude_mv[rows], whole.centre_s[rows], whole.width_s[rows], whole.stretches)
    strips = draw(waves, course_of(drawn.rr_s, fs=float(FS), duration_s=10 + longest)).numpy()
    start = (np.random.default_rng([seed, 3]).random(len(classes)) * 60 / rate * FS).astype(int)
    return np.stack([strip[:, at : at + SAMPLES] for strip, at in zip(strips, start, strict=True)]).astype(np.float32)
