"""One recording's waves: the heart's beats put at the rhythm's times, ready for the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int16

from ecgray.demo.anatomy import Anatomy, draw_anatomy
from ecgray.demo.atria import draw_ectopic_p, draw_flutter, draw_p, draw_retrograde_p, fibrillation_voltage
from ecgray.demo.heart import Heart
from ecgray.demo.noise import draw_breath, draw_noise
from ecgray.demo.repolarisation import draw_early_recovery, draw_recovery
from ecgray.demo.rhythm import Rhythm, Times
from ecgray.demo.ventricles import draw_early_qrs, draw_qrs, usual_qrs
from ecgray.demo.waves import Beat, axis_deg
from ecgray.tables import COUNTS_PER_MV, FS, SAMPLES
from ecgray.waveform.events import WaveTrain, draw_strips

LEAD_IN_S = 1.0
"""How long before the strip the simulator starts."""

Placed = tuple[Float64[np.ndarray, "_"], Float64[np.ndarray, "_"], Float64[np.ndarray, "_ 8"]]
"""Of each wave: centre in s, width in s, voltage in the eight independent leads in mV."""


@dataclass(frozen=True)
class Strip:
    """One recording before the simulator has run: its waves, and what a cart would measure."""

    placed: Placed
    rr_s: float
    p_axis_deg: float | None
    qrs_axis_deg: float
    t_axis_deg: float
    qt_s: float


@dataclass(frozen=True)
class Body:
    """What stays the same for a patient, part by part: a block does not change the P wave that was drawn before it."""

    seed: int
    patient: int

    def part(self, name: str) -> np.random.Generator:
        """The randomness of one part; the same at each of the patient's recordings."""
        return np.random.default_rng([self.seed, 4, self.patient, _PARTS.index(name)])


_PARTS = ("heart", "chest", "p", "qrs", "recovery", "early beat")


@dataclass(frozen=True)
class Drawing:
    """A recording ready for the simulator: its waves, its breath, and the noise to be added."""

    strip: Strip
    breath: Float32[np.ndarray, "time lead=8"]
    noise: Float32[np.ndarray, "lead=8 strip"]


def draw_drawing(heart: Heart, rhythm: Rhythm, *, body: Body, now: np.random.Generator) -> Drawing:
    """Everything of one recording that chance decides."""
    anatomy = draw_anatomy(body=body.part("chest"), now=now)
    time_s = np.arange(-round(LEAD_IN_S * FS), SAMPLES) / FS
    return Drawing(
        strip=draw_strip(heart, rhythm, anatomy, body=body, now=now),
        breath=draw_breath(rhythm.breath, time_s, now),
        noise=draw_noise(SAMPLES, fs=FS, rng=now),
    )


def draw_ecgs(drawings: Sequence[Drawing]) -> Int16[np.ndarray, "record lead=12 time"]:
    """The recordings in counts of 1/1000 mV, all at once: simulator (Eq. 5 and 10), noise, twelve leads (Eq. 19)."""
    sizes = [len(drawing.strip.placed[0]) for drawing in drawings]
    centre, width, voltage = _together([drawing.strip.placed for drawing in drawings])
    train = WaveTrain(np.repeat(np.arange(len(drawings)), sizes), centre, width, voltage)
    baseline = np.stack([drawing.breath for drawing in drawings])
    strips = draw_strips(train, baseline, fs=FS, lead_in_s=LEAD_IN_S)
    return twelve_leads(strips + np.stack([drawing.noise for drawing in drawings]))


def draw_strip(heart: Heart, rhythm: Rhythm, anatomy: Anatomy, *, body: Body, now: np.random.Generator) -> Strip:
    """All waves of one recording: what each kind of event draws, at each time that it happens."""
    qrs = draw_qrs(heart, anatomy, body.part("qrs"))
    recovery = draw_recovery(heart, anatomy, qrs, usual_qrs(anatomy), body.part("recovery"))
    p = draw_p(heart, anatomy, body.part("p"))
    rr_s = rhythm.mean_rr_s()
    breath = _Breath(rhythm.breath, now)
    events = rhythm.events
    beats = np.sort(events["beat"])
    placed = [
        _at(beats, qrs, breath),
        _recoveries(heart, beats, recovery, rr_s, breath),
        _at(events.get("p"), p, breath),
        *_atrial_others(heart, rhythm, anatomy, breath, now),
    ]
    if len(early := events.get("early beat", np.zeros(0))):
        own = body.part("early beat")
        early_qrs, duration_s = draw_early_qrs(anatomy, own)
        placed.append(_at(early, early_qrs.joined(draw_early_recovery(early_qrs, duration_s, own)), breath))
    return Strip(
        placed=_together(placed),
        rr_s=rr_s,
        p_axis_deg=axis_deg(p) if "p" in events and rhythm.pr_s is not None else None,
        qrs_axis_deg=axis_deg(qrs),
        t_axis_deg=axis_deg(recovery),
        qt_s=heart.qtc_ms / 1000 * rr_s ** (1 / 3),
    )


