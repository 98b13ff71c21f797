"""Samples to try the service with: drawn patients, so that no recording of anybody is shown."""

from __future__ import annotations

import functools
import io
import zipfile
from dataclasses import dataclass

from ecgray.demo.people import first_with
from ecgray.demo.strip import draw_ecgs
from ecgray.waveform.write import recording_bytes

_TITLES = {
    "normal ecg": "Normal ECG",
    "atrial fibrillation": "Atrial fibrillation",
    "left bundle branch block": "Left bundle branch block",
    "right bundle branch block": "Right bundle branch block",
    "inferior st elevation": "Inferior ST elevation",
    "sinus bradycardia": "Sinus bradycardia",
    "ventricular preexcitation": "Ventricular pre-excitation",
    "long qt interval": "Long QT interval",
}
_SEED = 11


@dataclass(frozen=True)
class Sample:
    """One drawn ECG."""

    name: str
    title: str
    truth: tuple[str, ...]
    """The conditions that it was drawn with."""
    archive: bytes
    """A zip with a WFDB record."""


@functools.cache
def samples() -> dict[str, Sample]:
    """All samples by name; drawn once, in some tenths of a second."""
    chosen = {condition: first_with(condition, seed=_SEED) for condition in _TITLES}
    found = {}
    drawn = draw_ecgs([person.drawing for person in chosen.values()])
    for (condition, person), counts in zip(chosen.items(), drawn, strict=True):
        name = condition.replace(" ", "-")
        header, content = recording_bytes(name, counts, comments=["synthetic: a drawn patient, not a recording of one"])
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.hea", header)
            archive.writestr(f"{name}.dat", content)
        truth = tuple(sorted(person.conditions))
        found[name] = Sample(name, _TITLES[condition], truth, stream.getvalue())
    return found
