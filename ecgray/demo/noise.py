"""What the electrodes add: breath, drift, mains, muscle. Nine electrodes, from which the leads are formed as in a cart.

A loose left arm electrode so disturbs I, III and aVL and hardly the rest; the frontal identities hold for noise too.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

_RA, _LA, _LL = 0, 1, 2

LEADS_FROM_ELECTRODES: Float32[np.ndarray, "lead=8 electrode=9"] = np.zeros((8, 9), np.float32)
"""I, II and V1 to V6 from right arm, left arm, left leg and six chest electrodes (Wilson's central terminal)."""
LEADS_FROM_ELECTRODES[0, [_LA, _RA]] = 1, -1
LEADS_FROM_ELECTRODES[1, [_LL, _RA]] = 1, -1
LEADS_FROM_ELECTRODES[2:, :3] = -1 / 3
LEADS_FROM_ELECTRODES[range(2, 8), range(3, 9)] = 1


def draw_breath(
    breath: tuple[float, float], time_s: Float64[np.ndarray, " time"], rng: np.random.Generator
) -> Float32[np.ndarray, "time lead=8"]:
    """The baseline z0(t) of Eq. 5: the chest moves, and with it each electrode a little (SE-Diff, below Eq. 5)."""
    size = rng.lognormal(np.log(0.035), 0.7, 9) * rng.choice([-1.0, 1.0], 9) * [0.5, 0.5, 0.7, 1, 1, 1, 1, 1, 1]
    late = rng.normal(0.0, 0.4, 9)  # rad: not every electrode moves at once
    turns = 2 * np.pi * breath[0] * time_s + breath[1]
    parts = np.stack([size * np.cos(late), size * np.sin(late)]) @ LEADS_FROM_ELECTRODES.T
    return (np.stack([np.sin(turns), np.cos(turns)], axis=1) @ parts).astype(np.float32)


def draw_noise(samples: int, *, fs: float, rng: np.random.Generator) -> Float32[np.ndarray, "lead=8 time"]:
    """Drift, mains and muscle over one strip, in mV, in each of the eight independent leads."""
    bad = rng.random() < 0.08  # one electrode in twelve strips sits badly
    loose = np.ones(9, np.float32)
    if bad:
        loose[rng.integers(9)] = rng.uniform(2.5, 7.0)
    time = np.arange(samples, dtype=np.float32) / np.float32(fs)
    electrodes = _drift(time, rng) + _mains(time, rng)
    electrodes *= loose[:, None]
    electrodes += _muscle(samples, rng, loose)
    return LEADS_FROM_ELECTRODES @ electrodes


def _drift(time: Float32[np.ndarray, " time"], rng: np.random.Generator) -> Float32[np.ndarray, "electrode=9 time"]:
    """Slow wander: a few sines below 0.6 Hz, weaker the faster."""
    hertz = np.exp(rng.uniform(np.log(0.04), np.log(0.6), 7)).astype(np.float32)
    turns = 2 * np.pi * (hertz[:, None] * time + rng.random((7, 1), np.float32))
    strength = rng.lognormal(np.log(0.016), 0.75)
    weights = strength * rng.standard_normal((9, 7)) * (0.12 / hertz) ** 0.7
    return weights.astype(np.float32) @ np.sin(turns).astype(np.float32)


def _mains(time: Float32[np.ndarray, " time"], rng: np.random.Generator) -> Float32[np.ndarray, "electrode=9 time"]:
    """50 or 60 Hz: mostly filtered away by the cart, in one strip of six plainly there."""
    hertz = rng.choice([50.0, 60.0]) + rng.normal(0.0, 0.03)
    strength = rng.uniform(0.004, 0.025) if rng.random() < 0.16 else rng.uniform(0.0, 0.0015)
    size = strength * rng.uniform(0.3, 1.0, (9, 1)) * rng.choice([-1.0, 1.0], (9, 1))
    turns = (2 * np.pi * hertz * time).astype(np.float32)
    wave = np.sin(turns) + np.float32(0.15) * np.sin(3 * turns)
    return size.astype(np.float32) * wave


def _muscle(samples: int, rng: np.random.Generator, loose: np.ndarray) -> Float32[np.ndarray, "electrode=9 time"]:
    """Muscle and amplifier: broad-band, the arms more than the chest, in one strip of five swelling and fading."""
    noise = rng.standard_normal((9, samples), np.float32)
    noise[:, 1:] = np.float32(0.72) * noise[:, 1:] + np.float32(0.42) * noise[:, :-1]  # less above 150 Hz
    size = rng.lognormal(np.log(0.0062), 0.45) * rng.lognormal(0.0, 0.3, 9) * [1.2, 1.2, 1.0, 0.8, 0.9, 1, 1, 0.9, 0.8]
    noise *= (size * np.sqrt(loose)).astype(np.float32)[:, None]
    if rng.random() < 0.2:
        centre, width = rng.uniform(0, samples), rng.uniform(0.05, 0.3) * samples
        swell = 1 + rng.uniform(1.0, 4.0) * np.exp(-(((np.arange(samples) - centre) / width) ** 2))
        noise[:3] *= swell.astype(np.float32)
    return noise
