"""An ECG, what an autoencoder makes of it, and the beat that it decodes, in one picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ecgray.leads import LEADS
from ecgray.waveform.beats import BEAT_FS, R_SAMPLE
from ecgray.waveform.paper import sheet, thin, usual_paper

_REAL, _AGAIN = "#15151a", "#c2185b"
_SPEED, _GAIN = 25.0, 10.0
_CELL_MM, _BEATS_MM = 21.5, 58.0


def draw_reconstruction(
    ecg: Float[np.ndarray, "lead=12 time"],
    again: Float[np.ndarray, "lead=12 time"],
    beat: Float[np.ndarray, "lead=12 sample=300"] | None,
    decoded: Float[np.ndarray, "lead=12 sample=300"],
    *,
    title: str,
    synthetic: bool = False,
) -> str:
    """SVG, 25 mm/s and 10 mm/mV: the recording on paper, its reconstruction over it in red, below them the beats.

    The beats are the record's first whole one and the decoded one, all leads, R under the mark; `beat` is None where
    none was found. Everything in mV at 500 Hz.
    """
    subtitle = "black: recorded; red: through the latent and back"
    page, (width, height) = usual_paper(ecg, title=title, subtitle=subtitle, synthetic=synthetic, over=again)
    parts = [*page, *_beats(beat, decoded, top=height)]
    return sheet(parts, width_mm=width, height_mm=height + _BEATS_MM, title=title)


def _beats(
    beat: Float[np.ndarray, "lead sample"] | None, decoded: Float[np.ndarray, "lead sample"], *, top: float
) -> Iterator[str]:
    """A beat a lead, side by side: 0.6 s each, around the level where the recorded one begins."""
    said = "the decoded beat" if beat is None else "its first whole beat, and the beat decoded from the same latent"
    said += " (0.6 s, same scale; the tick is R)"
    yield f'<text x="5" y="{top + 3:.1f}" font-size="3.4" fill="#5b5b66">{said}</text>'
    both = [(decoded, _AGAIN)] if beat is None else [(beat, _REAL), (decoded, _AGAIN)]
    x = np.arange(decoded.shape[1]) * _SPEED / BEAT_FS
    for lead, name in enumerate(LEADS):
        left, level = 5 + lead * _CELL_MM, top + 32
        rest = float(np.median(both[0][0][lead, :40]))
        mark = left + R_SAMPLE * _SPEED / BEAT_FS
        yield f'<text x="{left:.1f}" y="{top + 9:.1f}" font-size="3.4" font-weight="bold">{name}</text>'
        yield f'<path d="M{mark:.2f} {top + _BEATS_MM - 3:.1f}v2" stroke="{_REAL}" stroke-width="0.2"/>'
        for trace, ink in both:
            y = np.clip(level - (trace[lead] - rest) * _GAIN, top + 5, top + _BEATS_MM)
            points = " ".join(f"{a:.2f},{b:.2f}" for a, b in thin(np.stack([left + x, y], axis=1)))
            yield f'<polyline points="{points}" fill="none" stroke="{ink}" stroke-width="0.28"/>'
