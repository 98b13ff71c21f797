"""When things happen: what an electrophysiologist would check with a pair of compasses."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import Drawn, drawn

from ecgray.demo.rhythm import conduct

HEARTS = range(12)


def beats_of(one: Drawn) -> np.ndarray:
    beats = one.rhythm.events["beat"]
    return beats[(beats > 0) & (beats < 10)]


def gaps(one: Drawn) -> np.ndarray:
    return np.diff(beats_of(one))


def nearest_before(times: np.ndarray, moment: float) -> float:
    return float(times[times < moment].max())


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sinus rhythm", 60, 100),
        ("sinus bradycardia", 37, 60),
        ("sinus tachycardia", 100, 160),
        ("supraventricular tachycardia", 150, 220),
        ("third degree av block", 27, 56),
        ("paced rhythm", 58, 97),
        ("atrial fibrillation", 42, 185),
    ],
)
def test_the_rate_is_in_its_range(name: str, low: float, high: float):
    for number in HEARTS:
        rate = 60 / gaps(drawn(name, number)).mean()
        assert low <= rate <= high, (number, rate)


def test_sinus_arrhythmia_swings_and_sinus_rhythm_does_not():
    for number in HEARTS:
        swinging, even = gaps(drawn("sinus arrhythmia", number)), gaps(drawn("sinus rhythm", number))
        assert np.ptp(swinging) > 0.12
        assert np.ptp(even) < 0.12
        assert np.ptp(even) < np.ptp(swinging)


def test_rr_varies_with_the_breath():
    """The HF part: RR of one heart and its breath go together."""
    together = []
    for number in HEARTS:
        one = drawn("sinus arrhythmia", number)
        beats = beats_of(one)
        hertz, phase = one.rhythm.breath
        together.append(np.corrcoef(np.diff(beats), np.sin(2 * np.pi * hertz * beats[:-1] + phase))[0, 1])
    assert np.median(together) > 0.7


def test_fibrillation_has_no_p_and_no_order():
    for number in HEARTS:
        one = drawn("atrial fibrillation", number)
        assert "p" not in one.rhythm.events
        assert gaps(one).std() / gaps(one).mean() > 0.08
        atrial = np.diff(one.rhythm.events["fibrillation"])
        assert 4.5 < 1 / atrial.mean() < 8.5
        assert atrial.std() > 0.01


def test_flutter_beats_at_three_hundred_and_is_conducted_by_a_ratio():
    for number in HEARTS:
        one = drawn("atrial flutter", number)
        period = np.diff(one.rhythm.events["flutter"]).mean()
        assert 240 < 60 / period < 340
        ratios = gaps(one) / period
        assert np.abs(ratios - ratios.round()).max() < 0.06
        if one.rhythm.facts["flutter"] != "variable":
            assert set(ratios.round()) == {float(one.rhythm.facts["flutter"][0])}


def test_a_premature_ventricular_beat_is_early_and_the_pause_makes_up_for_it():
    """The beat before and the beat after lie two sinus cycles apart: the sinus node was not disturbed."""
    full = 0
    for number in range(40):
        one = drawn("premature ventricular complex", number)
        normal, sinus = one.rhythm.events["beat"], one.rhythm.events["p"]
        cycle = float(np.median(np.diff(sinus)))
        for early in one.rhythm.events["early beat"]:
            if not 1 < early < 8.5:
                continue
            before, after = nearest_before(normal, early), float(normal[normal > early].min())
            assert early - before < 0.8 * cycle
            pause = (after - before) / cycle
            assert abs(pause - 2) < 0.2 or abs(pause - 1) < 0.2  # compensated, or put in between
            full += abs(pause - 2) < 0.2
    assert full > 20


def test_a_premature_atrial_beat_is_early_and_resets_the_sinus_node():
    seen = 0
    for number in range(20):
        one = drawn("premature atrial complex", number)
        beats, cycle = one.rhythm.events["beat"], one.heart.rr_s
        for early in one.rhythm.events["ectopic p"]:
            conducted = beats[(beats > early) & (beats < early + 0.5)]
            assert len(conducted) == 1
            before, after = nearest_before(beats, early), float(beats[beats > conducted[0] + 0.1].min())
            assert conducted[0] - before < 0.9 * cycle
            assert 0.95 * cycle < after - conducted[0] < 1.35 * cycle
            assert after - before < 2.05 * cycle  # no full compensation
            seen += 1
    assert seen >= 20


def pr_after(one: Drawn) -> list[float]:
    """PR of each sinus impulse in the strip; NaN where it was not conducted."""
    beats = one.rhythm.events["beat"]
    found = []
    for impulse in one.rhythm.events["p"]:
        if -1 < impulse < 10:
            later = beats[(beats > impulse) & (beats < impulse + 0.62)]
            found.append(float(later[0] - impulse) if len(later) else np.nan)
    return found


def test_mobitz_drops_beats_with_growing_or_with_fixed_pr():
    kinds = set()
    for number in range(30):
        one = drawn("second degree av block", number)
        kind = one.rhythm.facts["av block"]
        kinds.add(kind)
        pr = np.array(pr_after(one))
        assert np.isnan(pr).any()
        assert not np.isnan(pr).all()
        steps = np.diff(pr)[~np.isnan(np.diff(pr))]
        if kind == "mobitz i":
            assert (steps > 0).all()
        elif kind == "mobitz ii":
            assert np.abs(steps).max() < 0.001
        else:
            assert (np.isnan(pr[:-1]) ^ np.isnan(pr[1:])).all()
    assert kinds == {"mobitz i", "mobitz ii", "2:1"}


def test_in_complete_block_atria_and_ventricles_go_their_own_ways():
    for number in HEARTS:
        one = drawn("third degree av block", number)
        sinus, beats = one.rhythm.events["p"], beats_of(one)
        assert np.diff(sinus).mean() < 0.8 * np.diff(beats).mean()
        distances = [beat - nearest_before(sinus, beat) for beat in beats]
        assert np.ptp(distances) > 0.12
        assert np.ptp(gaps(one)) < 0.12


def test_a_supraventricular_tachycardia_is_even_and_shows_no_p_before_qrs():
    for number in HEARTS:
        one = drawn("supraventricular tachycardia", number)
        assert gaps(one).std() / gaps(one).mean() < 0.02
        assert "p" not in one.rhythm.events


def test_a_paced_beat_follows_its_spike():
    modes = set()
    for number in range(20):
        one = drawn("paced rhythm", number)
        modes.add(one.rhythm.facts["pacing"])
        for beat in beats_of(one):
            assert 0.002 < beat - nearest_before(one.rhythm.events["spike"], beat) < 0.015
    assert modes == {"ventricular", "atrial-sensed", "dual"}


def test_the_node_lets_through_what_finds_it_ready():
    """An impulse is lost shortly after a beat, more so after one from below; a blocked one conducts nothing."""
    beats, delays = conduct(
        np.array([0.0, 0.2, 0.9, 2.0]),
        delay_s=lambda number: None if number == 3 else 0.15,
        own=np.array([0.75]),
        refractory_s=0.3,
        concealed_s=0.45,
    )
    assert beats.tolist() == [0.15]
    assert np.isnan(delays).tolist() == [False, True, True, True]


def test_eight_in_ten_strips_of_sinus_rhythm_last_ten_seconds():
    for number in HEARTS:
        one = drawn("sinus rhythm", number)
        every = one.rhythm.events["beat"]
        assert every.min() < -0.5
        assert every.max() > 10
