"""The picture of an ECG and its reconstruction, read off the SVG's own coordinates."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from ecgray.leads import LEADS
from ecgray.metrics.reconstruction_picture import draw_reconstruction

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(0)


def lines(svg: str, ink: str) -> list[np.ndarray]:
    found = [line for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline") if line.get("stroke") == ink]
    return [np.array([pair.split(",") for pair in (line.get("points") or "").split()], float) for line in found]


def hump(height_mv: float) -> np.ndarray:
    """Twelve beats, each a hump at the R peak."""
    shape = np.exp(-(((np.arange(300) - 100) / 10) ** 2) / 2)
    return np.tile(height_mv * shape, (12, 1))


def test_both_ecgs_and_both_beats_are_drawn():
    ecg = RNG.standard_normal((12, 5000)) / 10
    svg = draw_reconstruction(ecg, 0.5 * ecg, hump(1.0), hump(0.5), title="a < b")
    red, black = lines(svg, "#c2185b"), lines(svg, "#15151a")
    assert len(red) == 13 + 12  # 3 x 4 leads and a whole II, and twelve beats
    assert len(black) == 4 + 13 + 12  # and the pulse of each row
    tall, low = (np.ptp(group[-1][:, 1]) for group in (black, red))
    assert abs(tall - 10) < 0.1  # 10 mm/mV
    assert abs(low - 5) < 0.1
    assert "a &lt; b" in svg


def test_the_beat_is_where_the_mark_is():
    """25 mm/s: R stands 5 mm after the beat's first sample."""
    black = lines(
        draw_reconstruction(np.zeros((12, 5000)), np.zeros((12, 5000)), hump(1), hump(1), title=""), "#15151a"
    )
    beat = black[-1]
    assert abs(beat[beat[:, 1].argmin(), 0] - beat[0, 0] - 5) < 0.1


def test_without_a_beat_only_the_decoded_one_is_drawn():
    flat = np.zeros((12, 5000))
    svg = draw_reconstruction(flat, flat, None, hump(1.0), title="", synthetic=True)
    assert len(lines(svg, "#c2185b")) == 13 + 12
    assert len(lines(svg, "#15151a")) == 4 + 13
    assert "its first whole beat" not in svg
    assert "SYNTHETIC" in svg
    assert all(svg.count(f">{lead}</text>") >= 2 for lead in LEADS)


def test_it_is_small_and_needs_nothing():
    noise = RNG.standard_normal((12, 5000)) / 20
    svg = draw_reconstruction(noise, noise, None, hump(1.0), title="")
    assert "//" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert len(svg) < 600_000
