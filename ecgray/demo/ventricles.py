"""How the ventricles are excited: the QRS complex of each kind of conduction, as a loop in space.

Rows are waves in the order in which the muscle is reached (septum, apex, free wall, base), see
`ecgray.demo.waves.Rows`. The loops of the healthy heart, of the left bundle branch block, of the left anterior
fascicular block and of left ventricular hypertrophy are those of fitted real beats (`ecgray.demo.loops`); what else
there is has its directions from textbooks of vectorcardiography.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float64

from ecgray.demo.anatomy import Anatomy
from ecgray.demo.heart import Heart
from ecgray.demo.loops import Plan, loop
from ecgray.demo.waves import Beat, Rows, see, turn_to, varied

_QRS = ("Q", "R", "S")
_NARROW: Plan = (  # ms from R, ms, how far it follows the axis
    (-33.0, 7.5, 0.5),  # the slow beginning, which only a cart sees
    (-19.0, 5.2, 0.5),  # septum
    (-8.0, 5.6, 1.0),  # apex
    (1.0, 7.0, 1.0),  # free wall of the left ventricle
    (11.5, 6.8, 1.0),  # back wall
    (22.5, 6.2, 0.5),  # base
    (36.0, 8.5, 0.5),  # the slow end
)
_FOOT, _SEPTUM, _APEX, _FREE_WALL, _BACK_WALL, _BASE, _END = range(7)
_WIDE: Plan = (
    (-45.0, 10.0, 0.5),  # right ventricle first; the septum from right to left
    (-17.0, 11.5, 1.0),
    (17.0, 13.0, 1.0),  # the free wall late: a second summit
    (45.0, 11.0, 1.0),
    (66.0, 10.0, 1.0),
)
_RIGHT_VENTRICLE_LATE: Rows = np.array(
    [
        [44.0, 10.0, -0.60, 0.05, 0.50, 0.3],
        [64.0, 9.5, -0.36, -0.05, 0.30, 0.3],
        [86.0, 8.5, -0.05, 0.0, 0.05, 0.3],
    ]
)
_RIGHT_HYPERTROPHY: Rows = np.array(
    [
        [-30.0, 7.5, 0.0, 0.03, 0.05, 0.5],
        [-18.0, 5.5, -0.02, 0.10, 0.22, 0.5],
        [-2.0, 7.6, 0.25, 0.62, 0.62, 1.0],
        [11.0, 7.6, -0.45, 0.52, 0.42, 1.0],
        [25.0, 7.0, -0.52, 0.10, -0.20, 1.0],
        [38.0, 8.5, -0.06, 0.02, 0.04, 0.5],
    ]
)
_APEX_PACED: Rows = np.array(
    [
        [18.0, 11.0, 0.05, -0.38, -0.12, 1.0],
        [50.0, 13.5, 0.34, -1.05, -0.70, 1.0],
        [86.0, 15.0, 0.42, -1.05, -0.78, 1.0],
        [118.0, 13.0, 0.16, -0.40, -0.30, 1.0],
        [144.0, 11.0, 0.02, -0.06, -0.04, 1.0],
    ]
)
_BYPASSES = np.array([[0.10, 0.45, 0.55], [0.62, 0.10, -0.30], [0.55, -0.45, 0.45]])
"""Where the first muscle lies from a bypass at the left wall, the right wall, the septum."""


@cache
def _loop(name: str) -> Rows:
    return loop(name, _QRS, _WIDE if name == "left bundle branch block" else _NARROW)


def draw_qrs(heart: Heart, anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """The QRS complex of the beats that this heart's own conduction (or its pacemaker) makes."""
    rows = _rows(heart, rng)
    rows[:, 2:5] *= np.exp(0.2 * rng.standard_normal())
    beat = _uneven(see(rows, anatomy, turn_deg=turn_to(rows, heart.axis_deg)), rng)
    return _voltage(beat, heart, rng).drawn_out(heart.qrs_ms / 1000)


def draw_early_qrs(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Beat, float]:
    """A beat born in a ventricle: wide, bizarre, running from where it is born; and its duration in seconds."""
    from_left, from_below = rng.random() < 0.5, rng.random() < 0.5
    main = np.array([-0.35 if from_left else 0.75, -0.9 if from_below else 0.9, 0.85 if from_left else -0.85])
    main += 0.25 * rng.standard_normal(3)
    sway = rng.standard_normal((3, 3))
    rows = np.array(
        [
            [25.0, 14.0, *(0.35 * main + 0.1 * sway[0]), 0.0],
            [62.0, 18.0, *main, 0.0],
            [98.0, 18.0, *(0.75 * main + 0.3 * sway[1]), 0.0],
            [130.0, 15.0, *(-0.15 * main + 0.15 * sway[2]), 0.0],
        ]
    )
    rows[:, 2:5] *= np.exp(0.2 * rng.standard_normal())
    duration_s = float(rng.uniform(0.136, 0.185))
    return see(rows, anatomy).drawn_out(duration_s), duration_s


