"""How the ventricles recover: J point, ST segment, T and U waves.

Two laws do most of it. The area of T is the ventricular gradient less the area of QRS, lead by lead: so T follows the
QRS of a healthy heart and opposes a wide one (discordance). And an injury is a vector: where one lead sees its front,
the opposite lead sees its back, so that an ST elevation brings its own reciprocal depression.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from ecgray.demo.anatomy import TWELVE, Anatomy
from ecgray.demo.heart import Heart
from ecgray.demo.loops import height
from ecgray.demo.waves import Beat, turned
from ecgray.leads import LEADS

Eight = Float64[np.ndarray, "lead=8"]

_ST = np.array([0.015, 0.005, 0.06])
"""Its ST segment."""
_TALLEST = 1.4
"""What a secondary T wave comes near to and never reaches, in mV, however large the QRS."""
_GAUSS = np.sqrt(2 * np.pi)

_TERRITORY: dict[str, tuple[tuple[float, float, float], tuple[str, ...]]] = {
    "anterior": ((0.22, 0.0, 1.0), ("V2", "V3")),
    "inferior": ((-0.22, 1.0, -0.10), ("II", "III", "aVF")),
    "lateral": ((1.0, -0.38, -0.28), ("I", "aVL", "V5", "V6")),
}
"""Where the muscle lies, and the leads that look at it."""


def draw_recovery(heart: Heart, anatomy: Anatomy, qrs: Beat, usual: Beat, rng: np.random.Generator) -> Beat:
    """ST, T and U after this QRS, at RR = 1 s, in seconds from the QRS onset.

    `usual` is the QRS of a healthy heart in the same chest: the gradient is its area and that of a healthy T.
    """
    shape = _Shape(heart, rng)
    t = anatomy.field @ _healthy_t(heart, rng)
    st = anatomy.field @ (_ST * rng.uniform(0.3, 1.7))
    secondary = _share(heart, rng) * (_area(usual) - _area(qrs)) / (_GAUSS * shape.late_width_s * 1.45)
    secondary = _TALLEST * np.tanh(secondary / _TALLEST)
    t, st = t + secondary, st + 0.22 * secondary
    t, st = _territorial(heart, anatomy, t, st, rng)
    waves = shape.waves(t, st)
    if heart.has("early repolarization"):
        waves = waves.joined(_j_waves(heart, anatomy, rng))
    return waves


def draw_early_recovery(qrs: Beat, duration_s: float, rng: np.random.Generator) -> Beat:
    """ST and T after a beat born in a ventricle: large and opposed to its QRS."""
    area = _area(qrs)
    width = rng.uniform(0.042, 0.056)
    peak = duration_s + rng.uniform(0.16, 0.21)
    t = -rng.uniform(0.75, 1.0) * area / (_GAUSS * width * 1.3)
    return _beat(
        [peak, peak - 0.055, duration_s + 0.03],
        [width, 0.055, 0.03],
        [0.75 * t, 0.42 * t, 0.18 * t],
    )


class _Shape:
    """When the ST segment and the T wave come, and how wide they are, for a heart's QT."""

    def __init__(self, heart: Heart, rng: np.random.Generator) -> None:
        qt_s = heart.qtc_ms / 1000
        form = rng.choice(["late", "broad", "two-humped"]) if heart.has("long qt interval") else "usual"
        late = rng.uniform(0.084, 0.108) * {"late": 0.85, "broad": 1.3}.get(str(form), 1.0)
        self.late_width_s = late * qt_s
        self.peak_s = qt_s - 2 * self.late_width_s
        self.j_s = heart.qrs_ms / 1000
        self.form = str(form)
        self.early_gap_s = rng.uniform(0.095, 0.125) * qt_s
        self.early_width_s = rng.uniform(0.115, 0.145) * qt_s
        self.u = rng.uniform(0.04, 0.12) if rng.random() < 0.35 else 0.0
        self.tall = 1.25 if heart.has("short qt interval") else 1.0

    def waves(self, t: Eight, st: Eight) -> Beat:
        """The waves with these voltages of T and ST in each lead."""
        gap = max(self.peak_s - self.j_s, 0.08)
        third = gap / 4
        centre = [self.j_s + 0.008 + part * third for part in (0.0, 1.0, 2.0)]
        width = [0.55 * third + 0.008, 0.72 * third, 0.75 * third]
        size = [0.62 * st, 0.58 * st, 0.5 * st]
        late, early = (0.72, 0.42) if self.form != "two-humped" else (0.6, 0.55)
        gap_s = self.early_gap_s * (1.7 if self.form == "two-humped" else 1.0)
        early_width = self.early_width_s * (0.7 if self.form == "two-humped" else 1.0)
        centre += [self.peak_s, self.peak_s - gap_s]
        width += [self.late_width_s, early_width]
        size += [late * self.tall * t, early * self.tall * t]
        if self.u:
            centre.append(self.peak_s + 2 * self.late_width_s + 0.075)
            width.append(0.03)
            size.append(self.u * np.abs(t).max() * np.sign(t) * 0.6)
        return _beat(centre, width, size)


