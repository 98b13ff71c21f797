"""How a direction in space looks from each lead: a heart in its chest, and nine electrodes on it.

A wave is a vector: x to the patient's left, y to the feet, z to the front, in mV. The limb leads see its frontal part
as Einthoven's triangle does, so that an axis is the angle that a reader measures. The chest leads see it with about the
sensitivities of Dower's 1980 transform (V1 and V3 by a sixth less, V2 by a twelfth more, V4 to V6 more for what points
to the feet: as measured voltages ask). Each patient's chest differs, and each day's electrodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

LIMB_GAIN = 0.68
"""What lead I sees of a vector of 1 mV that points to the left."""

_FRONTAL = np.array([[1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0]])
"""What I and II see, by Einthoven's triangle."""
_CHEST = np.array(  # V1 to V6, for x (left), y (feet), z (front)
    [
        [-0.430, 0.130, 0.770],
        [0.044, 0.164, 1.500],
        [0.770, 0.120, 1.080],
        [0.990, 0.220, 0.525],
        [1.010, 0.280, 0.086],
        [0.720, 0.260, -0.230],
    ]
)


TWELVE: Float64[np.ndarray, "lead=12 independent=8"] = np.zeros((12, 8))
"""The twelve leads from the eight independent ones (SE-Diff Eq. 19)."""
TWELVE[[0, 1], [0, 1]] = 1.0
TWELVE[2, :2] = [-1.0, 1.0]
TWELVE[3, :2] = [-0.5, -0.5]
TWELVE[4, :2] = [1.0, -0.5]
TWELVE[5, :2] = [-0.5, 1.0]
TWELVE[range(6, 12), range(2, 8)] = 1.0


@dataclass(frozen=True)
class Anatomy:
    """One patient's chest with one day's electrodes."""

    field: Float64[np.ndarray, "lead=8 space=3"]
    """What I, II, V1 ... V6 see of a vector."""


def usual_anatomy() -> Anatomy:
    """The chest that patients' chests are drawn around."""
    return Anatomy(field=np.concatenate([LIMB_GAIN * _FRONTAL, _CHEST]))


def draw_anatomy(*, body: np.random.Generator, now: np.random.Generator) -> Anatomy:
    """A chest, and electrodes that never sit twice in the same place."""
    limb = LIMB_GAIN * np.exp(0.08 * body.standard_normal())
    near = np.exp(0.14 * body.standard_normal(6) + 0.05 * now.standard_normal(6))  # how close the heart lies
    turn = np.deg2rad(8.0 * body.standard_normal() + 4.0 * now.standard_normal(6))  # round the chest
    slip = 0.09 * body.standard_normal() + 0.06 * now.standard_normal(6)  # up or down the chest
    x, y, z = _CHEST.T
    chest = np.stack([x * np.cos(turn) - z * np.sin(turn), y + slip, z * np.cos(turn) + x * np.sin(turn)], axis=1)
    return Anatomy(field=np.concatenate([limb * _FRONTAL, chest * near[:, None]]))
