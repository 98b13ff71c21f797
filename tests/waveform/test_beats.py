"""Beat crops, their spectra and the typical beat: SE-Diff Eq. 13 and 14."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hearts import heart_mv

from ecgray.errors import ConfigError
from ecgray.waveform.beats import BEAT_FS, BEAT_SAMPLES, R_SAMPLE, crop_beats, log_spectrum, padded_beats, typical_beat


def peaks_at(bpm: float, *, duration_s: float = 10) -> np.ndarray:
    """The R peaks of `heart_mv`, at 500 Hz."""
    return np.rint((np.arange(-0.2, duration_s + 1, 60 / bpm) + 0.5) * BEAT_FS).astype(int)


def test_r_lies_at_sample_100_of_each_whole_beat():
    ecg = heart_mv().astype(np.float32)
    peaks = peaks_at(75)
    beats = crop_beats(ecg, peaks)
    whole = peaks[(peaks >= 100) & (peaks + 200 <= 5000)]
    assert beats.shape == (len(whole), 12, BEAT_SAMPLES)
    assert (beats[:, 1].argmax(-1) == R_SAMPLE).all()
    for beat, peak in zip(beats, whole, strict=True):
        np.testing.assert_array_equal(beat, ecg[:, peak - 100 : peak + 200])


def test_the_first_whole_beat_is_beat_0_whatever_the_order_of_peaks():
    ecg = np.arange(12 * 1000, dtype=np.float32).reshape(12, 1000)
    beats = crop_beats(ecg, np.array([700, 99, 100, -5, 801, 800, 5000]))
    assert beats[:, 0, 0].tolist() == [0, 600, 700]


@pytest.mark.parametrize("peaks", [[], [50], [950], [-300, 2000]])
def test_without_a_whole_beat_there_is_none(peaks: list[int]):
    beats = crop_beats(np.zeros((12, 1000), np.float32), np.array(peaks, dtype=int))
    assert beats.shape == (0, 12, 300)
    assert crop_beats(np.zeros((12, 200), np.float32), np.array([100])).shape == (0, 12, 300)


def test_a_beat_with_nan_is_left_out():
    ecg = heart_mv().astype(np.float32)
    peaks = peaks_at(75)[1:5]
    ecg[7, peaks[1] + 20] = np.nan
    np.testing.assert_array_equal(crop_beats(ecg, peaks), crop_beats(heart_mv().astype(np.float32), peaks[[0, 2, 3]]))


def test_a_batch_is_padded_and_says_where():
    ecg = np.stack([heart_mv(bpm=bpm) for bpm in (50, 120, 75)]).astype(np.float32)
    peaks = [peaks_at(50), peaks_at(120), np.empty(0, int)]
    beats, real = padded_beats(ecg, peaks)
    assert real.sum(1).tolist() == [len(crop_beats(ecg[0], peaks[0])), beats.shape[1], 0]
    np.testing.assert_array_equal(beats[0][real[0]], crop_beats(ecg[0], peaks[0]))
    assert not beats[~real].any()


@pytest.mark.parametrize(("most", "kept"), [(1, [0]), (3, [0, 4, 9]), (10, [*range(10)]), (50, [*range(10)])])
def test_of_many_beats_the_first_counts_and_others_evenly_spread(most, kept):
    ecg = np.broadcast_to(np.arange(5000, dtype=np.float32), (1, 12, 5000))
    beats, real = padded_beats(ecg, [np.arange(100, 4600, 450)], most=most)
    assert real.all()
    assert beats[0, :, 0, 0].tolist() == [450 * beat for beat in kept]


def test_the_spectrum_has_25_bins_and_finds_a_tone():
    time = torch.arange(BEAT_SAMPLES) / BEAT_FS
    amplitude = 0.4
    spectrum = log_spectrum(amplitude * torch.sin(2 * math.pi * 20 * time) + 3.0)
    assert spectrum.shape == (25,)
    assert int(spectrum.argmax()) == 12  # 20 Hz
    assert float(spectrum.max()) == pytest.approx(math.log(1e-3 + amplitude * BEAT_SAMPLES / 2), abs=1e-4)
    assert float(spectrum[0]) == pytest.approx(math.log(1e-3), abs=0.1)  # the mean is gone
    assert log_spectrum(torch.zeros(2, 12, 300), f_max_hz=250).shape == (2, 12, 151)


def test_the_spectrum_of_a_flat_beat_is_finite_and_so_is_its_gradient():
    flat = torch.zeros(12, 300, requires_grad=True)
    log_spectrum(flat).sum().backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_the_typical_beat_is_that_of_most_and_starts_from_the_level_before_qrs():
    clean = crop_beats(heart_mv().astype(np.float32), peaks_at(75))
    rng = np.random.default_rng(0)
    beats = clean + rng.normal(0, 0.3, (len(clean), 12, 1)).astype(np.float32)  # a wandering baseline
    ectopic = np.roll(-2 * clean[:3], 20, axis=-1)
    typical = typical_beat(np.concatenate([beats, ectopic]))
    level = clean[0][:, 65:80].mean(-1, keepdims=True)
    np.testing.assert_allclose(typical, clean[0] - level, atol=0.02)
    assert np.abs(typical[:, 66:76]).max() < 0.02


def test_extrasystoles_weigh_nothing():
    clean = crop_beats(heart_mv().astype(np.float32), peaks_at(75))[:6]
    ectopic = np.roll(-2 * clean[:3], 20, axis=-1)
    np.testing.assert_allclose(typical_beat(np.concatenate([clean, ectopic])), typical_beat(clean), atol=1e-6)


def test_beats_of_nan_count_for_nothing_and_none_at_all_is_refused():
    beats = crop_beats(heart_mv().astype(np.float32), peaks_at(75))
    hurt = np.concatenate([beats, np.full((2, 12, 300), np.nan, np.float32)])
    np.testing.assert_array_equal(typical_beat(hurt), typical_beat(beats))
    with pytest.raises(ConfigError, match=r"^None of 2 beats is finite; a typical beat needs one or more\.$"):
        typical_beat(hurt[-2:])
    assert not typical_beat(np.zeros((4, 12, 300), np.float32)).any()
