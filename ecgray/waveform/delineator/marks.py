"""The cardiologists' marks of LUDB: onset, peak and offset of P, QRS and T in every lead.

A lead was marked from its first wave to its last only; before and after, waves are there that nobody marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.tables import FS
from ecgray.waveform.delineator.config import CLASSES, OUTPUT_FS

UNMARKED = -1
_SYMBOLS = {"p": CLASSES.index("P"), "N": CLASSES.index("QRS"), "t": CLASSES.index("T")}


@dataclass(frozen=True)
class Wave:
    """One wave in one lead, in samples at 500 Hz."""

    kind: int
    """Its place in `CLASSES`."""
    onset: float
    offset: float
    peak: float


Marks = tuple[tuple[Wave, ...], ...]
"""The waves of each of the twelve leads, in their order in time."""


def read_marks(record: Path) -> Marks:
    """The marks of one recording of LUDB, given its path without ending.

    Raises `ConfigError` where a lead has no annotation file.
    """
    return tuple(_lead_marks(record, lead) for lead in LEADS)


def _lead_marks(record: Path, lead: str) -> tuple[Wave, ...]:
    from wfdb import rdann

    if not record.with_suffix(f".{lead.lower()}").is_file():
        raise ConfigError(
            f"{record.parent} lacks the marks of lead {lead} of recording {record.name}; give LUDB's folder `data`."
        )
    marks = rdann(str(record), lead.lower())
    return paired(list(marks.symbol), [int(sample) for sample in marks.sample])


def paired(symbols: list[str], samples: list[int]) -> tuple[Wave, ...]:
    """The whole waves among LUDB's marks: a peak between "(" and ")".

    >>> [(wave.kind, wave.onset, wave.offset) for wave in paired(["(", "N", ")", "t", ")"], [10, 20, 30, 60, 70])]
    [(2, 10, 30)]
    """
    found = []
    for (opens, peak, closes), (onset, top, offset) in zip(_threes(symbols), _threes(samples), strict=True):
        if opens == "(" and closes == ")" and peak in _SYMBOLS:
            found.append(Wave(_SYMBOLS[peak], onset, offset, top))
    return tuple(found)


def _threes(values: list) -> list[tuple]:
    return list(zip(values, values[1:], values[2:], strict=False))


def labels_of(marks: Marks, *, samples: int) -> Int8[np.ndarray, "lead step"]:
    """The class of each sample at 250 Hz; -1 where a lead was not marked.

    >>> labels_of(((Wave(2, 4, 8, 6), Wave(3, 12, 14, 13)),), samples=20)
    array([[-1, -1,  2,  2,  2,  0,  3,  3, -1, -1]], dtype=int8)
    """
    labels = np.full((len(marks), samples), UNMARKED, np.int8)
    for row, waves in zip(labels, marks, strict=True):
        if waves:
            row[int(waves[0].onset) : int(waves[-1].offset) + 1] = 0
        for wave in waves:
            row[int(wave.onset) : int(wave.offset) + 1] = wave.kind
    return labels[:, :: FS // OUTPUT_FS]
