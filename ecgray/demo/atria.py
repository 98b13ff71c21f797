"""What the atria draw: P waves of several origins, the waves of flutter and of fibrillation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from ecgray.demo.anatomy import Anatomy
from ecgray.demo.heart import Heart
from ecgray.demo.waves import Beat, Rows, see, varied

_P: Rows = np.array(  # the right atrium, to the front and the feet; then the left, to the left and the back
    [[30.0, 15.0, 0.030, 0.115, 0.060, 1.0], [66.0, 17.0, 0.085, 0.080, -0.050, 1.0]]
)
_FLUTTER: Rows = np.array(  # in thousandths of a cycle: a long fall, a steep rise
    [[330.0, 190.0, 0.05, -0.30, 0.02, 1.0], [830.0, 110.0, -0.04, 0.24, 0.10, 1.0]]
)


def draw_p(heart: Heart, anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """The P wave of the sinus node.

    Left atrial enlargement: the second half late and large (a notch in II, a deep end in V1); right: the first tall.
    """
    rows = varied(_P, rng, size=0.14, angle=0.14, time=0.05)
    if heart.has("left atrial enlargement"):
        rows[1, 2:5] *= rng.uniform(1.15, 1.6)
        rows[1, 4] -= rng.uniform(0.015, 0.075)
        rows[1, 0] += rng.uniform(4.0, 14.0)
    if heart.has("right atrial enlargement"):
        rows[0, 2:5] *= rng.uniform(1.5, 1.9)
        rows[0, 1] *= 1.12
    beat = see(rows, anatomy).drawn_out(heart.p_ms / 1000)
    tallest = float(beat.trace(0.002)[1][:, 1].max())  # in II
    if heart.has("low qrs voltage"):
        tallest *= rng.uniform(1.1, 1.6)
    if heart.has("right atrial enlargement"):
        return beat.times(rng.uniform(0.26, 0.42) / tallest)
    if heart.has("left atrial enlargement"):
        return beat.times(rng.uniform(0.09, 0.19) / tallest)
    return beat.times(float(np.clip(tallest, 0.07, 0.19)) / tallest)


def draw_ectopic_p(heart: Heart, anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """The P wave of another place in the atria: of another direction, in half of them from below."""
    direction = np.array([rng.uniform(-0.08, 0.10), rng.choice([-1.0, 0.6]) * rng.uniform(0.07, 0.15), 0.0])
    late = direction * [1.0, 0.6, 1.0] + [0.0, 0.0, rng.uniform(-0.06, 0.08)]
    rows = np.array([[30.0, 15.0, *direction, 1.0], [60.0, 16.0, *late, 1.0]])
    return see(rows, anatomy).drawn_out(0.9 * heart.p_ms / 1000)


def draw_retrograde_p(anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """Atria reached backwards from the AV node: from below, short."""
    size = rng.uniform(0.6, 1.2)
    rows = np.array(
        [[25.0, 12.0, 0.0, -0.11 * size, 0.08 * size, 1.0], [45.0, 12.0, 0.02, -0.09 * size, 0.06 * size, 1.0]]
    )
    return see(rows, anatomy).drawn_out(0.07)


def draw_flutter(anatomy: Anatomy, rng: np.random.Generator, *, period_s: float) -> Beat:
    """One cycle of flutter: a sawtooth, downward in II, III and aVF, upward in V1 (one in five turns the other way)."""
    rows = varied(_FLUTTER, rng, angle=0.1)
    rows[:, :2] *= period_s
    rows[:, 2:5] *= rng.uniform(0.65, 1.25) * (-0.8 if rng.random() < 0.2 else 1.0)
    rows[1, 4] = abs(rows[1, 4]) + 0.04
    return see(rows, anatomy)


def fibrillation_voltage(anatomy: Anatomy, count: int, rng: np.random.Generator) -> Float64[np.ndarray, "wave lead=8"]:
    """The f waves' voltages: no two alike, best seen in V1 and the inferior leads; coarse in some, fine in others."""
    coarse = np.exp(rng.normal(-2.65, 0.45))  # mV; median 0.07
    slow = np.cumsum(rng.standard_normal((count, 3)), axis=0)
    slow -= slow.mean(axis=0)
    slow /= np.abs(slow).max(axis=0) + 1e-9
    vectors = np.array([0.05, 0.55, 0.85]) * (1 + 0.35 * rng.standard_normal((count, 1)))
    vectors += 0.35 * slow + 0.22 * rng.standard_normal((count, 3))
    return coarse * vectors @ anatomy.field.T
