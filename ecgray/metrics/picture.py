"""A score board as a picture: one line a class, the model's AUROC with its interval, random weights beside it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ecgray.metrics.board import Auc, Board, ClassScore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MODEL, _RANDOM, _QUIET = "#1f5fa8", "#9a9aa5", "#6b6b76"
_WIDTH_INCH, _LINE_INCH, _HEAD_INCH, _FOOT_INCH = 9.0, 0.24, 0.75, 0.85
_LETTERS = 50
"""Longer queries are cut."""


def draw_board(board: Board, *, title: str, subtitle: str = "") -> str:
    """The board as SVG: the macro average, then the classes by falling AUROC. The same board gives the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    scored = sorted((each for each in board.classes if each.model), key=lambda each: (-_auc(each), each.name))
    lines = _LINE_INCH * (len(scored) + 2.5)
    height = _HEAD_INCH + lines + _FOOT_INCH
    with matplotlib.rc_context({"svg.hashsalt": "ecgray", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(_WIDTH_INCH, height))
        axes = figure.add_axes((0.36, _FOOT_INCH / height, 0.40, lines / height))
        _draw_axes(axes, board, scored)
        _draw_lines(axes, board, scored)
        figure.text(0.02, 1 - 0.3 / height, title, fontsize=11, fontweight="bold")
        figure.text(0.02, 1 - 0.52 / height, subtitle, fontsize=8, color=_QUIET)
        figure.text(0.02, 0.12 / height, _footnote(board), fontsize=8, color=_QUIET)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _auc(each: ClassScore) -> float:
    assert each.model is not None
    return each.model.auc


def _footnote(board: Board) -> str:
    if not board.not_scored:
        return ""
    names = ", ".join(board.not_scored)
    shown = names if len(names) <= 110 else f"{names[:110]}..."
    return f"{len(board.not_scored)} not scored (nobody or everybody has it): {shown}"


def _draw_axes(axes: Axes, board: Board, scored: list[ClassScore]) -> None:
    every = [board.model, board.random, *(each.model for each in scored), *(each.random for each in scored)]
    lowest = min([0.4, *(auc.auc if auc.low is None else auc.low for auc in every if auc is not None)])
    axes.axvline(0.5, color=_QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    axes.set(xlim=(max(0.0, int(lowest * 10) / 10), 1.0), ylim=(len(scored) + 1.2, -1.3), yticks=[])
    beside = "; hollow: random weights" if board.random else ""
    axes.set_xlabel(f"AUROC, 95 % interval over patients{beside}; dashed: guessing", color=_QUIET, fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_lines(axes: Axes, board: Board, scored: list[ClassScore]) -> None:
    for x, head in ((1.04, "AUROC"), (1.19, "95 % interval"), (1.45, "with it")):
        axes.text(x, -0.85, head, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=_QUIET)
    _draw_line(axes, 0.0, "macro average", (board.model, board.random), f"of {board.records:,}", bold=True)
    for line, each in enumerate(scored, start=1):
        _draw_line(axes, line + 0.5, each.query, (each.model, each.random), f"{each.positives:,}")


def _draw_line(
    axes: Axes, y: float, name: str, aucs: tuple[Auc | None, Auc | None], support: str, *, bold: bool = False
) -> None:
    model, random = aucs
    at, weight = axes.get_yaxis_transform(), "bold" if bold else "normal"
    shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}..."
    axes.text(-0.03, y, shown, transform=at, ha="right", va="center", fontweight=weight)
    for auc, color, shift, fill in ((random, _RANDOM, 0.18, "white"), (model, _MODEL, 0.0, _MODEL)):
        if auc is None:
            continue
        if auc.low is not None and auc.high is not None:
            axes.plot([auc.low, auc.high], [y + shift] * 2, color=color, linewidth=1.2, clip_on=False)
        size = 5.5 if bold else 4
        axes.plot([auc.auc], [y + shift], "o", color=color, markerfacecolor=fill, markersize=size, clip_on=False)
    if model is not None:
        axes.text(1.04, y, f"{model.auc:.3f}", transform=at, va="center", fontweight=weight)
        if model.low is not None and model.high is not None:
            axes.text(1.19, y, f"{model.low:.3f} to {model.high:.3f}", transform=at, va="center", fontsize=8)
        axes.text(1.45, y, support, transform=at, va="center", color=_QUIET, fontsize=8)
