"""The morphologies that ship with the package: the simulator fitted to the beats of twenty classes of real records.

`eta.json` was written by `jobs/fit_simulator.py laptop` on the training patients of PTB-XL, CPSC 2018 and LUDB (NOTICE
has the licences). It holds figures, no recordings: of each class and lead the height, place and width of five waves.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path

from ecgray.waveform.fitting import Fit

EMBEDDED = Path(__file__).parent / "eta.json"
"""The file; a fit of one's own is read by `Fit.from_json`."""
NORMAL = "normal ecg"
"""The class of a record of which nothing better is known."""
PRIORITY = (
    "left bundle branch block",
    "right bundle branch block",
    "incomplete right bundle branch block",
    "left anterior fascicular block",
    "anterior myocardial infarction",
    "anteroseptal myocardial infarction",
    "inferior myocardial infarction",
    "septal myocardial infarction",
    "st elevation",
    "st depression",
    "left ventricular hypertrophy",
    "ischemia",
    "nondiagnostic t wave abnormality",
    "first degree av block",
    "atrial fibrillation",
    "left atrial enlargement",
    "high qrs voltage",
    "sinus tachycardia",
    "sinus bradycardia",
    "normal ecg",
)
"""Which of a record's classes its beat is judged by: the one that shapes it most; the others follow as fitted."""


@cache
def fitted() -> Fit:
    """The classes that ship; see `Fit.morphology` for the simulator's own parameters.

    >>> len(fitted().classes), fitted().waves
    (20, ('P', 'Q', 'R', 'S', 'T'))
    """
    return Fit.from_json(json.loads(EMBEDDED.read_text()))


def class_of(terms: Collection[str], classes: tuple[str, ...]) -> int:
    """The place among `classes` of the class that a record's beat is of; -1 where it carries none of them.

    >>> class_of({"sinus tachycardia", "left bundle branch block"}, ("sinus tachycardia", "left bundle branch block"))
    1
    """
    known = [name for name in classes if name in terms]
    order = {name: place for place, name in enumerate(PRIORITY)}
    return min((order.get(name, len(order)), classes.index(name)) for name in known)[1] if known else -1
