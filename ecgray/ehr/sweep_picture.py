"""The picture of a sweep over weights and numbers of neighbours: a point and its interval a setting, beside chance."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
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
    setting: tuple[float, float, float, int]
    """lambda_1, lambda_2, lambda_3 and k."""


def draw_sweep(
    trials: Sequence[Trial],
    chance: Mapping[int, Mapping[str, tuple[float, float, float]]],
    *,
    records: int,
    patients: int,
) -> bytes:
    """One panel a score, one line a setting, as SVG; behind each setting what as many neighbours by chance reach."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = range(len(trials))
    with mpl.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 1.6 + 0.32 * len(trials)), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (name, label) in zip(panels, _PANELS, strict=True):
            means = [trial.scores[name][0] for trial in trials]
            below = [trial.scores[name][0] - trial.scores[name][1] for trial in trials]
            above = [trial.scores[name][2] - trial.scores[name][0] for trial in trials]
            axes.errorbar(means, rows, xerr=[below, above], fmt="o", capsize=3, color="C0", label="retrieved")
            bands = [chance[trial.setting[3]][name][1:] for trial in trials]
            widths = [high - low for low, high in bands]
            axes.barh(rows, widths, 1.0, [low for low, _ in bands], color="0.8", zorder=0, label="by chance")
            axes.use_sticky_edges = False
            axes.set_xlabel(label)
            axes.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(list(rows), [trial.name for trial in trials])
        panels[0].set_ylabel("diagnoses : drugs : procedures")
        panels[0].invert_yaxis()
        panels[-1].legend(loc="best")
        figure.suptitle(
            f"{records:,} held-out records of {patients:,} patients, 95 % intervals by patient", fontsize=10
        )
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