class _Breath:
    """Breath moves the heart in the chest: each lead swells and fades by a few percent, and no two beats are equal."""

    def __init__(self, breath: tuple[float, float], rng: np.random.Generator) -> None:
        self.hertz, self.phase = breath
        self.depth = 0.035 * rng.standard_normal(8)
        self.rng = rng

    def gains(self, times: Times) -> Float64[np.ndarray, "event lead=8"]:
        swing = np.sin(2 * np.pi * self.hertz * times + self.phase)
        return 1 + swing[:, None] * self.depth + 0.012 * self.rng.standard_normal((len(times), 1))


def _at(times: Times | None, beat: Beat, breath: _Breath) -> Placed:
    """The beat at each of the times."""
    if times is None or len(times) == 0:
        return np.zeros(0), np.zeros(0), np.zeros((0, 8))
    voltage = breath.gains(times)[:, None, :] * beat.amplitude_mv
    return (times[:, None] + beat.centre_s).ravel(), np.tile(beat.width_s, len(times)), voltage.reshape(-1, 8)


def _recoveries(heart: Heart, beats: Times, recovery: Beat, rr_s: float, breath: _Breath) -> Placed:
    """ST, T and U after each beat: from the end of QRS on drawn out, so that QT follows Fridericia.

    The rate that counts is mostly that of the last minutes; a quarter of it is that of the beat before.
    """
    j_s = heart.qrs_ms / 1000
    qtc_s = heart.qtc_ms / 1000
    before = np.diff(beats, prepend=beats[0] - rr_s)
    felt = np.clip(0.75 * rr_s + 0.25 * before, 0.2, 2.0)
    factor = np.maximum((qtc_s * felt ** (1 / 3) - j_s) / (qtc_s - j_s), 0.4)[:, None]
    centre = beats[:, None] + j_s + (recovery.centre_s - j_s) * factor
    width = recovery.width_s * factor
    voltage = breath.gains(beats)[:, None, :] * recovery.amplitude_mv
    return centre.ravel(), width.ravel(), voltage.reshape(-1, 8)


def _atrial_others(
    heart: Heart, rhythm: Rhythm, anatomy: Anatomy, breath: _Breath, now: np.random.Generator
) -> list[Placed]:
    """What is no sinus P wave: ectopic and retrograde P, flutter, fibrillation, a pacemaker's spikes."""
    events, placed = rhythm.events, []
    if len(events.get("ectopic p", ())):
        placed.append(_at(events["ectopic p"], draw_ectopic_p(heart, anatomy, now), breath))
    if len(events.get("retrograde p", ())):
        placed.append(_at(events["retrograde p"], draw_retrograde_p(anatomy, now), breath))
    if "flutter" in events:
        period_s = float(np.diff(events["flutter"]).mean())
        placed.append(_at(events["flutter"], draw_flutter(anatomy, now, period_s=period_s), breath))
    if "fibrillation" in events:
        placed.append(_fibrillation(events["fibrillation"], anatomy, now))
    if "spike" in events:
        placed.append(_at(events["spike"], _spike(anatomy, now), breath))
    return placed


def _fibrillation(times: Times, anatomy: Anatomy, rng: np.random.Generator) -> Placed:
    """Each impulse a wave up and a smaller one down, on its own way."""
    up = fibrillation_voltage(anatomy, len(times), rng)
    gap = np.diff(times, append=times[-1] + 0.15)
    centre = np.concatenate([times, times + 0.5 * gap])
    width = np.concatenate([0.19 * gap, 0.21 * gap])
    return centre, width, np.concatenate([up, -0.75 * up])


def _spike(anatomy: Anatomy, rng: np.random.Generator) -> Beat:
    """A pacemaker's spike: two milliseconds; small where the pacemaker is bipolar, as most are."""
    vector = np.array([0.35, 0.8, -0.3]) + 0.4 * rng.standard_normal(3)
    size = rng.lognormal(np.log(0.45), 0.8)
    voltage = (anatomy.field @ (size * vector))[None]
    return Beat(np.array([0.002]), np.array([0.0015]), voltage, np.array([False]))


def _together(placed: Sequence[Placed]) -> Placed:
    centre, width, voltage = zip(*placed, strict=True)
    return np.concatenate(centre), np.concatenate(width), np.concatenate(voltage)


def twelve_leads(
    eight_mv: Float32[np.ndarray, "*batch lead=8 time"],
) -> Int16[np.ndarray, "*batch lead=12 time"]:
    """Twelve leads in counts: the eight are rounded first, then four derived, so that Eq. 19 holds in counts.

    III = II - I to the bit; aVR, aVL and aVF within half a count of their mean.
    """
    counts = np.clip(np.rint(eight_mv * np.float32(COUNTS_PER_MV)), -16_000, 16_000).astype(np.int16)
    lead_i, lead_ii = counts[..., 0, :], counts[..., 1, :]
    leads = np.empty((*counts.shape[:-2], 12, counts.shape[-1]), np.int16)
    leads[..., 0, :], leads[..., 1, :] = lead_i, lead_ii
    leads[..., 2, :] = lead_ii - lead_i
    leads[..., 3, :] = -(lead_i + lead_ii) // 2
    leads[..., 4, :] = lead_i - (lead_ii + 1) // 2
    leads[..., 5, :] = lead_ii - (lead_i + 1) // 2
    leads[..., 6:, :] = counts[..., 2:, :]
    return leads
