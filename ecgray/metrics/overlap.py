"""What tasks and pre-training have in common, as a picture (SuPreME's Fig. 7).

Left, a heat map: queries of one task that another task asks too. Right, a bar a task: how many of its queries overlap
with a pre-training term, how many only with an opposed one, how many with none. Below, each query's similarity to its
nearest term, with the threshold.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRUE, _FALSE, _NONE, _QUIET = "#1f5fa8", "#c2571a", "#d5d9e0", "#6b6b76"


@dataclass(frozen=True)
class TaskOverlap:
    """A task beside the pre-training terms."""

    name: str
    queries: int
    """Distinct queries."""
    overlapping: int
    """Of them, those near a term that is not opposed."""
    opposed: int
    """Of them, those near opposed terms only."""
    similarities: tuple[float, ...]
    """Of each query to its nearest term."""


def draw_overlap(
    tasks: Sequence[TaskOverlap],
    between: Mapping[tuple[str, str], int],
    *,
    title: str,
    subtitle: str = "",
    threshold: float,
) -> str:
    """The picture as SVG. The same overlap gives the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none", "font.size": 8}):
        figure = _figure(tasks, between, title, subtitle, threshold)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _figure(
    tasks: Sequence[TaskOverlap], between: Mapping[tuple[str, str], int], title: str, subtitle: str, threshold: float
) -> Figure:
    from matplotlib.figure import Figure

    rows = 0.36 * max(len(tasks), 3)
    width, height = 11.0, 1.45 + 2 * rows + 1.25
    figure = Figure(figsize=(width, height))
    top, below = (1 - (1.45 + rows) / height), 0.5 / height
    _draw_between(figure.add_axes((0.13, top, 0.33, rows / height)), tasks, between)
    _draw_bars(figure.add_axes((0.60, top, 0.36, rows / height)), tasks)
    _draw_similarities(figure.add_axes((0.13, below, 0.83, rows / height)), tasks, threshold)
    figure.text(0.02, 1 - 0.3 / height, title, fontsize=11, fontweight="bold")
    figure.text(0.02, 1 - 0.52 / height, subtitle, fontsize=8, color=_QUIET)
    return figure


def _draw_between(axes: Axes, tasks: Sequence[TaskOverlap], between: Mapping[tuple[str, str], int]) -> None:
    names = [task.name for task in tasks]
    share = [[between[one.name, other] / max(one.queries, 1) for other in names] for one in tasks]
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.4, aspect="auto")
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            dark = share[row][column] > 0.85
            color = "white" if dark else "#22222a"
            axes.text(column, row, f"{between[one, other]}", ha="center", va="center", color=color)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), yticklabels=names)
    axes.set_xticklabels(names, rotation=20, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlabel("queries of the row's task that the column's task asks too", color=_QUIET)
    axes.spines[:].set_visible(False)


def _draw_bars(axes: Axes, tasks: Sequence[TaskOverlap]) -> None:
    places = range(len(tasks))
    near = [task.overlapping for task in tasks]
    wrong = [task.opposed for task in tasks]
    none = [task.queries - task.overlapping - task.opposed for task in tasks]
    both = [a + b for a, b in zip(near, wrong, strict=True)]
    axes.barh(places, near, color=_TRUE, height=0.68, label="near a pre-training term")
    axes.barh(places, wrong, left=near, color=_FALSE, height=0.68, label="near an opposed one only")
    axes.barh(places, none, left=both, color=_NONE, height=0.68, label="near none")
    for place, task in zip(places, tasks, strict=True):
        axes.text(task.queries + 0.4, place, f"{task.overlapping} of {task.queries}", va="center", color=_QUIET)
    axes.set(yticks=places, yticklabels=[task.name for task in tasks], ylim=(len(tasks) - 0.5, -0.5))
    axes.set_xlim(0, max((task.queries for task in tasks), default=1) * 1.2)
    axes.set_xlabel("queries", color=_QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.05, 1.02),
        ncols=3,
        frameon=False,
        fontsize=7.5,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _draw_similarities(axes: Axes, tasks: Sequence[TaskOverlap], threshold: float) -> None:
    for place, task in enumerate(tasks):
        ordered = sorted(task.similarities)
        spread = [place + 0.26 * ((number % 5) - 2) / 2 for number in range(len(ordered))]
        inks = [_TRUE if value >= threshold - 1e-4 else _QUIET for value in ordered]
        axes.scatter(ordered, spread, s=11, c=inks, alpha=0.7, linewidths=0, clip_on=False)
    lowest = min([threshold - 0.1, *(value for task in tasks for value in task.similarities)])
    axes.axvline(threshold, color=_FALSE, linewidth=1, linestyle=(0, (3, 2)))
    axes.text(threshold, -0.62, f"threshold {threshold:g} ", ha="right", va="bottom", color=_FALSE)
    axes.set(xlim=(max(lowest - 0.02, -1), 1.0), ylim=(len(tasks) - 0.5, -0.6))
    axes.set(yticks=range(len(tasks)), yticklabels=[task.name for task in tasks])
    axes.set_xlabel("cosine of each query with its nearest pre-training term", color=_QUIET)
    axes.spines[["top", "right"]].set_visible(False)
