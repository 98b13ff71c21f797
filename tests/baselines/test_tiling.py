"""Tiled beats: the asked rate, whole QRS complexes, no jumps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecgray.baselines.config import BEAT_FS, BEAT_R, BEAT_SAMPLES
from ecgray.baselines.signals import to_beats, whole_beats
from ecgray.baselines.tiling import tile

TIME = (torch.arange(BEAT_SAMPLES) - BEAT_R) / BEAT_FS


def a_beat() -> torch.Tensor:
    """P, QRS and T as bumps, and a level that is not the same at both ends."""
    bumps = ((0.15, -0.16, 0.02), (1.0, 0.0, 0.012), (0.3, 0.26, 0.04))
    wave = sum(height * torch.exp(-(((TIME - at) / width) ** 2) / 2) for height, at, width in bumps)
    return (wave + 0.05 * TIME).expand(1, 8, -1)


@pytest.mark.parametrize("bpm", [25.0, 50.0, 75.0, 90.0, 120.0, 180.0, 300.0])
def test_r_peaks_stand_at_the_asked_rate(bpm: float) -> None:
    rr, first = 60 / bpm, 0.1
    strip = tile(a_beat(), torch.tensor([rr]), torch.tensor([first]))[0, 0].numpy()
    high = np.flatnonzero((strip[1:-1] > strip[:-2]) & (strip[1:-1] >= strip[2:]) & (strip[1:-1] > 0.9)) + 1
    expected = first + rr * np.arange(len(high))
    assert len(high) == int((10 - first) / rr) + 1
    assert np.abs(high / 500 - expected).max() <= 0.002
    assert strip[high].min() > 0.98


@pytest.mark.parametrize("bpm", [40.0, 75.0, 86.2, 150.0, 300.0])
def test_nothing_jumps_where_beats_meet(bpm: float) -> None:
    """The steepest stretch of a strip is the beat's own."""
    strip = tile(a_beat(), torch.tensor([60 / bpm]), torch.tensor([0.05]))
    steepest = a_beat().diff().abs().max() / 2  # samples of 500 Hz are half as far apart
    assert strip.diff().abs().max() <= steepest * 1.05


def test_a_recordings_beats_are_cut_about_their_r_peaks() -> None:
    """One recording with two whole beats, one without any: R stands where it should, and level is gone."""
    time = torch.arange(5000) / 500
    ecg = sum(torch.exp(-(((time - at / 500) / 0.01) ** 2) / 2) for at in (100, 1000, 3000, 4990)) + 5
    peaks = [whole_beats(np.array(each), most=9) for each in ([100, 1000, 3000, 4990], [50])]
    assert [len(each) for each in peaks] == [2, 0]
    beats = to_beats(ecg.expand(2, 12, -1), peaks)
    assert beats.shape == (2, 8, BEAT_SAMPLES)
    assert bool((beats.argmax(dim=-1) == BEAT_R).all())
    torch.testing.assert_close(beats.amax(dim=-1), torch.ones(2, 8), atol=0.01, rtol=0)
    assert beats.median(dim=-1).values.abs().max() == 0
