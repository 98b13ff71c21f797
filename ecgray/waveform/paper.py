"""A twelve-lead ECG on standard paper, as SVG text: 25 mm/s, 10 mm/mV, real millimetres.

The picture's own unit is the millimetre (`viewBox` and `width` agree), so a ruler on the print measures it: 1 s is
25 mm, 1 mV is 10 mm, the pulse before each row is 1 mV for 0.2 s. Layouts: `3x4+1` (four columns of 2.5 s, one after
the other in time, and lead II for 10 s), `6x2` (5 s each), `12x1` (10 s each).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, Num

from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.tables import COUNTS_PER_MV, FS

LAYOUTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "3x4+1": (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",)),
    "6x2": tuple(zip(LEADS[:6], LEADS[6:], strict=True)),
    "12x1": tuple((lead,) for lead in LEADS),
}
"""The rows of a page; the leads of a row share its ten seconds."""

ROW_S = 10.0
MARGIN_MM, HEAD_MM, FOOT_MM, PANEL_MM = 5.0, 17.0, 8.0, 84.0
ROOM_MM = 5.0
"""What the grid has above the first row and below the last."""
REACH_MM = 40.0
"""A wave further than this from its baseline, or off the grid, is cut open."""
TOLERANCE_MM = 0.02
"""A trace may leave out points as long as it moves by less than this: half a dot of a 600 dpi printer."""

_INK, _QUIET, _PAPER, _FINE, _BOLD, _BAR = "#15151a", "#5b5b66", "#fffaf8", "#f8d6d2", "#ee9f99", "#2f6f9f"
_OVER = "#c2185b"


@dataclass(frozen=True)
class Answer:
    """What the classifier says to one question, and the truth where somebody knows it."""

    query: str
    probability: float
    truth: bool | None = None


@dataclass(frozen=True)
class _Page:
    """Where things stand on the page, in mm."""

    layout: str
    speed_mm_s: float
    gain_mm_mv: float

    @property
    def row_mm(self) -> float:
        return {"3x4+1": 35.0, "6x2": 25.0, "12x1": 15.0}[self.layout]

    @property
    def lead_in(self) -> float:
        """From the grid's left edge to the first sample: 2.5 mm, the pulse, 2.5 mm."""
        return 5 + 0.2 * self.speed_mm_s

    @property
    def box(self) -> tuple[float, float]:
        """Width and height of the grid."""
        width = math.ceil((self.lead_in + ROW_S * self.speed_mm_s) / 5) * 5.0
        return width, self.row_mm * len(LAYOUTS[self.layout]) + 2 * ROOM_MM

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the sheet, without answers beside it."""
        return self.box[0] + 2 * MARGIN_MM, HEAD_MM + self.box[1] + FOOT_MM

    def baseline(self, row: int) -> float:
        """On a strong line, a little below the row's middle: R waves are taller than S waves are deep."""
        return HEAD_MM + ROOM_MM + row * self.row_mm + math.ceil(self.row_mm * 0.11) * 5


def draw_paper(
    ecg: Num[np.ndarray, "lead=12 time"],
    *,
    title: str,
    subtitle: str = "",
    layout: str = "3x4+1",
    speed_mm_s: float = 25.0,
    gain_mm_mv: float = 10.0,
    answers: Sequence[Answer] = (),
    synthetic: bool = False,
    over: Num[np.ndarray, "lead=12 time"] | None = None,
) -> str:
    """The SVG of one ECG: integers are counts of 1/1000 mV, floats are mV, 500 Hz, leads in the order of `LEADS`.

    A lead is drawn around its own median (a constant offset says nothing of the heart). Waves may run into the
    neighbouring rows, as on a printer; one beyond `REACH_MM` or off the grid is cut open there, not bent. `over` is
    another ECG, as a reconstruction of the first: it is drawn over it, in red.

    >>> svg = draw_paper(np.zeros((12, 5000)), title="A < B")
    >>> svg[:4], "A &lt; B" in svg, svg.count(">aVR</text>")
    ('<svg', True, 1)
    """
    page = _page(layout, speed_mm_s, gain_mm_mv)
    width, height = page.size
    drawn = [*_on_paper(page, ecg, title, subtitle, synthetic, over), *_panel(answers, page.box)]
    return sheet(drawn, width_mm=width + (PANEL_MM if answers else 0), height_mm=height, title=title)


