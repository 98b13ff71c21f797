"""Reading and cropping what is no ECG: a null with its reason or nothing at all, never a NaN and never an exception."""

from __future__ import annotations

import bad_hearts
import numpy as np
import pytest
import torch

from ecgray.leads import LEADS
from ecgray.tables import COUNTS_PER_MV
from ecgray.waveform.beats import crop_beats, log_spectrum, padded_beats
from ecgray.waveform.delineator.network import scaled
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.intervals import VALUES, Intervals
from ecgray.waveform.r_peaks import find_r_peaks, hides_a_beat, steep_elsewhere

EDGES = {0: False, 99: False, 100: True, 4799: True, 4800: True, 4801: False, 4999: False}
"""R peaks near the ends of a strip of 5,000 samples, and whether their beat is whole."""
NO_NUMBER = [np.nan, np.inf, -np.inf]


def mv(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.float32) / COUNTS_PER_MV


@pytest.fixture(scope="module")
def reader() -> WaveReader:
    return WaveReader.load()


def check(found: Intervals) -> Intervals:
    """Every null has its reason and nothing else has one; no value is NaN."""
    assert set(found.values) == set(VALUES)
    assert {name for name, value in found.values.items() if value is None} == set(found.reasons)
    assert all(value is None or np.isfinite(value) for value in found.values.values())
    return found


@pytest.mark.parametrize("kind", list(bad_hearts.BAD))
def test_whatever_the_recording_each_null_has_its_reason(reader: WaveReader, kind: str) -> None:
    check(reader.measure(mv(bad_hearts.BAD[kind]())[None])[0])


@pytest.mark.parametrize("value", NO_NUMBER)
def test_a_lead_with_a_value_that_is_no_number_does_not_count(reader: WaveReader, value: float) -> None:
    ecg = mv(bad_hearts.usual())
    ecg[LEADS.index("II"), 240:260] = value
    ecg[LEADS.index("V2"), 250] = -value
    found = check(reader.measure(ecg[None])[0])
    assert found.values["heart_rate_bpm"] == pytest.approx(75, abs=0.5)
    assert len(found.r_peaks) == 12


def test_both_infinities_in_one_beat_overflow_nothing(reader: WaveReader) -> None:
    ecg = mv(bad_hearts.usual())
    for peak in range(250, 5000, 400):
        ecg[LEADS.index("II"), peak - 5 : peak + 5] = [np.inf, -np.inf] * 5
    assert check(reader.measure(ecg[None])[0]).values["heart_rate_bpm"] == pytest.approx(75, abs=0.5)


@pytest.mark.parametrize("value", NO_NUMBER)
def test_a_recording_without_any_number_has_no_lead(reader: WaveReader, value: float) -> None:
    found = check(reader.measure(np.full((1, 12, 5000), value, np.float32))[0])
    assert set(found.reasons.values()) == {"no_lead"}
    assert len(found.r_peaks) == 0


def test_no_recording_at_all_has_no_intervals(reader: WaveReader) -> None:
    assert reader.measure(np.zeros((0, 12, 5000), np.float32)) == []


def test_a_saturated_lead_is_not_read_and_one_that_touches_the_end_is(reader: WaveReader) -> None:
    hit = bad_hearts.usual()
    hit[3, 1000:1200] = 32767
    _, seen = scaled(torch.from_numpy(mv(np.stack([bad_hearts.saturated("V4"), hit]))))
    assert seen.tolist() == [[lead != "V4" for lead in LEADS], [True] * 12]
    for lead in ("II", "V1", "V4"):
        values = check(reader.measure(mv(bad_hearts.saturated(lead))[None])[0]).values
        assert values["heart_rate_bpm"] == pytest.approx(75, abs=0.5)
        assert values["st60_mv"] is not None
        assert abs(values["st60_mv"]) < 0.2  # the saturated lead would say 60 mV


@pytest.mark.parametrize("first_s", [0.02, 0.1, 0.15, 0.3])
@pytest.mark.parametrize("rate", [20, 30, 250, 280, 300, 320])
def test_a_rate_is_right_or_null(reader: WaveReader, rate: int, first_s: float) -> None:
    """Also where the first beats of a fast heart are missed: one of forty would be 6 bpm."""
    values = check(reader.measure(mv(bad_hearts.usual(rate, first_s=first_s))[None])[0]).values
    assert values["heart_rate_bpm"] is None or abs(values["heart_rate_bpm"] - rate) < 2
    if rate <= 30:
        assert values["heart_rate_bpm"] is not None


