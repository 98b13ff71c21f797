"""Fitted beats over typical ones: a row a class, a column a lead."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from ecgray.leads import LEADS
from ecgray.waveform.beats import BEAT_FS, R_SAMPLE

if TYPE_CHECKING:
    from ecgray.waveform.fitting import Fit

_REAL, _FITTED, _QUIET = "#9a9aa5", "#c0392b", "#6b6b76"
_CELL_INCH = (1.05, 0.82)


def draw_fit(fit: Fit) -> str:
    """SVG: each class's typical beat in grey and the fitted one in red, 0.6 s, a row's leads on one scale in mV."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = max(len(fit.classes), 1)
    width, height = 2.2 + _CELL_INCH[0] * len(LEADS), 0.7 + _CELL_INCH[1] * rows
    drawn = fit.draw().numpy()
    real = fit.typical_mv.numpy() if fit.typical_mv is not None else drawn
    time = (np.arange(drawn.shape[-1]) - R_SAMPLE) / BEAT_FS
    with matplotlib.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none", "font.size": 7}):
        figure = Figure(figsize=(width, height))
        grid = figure.add_gridspec(
            rows, len(LEADS), left=2.1 / width, right=0.99, top=1 - 0.5 / height, bottom=0.15 / height, hspace=0.05
        )
        for row, name in enumerate(fit.classes):
            low, high = float(real[row].min()), float(real[row].max())
            for lead, label in enumerate(LEADS):
                axes = figure.add_subplot(grid[row, lead])
                axes.plot(time, real[row, lead], color=_REAL, linewidth=2.6)
                axes.plot(time, drawn[row, lead], color=_FITTED, linewidth=0.8)
                axes.set_ylim(low - 0.05, high + 0.05)
                axes.axis("off")
                axes.set_title(label if row == 0 else "", fontsize=8)
            said = f"{name}\n{int(fit.beats[row])} beats, {60 / float(fit.rr_s[row]):.0f} bpm, {high - low:.1f} mV"
            y = 1 - (0.5 + _CELL_INCH[1] * (row + 0.5)) / height
            figure.text(0.05 / width, y, said, fontsize=7, va="center")
        figure.text(
            0.05 / width,
            1 - 0.2 / height,
            "grey: typical beat, red: fitted simulator; 0.6 s a panel, a row on one scale",
            fontsize=8,
            color=_QUIET,
        )
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
