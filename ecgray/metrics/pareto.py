"""Quality against cost: which settings no other beats in both, and a picture of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

_MARKS = ("o", "s", "^", "D", "v")
_INKS = ("#1f5fa8", "#c2185b", "#2e7d32", "#8a5a00", "#5b5b66")
_NAMES = {
    "rate_condition_bpm": "heart rate: measured from asked, bpm",
    "frechet": "Frechet distance to real",
    "rclip_ratio_of_means": "rCLIP (1: as real)",
    "seconds_each": "seconds for one ECG",
}


def front(rows: Sequence[Mapping[str, Any]], *, cost: str, quality: str) -> list[Mapping[str, Any]]:
    """The rows that no other beats in both, cheapest first; of `quality` less is better, None counts as beaten.

    >>> rows = [{"c": 1, "q": 5}, {"c": 2, "q": 6}, {"c": 3, "q": 1}, {"c": 4, "q": None}]
    >>> [row["c"] for row in front(rows, cost="c", quality="q")]
    [1, 3]
    """
    best: list[Mapping[str, Any]] = []
    for row in sorted((row for row in rows if row[quality] is not None), key=lambda row: (row[cost], row[quality])):
        if not best or row[quality] < best[-1][quality]:
            best.append(row)
    return best


def draw_pareto(rows: Sequence[Mapping[str, Any]], *, cost: str, qualities: Sequence[str]) -> str:
    """SVG: a panel a quality, its 95 % interval as a bar, one mark a sampler, the number of steps beside each mark."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(4.2 * len(qualities), 3.8), layout="constrained")
        for place, quality in enumerate(qualities):
            axes = figure.add_subplot(1, len(qualities), place + 1)
            axes.set_xscale("log")
            axes.set_xlabel(_NAMES.get(cost, cost))
            axes.set_title(_NAMES.get(quality, quality), fontsize=9)
            for number, sampler in enumerate(dict.fromkeys(row["sampler"] for row in rows)):
                mine = [row for row in rows if row["sampler"] == sampler and row[quality] is not None]
                for row in mine:
                    low, high = row[f"{quality}_low"], row[f"{quality}_high"]
                    bar = [[max(row[quality] - low, 0)], [max(high - row[quality], 0)]] if low is not None else None
                    axes.errorbar(
                        [row[cost]],
                        [row[quality]],
                        yerr=bar,
                        fmt=_MARKS[number % 5],
                        color=_INKS[number % 5],
                        markersize=4,
                        elinewidth=0.7,
                        fillstyle="full" if row["guidance"] == 1 else "none",
                    )
                    axes.annotate(
                        str(row["steps"]),
                        (row[cost], row[quality]),
                        textcoords="offset points",
                        xytext=(4, 3),
                        fontsize=6,
                    )
                axes.plot([], [], _MARKS[number % 5], color=_INKS[number % 5], markersize=4, label=sampler)
            axes.grid(alpha=0.3)
            if not place:
                axes.legend(title="filled: guidance 1", fontsize=7, title_fontsize=7)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