def test_a_pause_is_no_missed_beat_and_a_missed_beat_is_no_pause(reader: WaveReader) -> None:
    """The rate of a heart that skips a beat counts the pause; with an R peak taken out there is none."""
    places = np.delete(np.arange(0.5, 10, 0.8), 5)
    found = check(reader.measure(mv(bad_hearts.heart_counts(places))[None])[0])
    assert found.values["heart_rate_bpm"] == pytest.approx(60 * 10 / (places[-1] - places[0]), abs=0.5)
    whole = mv(bad_hearts.usual())
    peaks = np.arange(250, 5000, 400)
    assert not hides_a_beat(peaks, steep_elsewhere(whole, peaks))
    assert hides_a_beat(np.delete(peaks, 5), steep_elsewhere(whole, np.delete(peaks, 5)))


@pytest.mark.parametrize("peak", list(EDGES))
def test_an_r_peak_at_the_edge_is_found_where_it_is(peak: int) -> None:
    hump = np.exp(-0.5 * ((np.arange(5000) - peak) / 5) ** 2).astype(np.float32)
    signal, qrs = np.stack([hump] * 12)[None], np.zeros((1, 12, 2500), np.float32)
    qrs[..., max(0, peak // 2 - 8) : peak // 2 + 9] = 1.0
    (found,) = find_r_peaks(signal, qrs, np.ones((1, 12), bool))[0].tolist()
    assert found == min(peak, 4998)  # the last sample that the network's 250 Hz know is 4998


def test_r_peaks_of_no_numbers_and_of_nothing() -> None:
    qrs = np.zeros((2, 12, 2500), np.float32)
    qrs[0, :, 100:120] = 1.0
    unseen = find_r_peaks(np.full((2, 12, 5000), np.nan, np.float32), qrs, np.zeros((2, 12), bool))
    assert [peaks.tolist() for peaks in unseen] == [[], []]
    one = find_r_peaks(np.full((2, 12, 5000), np.nan, np.float32), qrs, np.ones((2, 12), bool))
    assert all(0 <= peak < 5000 for peak in one[0].tolist())
    assert len(find_r_peaks(np.zeros((0, 12, 5000), np.float32), qrs[:0], np.ones((0, 12), bool))) == 0
    assert len(steep_elsewhere(np.ones((12, 5000), np.float32), np.array([], np.int64))) == 0
    assert len(steep_elsewhere(np.zeros((0, 5000), np.float32), np.array([500]))) == 0


@pytest.mark.parametrize(("peak", "whole"), EDGES.items())
def test_a_beat_is_cropped_where_it_is_whole(peak: int, whole: bool) -> None:
    ecg = np.broadcast_to(np.arange(5000, dtype=np.float32), (12, 5000))
    beats = crop_beats(ecg, np.array([peak]))
    assert len(beats) == whole
    if whole:
        assert beats[0, :, 100].tolist() == [peak] * 12
    padded, real = padded_beats(np.stack([ecg, ecg]), [np.array([peak]), np.array([], int)])
    assert real.sum() == whole
    assert padded.shape == (2, int(whole), 12, 300)


@pytest.mark.parametrize("value", NO_NUMBER)
def test_beats_with_a_value_that_is_no_number_are_left_out(value: float) -> None:
    ecg = mv(np.stack([bad_hearts.usual(), bad_hearts.usual(), bad_hearts.flat()]))
    ecg[0, 7, 660], ecg[1] = value, value
    peaks = [np.arange(250, 5000, 400)] * 3
    beats, real = padded_beats(ecg, peaks)
    assert real.sum(1).tolist() == [11, 0, 12]
    assert np.isfinite(beats).all()
    assert np.isfinite(padded_beats(ecg, peaks, most=3)[0]).all()
    assert len(padded_beats(ecg[:0], [])[0]) == 0


@pytest.mark.parametrize("value", NO_NUMBER)
def test_a_spectrum_of_no_numbers_is_its_own_affair(value: float) -> None:
    """`crop_beats` leaves such beats out; one that came in all the same would not touch its neighbours."""
    beats = torch.from_numpy(crop_beats(mv(bad_hearts.usual()), np.array([250, 650, 1050]))).clone()
    clean = log_spectrum(beats)
    beats[1, 3, 7] = value
    hurt = log_spectrum(beats)
    kept = torch.ones(len(beats), 12, dtype=torch.bool)
    kept[1, 3] = False
    assert torch.equal(hurt[kept], clean[kept])
    assert clean.isfinite().all()
    assert log_spectrum(torch.zeros(0, 12, 300)).shape == (0, 12, 25)
    assert log_spectrum(torch.full((12, 300), 32.767)).isfinite().all()