def _rows(heart: Heart, rng: np.random.Generator) -> Rows:
    """The loop of this heart's conduction."""
    if heart.has("paced rhythm"):
        return varied(_APEX_PACED, rng, angle=0.2)
    if heart.has("left bundle branch block"):
        return _left_bundle(rng)
    if heart.has("incomplete left bundle branch block"):
        return _left_bundle(rng, part=rng.uniform(0.45, 0.7))
    if heart.has("right ventricular hypertrophy"):
        return varied(_RIGHT_HYPERTROPHY, rng)
    if heart.has("third degree av block") and heart.qrs_ms > 118:  # an escape beat from one ventricle
        return _left_bundle(rng) if rng.random() < 0.5 else _with_late_right(varied(_loop("normal ecg"), rng), rng)
    rows = _scarred(_notched(_turned_round(varied(_narrow(heart), rng), rng), rng), heart, rng)
    if heart.has("left anterior fascicular block"):
        rows = _anterior_fascicle(rows, rng)
    if heart.has("right bundle branch block"):
        rows = _with_late_right(rows, rng)
    if heart.has("incomplete right bundle branch block"):
        rows = _with_late_right(rows, rng, part=rng.uniform(0.2, 0.75))
    if heart.shows("small second r"):
        rows = _with_late_right(rows, rng, part=rng.uniform(0.08, 0.25))
    if heart.has("ventricular preexcitation"):
        rows = _preexcited(rows, rng)
    return rows


def _narrow(heart: Heart) -> Rows:
    """The loop from which this narrow QRS is varied."""
    own = ("left anterior fascicular block", "left ventricular hypertrophy")
    return _loop(next((name for name in own if heart.has(name)), "normal ecg"))


def _turned_round(rows: Rows, rng: np.random.Generator) -> Rows:
    """A heart turned about its long axis: the place in the chest leads where R grows larger than S moves."""
    angle = np.deg2rad(rng.normal(0.0, 13.0))
    x, z = rows[:, 2].copy(), rows[:, 4].copy()
    rows[:, 2], rows[:, 4] = x * np.cos(angle) - z * np.sin(angle), z * np.cos(angle) + x * np.sin(angle)
    return rows


def _notched(rows: Rows, rng: np.random.Generator) -> Rows:
    """In one of four a small notch somewhere, as healthy people have it too."""
    if rng.random() > 0.25:
        return rows
    notch = [rng.uniform(-12, 26), rng.uniform(2.8, 4.2), *(0.16 * rng.standard_normal(3)), 1.0]
    return np.concatenate([rows, [notch]])


def _left_bundle(rng: np.random.Generator, *, part: float = 1.0) -> Rows:
    """The septum is crossed from right to left (no q in I and V6), the free wall is reached late."""
    rows = varied(_loop("left bundle branch block"), rng)
    if rng.random() < 0.4:
        rows[0, 4] *= -0.5  # no r in V1
    if part < 1:
        rows[1:, 2:5] *= 0.8
        rows[2, 0] -= 12 * (1 - part)
        rows[:, 4] *= 0.55 + 0.45 * part
    return rows


def _with_late_right(rows: Rows, rng: np.random.Generator, *, part: float = 1.0) -> Rows:
    """The right ventricle comes last: R' in V1, a broad S in I and V6; less and for less long where incomplete."""
    late = varied(_RIGHT_VENTRICLE_LATE, rng)
    late[:, 2:5] *= rng.uniform(0.75, 1.4)
    if part < 1:
        late = late[::2]
        late[0, 2:5] *= part
        late[:, :2] *= [[0.68, 0.75], [0.58, 1.0]]
    rows = rows.copy()
    rows[_BACK_WALL, 4] *= 1 - 0.6 * part  # the two ventricles no longer act against each other
    rows[[_BASE, _END], 2:5] = 0.0
    return np.concatenate([rows, late])


def _anterior_fascicle(rows: Rows, rng: np.random.Generator) -> Rows:
    """First down and to the right (q in I and aVL, r in II, III and aVF), then all up and to the left."""
    rows = rows.copy()
    rows[_SEPTUM] = varied(np.array([[-18.0, 6.0, -0.16, 0.44, 0.22, 0.0]]), rng)[0]
    rows[_FOOT, 2:5] = [-0.03, 0.05, 0.04]
    rows[_FOOT, 5] = 0.0
    return rows


def _preexcited(rows: Rows, rng: np.random.Generator) -> Rows:
    """A bypass reaches the base first: a slow start (delta) before the rest, which it partly replaces."""
    way = int(rng.integers(3))
    direction = _BYPASSES[way]
    delta = np.array([[centre, width, *(size * direction), 0.1] for centre, width, size in _DELTA])
    delta[:, 2:5] *= rng.uniform(0.6, 1.2)
    rest = rows[_APEX:].copy()
    rest[:, 2:5] *= rng.uniform(0.7, 1.0)
    if way == 0:
        rest[:, 4] *= np.where(rest[:, 4] < 0, rng.uniform(0.1, 0.6), 1.0)  # the back wall, reached first: R in V1
    return np.concatenate([varied(delta, rng, time=0.03), rest])