def _healthy_t(heart: Heart, rng: np.random.Generator) -> np.ndarray:
    """The T vector of this patient: smaller with age, its axis near that of the QRS."""
    size = np.exp(rng.normal(0.0, 0.28)) * (1.08 - 0.0035 * (heart.patient.age - 40))
    size *= 0.88 if heart.patient.sex == "F" else 1.06
    if not heart.has("normal ecg", "short qt interval", "long qt interval", "early repolarization"):
        size *= rng.uniform(0.5, 1.1)
    if heart.has("left bundle branch block"):  # T is nearly all secondary there
        size *= 0.6
    if heart.has("low qrs voltage"):  # what swallows the QRS swallows the T wave
        size *= rng.uniform(0.45, 0.8)
    vector = height("normal ecg", "T") * size * np.exp(0.15 * rng.standard_normal(3))
    vector[2] += 0.11 * rng.standard_normal() - (0.04 if heart.patient.sex == "F" else 0.0)
    toward = np.clip(0.22 * (heart.axis_deg - 40.0), -20.0, 20.0)
    return turned(vector[None], float(toward + rng.normal(0.0, 8.0)))[0]


def _share(heart: Heart, rng: np.random.Generator) -> float:
    """How much of the gradient's law shows: in full where the QRS is wide, little where it is healthy."""
    if heart.has("left ventricular hypertrophy"):
        return float(rng.uniform(0.9, 2.2) if rng.random() < 0.5 else rng.uniform(0.0, 0.4))  # strain or not
    if heart.has("right ventricular hypertrophy"):
        return float(rng.uniform(0.7, 1.6))
    if heart.has("right bundle branch block"):
        return float(rng.uniform(0.9, 1.5))
    if heart.has("left bundle branch block", "third degree av block") and heart.qrs_ms >= 120:
        return float(rng.uniform(0.45, 0.8))  # of a loop so large; the class's fitted T wave says no more
    if heart.qrs_ms >= 120 or heart.has("ventricular preexcitation", "incomplete left bundle branch block"):
        return float(rng.uniform(0.65, 1.15))
    return 0.3


def _territorial(heart: Heart, anatomy: Anatomy, t: Eight, st: Eight, rng: np.random.Generator) -> tuple[Eight, Eight]:
    """What ischaemia, injury and their like add, each over its own wall."""
    for wall, (direction, leads) in _TERRITORY.items():
        toward = anatomy.field @ np.array(direction)
        seen = _in_leads(toward, leads)
        if heart.has(f"{wall} st elevation"):
            level = rng.uniform(*((0.18, 0.55) if wall == "anterior" else (0.12, 0.42))) / seen.max()
            st = st + level * toward
            t = t + level * rng.uniform(-0.2, 1.1) * toward
        if heart.has(f"{wall} st depression"):
            worst = int(seen.argmax())
            level = (rng.uniform(0.11, 0.25) + max(_in_leads(st, leads)[worst], 0.0)) / seen[worst]
            st = st - level * toward
            t = t * rng.uniform(0.3, 0.9) - level * rng.uniform(-0.3, 0.6) * toward
        if heart.has(f"{wall} t wave inversion"):
            depth = rng.uniform(0.1, 0.28)
            t, st = t * rng.uniform(0.2, 0.8), 0.6 * st
            t = t - ((_in_leads(t, leads) + depth) / seen).max() * toward
            st = st - rng.uniform(-0.03, 0.06) * toward
    if heart.shows("flat t"):
        t = t * rng.uniform(0.1, 0.55) - 0.03 * (anatomy.field @ rng.standard_normal(3))
    if heart.shows("low st"):
        st = st - rng.uniform(0.02, 0.06) * (anatomy.field @ np.array([0.8, 0.5, 0.2]))
    if (
        heart.has("inferior myocardial infarction")
        and not heart.has("inferior t wave inversion")
        and rng.random() < 0.5
    ):
        t = t - rng.uniform(0.1, 0.35) * (anatomy.field @ np.array([0.0, 1.0, 0.0]))
    if heart.has("anteroseptal myocardial infarction") and rng.random() < 0.5:
        st = st + rng.uniform(0.02, 0.07) * (anatomy.field @ np.array([0.1, 0.0, 1.0]))
        t = t - rng.uniform(0.0, 0.25) * (anatomy.field @ np.array([0.2, 0.0, 1.0]))
    return t, st


def _in_leads(eight: Eight, leads: tuple[str, ...]) -> np.ndarray:
    return (TWELVE @ eight)[[LEADS.index(lead) for lead in leads]]


def _j_waves(heart: Heart, anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """Early repolarisation: a notch or slur at the end of QRS, an ST that rises hollow into a tall T."""
    j_s = heart.qrs_ms / 1000
    toward = anatomy.field @ np.array([0.62, 0.55, rng.uniform(0.25, 0.75)])
    level = rng.uniform(0.11, 0.28) / _in_leads(toward, ("V3", "V4", "V5")).max()
    notch = rng.uniform(0.5, 1.2) if rng.random() < 0.75 else 0.2
    return _beat(
        [j_s + 0.004, j_s + 0.02, j_s + 0.065, j_s + 0.12, j_s + 0.185],
        [0.0065, 0.020, 0.026, 0.032, 0.045],
        [
            notch * level * toward,
            0.5 * level * toward,
            0.5 * level * toward,
            0.7 * level * toward,
            1.0 * level * toward,
        ],
    )


def _area(beat: Beat) -> Eight:
    """The area of each lead, in mV s."""
    return _GAUSS * (beat.amplitude_mv * beat.width_s[:, None]).sum(axis=0)


def _beat(centre_s: list[float], width_s: list[float], amplitude_mv: list[Eight]) -> Beat:
    return Beat(np.array(centre_s), np.array(width_s), np.array(amplitude_mv), np.full(len(centre_s), True))
