"""An ECG small enough to stand in the API's documentation, and true: it can be sent as it is."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

FS, SECONDS, BEATS = 100, 3, (0.4, 1.2, 2.0, 2.8)
_WAVES = ((-0.16, 0.08, 0.03), (0.0, 0.7, 0.014), (0.26, 0.2, 0.05))
"""P, R and T of lead I: seconds from the R peak, mV, width in seconds."""


def example_ecg() -> dict[str, Any]:
    """Two limb leads of a drawn heart at 75 beats per minute, 3 s at 100 Hz, as a request holds them."""
    time = np.arange(FS * SECONDS) / FS
    first = np.zeros_like(time)
    for beat in BEATS:
        for after, height, width in _WAVES:
            first += height * np.exp(-(((time - beat - after) / width) ** 2) / 2)
    counts = np.rint(1000 * np.stack([first, 1.3 * first])).astype("<i2")
    return {
        "encoding": "base64",
        "dtype": "int16",
        "shape": list(counts.shape),
        "fs": FS,
        "unit": "uV",
        "leads": ["I", "II"],
        "data": base64.b64encode(counts.tobytes()).decode(),
    }


def examples() -> dict[str, dict[str, Any]]:
    """For each body that a route takes, one that it answers."""
    one = {"ecg": example_ecg(), "options": {"allow_missing_leads": True}}
    queries = ["atrial fibrillation", "left bundle branch block"]
    return {
        "Recorded": one,
        "Classify": one | {"queries": queries},
        "ClassifyBatch": {"items": [one, one | {"queries": ["sinus rhythm"]}], "queries": queries},
        "Explain": one | {"query": queries[0]},
        "Plot": one | {"layout": "3x4+1", "title": "ECG"},
        "Generate": {"prompt": "sinus bradycardia, left bundle branch block", "age": 71, "steps": 10, "seed": 7},
    }
