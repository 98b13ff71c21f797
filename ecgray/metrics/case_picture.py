"""One case on paper: the recording, and what each generator and each baseline made of the same condition (Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from ecgray.waveform.paper import sheet, usual_paper


@dataclass(frozen=True)
class Panel:
    """One ECG of the sheet."""

    ecg: Num[np.ndarray, "lead=12 time"]
    """Counts of 1/1000 mV (integers) or mV (floats), 500 Hz."""
    title: str
    subtitle: str
    synthetic: bool


def draw_case(panels: Sequence[Panel], *, title: str, columns: int = 2) -> str:
    """SVG, 25 mm/s and 10 mm/mV: the panels side by side and below each other, the recording first."""
    parts: list[str] = []
    width = height = 0.0
    for number, panel in enumerate(panels):
        page, (width, height) = usual_paper(
            panel.ecg, title=panel.title, subtitle=panel.subtitle, synthetic=panel.synthetic
        )
        row, column = divmod(number, columns)
        parts += [f'<g transform="translate({column * width:g} {row * height:g})">', *page, "</g>"]
    rows = -(-len(panels) // columns)
    return sheet(parts, width_mm=width * min(columns, len(panels)), height_mm=height * rows, title=title)
