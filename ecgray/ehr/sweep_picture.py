"""The picture of a sweep over weights and numbers of neighbours: a point and its interval a setting, beside chance."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

_PANELS = (
    ("statement_f1", "findings in the neighbours' reports, F1"),
    ("statement_jaccard", "findings of each neighbour, Jaccard"),
    ("diagnosis_jaccard", "diagnoses by category, Jaccard"),
)


@dataclass(frozen=True)
class Trial:
    """What came of one setting."""

    name: str
    scores: dict[str, tuple[float, float, float]]
    """Mean and the ends of its 95 % interval, by score."""
    setting: tuple[float, float, float, int] | None = None
    """lambda_1, lambda_2, lambda_3 and k; None for chance."""


def draw_sweep(trials: Sequence[Trial], *, records: int, patients: int) -> bytes:
    """One panel a score, one line a setting, as SVG; the last trial is chance."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    *tried, chance = trials
    rows = range(len(tried))
    with mpl.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 1.6 + 0.32 * len(tried)), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (name, label) in zip(panels, _PANELS, strict=True):
            means = [trial.scores[name][0] for trial in tried]
            below = [trial.scores[name][0] - trial.scores[name][1] for trial in tried]
            above = [trial.scores[name][2] - trial.scores[name][0] for trial in tried]
            axes.errorbar(means, rows, xerr=[below, above], fmt="o", capsize=3, color="C0", label="retrieved")
            low, high = chance.scores[name][1:]
            axes.axvspan(low, high, color="0.8", label="by chance")
            axes.set_xlabel(label)
            axes.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(list(rows), [trial.name for trial in tried])
        panels[0].set_ylabel("diagnoses : drugs : procedures")
        panels[0].invert_yaxis()
        panels[-1].legend(loc="best")
        figure.suptitle(
            f"{records:,} held-out records of {patients:,} patients, 95 % intervals by patient", fontsize=10
        )
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