_DELTA = ((-52.0, 13.0, 0.42), (-34.0, 12.0, 0.62), (-18.0, 10.0, 0.45))


def _scarred(rows: Rows, heart: Heart, rng: np.random.Generator) -> Rows:
    """Dead muscle makes no voltage: the first forces point away from it, the later ones to it are missing."""
    if heart.has("inferior myocardial infarction"):
        early = [_SEPTUM, _APEX]
        rows[_FOOT, 2:5] = [0.0, -0.08, 0.02]
        rows[early, 2:5] += [[0.03, -rng.uniform(0.3, 0.5), 0.0], [0.05, -rng.uniform(0.6, 1.0), 0.02]]
        rows[early, 1] *= 1.35
        rows[_SEPTUM, 0] -= 4.0
        rows[[_FOOT, *early], 5] = 0.25
        rows[_FREE_WALL, 3] *= rng.uniform(0.2, 0.85)
    if heart.has("anteroseptal myocardial infarction"):
        rows[_FOOT, 2:5] = [0.0, 0.02, -0.07]
        rows[_SEPTUM, 2:5] = [0.06 * rng.standard_normal(), 0.04, -rng.uniform(0.04, 0.26)]
        rows[_APEX, 2:4] *= rng.uniform(0.3, 0.9)
        rows[_APEX, 4] = -rng.uniform(0.2, 0.6)
        rows[_FREE_WALL, 2:4] *= rng.uniform(0.65, 1.0)
        rows[_FREE_WALL, 4] -= rng.uniform(0.05, 0.4)
    if heart.shows("poor r progression"):
        rows[_APEX, 4] *= rng.uniform(-0.6, 0.3)
        rows[_FREE_WALL, 4] -= rng.uniform(0.05, 0.25)
    return rows


def _uneven(beat: Beat, rng: np.random.Generator) -> Beat:
    """What no single dipole can say: each chest lead sees its nearest muscle a little more."""
    amplitude = beat.amplitude_mv.copy()
    amplitude[:, 2:] *= np.exp(0.13 * rng.standard_normal((len(amplitude), 6)))
    return Beat(beat.centre_s, beat.width_s, amplitude, beat.stretches)


def _voltage(beat: Beat, heart: Heart, rng: np.random.Generator) -> Beat:
    """Bring the size to what the condition says: Sokolow-Lyon's index, R in aVL, the limb leads' peak to peak."""
    _, trace = beat.trace()
    limb = limb_peak_to_peak(trace)
    sokolow = float(trace[:, 6:8].max() - trace[:, 2].min())
    if heart.has("low qrs voltage"):
        factors = np.full(8, rng.uniform(0.28, 0.47) / limb)
        factors[2:] *= rng.uniform(0.9, 1.5)
        return Beat(beat.centre_s, beat.width_s, beat.amplitude_mv * factors, beat.stretches)
    avl = float((trace[:, 0] - trace[:, 1] / 2).max())
    if heart.has("left ventricular hypertrophy"):  # by the chest leads in two of three, else by the left arm
        by_chest = rng.random() < 0.67 or avl < 0.2 * sokolow
        return beat.times(max(rng.uniform(3.6, 5.2) / sokolow if by_chest else rng.uniform(1.15, 1.7) / avl, 0.8))
    if heart.has("right ventricular hypertrophy"):
        return beat.times(rng.uniform(0.75, 1.6) / max(float(trace[:, 2].max()), 0.3))
    if limb < 0.62:  # no low voltage; but chest leads that are large already stay as they are
        factors = np.full(8, 0.62 / limb)
        factors[2:] = min(0.62 / limb, 3.2 / -float(trace.min()))
        return Beat(beat.centre_s, beat.width_s, beat.amplitude_mv * factors, beat.stretches)
    if heart.has("left bundle branch block", "paced rhythm", "ventricular preexcitation", "third degree av block"):
        return beat.times(min(1.0, 3.2 / -float(trace.min())))
    return beat.times(min(1.0, 3.45 / sokolow, 1.05 / max(avl, 0.1)))  # no hypertrophy


def limb_peak_to_peak(trace: Float64[np.ndarray, "time lead=8"]) -> float:
    """The largest peak to peak of the six limb leads, in mV."""
    lead_i, lead_ii = trace[:, 0], trace[:, 1]
    six = [lead_i, lead_ii, lead_ii - lead_i, (lead_i + lead_ii) / 2, lead_i - lead_ii / 2, lead_ii - lead_i / 2]
    return float(max(np.ptp(lead) for lead in six))


def usual_qrs(anatomy: Anatomy) -> Beat:
    """The QRS of a healthy heart in this chest: what T waves are measured against."""
    rows = _loop("normal ecg")
    return see(rows, anatomy, turn_deg=turn_to(rows, 45.0)).drawn_out(0.09)
