"""The morphologies that ship with the package: the simulator fitted to the beats of twenty classes of real records.

`eta.json` was written by `jobs/fit_simulator.py laptop` on the training patients of PTB-XL, CPSC 2018 and LUDB (NOTICE
has the licences). It holds figures, no recordings: of each class and lead the height, place and width of five waves.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from ecgray.waveform.fitting import Fit

EMBEDDED = Path(__file__).parent / "eta.json"
"""The file; a fit of one's own is read by `Fit.from_json`."""


@cache
def fitted() -> Fit:
    """The classes that ship; see `Fit.morphology` for the simulator's own parameters.

    >>> len(fitted().classes), fitted().waves
    (20, ('P', 'Q', 'R', 'S', 'T'))
    """
    return Fit.from_json(json.loads(EMBEDDED.read_text()))
