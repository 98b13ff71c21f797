"""The loops of real hearts: the fitted beats of `ecgray.waveform.morphologies`, as waves in space.

A fitted class says, for each lead by itself, how high each wave is, when it comes and how wide it is. One dipole that
turns in the chest draws nearly all of it (98 % of a normal QRS's power, 91 to 98 % of the other classes used here): its
loop is what a patient's own heart is varied from, in the patient's own chest. What the dipole leaves out, a
drawing makes up for with chances of its own (`ecgray.demo.ventricles`).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from ecgray.demo.anatomy import usual_anatomy
from ecgray.demo.waves import Rows
from ecgray.leads import INDEPENDENT, LEADS
from ecgray.waveform.morphologies import fitted

STEP_S = 0.001
RIDGE = 1e-3
"""Of the least squares: else two neighbouring waves grow against each other."""

Plan = tuple[tuple[float, float, float], ...]
"""Of each wave of a loop: centre in ms, width in ms, and how far it follows when the axis turns."""

_EIGHT = [LEADS.index(lead) for lead in INDEPENDENT]


def loop(name: str, waves: tuple[str, ...], plan: Plan) -> Rows:
    """The class's loop, drawn by the waves of `plan`: their vectors by least squares to the fitted leads.

    `waves` are the fitted ones that belong to it: Q, R and S, or P. Times count from R.
    """
    rows = np.array(plan)
    centre, width = rows[:, 0] / 1000, rows[:, 1] / 1000
    time = np.arange((centre - 4 * width).min(), (centre + 4 * width).max(), STEP_S)
    vectors = np.linalg.pinv(usual_anatomy().field) @ voltage(name, waves, time)  # (space, time)
    shape = np.exp(-(((time[:, None] - centre) / width) ** 2) / 2)
    gram = shape.T @ shape
    gram += RIDGE * np.trace(gram) / len(rows) * np.eye(len(rows))
    return np.concatenate([rows[:, :2], np.linalg.solve(gram, shape.T @ vectors.T), rows[:, 2:]], axis=1)


def height(name: str, wave: str) -> Float64[np.ndarray, " space=3"]:
    """The vector of one wave at its top: left, down, front, in mV. Each lead's own height counts, whenever it comes."""
    fit = fitted()
    seen = fit.amplitude_mv[fit.classes.index(name), _EIGHT, fit.waves.index(wave)].numpy()
    return np.linalg.pinv(usual_anatomy().field) @ seen


def voltage(
    name: str, waves: tuple[str, ...], time_s: Float64[np.ndarray, " time"]
) -> Float64[np.ndarray, "lead=8 time"]:
    """What the fitted waves of a class draw in the eight independent leads, in mV; times in s from R."""
    fit = fitted()
    at = fit.classes.index(name)
    chosen = [fit.waves.index(wave) for wave in waves]
    amplitude, centre, width = (
        values[at, _EIGHT][:, chosen, None].numpy() for values in (fit.amplitude_mv, fit.centre_s, fit.width_s)
    )
    return (amplitude * np.exp(-(((time_s - centre) / width) ** 2) / 2)).sum(axis=1)
