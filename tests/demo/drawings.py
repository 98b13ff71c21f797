"""Single hearts drawn for the tests, without noise and breath, and what can be measured on their strips."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ecgray.demo.anatomy import draw_anatomy
from ecgray.demo.conditions import BY_NAME, with_implied
from ecgray.demo.heart import Heart, Patient, draw_heart
from ecgray.demo.rhythm import Rhythm, draw_rhythm
from ecgray.demo.strip import LEAD_IN_S, Body, Strip, draw_strip, twelve_leads
from ecgray.leads import LEADS
from ecgray.waveform.events import WaveTrain, draw_strips

FS = 500
BEFORE_S = 0.3
EIGHT = [LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]


@dataclass(frozen=True)
class Drawn:
    """One recording without noise."""

    heart: Heart
    rhythm: Rhythm
    strip: Strip
    ecg: np.ndarray
    """(12, 5000) in mV."""

    def lead(self, name: str) -> np.ndarray:
        return self.ecg[LEADS.index(name)]


@cache
def drawn(names: str, number: int) -> Drawn:
    """The number-th heart with these conditions (joined by +)."""
    conditions = with_implied(frozenset(names.split("+")))
    if not any("rhythm" in BY_NAME[name].claims for name in conditions):
        conditions = conditions | {"sinus rhythm"}
    body = Body(seed=zlib.crc32(names.encode()), patient=number)
    now = np.random.default_rng([7, zlib.crc32(names.encode()), number])
    patient = Patient(number, float(np.clip(now.normal(60, 14), 18, 90)), "FM"[number % 2], float(now.uniform(-1, 1)))
    heart = draw_heart(patient, conditions, body=body.part("heart"), now=now)
    rhythm = draw_rhythm(heart, now)
    anatomy = draw_anatomy(body=body.part("chest"), now=now)
    strip = draw_strip(heart, rhythm, anatomy, body=body, now=now)
    return Drawn(heart, rhythm, strip, simulated(strip))


def simulated(strip: Strip) -> np.ndarray:
    centre, width, voltage = strip.placed
    train = WaveTrain(np.zeros(len(centre), int), centre, width, voltage)
    baseline = np.zeros((1, 5000 + round(LEAD_IN_S * FS), 8), np.float32)
    return twelve_leads(draw_strips(train, baseline, fs=FS, lead_in_s=LEAD_IN_S))[0] / 1000


def mean_beat(one: Drawn, *, after_s: float = 0.6, onsets: Sequence[float] | None = None) -> np.ndarray:
    """The median of the strip around the QRS onsets, from `BEFORE_S` before: (12, time), from the level before QRS."""
    times = one.rhythm.events["beat"] if onsets is None else np.asarray(onsets)
    steps = [round(time * FS) for time in times if BEFORE_S < time < 10 - after_s]
    beat = np.median([one.ecg[:, step - round(BEFORE_S * FS) : step + round(after_s * FS)] for step in steps], axis=0)
    start = round(BEFORE_S * FS)
    return beat - beat[:, start - 6 : start - 2].mean(axis=1, keepdims=True)


def at_ms(beat: np.ndarray, ms: float) -> np.ndarray:
    """The twelve voltages so long after the QRS onset."""
    return beat[:, round((BEFORE_S + ms / 1000) * FS)]


def between_ms(beat: np.ndarray, first: float, last: float) -> np.ndarray:
    return beat[:, round((BEFORE_S + first / 1000) * FS) : round((BEFORE_S + last / 1000) * FS)]


def qrs_width_ms(beat: np.ndarray, *, part: float = 0.06, from_ms: int = -40) -> float:
    """How long the loop in space moves fast, without a pause of 14 ms; it misses the slow beginning and end."""
    speed = np.linalg.norm(np.gradient(beat[EIGHT], axis=1) * FS, axis=0)
    start = round(BEFORE_S * FS)
    speed = speed[start + from_ms // 2 : start + 110]
    fast = set(np.flatnonzero(speed > part * speed.max()).tolist())
    first = last = int(speed.argmax())
    while step := next((step for step in range(1, 8) if first - step in fast), 0):
        first -= step
    while step := next((step for step in range(1, 8) if last + step in fast), 0):
        last += step
    return 1000 * (last - first) / FS


def t_end_ms(beat: np.ndarray, lead: int, *, after_ms: float) -> float:
    """Where the tangent at T's steepest return meets the base line, from the QRS onset."""
    wave = between_ms(beat, after_ms, 590)[lead]
    peak = int(np.abs(wave).argmax())
    fall = np.gradient(wave) * np.sign(wave[peak])
    steepest = peak + int(fall[peak:].argmin())
    return after_ms + 1000 / FS * (steepest - wave[steepest] * np.sign(wave[peak]) / fall[steepest])


def axis_deg(beat: np.ndarray, qrs_ms: float) -> float:
    qrs = between_ms(beat, 0, qrs_ms)
    lead_i, avf = qrs[LEADS.index("I")], qrs[LEADS.index("aVF")]
    net_i, net_avf = lead_i.max() + lead_i.min(), avf.max() + avf.min()
    return float(np.rad2deg(np.arctan2(net_avf / np.sqrt(0.75), net_i)))