def sheet(parts: Iterable[str], *, width_mm: float, height_mm: float, title: str) -> str:
    """An SVG of this size, white, whose unit is the millimetre."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm:g}mm" height="{height_mm:g}mm" '
        f'viewBox="0 0 {width_mm:g} {height_mm:g}" font-family="Helvetica, Arial, sans-serif" role="img">',
        f"<title>{_xml(title)}</title>",
        f'<rect width="{width_mm:g}" height="{height_mm:g}" fill="#ffffff"/>',
    ]
    return "\n".join([*head, *parts, "</svg>\n"])


def usual_paper(
    ecg: Num[np.ndarray, "lead=12 time"],
    *,
    title: str,
    subtitle: str,
    synthetic: bool,
    over: Num[np.ndarray, "lead=12 time"] | None = None,
) -> tuple[list[str], tuple[float, float]]:
    """What `draw_paper` draws by default, for a sheet that holds more; and its width and height in mm."""
    page = _page("3x4+1", 25.0, 10.0)
    return list(_on_paper(page, ecg, title, subtitle, synthetic, over)), page.size


def _page(layout: str, speed_mm_s: float, gain_mm_mv: float) -> _Page:
    if layout not in LAYOUTS:
        raise ConfigError(f"Layout {layout!r} is unknown; it must be one of {', '.join(LAYOUTS)}.")
    return _Page(layout, speed_mm_s, gain_mm_mv)


def _on_paper(
    page: _Page,
    ecg: Num[np.ndarray, "lead=12 time"],
    title: str,
    subtitle: str,
    synthetic: bool,
    over: Num[np.ndarray, "lead=12 time"] | None,
) -> Iterator[str]:
    """Grid, words and rows."""
    yield from _grid(*page.box)
    yield from _words(page, title, subtitle, synthetic)
    for number, leads in enumerate(LAYOUTS[page.layout]):
        yield from _row_head(page, number)
        for one, ink in ((ecg, _INK), (over, _OVER)):
            if one is not None:
                yield from _row(page, number, leads, _voltage(one), ink)


def _voltage(ecg: Num[np.ndarray, "lead time"]) -> Float[np.ndarray, "lead time"]:
    """In mV, each lead around its own median."""
    voltage = ecg / COUNTS_PER_MV if np.issubdtype(ecg.dtype, np.integer) else np.asarray(ecg, float)
    medians = np.ma.median(np.ma.masked_invalid(voltage), axis=1).filled(0.0)
    return voltage - np.asarray(medians)[:, None]


def _grid(width: float, height: float) -> Iterator[str]:
    """The paper: a line every millimetre, a stronger one every five."""
    yield f'<rect x="{MARGIN_MM:g}" y="{HEAD_MM:g}" width="{width:g}" height="{height:g}" fill="{_PAPER}"/>'
    for name, step, ink, pen in (("mm1", 1, _FINE, 0.1), ("mm5", 5, _BOLD, 0.18)):
        upright = f"M{MARGIN_MM:g} {HEAD_MM:g}v{height:g}" + f"m{step}-{height:g}v{height:g}" * int(width / step)
        level = f"M{MARGIN_MM:g} {HEAD_MM:g}h{width:g}" + f"m-{width:g} {step}h{width:g}" * int(height / step)
        yield f'<path class="{name}" d="{upright}{level}" fill="none" stroke="{ink}" stroke-width="{pen}"/>'


def _words(page: _Page, title: str, subtitle: str, synthetic: bool) -> Iterator[str]:
    """Title above, scale and warning below."""
    right, foot = MARGIN_MM + page.box[0], HEAD_MM + page.box[1] + 5.3
    yield _text(MARGIN_MM, 7.5, title, size=4.6, weight="bold")
    yield _text(MARGIN_MM, 13.5, subtitle, size=3.4, ink=_QUIET)
    if synthetic:
        yield _text(right, 7.5, "SYNTHETIC", size=4.6, weight="bold", ink="#b3261e", anchor="end")
    yield _text(MARGIN_MM, foot, f"{page.speed_mm_s:g} mm/s, {page.gain_mm_mv:g} mm/mV", size=3.2)
    yield _text(right, foot, "ecgray: for research use only, not for diagnosis", size=3.2, ink=_QUIET, anchor="end")


def _row_head(page: _Page, number: int) -> Iterator[str]:
    """The calibration pulse before a row: 1 mV for 0.2 s."""
    baseline, start = page.baseline(number), MARGIN_MM + page.lead_in
    rise, fall, top = MARGIN_MM + 2.5, start - 2.5, baseline - page.gain_mm_mv
    pulse = [(MARGIN_MM, baseline), (rise, baseline), (rise, top), (fall, top), (fall, baseline), (start, baseline)]
    yield _polyline("pulse", np.array(pulse))


def _row(
    page: _Page, number: int, leads: Sequence[str], voltage: Float[np.ndarray, "lead time"], ink: str
) -> Iterator[str]:
    """The leads of a row, one after the other in time; what is drawn over them needs no names."""
    baseline, start = page.baseline(number), MARGIN_MM + page.lead_in
    above, below = baseline - HEAD_MM, HEAD_MM + page.box[1] - baseline
    share = round(ROW_S * FS / len(leads))
    for place, lead in enumerate(leads):
        first = place * share
        trace = voltage[LEADS.index(lead), first : first + share + 1]  # one more, to meet the next lead
        x = start + (first + np.arange(len(trace))) * page.speed_mm_s / FS
        if ink == _INK:
            if place:
                yield f'<path class="tick" d="M{x[0]:g} {baseline - 9:g}v3m0 12v3" stroke="{ink}" stroke-width="0.25"/>'
            yield _text(x[0] + 1.2, baseline - min(12.0, 0.42 * page.row_mm), lead, size=3.6, weight="bold")
        limits = (-min(REACH_MM, above), min(REACH_MM, below))
        for stroke in _strokes(x, -trace * page.gain_mm_mv, limits=limits):
            yield _polyline(f"lead {lead}", stroke + np.array([0.0, baseline]), ink)


def _strokes(
    x: Float[np.ndarray, " time"], y: Float[np.ndarray, " time"], *, limits: tuple[float, float]
) -> Iterator[Float[np.ndarray, "time 2"]]:
    """The trace in pieces: broken where it is not finite or outside `limits` (y points down)."""
    shown = (y >= limits[0]) & (y <= limits[1])  # false for NaN
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown.astype(np.int8), [0]])))
    for first, end in edges.reshape(-1, 2):
        yield thin(np.stack([x[first:end], y[first:end]], axis=1))


def thin(points: Float[np.ndarray, "time 2"]) -> Float[np.ndarray, "point 2"]:
    """Leave out what no eye sees (Ramer, Douglas and Peucker): the line moves by less than `TOLERANCE_MM`."""
    kept = np.zeros(len(points), bool)
    kept[[0, -1]] = True
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        along = points[last] - points[first]
        away = points[first + 1 : last] - points[first]
        distance = np.abs(along[0] * away[:, 1] - along[1] * away[:, 0])
        farthest = int(distance.argmax())
        if distance[farthest] > TOLERANCE_MM * np.hypot(*along):
            middle = first + 1 + farthest
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return points[kept]


def _panel(answers: Sequence[Answer], box: tuple[float, float]) -> Iterator[str]:
    """The answers beside the paper: a bar a question, before it a dot, filled where the truth says yes."""
    left, room = box[0] + 2 * MARGIN_MM + 3, PANEL_MM - 2 * MARGIN_MM - 3
    step = min(11.0, box[1] / max(len(answers), 1))
    for number, answer in enumerate(answers):
        y = HEAD_MM + number * step + 3.5
        if answer.truth is not None:
            dot = f'cx="{left - 2.5:g}" cy="{y - 1.2:.2f}" r="1" stroke="{_INK}" stroke-width="0.2"'
            yield f'<circle class="truth" {dot} fill="{_INK if answer.truth else "none"}"/>'
        yield _text(left, y, answer.query, size=3.4)
        yield _text(left + room, y, f"{answer.probability:.2f}", size=3.4, anchor="end")
        length = room * min(max(answer.probability, 0.0), 1.0)
        for name, extent, ink in (("rail", room, "#e8e8ee"), ("bar", length, _BAR)):
            where = f'x="{left:g}" y="{y + 1.2:.2f}" width="{extent:.2f}" height="1.8"'
            yield f'<rect class="{name}" {where} fill="{ink}"/>'


def _polyline(name: str, points: Float[np.ndarray, "point 2"], ink: str = _INK) -> str:
    where = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
    return (
        f'<polyline class="{name}" points="{where}" fill="none" stroke="{ink}" stroke-width="0.28" '
        'stroke-linejoin="round"/>'
    )


def _text(
    x: float, y: float, words: str, *, size: float, weight: str = "normal", ink: str = _INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" font-weight="{weight}" fill="{ink}" '
        f'text-anchor="{anchor}">{_xml(words)}</text>'
    )


def _xml(words: str) -> str:
    """Escaped, without the characters that XML 1.0 forbids."""
    return escape("".join(c for c in words if c == "\t" or c == "\n" or " " <= c < "\ud800" or "\udfff" < c < "\ufffe"))
