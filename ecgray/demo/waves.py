"""A beat as a short list of waves: each a Gaussian in time and a direction in space, as Eq. 5 takes them.

Rows are written as a physiologist would say them (centre in ms, width in ms, vector left, down, front in mV, and how
far the wave follows when the axis turns), then seen from the eight independent leads and drawn out to the wanted
duration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from ecgray.demo.anatomy import Anatomy

Rows = Float64[np.ndarray, "_ 6"]
"""Centre in ms, width in ms, vector to the left, the feet and the front in mV, part of a turn that the wave follows."""

EDGE = 0.02
"""A complex begins and ends where its largest lead passes this part of its peak."""
CHEST_TURN = 0.4
"""How far what lies to the left follows in the chest leads, when the heart's axis turns in the frontal plane."""


@dataclass(frozen=True)
class Beat:
    """The waves of one kind of event, in seconds from its onset, seen from the eight independent leads."""

    centre_s: Float64[np.ndarray, " wave"]
    width_s: Float64[np.ndarray, " wave"]
    amplitude_mv: Float64[np.ndarray, "wave lead=8"]
    stretches: Bool[np.ndarray, " wave"]
    """Which waves are repolarisation and move with the rate."""

    def joined(self, other: Beat) -> Beat:
        """The waves of both."""
        return Beat(
            np.concatenate([self.centre_s, other.centre_s]),
            np.concatenate([self.width_s, other.width_s]),
            np.concatenate([self.amplitude_mv, other.amplitude_mv]),
            np.concatenate([self.stretches, other.stretches]),
        )

    def times(self, factor: float) -> Beat:
        """The same waves, each lead larger by `factor`."""
        return replace(self, amplitude_mv=self.amplitude_mv * factor)

    def trace(self, step_s: float = 0.001) -> tuple[Float64[np.ndarray, " time"], Float64[np.ndarray, "time lead=8"]]:
        """What the waves draw: times in seconds and voltages in mV."""
        first = float((self.centre_s - 4 * self.width_s).min())
        last = float((self.centre_s + 4 * self.width_s).max())
        time = np.arange(first, last, step_s)
        shape = np.exp(-(((time[:, None] - self.centre_s) / self.width_s) ** 2) / 2)
        return time, shape @ self.amplitude_mv

    def edges(self) -> tuple[float, float]:
        """Where the waves begin and end, in seconds."""
        time, voltage = self.trace()
        size = np.abs(voltage).max(axis=1)
        above = np.flatnonzero(size > EDGE * size.max())
        return float(time[above[0]]), float(time[above[-1]])

    def drawn_out(self, duration_s: float) -> Beat:
        """The same waves, begun at 0 s and drawn out in time to last `duration_s`."""
        first, last = self.edges()
        factor = duration_s / (last - first)
        return replace(self, centre_s=(self.centre_s - first) * factor, width_s=self.width_s * factor)


def see(rows: Rows, anatomy: Anatomy, *, stretches: bool = False, turn_deg: float = 0.0) -> Beat:
    """The rows from each lead, the heart turned by `turn_deg` in the frontal plane (clockwise, as the axis counts)."""
    vectors, turn = rows[:, 2:5], turn_deg * rows[:, 5]
    frontal, chest = turned(vectors, turn), turned(vectors, CHEST_TURN * turn)
    chest[:, 1] = frontal[:, 1]
    limb, chest = frontal @ anatomy.field[:2].T, chest @ anatomy.field[2:].T
    return Beat(
        rows[:, 0] / 1000,
        rows[:, 1] / 1000,
        np.concatenate([limb, chest], axis=1),
        np.full(len(rows), stretches),
    )


def turned(
    vectors: Float64[np.ndarray, "wave 3"], degrees: Float64[np.ndarray, " wave"] | float
) -> Float64[np.ndarray, "wave 3"]:
    """The vectors turned round the front-back line: +90 degrees brings left to the feet.

    >>> turned(np.array([[1.0, 0.0, 0.5]]), 90.0).round(6).tolist()
    [[0.0, 1.0, 0.5]]
    """
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y, z = vectors.T
    return np.stack([x * cosine - y * sine, x * sine + y * cosine, z], axis=1)


def axis_deg(beat: Beat) -> float:
    """The axis in the frontal plane as a reader takes it: the tallest R less the deepest S, in I and in aVF.

    >>> from ecgray.demo.anatomy import draw_anatomy
    >>> rng = np.random.default_rng(0)
    >>> rows = np.array([[0.0, 10.0, 1.0, 1.0, 0.0, 1.0]])
    >>> round(axis_deg(see(rows, draw_anatomy(body=rng, now=rng))))
    45
    """
    _, trace = beat.trace(0.002)
    return _angle(trace[:, 0], (trace[:, 1] - trace[:, 0] / 2) / np.sqrt(0.75))


def _angle(left: Float64[np.ndarray, " time"], down: Float64[np.ndarray, " time"]) -> float:
    net_left = max(left.max(), 0.0) + min(left.min(), 0.0)
    net_down = max(down.max(), 0.0) + min(down.min(), 0.0)
    return float(np.rad2deg(np.arctan2(net_down, net_left)))


def turn_to(rows: Rows, target_deg: float) -> float:
    """By how many degrees these rows must turn for their axis to be `target_deg`.

    >>> round(turn_to(np.array([[0.0, 10.0, 1.0, 0.0, 0.0, 1.0]]), -30.0))
    -30
    """
    time = np.arange(rows[:, 0].min() - 30.0, rows[:, 0].max() + 30.0, 2.0)
    shape = np.exp(-(((time[:, None] - rows[:, 0]) / rows[:, 1]) ** 2) / 2)

    def missing(turn: float) -> float:
        vectors = shape @ turned(rows[:, 2:5], turn * rows[:, 5])[:, :2]
        return (target_deg - _angle(vectors[:, 0], vectors[:, 1]) + 180.0) % 360.0 - 180.0

    turn = 0.0
    for attempt in range(40):  # some rows follow by half or less, so the angle is found by steps
        error = missing(turn)
        if abs(error) < 0.5:
            return turn
        if attempt == 15:  # it jumps to and fro: start again from the nearest of a few
            turn = min(np.arange(-180.0, 180.0, 12.0).tolist(), key=lambda start: abs(missing(start)))
        else:
            turn += (0.8 if attempt < 15 else 0.4) * error
    return min(np.arange(-180.0, 180.0, 2.0).tolist(), key=lambda angle: abs(missing(angle)))


def varied(rows: Rows, rng: np.random.Generator, *, size: float = 0.2, angle: float = 0.17, time: float = 0.06) -> Rows:
    """The rows of one person: each wave a little larger or smaller, elsewhere in space and in time."""
    rows = rows.copy()
    count = len(rows)
    length = np.linalg.norm(rows[:, 2:5], axis=1, keepdims=True)
    rows[:, 2:5] += angle * length * rng.standard_normal((count, 3))
    rows[:, 2:5] *= np.exp(size * rng.standard_normal((count, 1)))
    rows[:, 1] *= np.exp(time * rng.standard_normal(count))
    rows[:, 0] += time * 12 * rng.standard_normal(count)
    return rows
