"""The simulator driven by an event train: every wave of every beat of many records, in one go (SE-Diff Eq. 5 and 10).

With a wave kept in time units, Eq. 5's term a dtheta exp(-dtheta^2 / 2 b^2) is (A / s^2) t exp(-t^2 / 2 s^2), t being
the time since the wave's centre: the rate has cancelled. So a strip is a list of waves, each with its own centre,
width and voltage in each lead, and it does not matter what gave the centre: a sinus beat, an early ventricular one, an
atrium that goes its own way, a pacemaker's spike. No rhythm and no beat is a special case.

The phase is exact here, where explicit Euler's circle runs ahead a little; the voltage is Euler's own recurrence
(Eq. 10), z[l+1] = (1 - dt) z[l] + dt (slope[l] + z0[l]), which is a linear filter and so vectorises over time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.signal import lfilter
from scipy.sparse import csr_matrix

REACH = 4.5
"""How many widths to each side a wave is drawn: exp(-4.5^2 / 2) is 4e-5 of it."""


@dataclass(frozen=True)
class WaveTrain:
    """Every wave of some records, in any order."""

    record: Int[np.ndarray, " wave"]
    """Which record it belongs to, from 0."""
    centre_s: Float[np.ndarray, " wave"]
    """Seconds from the start of the strip; may lie before or after it."""
    width_s: Float[np.ndarray, " wave"]
    amplitude_mv: Float[np.ndarray, "wave lead"]
    """The wave's voltage in each lead: a direction in space seen from each side."""

    def __len__(self) -> int:
        return len(self.record)


def train_slope(train: WaveTrain, *, records: int, samples: int, fs: float) -> Float32[np.ndarray, "record time lead"]:
    """The waves' part of dz/dt, in mV/s (Eq. 5, the sum over waves and beats)."""
    reach = np.ceil(REACH * train.width_s * fs).astype(np.int64)
    middle = np.rint(train.centre_s * fs).astype(np.int64)
    first = np.clip(middle - reach, 0, samples)
    length = np.clip(middle + reach + 1, 0, samples) - first
    ends = np.concatenate([[0], np.cumsum(length)])
    step = np.arange(ends[-1]) - np.repeat(ends[:-1] - first, length)  # which step of the strip
    narrow = (1 / train.width_s).astype(np.float32)
    tau = (step - np.repeat(train.centre_s * fs, length)).astype(np.float32)
    tau *= np.repeat(narrow / np.float32(fs), length)  # time since the centre, in widths
    shape = -np.repeat(narrow, length) * tau * np.exp(np.float32(-0.5) * tau * tau)
    column = step + np.repeat(train.record * samples, length)
    matrix = csr_matrix((shape, column, ends), shape=(len(train), records * samples))
    slope = matrix.T @ train.amplitude_mv.astype(np.float32)
    return np.asarray(slope).reshape(records, samples, -1)


def relax_train(
    slope: Float32[np.ndarray, "record time lead"], baseline: Float32[np.ndarray, "record time lead"], *, fs: float
) -> Float32[np.ndarray, "record time lead"]:
    """The voltage by explicit Euler, as a recursive filter over time (Eq. 10), from z = z0."""
    step = np.float32(1 / fs)
    forcing = np.empty_like(slope)
    forcing[:, 0] = baseline[:, 0]
    np.add(slope[:, :-1], baseline[:, :-1], out=forcing[:, 1:])
    forcing[:, 1:] *= step
    return lfilter(np.ones(1, np.float32), np.array([1, step - 1], np.float32), forcing, axis=1)


def draw_strips(
    train: WaveTrain, baseline: Float32[np.ndarray, "record time lead"], *, fs: float, lead_in_s: float
) -> Float32[np.ndarray, "record lead strip"]:
    """The strips, in mV, without their first `lead_in_s` seconds, in which the waves already under way settle.

    `baseline` is z0 over the whole time, lead-in included, and gives the shape; a centre of 0 s is where strips begin.

    >>> one = WaveTrain(np.array([0]), np.array([0.2]), np.array([0.01]), np.array([[1.0, -0.5]]))
    >>> strips = draw_strips(one, np.zeros((1, 1000, 2), np.float32), fs=500.0, lead_in_s=1.0)
    >>> strips.shape, round(float(strips.max()), 2), round(float(strips.min()), 2)
    ((1, 2, 500), 0.99, -0.49)
    """
    records, samples, _ = baseline.shape
    lead_in = round(lead_in_s * fs)
    moved = WaveTrain(train.record, train.centre_s + lead_in / fs, train.width_s, train.amplitude_mv)
    slope = train_slope(moved, records=records, samples=samples, fs=fs)
    voltage = relax_train(slope, baseline, fs=fs)
    return np.ascontiguousarray(voltage[:, lead_in:].transpose(0, 2, 1))
