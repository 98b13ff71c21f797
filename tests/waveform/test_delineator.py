"""The delineator: marks, examples, segments, intervals, scores. What it reads on real recordings stands at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ecgray.errors import ArtifactError, ConfigError
from ecgray.waveform.delineator.config import DelineatorConfig
from ecgray.waveform.delineator.examples import PIECE, Marked, draw_batch
from ecgray.waveform.delineator.marks import Wave, labels_of, paired, read_marks
from ecgray.waveform.delineator.network import Delineator, folded, scaled
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.delineator.score import match, reading_of, score_ends, score_intervals
from ecgray.waveform.delineator.segments import segments
from ecgray.waveform.intervals import VALUES, beats_of, measure

SMALL = DelineatorConfig(widths=(4, 8, 8))


def marks_of_beats(rr: int = 400, beats: int = 12, start: int = 60):
    """P 50, PR 80, QRS 45, QT 190 samples in each of twelve leads."""
    waves = []
    for beat in range(beats):
        at = start + beat * rr
        waves += [
            Wave(1, at, at + 50, at + 25),
            Wave(2, at + 80, at + 125, at + 100),
            Wave(3, at + 180, at + 270, at + 240),
        ]
    return tuple(tuple(wave for wave in waves if wave.offset < 5000) for _ in range(12))


def test_marks_give_their_own_intervals() -> None:
    reading = reading_of([marks_of_beats()])
    found = measure(np.zeros((12, 5000), np.float32), reading.beats(0), reading.r_peaks[0])
    assert found.values["pr_ms"] == 160
    assert found.values["qrs_ms"] == found.values["qrs_global_ms"] == 90
    assert found.values["qt_ms"] == found.values["qt_global_ms"] == 380
    assert found.values["p_ms"] == 100
    assert found.values["t_ms"] == 180
    assert found.values["heart_rate_bpm"] == 75
    assert found.values["qtcf_ms"] == pytest.approx(380 / 0.8 ** (1 / 3))
    assert found.reasons == {}
    assert set(found.values) == set(VALUES)


def test_a_perfect_reading_scores_perfectly_and_a_late_one_is_late() -> None:
    marks = [marks_of_beats()]
    for end in score_ends(marks, reading_of(marks)):
        assert (end.sensitivity, end.precision, end.mean_ms, end.sd_ms) == (1, 1, 0, 0)
    late = tuple(tuple(Wave(w.kind, w.onset + 3, w.offset + 3, w.peak) for w in lead) for lead in marks[0])
    for end in score_ends(marks, reading_of([late])):
        assert (end.mean_ms, end.sd_ms) == (6, 0)


def test_a_wave_nobody_marked_costs_precision_and_one_missed_sensitivity() -> None:
    marks = marks_of_beats()
    without = tuple(tuple(w for w in lead if w.kind != 1 or w.onset > 500) for lead in marks)
    missed = {(e.wave, e.end): e for e in score_ends([marks], reading_of([without]))}
    extra = {(e.wave, e.end): e for e in score_ends([without], reading_of([marks]))}
    assert missed["P", "onset"].sensitivity < 1
    assert missed["P", "onset"].precision == 1
    assert missed["QRS", "onset"].sensitivity == 1
    assert extra["P", "onset"].sensitivity == 1


def test_without_p_waves_there_is_no_pr() -> None:
    marks = tuple(tuple(w for w in lead if w.kind != 1) for lead in marks_of_beats())
    reading = reading_of([marks])
    found = measure(np.zeros((12, 5000), np.float32), reading.beats(0), reading.r_peaks[0])
    assert found.values["pr_ms"] is None
    assert found.reasons == {"pr_ms": "no_p_wave", "p_ms": "no_p_wave"}


def test_half_a_symbol_is_no_wave() -> None:
    assert paired(["(", "p", "(", "N", ")", "t"], [1, 2, 3, 4, 5, 6]) == (Wave(2, 3, 5, 4),)


def test_labels_follow_the_marks_and_nothing_else() -> None:
    labels = labels_of(marks_of_beats(), samples=5000)
    assert labels.shape == (12, 2500)
    assert (labels[:, :30] == -1).all()
    assert (labels[:, 30:56] == 1).all()
    assert (labels[:, 70:92] == 2).all()


def test_examples_carry_their_labels_and_hide_what_is_missing() -> None:
    random = np.random.default_rng(0)
    ecg = random.standard_normal((2, 12, 5000)).astype(np.float32)
    marked = Marked(ecg, np.stack([labels_of(marks_of_beats(), samples=5000)] * 2))
    batch = draw_batch(marked, 8, random)
    assert batch.signal.shape == (8, 12, PIECE)
    assert batch.labels.shape == (8, 12, PIECE // 2)
    assert not batch.seen.all()
    assert (batch.signal[~batch.seen] == 0).all()
    assert (batch.labels[~batch.seen] == -1).all()
    again = draw_batch(marked, 8, np.random.default_rng(0))
    assert not torch.equal(batch.signal, again.signal)


def test_the_ends_are_interpolated_and_runs_at_the_edge_are_not_whole() -> None:
    probability = np.zeros((1, 2, 100), np.float32)
    probability[0, 0, 10:20] = 1
    probability[0, 1, :20] = 1
    probability[0, 1, 95:] = 1
    found = segments(probability)
    assert found.of(0, 0).onset.tolist() == [19.0]
    assert found.of(0, 0).offset.tolist() == [39.0]
    assert found.of(0, 1).whole.tolist() == [False, False]
    assert len(segments(probability * 0)) == 0


def test_each_nearest_pair_once() -> None:
    assert match([], np.array([1.0]), window=5) == []
    assert match([1.0], np.array([]), window=5) == []
    assert match([1.0, 2.0], np.array([1.5]), window=5) == [(0, 0)]


def test_a_lead_that_is_flat_or_no_number_is_not_seen_and_changes_no_other() -> None:
    torch.manual_seed(0)
    network = Delineator(SMALL).eval()
    signal = torch.randn(1, 12, 5000)
    alone, _ = network.probabilities(signal[:, :10])
    signal[0, 10], signal[0, 11, 3] = 0.0, float("nan")
    both, seen = network.probabilities(signal)
    assert seen[0].tolist() == [True] * 10 + [False] * 2
    assert torch.isfinite(both).all()
    assert torch.allclose(alone, both[:, :10], atol=1e-5)
    assert both.shape == (1, 12, 4, 2500)


def test_folded_it_says_the_same() -> None:
    torch.manual_seed(0)
    network = Delineator(SMALL)
    signal = torch.randn(2, 12, 5000)
    for _ in range(3):
        network(*scaled(signal))  # the norms learn means that are not zero
    before = network.eval().probabilities(signal)[0]
    assert not any(isinstance(one, torch.nn.BatchNorm1d) for one in folded(network).modules())
    assert torch.allclose(before, folded(network).probabilities(signal)[0], atol=1e-5)


def test_a_baseline_does_not_shrink_the_beats() -> None:
    beat = torch.zeros(1, 1, 5000)
    beat[..., ::400] = 1.0
    drift = 2 * torch.sin(torch.arange(5000) / 5000 * 6.28)
    assert torch.allclose(scaled(beat)[0].abs().max(), scaled(beat + drift)[0].diff().abs().max(), rtol=0.1)


@pytest.mark.parametrize("config", [{"widths": (4,)}, {"widths": (4, 0)}, {"kernel": 4}])
def test_a_size_that_cannot_be_is_refused(config: dict) -> None:
    with pytest.raises(ConfigError, match="must"):
        DelineatorConfig(**config)


def test_a_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    from ecgray.artifact import save_model

    save_model(tmp_path / "m", config={"kind": "other"}, preprocessor={}, tensors={}, card="")
    with pytest.raises(ArtifactError, match="no delineator"):
        WaveReader.load(tmp_path / "m")


def test_marks_of_a_lead_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="marks of lead I "):
        read_marks(tmp_path / "1")


def test_an_empty_lead_has_no_beats() -> None:
    nothing = segments(np.zeros((1, 1, 10), np.float32))
    assert len(beats_of(nothing, nothing, nothing)) == 0
    flat = measure(np.zeros((1, 5000), np.float32), [beats_of(nothing, nothing, nothing)], np.array([], np.int64))
    assert set(flat.reasons.values()) == {"no_beat"}
    assert set(measure(np.zeros((0, 5000), np.float32), [], np.array([], np.int64)).reasons.values()) == {"no_lead"}


def test_scores_of_marks_against_themselves() -> None:
    marks = [marks_of_beats(), marks_of_beats(rr=300)]
    scores = score_intervals(marks, reading_of(marks), np.zeros((2, 12, 5000), np.float32))
    assert all(score.mean_absolute_error == 0 and score.records == 2 for score in scores.values())
