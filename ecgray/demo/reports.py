"""What the cart says: statements in the machine's phrasing, a summary line, and its measurements.

Statements name what is there, now plainly, now with a hedge ("possible", "cannot rule out", "consider"), as machines do
whose criteria are just met. The measurements are those of the drawing; 29999 stands for what could not be measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ecgray.demo.heart import Heart
from ecgray.demo.rhythm import Rhythm
from ecgray.demo.strip import Strip

NOT_MEASURED = 29999
"""What MIMIC-IV-ECG writes for a measurement that is missing."""
STATEMENTS = 18
"""How many statement columns there are: report_0 to report_17."""
HEDGED = 0.3
"""Part of the statements that are hedged, where a hedge is usual."""

_PLAIN: dict[str, tuple[str, ...]] = {
    "left bundle branch block": ("Left bundle branch block", "LBBB"),
    "right bundle branch block": ("Right bundle branch block", "RBBB"),
    "incomplete left bundle branch block": ("Incomplete left bundle branch block", "Incomplete LBBB"),
    "incomplete right bundle branch block": ("Incomplete right bundle branch block", "Incomplete RBBB"),
    "left anterior fascicular block": ("Left anterior fascicular block", "LAFB"),
    "left ventricular hypertrophy": ("Left ventricular hypertrophy", "LVH by voltage", "LVH"),
    "right ventricular hypertrophy": ("Right ventricular hypertrophy", "RVH"),
    "left axis deviation": ("Left axis deviation", "Leftward axis"),
    "right axis deviation": ("Right axis deviation", "Rightward axis"),
    "anterior st elevation": ("Anterior ST elevation", "ST elevation, anterior leads"),
    "inferior st elevation": ("Inferior ST elevation", "ST elevation, inferior leads"),
    "lateral st elevation": ("Lateral ST elevation", "ST elevation, lateral leads"),
    "anterior st depression": ("Anterior ST depression", "ST depression in anterior leads"),
    "inferior st depression": ("Inferior ST depression", "ST depression in inferior leads"),
    "lateral st depression": ("Lateral ST depression", "ST depression in lateral leads"),
    "inferior myocardial infarction": ("Inferior infarct - age undetermined", "Inferior infarct, old"),
    "anteroseptal myocardial infarction": ("Anteroseptal infarct - age undetermined", "Anteroseptal infarct, old"),
    "anterior t wave inversion": ("Anterior T wave inversion", "T wave inversion in anterior leads"),
    "inferior t wave inversion": ("Inferior T wave inversion", "T wave inversion in inferior leads"),
    "lateral t wave inversion": ("Lateral T wave inversion", "T wave inversion in lateral leads"),
    "long qt interval": ("Prolonged QT interval", "Prolonged QT"),
    "short qt interval": ("Short QT interval", "Short QT"),
    "short pr interval": ("Short PR interval",),
    "left atrial enlargement": ("Left atrial enlargement", "Left atrial abnormality"),
    "right atrial enlargement": ("Right atrial enlargement", "Right atrial abnormality", "Tall inferior P waves"),
    "early repolarization": ("Early repolarization", "ST elevation, early repolarization pattern"),
    "low qrs voltage": ("Low QRS voltages in limb leads", "Generalized low QRS voltages", "Low voltage, limb leads"),
    "ventricular preexcitation": ("Ventricular preexcitation", "WPW pattern"),
}
_HEDGED: dict[str, tuple[str, ...]] = {
    "left ventricular hypertrophy": ("Possible left ventricular hypertrophy", "Consider left ventricular hypertrophy"),
    "right ventricular hypertrophy": ("Consider right ventricular hypertrophy", "Possible RVH"),
    "left axis deviation": ("Borderline left axis deviation",),
    "anterior st elevation": ("Anterior ST elevation, consider acute infarct", "Possible acute anterior infarct"),
    "inferior st elevation": ("Inferior ST elevation, consider acute infarct", "Possible acute inferior infarct"),
    "lateral st elevation": ("Lateral ST elevation, consider acute infarct", "Possible acute lateral infarct"),
    "anterior st depression": ("Anterior ST depression may be due to myocardial ischemia",),
    "inferior st depression": ("Inferior ST depression may be due to myocardial ischemia",),
    "lateral st depression": ("Lateral ST depression may be due to myocardial ischemia",),
    "inferior myocardial infarction": (
        "Cannot rule out inferior infarct - age undetermined",
        "Possible inferior infarct - age undetermined",
    ),
    "anteroseptal myocardial infarction": (
        "Cannot rule out anteroseptal infarct - age undetermined",
        "Possible anteroseptal infarct - age undetermined",
    ),
    "anterior t wave inversion": ("Anterior T wave inversion is nonspecific", "Possible anterior ischemia"),
    "inferior t wave inversion": ("Inferior T wave inversion is nonspecific", "Possible inferior ischemia"),
    "lateral t wave inversion": ("Lateral T wave inversion is nonspecific", "Possible lateral ischemia"),
    "long qt interval": ("Borderline prolonged QT interval",),
    "left atrial enlargement": ("Possible left atrial abnormality", "Probable left atrial enlargement"),
    "right atrial enlargement": ("Possible right atrial abnormality", "Consider right atrial enlargement"),
    "early repolarization": ("ST elevation, probable early repolarization", "Possible early repolarization"),
    "low qrs voltage": ("Borderline low QRS voltages in limb leads",),
    "incomplete left bundle branch block": ("Possible incomplete left bundle branch block",),
    "ventricular preexcitation": ("Probable ventricular preexcitation",),
}
_ODD = {
    "flat t": "Nonspecific T wave changes",
    "low st": "Minor nonspecific ST changes",
    "poor r progression": "Poor R wave progression",
    "small second r": "RSR' pattern in V1, probably normal variant",
    "slow qrs": "Nonspecific intraventricular delay",
}
"""What is said of what no condition names."""
_ORDER = tuple(_PLAIN)
_MILD = frozenset(
    [
        "sinus bradycardia",
        "sinus tachycardia",
        "sinus arrhythmia",
        "premature atrial complex",
        "first degree av block",
        "left axis deviation",
        "right axis deviation",
        "incomplete right bundle branch block",
        "left atrial enlargement",
        "right atrial enlargement",
        "short pr interval",
        "low qrs voltage",
        "early repolarization",
    ]
)
"""What alone makes an ECG borderline, in the eyes of most machines."""


def draw_report(heart: Heart, rhythm: Rhythm, rng: np.random.Generator) -> list[str]:
    """The statements of one recording, one for each of the 18 columns; most are empty."""
    lines = [_rhythm(heart, rhythm, rng)]
    if "pvc" in rhythm.facts and heart.has("atrial fibrillation"):
        lines.append("Ventricular premature complexes")
    for name in _ORDER:
        if heart.has(name) and not _said_by_another(name, heart, rng):
            choices = _HEDGED[name] if name in _HEDGED and rng.random() < HEDGED else _PLAIN[name]
            lines.append(str(rng.choice(choices)))
    lines += [said for oddity, said in _ODD.items() if heart.shows(oddity) and rng.random() < 0.8]
    if heart.has("left bundle branch block", "right ventricular hypertrophy") and rng.random() < 0.3:
        lines.append("Secondary repolarization abnormality")
    statements = [*lines, "", _summary(heart, rng)]
    return statements + [""] * (STATEMENTS - len(statements))


def _said_by_another(name: str, heart: Heart, rng: np.random.Generator) -> bool:
    """A left anterior fascicular block often says by itself that the axis is to the left."""
    by = {
        "left axis deviation": "left anterior fascicular block",
        "right axis deviation": "right ventricular hypertrophy",
    }
    return name in by and heart.has(by[name]) and rng.random() < 0.4


def _rhythm(heart: Heart, rhythm: Rhythm, rng: np.random.Generator) -> str:
    """The rhythm statement, with what disturbs it."""
    rate = 60 / rhythm.mean_rr_s()
    if heart.has("atrial fibrillation"):
        pace = (
            " with rapid ventricular response" if rate > 105 else " with slow ventricular response" if rate < 58 else ""
        )
        return f"Atrial fibrillation{pace}"
    if heart.has("atrial flutter"):
        ratio = rhythm.facts["flutter"]
        return f"Atrial flutter with {'variable' if ratio == 'variable' else ratio} A-V block"
    if heart.has("supraventricular tachycardia"):
        return str(rng.choice(["Supraventricular tachycardia", "Regular supraventricular tachycardia"]))
    if heart.has("third degree av block"):
        return str(rng.choice(["Complete A-V block", "A-V block, complete (3rd degree)", "Third degree A-V block"]))
    if heart.has("paced rhythm"):
        return {
            "ventricular": "Ventricular-paced rhythm",
            "atrial-sensed": "Atrial-sensed ventricular-paced rhythm",
            "dual": "A-V sequential paced rhythm",
        }[rhythm.facts["pacing"]]
    return _sinus(heart, rhythm, rng)


def _sinus(heart: Heart, rhythm: Rhythm, rng: np.random.Generator) -> str:
    names = {
        "sinus bradycardia": "Sinus bradycardia",
        "sinus tachycardia": "Sinus tachycardia",
        "sinus arrhythmia": "Sinus arrhythmia",
    }
    base = next((said for name, said in names.items() if heart.has(name)), "Sinus rhythm")
    also = []
    if heart.has("first degree av block"):
        also.append(str(rng.choice(["1st degree A-V block", "prolonged PR interval"])))
    if heart.has("second degree av block"):
        kind = rhythm.facts["av block"]
        also.append(
            {
                "mobitz i": "2nd degree A-V block, Mobitz type 1",
                "mobitz ii": "2nd degree A-V block, Mobitz type 2",
                "2:1": "2nd degree A-V block, 2:1 conduction",
            }[kind]
        )
    if heart.has("premature atrial complex"):
        also.append(str(rng.choice(["PAC(s)", "premature atrial complexes", "atrial premature complexes"])))
    if heart.has("premature ventricular complex"):
        pattern = rhythm.facts.get("pvc", "single")
        many = {"bigeminy": "ventricular bigeminy", "trigeminy": "ventricular trigeminy", "several": "frequent PVCs"}
        also.append(many.get(pattern, str(rng.choice(["PVC(s)", "premature ventricular complexes"]))))
    return f"{base} with {' and '.join(also)}" if also else base


def _summary(heart: Heart, rng: np.random.Generator) -> str:
    if heart.has("normal ecg"):
        return "Normal ECG"
    findings = heart.conditions - {"sinus rhythm"}
    if findings <= {"sinus bradycardia", "sinus tachycardia"}:
        return str(rng.choice(["Normal ECG except for rate", "Borderline ECG", "Otherwise normal ECG"]))
    if findings <= _MILD and rng.random() < 0.65:
        return "Borderline ECG"
    return "Abnormal ECG"


@dataclass(frozen=True)
class Measurements:
    """What the cart measures; times in ms from the start of its median beat, axes in degrees."""

    rr_interval: int
    p_onset: int
    p_end: int
    qrs_onset: int
    qrs_end: int
    t_end: int
    p_axis: int
    qrs_axis: int
    t_axis: int


def measure(heart: Heart, rhythm: Rhythm, strip: Strip, rng: np.random.Generator) -> Measurements:
    """The drawn intervals, as a cart reports them: to 2 ms and give or take a few."""
    p_seen = rhythm.pr_s is not None
    onset = 40 + 2 * int(rng.integers(-3, 4))
    pr_ms = heart.pr_ms if p_seen else 140.0
    qrs_onset = onset + _even(pr_ms + rng.normal(0, 2))
    return Measurements(
        rr_interval=round(strip.rr_s * 1000),
        p_onset=onset if p_seen else NOT_MEASURED,
        p_end=min(onset + _even(heart.p_ms + rng.normal(0, 2)), qrs_onset - 2) if p_seen else NOT_MEASURED,
        qrs_onset=qrs_onset,
        qrs_end=qrs_onset + _even(heart.qrs_ms + rng.normal(0, 2)),
        t_end=qrs_onset + _even(strip.qt_s * 1000 + rng.normal(0, 4)),
        p_axis=round(strip.p_axis_deg) if strip.p_axis_deg is not None else NOT_MEASURED,
        qrs_axis=round(strip.qrs_axis_deg),
        t_axis=round(strip.t_axis_deg),
    )


def _even(value: float) -> int:
    return 2 * round(value / 2)
