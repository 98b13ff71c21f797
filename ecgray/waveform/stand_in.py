"""A record by the simulator alone: the waves of a class and a heart rate, nothing learnt of any single patient.

What a generator has to beat. The morphologies are those that ship (fitted to training patients of real archives).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ecgray.tables import FS, SAMPLES
from ecgray.waveform.fitting import Fit
from ecgray.waveform.simulator import Waves, course_of, draw
from ecgray.waveform.tachogram import draw_tachogram, resting

IRREGULAR = "atrial fibrillation"
_REGULAR_SHARE, _IRREGULAR_SHARE = 0.03, 0.18
"""Standard deviation of RR as a part of RR, in all classes and in atrial fibrillation."""
SLOWEST_BPM, FASTEST_BPM = 25.0, 240.0


def stand_ins(
    fit: Fit, classes: Sequence[str], heart_rate_bpm: Float[np.ndarray, " record"], *, seeds: Sequence[int]
) -> Float32[np.ndarray, "record lead=12 time=5000"]:
    """Ten seconds of each class at each heart rate, in mV at 500 Hz; they begin anywhere in a beat.

    A rate that is not known (NaN) is the class's own. Each strip depends on its own seed, not on what it is drawn with.
    """
    rows = torch.tensor([fit.classes.index(name) for name in classes])
    own = (60 / fit.rr_s[rows]).numpy()
    rate = np.clip(np.where(np.isfinite(heart_rate_bpm), heart_rate_bpm, own), SLOWEST_BPM, FASTEST_BPM)
    longest = float(60 / SLOWEST_BPM)
    rr_s = pad_sequence(
        [
            _rhythm(60 / float(bpm), irregular=name == IRREGULAR, duration_s=10 + longest, seed=seed)
            for bpm, name, seed in zip(rate, classes, seeds, strict=True)
        ],
        batch_first=True,
        padding_value=longest,  # beats after the end
    )
    whole = fit.morphology()
    waves = Waves(whole.amplitude_mv[rows], whole.centre_s[rows], whole.width_s[rows], whole.stretches)
    strips = draw(waves, course_of(rr_s, fs=float(FS), duration_s=10 + longest)).numpy()
    begin = np.array([np.random.default_rng([seed, 3]).random() for seed in seeds])
    start = (begin * 60 / rate * FS).astype(int)
    return np.stack([strip[:, at : at + SAMPLES] for strip, at in zip(strips, start, strict=True)]).astype(np.float32)


def _rhythm(rr_s: float, *, irregular: bool, duration_s: float, seed: int) -> Float[Tensor, " beat"]:
    """RR intervals in s that fill a strip."""
    mean = torch.tensor([rr_s], dtype=torch.float64)
    deviation = (_IRREGULAR_SHARE if irregular else _REGULAR_SHARE) * mean
    variability = dataclasses.replace(resting(1), mean_rr_s=mean, sd_rr_s=deviation)
    generator = torch.Generator().manual_seed(seed)
    return draw_tachogram(variability, duration_s=duration_s, generator=generator).rr_s[0]
