"""How many records hold each label, as a picture (SuPreME's Fig. 4): a bar a label, the most frequent first."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUIET = "#6b6b76"
_INKS = (
    "#2e7d4f",
    "#1f5fa8",
    "#7b4fb0",
    "#c2571a",
    "#a11d3f",
    "#c98a00",
    "#0f8b8d",
    "#8a6d3b",
    "#d0609a",
    "#9a9aa5",
    "#4a4a55",
)
_REST = "#1f5fa8"
_LINES = 60
"""Labels in one column."""
_LINE_INCH, _HEAD_INCH, _FOOT_INCH = 0.16, 1.0, 0.5
_NAME_INCH, _BARS_INCH, _LEAST_BAR_INCH, _GAP_INCH = 2.65, 5.6, 1.5, 0.55
_LETTERS = 44
"""Longer names are cut."""


@dataclass(frozen=True)
class TermCount:
    """A label, its group, and how many records hold it."""

    name: str
    group: str
    count: int


def draw_frequency(counts: Sequence[TermCount], *, title: str, subtitle: str = "", groups: Sequence[str] = ()) -> str:
    """The bars as SVG, in columns, on one logarithmic axis; a colour a group. The same counts give the same bytes."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none", "font.size": 8}):
        figure = _figure(counts, title, subtitle, groups)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _figure(counts: Sequence[TermCount], title: str, subtitle: str, groups: Sequence[str]) -> Figure:
    from matplotlib.figure import Figure

    ordered = sorted(counts, key=lambda one: (-one.count, one.name))
    columns = [ordered[start : start + _LINES] for start in range(0, len(ordered), _LINES)] or [[]]
    lines = max(len(columns[0]), 4)
    bar = max(_BARS_INCH / len(columns), _LEAST_BAR_INCH)
    step = _NAME_INCH + bar + _GAP_INCH
    width, height = len(columns) * step + 0.2, _HEAD_INCH + lines * _LINE_INCH + _FOOT_INCH
    figure = Figure(figsize=(width, height))
    inks = _inks(ordered, groups)
    reach = max((one.count for one in ordered), default=1)
    for number, column in enumerate(columns):
        left = 0.1 + number * step + _NAME_INCH
        axes = figure.add_axes((left / width, _FOOT_INCH / height, bar / width, lines * _LINE_INCH / height))
        _draw_column(axes, column, inks, lines=lines, reach=reach)
    figure.text(0.15 / width, 1 - 0.3 / height, title, fontsize=11, fontweight="bold")
    figure.text(0.15 / width, 1 - 0.5 / height, subtitle, fontsize=8, color=_QUIET)
    _draw_legend(figure, inks, width, height)
    return figure


def _inks(counts: Sequence[TermCount], groups: Sequence[str]) -> dict[str, str]:
    """A colour for each group that is there, in the order of `groups`."""
    fixed = dict(zip(groups, _INKS, strict=False))
    there = {one.group for one in counts}
    return {group: fixed.get(group, _REST) for group in [*groups, *sorted(there - set(groups))] if group in there}


def _draw_column(axes: Axes, column: Sequence[TermCount], inks: dict[str, str], *, lines: int, reach: int) -> None:
    places = range(len(column))
    axes.barh(
        places, [one.count - 0.5 for one in column], left=0.5, height=0.72, color=[inks[one.group] for one in column]
    )
    for place, one in zip(places, column, strict=True):
        shown = one.name if len(one.name) <= _LETTERS else f"{one.name[: _LETTERS - 3]}..."
        axes.text(-0.03, place, shown, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=7.5)
        axes.text(one.count * 1.15, place, f"{one.count:,}", va="center", fontsize=6.5, color=_QUIET)
    axes.set_xscale("log")
    axes.set(xlim=(0.5, 10 ** math.ceil(math.log10(max(reach, 10)))), ylim=(lines - 0.4, -0.6), yticks=[])
    axes.tick_params(labelsize=7, colors=_QUIET)
    axes.set_xlabel("records (log)", color=_QUIET, fontsize=7)
    axes.grid(axis="x", which="major", color="#e3e3e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_legend(figure: Figure, inks: dict[str, str], width: float, height: float) -> None:
    x = 0.15
    for group, ink in inks.items():
        figure.text(x / width, 1 - 0.75 / height, "\u25a0", color=ink, fontsize=9)
        figure.text((x + 0.14) / width, 1 - 0.75 / height, group, fontsize=8)
        x += 0.34 + 0.066 * len(group)
