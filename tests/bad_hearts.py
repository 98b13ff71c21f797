"""Hearts that make trouble, as a records table stores them: flat, noisy, single, early, slow, fast, saturated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ecgray.leads import LEADS, derive_frontal

WAVES = ((-0.16, 0.025, 0.12), (-0.03, 0.009, -0.08), (0.0, 0.011, 1.1), (0.03, 0.01, -0.2), (0.28, 0.05, 0.3))
"""P, Q, R, S and T: seconds from R, width in seconds, mV in lead II at 60 bpm; T moves with the cube root of RR."""
LEVELS = {"I": 0.6, "II": 1.0, "V1": -0.5, "V2": -0.8, "V3": 0.6, "V4": 1.4, "V5": 1.2, "V6": 0.9}
"""Each lead by lead II."""


def heart_counts(
    r_s: Sequence[float] | np.ndarray, *, rr_s: float = 0.8, noise_mv: float = 0.01, seed: int = 0
) -> np.ndarray:
    """Twelve leads of 10 s with R peaks at these seconds: counts of 1/1000 mV, int16 (12, 5000)."""
    time, beat = np.arange(5000) / 500, np.zeros(5000)
    for n, (centre, width, height) in enumerate(WAVES):
        by = rr_s ** (1 / 3) if n == 4 else 1.0
        for r in r_s:
            beat += height * np.exp(-0.5 * ((time - r - by * centre) / (by * width)) ** 2)
    drawn = {lead: level * beat for lead, level in LEVELS.items()}
    frontal = dict(zip(LEADS[2:6], derive_frontal(drawn["I"], drawn["II"]), strict=True))
    signal = np.stack([(drawn | frontal)[lead] for lead in LEADS])
    signal += np.random.default_rng(seed).normal(0, noise_mv, signal.shape)
    return np.rint(1000 * signal).astype(np.int16)


def usual(bpm: float = 75.0, *, first_s: float = 0.5, seed: int = 0) -> np.ndarray:
    """A regular heart."""
    return heart_counts(np.arange(first_s, 10, 60 / bpm), rr_s=60 / bpm, seed=seed)


def flat() -> np.ndarray:
    """All leads at 0."""
    return np.zeros((12, 5000), np.int16)


def noise(seed: int = 1) -> np.ndarray:
    """0.2 mV of white noise and no heart."""
    return np.random.default_rng(seed).normal(0, 200, (12, 5000)).astype(np.int16)


def two_flat() -> np.ndarray:
    """A regular heart whose leads I and V3 fell off."""
    counts = usual(seed=2)
    counts[[0, 8]] = 0
    return counts


def saturated(lead: str = "V1") -> np.ndarray:
    """A regular heart, one lead thrown between both ends of the range once a second."""
    counts = usual(seed=3)
    counts[LEADS.index(lead)] = np.where(np.arange(5000) // 250 % 2, 32767, -32767)
    return counts


BAD: dict[str, Callable[[], np.ndarray]] = {
    "flat": flat,
    "noise": noise,
    "one": lambda: heart_counts([5.0]),
    "one-early": lambda: heart_counts([0.1]),
    "early": lambda: usual(first_s=0.1),
    "slow": lambda: usual(20, first_s=1.0),
    "fast": lambda: usual(300, first_s=0.1),
    "two-flat": two_flat,
    "saturated": saturated,
}
"""Every kind by name; beside each other they are what a hospital's archive holds, one in a hundred."""
