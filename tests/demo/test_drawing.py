"""What is on the strip: each condition measured in the leads in which a cardiologist looks for it."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import Drawn, at_ms, axis_deg, between_ms, drawn, mean_beat, qrs_width_ms, t_end_ms

from ecgray.demo.conditions import BY_NAME
from ecgray.leads import LEADS, frontal_residual

HEARTS = range(10)
L = {lead: number for number, lead in enumerate(LEADS)}
ANTERIOR, INFERIOR, LATERAL = ("V2", "V3"), ("II", "III", "aVF"), ("I", "aVL", "V5", "V6")
WALLS = {"anterior": ANTERIOR, "inferior": INFERIOR, "lateral": LATERAL}


def qrs_of(one: Drawn, beat: np.ndarray, lead: str) -> np.ndarray:
    return between_ms(beat, -6, one.heart.qrs_ms + 6)[L[lead]]


def t_of(one: Drawn, beat: np.ndarray, lead: str) -> float:
    """The largest deflection of the T wave, with its sign."""
    qt_ms = 1000 * one.strip.qt_s
    wave = between_ms(beat, one.heart.qrs_ms + 70, min(qt_ms + 20, 590))[L[lead]]
    return float(wave[np.abs(wave).argmax()])


def st_of(one: Drawn, beat: np.ndarray, lead: str) -> float:
    return float(at_ms(beat, one.heart.qrs_ms + 40)[L[lead]])


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_eq_19_holds_in_counts(name: str):
    """III is II - I to the bit; aVR, aVL and aVF within half a count."""
    counts = np.rint(drawn(name, 0).ecg * 1000)
    residual = frontal_residual(counts)
    assert np.abs(residual[0]).max() == 0
    assert np.abs(residual[1:]).max() <= 0.5


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_size_is_that_of_an_ecg(name: str):
    for number in HEARTS:
        ecg = drawn(name, number).ecg
        assert np.isfinite(ecg).all()
        assert 0.2 < np.ptp(ecg, axis=1).max() < 9.0
        assert np.abs(np.median(ecg, axis=1)).max() < 0.6


@pytest.mark.parametrize(
    ("name", "shortest", "longest"),
    [
        ("normal ecg", 52, 108),
        ("left bundle branch block", 108, 195),
        ("right bundle branch block", 98, 180),
        ("paced rhythm", 110, 225),
        ("incomplete right bundle branch block", 64, 118),
        ("left anterior fascicular block", 58, 114),
    ],
)
def test_the_qrs_lasts_as_long_as_its_conduction_takes(name: str, shortest: float, longest: float):
    """By the loop's speed, which misses some 10 to 20 ms of slow beginning and end."""
    wide = {"left bundle branch block": {"part": 0.12}, "paced rhythm": {"part": 0.12, "from_ms": 6}}  # T is fast, too
    widths = [qrs_width_ms(mean_beat(drawn(name, number)), **wide.get(name, {})) for number in HEARTS]
    assert shortest < np.median(widths) < longest
    assert np.mean([shortest < width < longest for width in widths]) >= 0.8, widths


def test_drawn_qrs_durations_keep_to_their_definitions():
    for number in range(25):
        assert drawn("left bundle branch block", number).heart.qrs_ms >= 120
        assert drawn("right bundle branch block", number).heart.qrs_ms >= 120
        assert 100 <= drawn("incomplete right bundle branch block", number).heart.qrs_ms < 120
        assert 100 <= drawn("incomplete left bundle branch block", number).heart.qrs_ms < 120
        assert drawn("normal ecg", number).heart.qrs_ms < 110


def test_a_longer_drawn_qrs_is_longer_on_the_strip():
    drawn_ms, seen_ms = [], []
    for name in ("normal ecg", "left bundle branch block", "right bundle branch block", "left axis deviation"):
        for number in HEARTS:
            one = drawn(name, number)
            drawn_ms.append(one.heart.qrs_ms)
            seen_ms.append(qrs_width_ms(mean_beat(one)))
    assert np.corrcoef(drawn_ms, seen_ms)[0, 1] > 0.85


def test_a_left_bundle_branch_block_is_broad_upright_to_the_left_and_has_no_q():
    for number in HEARTS:
        one = drawn("left bundle branch block", number)
        beat = mean_beat(one)
        v1, v6, lead_i = qrs_of(one, beat, "V1"), qrs_of(one, beat, "V6"), qrs_of(one, beat, "I")
        assert -v1.min() > 2 * v1.max()  # rS or QS
        assert v6.max() > 3 * -v6.min()
        assert lead_i.min() > -0.12  # no q
        assert t_of(one, beat, "V1") > 0.1  # discordant
        assert t_of(one, beat, "V6") < 0.25


def test_a_right_bundle_branch_block_ends_to_the_right_and_the_front():
    for number in HEARTS:
        one = drawn("right bundle branch block", number)
        beat = mean_beat(one)
        half = round(one.heart.qrs_ms * 0.5)
        late_v1 = between_ms(beat, half, one.heart.qrs_ms)[L["V1"]]
        late_i, late_v6 = (between_ms(beat, half, one.heart.qrs_ms)[L[lead]] for lead in ("I", "V6"))
        assert late_v1.max() > 0.15  # R'
        assert late_v1.max() > 0.8 * between_ms(beat, 0, 50)[L["V1"]].max()
        assert late_i.min() < -0.08  # a broad S
        assert late_v6.min() < -0.12


def test_an_incomplete_right_bundle_branch_block_has_a_small_second_r():
    for number in HEARTS:
        one = drawn("incomplete right bundle branch block", number)
        late = between_ms(mean_beat(one), 0.55 * one.heart.qrs_ms, one.heart.qrs_ms)[L["V1"]]
        assert late.max() > 0.04


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("left axis deviation", -90, -28),
        ("left anterior fascicular block", -90, -42),
        ("right axis deviation", 95, 180),
        ("right ventricular hypertrophy", 92, 180),
        ("normal ecg", -32, 97),
        ("paced rhythm", -125, -28),
    ],
)
def test_the_axis_shows_in_all_frontal_leads(name: str, low: float, high: float):
    for number in HEARTS:
        one = drawn(name, number)
        axis = axis_deg(mean_beat(one), one.heart.qrs_ms)
        assert low < axis < high
        assert abs((axis - one.strip.qrs_axis_deg + 180) % 360 - 180) < 12


def test_a_left_anterior_fascicular_block_starts_downward():
    """q in aVL, r in III, then S."""
    for number in HEARTS:
        one = drawn("left anterior fascicular block", number)
        beat = mean_beat(one)
        iii, avl = qrs_of(one, beat, "III"), qrs_of(one, beat, "aVL")
        assert iii[: iii.argmin()].max() > 0.03
        assert -iii.min() > iii.max()
        assert avl[: avl.argmax()].min() < -0.02


def sokolow_mv(one: Drawn) -> float:
    beat = mean_beat(one)
    return max(qrs_of(one, beat, "V5").max(), qrs_of(one, beat, "V6").max()) - qrs_of(one, beat, "V1").min()


def test_hypertrophy_is_large_and_normal_is_not():
    """By Sokolow and Lyon in the chest leads, or by R in aVL."""
    for number in HEARTS:
        one = drawn("left ventricular hypertrophy", number)
        assert sokolow_mv(one) > 3.4 or qrs_of(one, mean_beat(one), "aVL").max() > 1.05
    assert max(sokolow_mv(drawn("normal ecg", number)) for number in HEARTS) < 3.6


def test_right_hypertrophy_has_a_tall_r_in_v1_and_a_deep_s_in_v6():
    for number in HEARTS:
        one = drawn("right ventricular hypertrophy", number)
        beat = mean_beat(one)
        v1, v6 = qrs_of(one, beat, "V1"), qrs_of(one, beat, "V6")
        assert v1.max() > 0.6
        assert v1.max() > -v1.min()
        assert -v6.min() > 0.3 * v6.max()


def test_low_voltage_is_low_in_all_limb_leads_and_nothing_else_is():
    for number in HEARTS:
        low, usual = drawn("low qrs voltage", number), drawn("normal ecg", number)
        assert max(np.ptp(qrs_of(low, mean_beat(low), lead)) for lead in LEADS[:6]) < 0.52
        assert max(np.ptp(qrs_of(usual, mean_beat(usual), lead)) for lead in LEADS[:6]) > 0.52


@pytest.mark.parametrize("wall", WALLS)
def test_st_rises_over_its_wall_and_falls_opposite(wall: str):
    for number in HEARTS:
        one = drawn(f"{wall} st elevation", number)
        levels = at_ms(mean_beat(one), one.heart.qrs_ms + 40)
        own = [levels[L[lead]] for lead in WALLS[wall]]
        assert max(own) > 0.12
        assert min(own) > 0.0
    opposite = {"inferior": "aVL", "lateral": "III", "anterior": None}[wall]
    if opposite:
        st = [
            st_of(drawn(f"{wall} st elevation", n), mean_beat(drawn(f"{wall} st elevation", n)), opposite)
            for n in HEARTS
        ]
        assert np.median(st) < -0.03


@pytest.mark.parametrize("wall", WALLS)
def test_st_falls_over_its_wall(wall: str):
    for number in HEARTS:
        one = drawn(f"{wall} st depression", number)
        levels = at_ms(mean_beat(one), one.heart.qrs_ms + 40)
        assert min(levels[L[lead]] for lead in WALLS[wall]) < -0.05


def test_st_of_a_healthy_heart_is_level():
    for number in HEARTS:
        one = drawn("normal ecg", number)
        levels = at_ms(mean_beat(one), one.heart.qrs_ms + 40)
        assert np.abs(levels[[L[lead] for lead in LEADS if lead not in ("V1", "V2", "V3", "V4")]]).max() < 0.12


@pytest.mark.parametrize("wall", WALLS)
def test_t_turns_over_its_wall(wall: str):
    for number in HEARTS:
        one = drawn(f"{wall} t wave inversion", number)
        beat = mean_beat(one)
        assert all(t_of(one, beat, lead) < -0.03 for lead in WALLS[wall])


def test_t_of_a_healthy_heart_is_upright():
    for number in HEARTS:
        one = drawn("normal ecg", number)
        beat = mean_beat(one)
        assert all(t_of(one, beat, lead) > 0 for lead in ("I", "II", "V4", "V5", "V6"))
        assert t_of(one, beat, "aVR") < 0


def q_wave(one: Drawn, lead: str) -> tuple[float, float]:
    """Depth in mV and duration in ms of what goes down before the first R."""
    wave = between_ms(mean_beat(one), -6, one.heart.qrs_ms)[L[lead]]
    up = np.flatnonzero(wave > 0.06)
    first_up = up[0] if len(up) else len(wave)
    down = np.flatnonzero(wave[:first_up] < -0.02)
    return (-float(wave[:first_up].min(initial=0.0)), 2.0 * len(down))


def test_an_old_inferior_infarct_has_q_waves_in_ii_iii_and_avf():
    for number in HEARTS:
        one = drawn("inferior myocardial infarction", number)
        deep_and_wide = [lead for lead in INFERIOR if q_wave(one, lead)[0] > 0.08 and q_wave(one, lead)[1] >= 20]
        assert len(deep_and_wide) >= 2
    healthy = [q_wave(drawn("normal ecg", number), "aVF") for number in HEARTS]
    assert np.median([depth for depth, _ in healthy]) < 0.08


def test_an_old_anteroseptal_infarct_has_no_r_in_v1_and_v2():
    for number in HEARTS:
        one = drawn("anteroseptal myocardial infarction", number)
        beat = mean_beat(one)
        for lead in ("V1", "V2"):
            wave = qrs_of(one, beat, lead)
            assert wave[: wave.argmin()].max(initial=0.0) < 0.1
            assert wave.min() < -0.25


def qtc_seen_ms(one: Drawn) -> float:
    beat = mean_beat(one, after_s=0.6)
    ends = []
    for lead in ("II", "V4", "V5"):
        if abs(t_of(one, beat, lead)) > 0.12:
            ends.append(t_end_ms(beat, L[lead], after_ms=one.heart.qrs_ms + 70))
    return float(np.median(ends)) / one.rhythm.mean_rr_s() ** (1 / 3) if ends else np.nan


def test_qt_is_long_short_or_usual_as_drawn():
    slow = [number for number in range(14) if drawn("normal ecg", number).rhythm.mean_rr_s() > 0.75]
    for number in slow:
        assert 350 < qtc_seen_ms(drawn("normal ecg", number)) < 465
    seen_long = [qtc_seen_ms(drawn("long qt interval+sinus bradycardia", number)) for number in range(5)]
    seen_short = [qtc_seen_ms(drawn("short qt interval", number)) for number in HEARTS]
    assert all(drawn("long qt interval", number).heart.qtc_ms > 480 for number in HEARTS)
    assert np.isnan(seen_long).sum() < 3, "most have a T wave that can be measured"
    assert np.nanmedian(seen_long) > 455
    assert np.median(seen_short) < 350


def p_of(one: Drawn, lead: str) -> np.ndarray:
    """The P wave, from the median over sinus impulses, less its first value."""
    start = [round(time * 500) for time in one.rhythm.events["p"] if 0.05 < time < 9.7]
    length = round((one.heart.pr_ms - 6) / 2)
    waves = np.median([one.ecg[L[lead], step : step + length] for step in start], axis=0)
    return waves - waves[0]


def test_p_is_tall_on_the_right_late_on_the_left():
    for number in HEARTS:
        right, left, usual = (
            drawn(name, number) for name in ("right atrial enlargement", "left atrial enlargement", "normal ecg")
        )
        assert p_of(right, "II").max() > 0.22
        assert p_of(usual, "II").max() < 0.22
        assert left.heart.p_ms >= 120 > usual.heart.p_ms
        assert p_of(left, "V1").min() < -0.04


def test_pr_is_as_drawn():
    for number in HEARTS:
        for name, low, high in (
            ("first degree av block", 200, 400),
            ("short pr interval", 80, 120),
            ("normal ecg", 120, 200),
            ("ventricular preexcitation", 80, 120),
        ):
            one = drawn(name, number)
            assert low <= one.heart.pr_ms <= high
            impulses, beats = one.rhythm.events["p"], one.rhythm.events["beat"]
            assert beats[2] - impulses[impulses < beats[2] - 0.05].max() == pytest.approx(
                one.heart.pr_ms / 1000, abs=1e-6
            )


def test_preexcitation_starts_slowly():
    """The first 30 ms of the delta wave hold less speed than those of a healthy QRS's main part, but more voltage."""
    for number in HEARTS:
        one = drawn("ventricular preexcitation", number)
        beat = mean_beat(one)
        start = np.linalg.norm(between_ms(beat, 4, 34), axis=0)
        assert start.max() > 0.1
        assert np.abs(np.gradient(between_ms(beat, 4, 34), axis=1)).max() * 500 < 45


def test_early_repolarisation_lifts_st_into_a_tall_t():
    for number in HEARTS:
        one = drawn("early repolarization", number)
        beat = mean_beat(one)
        assert max(st_of(one, beat, lead) for lead in ("V3", "V4", "V5")) > 0.08
        assert t_of(one, beat, "V4") > 0.15


def test_a_premature_ventricular_beat_is_broad_and_opposed_by_its_t():
    for number in HEARTS:
        one = drawn("premature ventricular complex", number)
        early = [time for time in one.rhythm.events["early beat"] if 0.4 < time < 9.3]
        if not early:
            continue
        beat = mean_beat(one, onsets=early)
        assert qrs_width_ms(beat) > 100
        lead = int(np.ptp(between_ms(beat, 0, 150), axis=1).argmax())
        qrs, wave = between_ms(beat, 0, 150)[lead], between_ms(beat, 200, 480)[lead]
        assert np.sign(qrs[np.abs(qrs).argmax()]) != np.sign(wave[np.abs(wave).argmax()])


def atrial_power(one: Drawn, lead: str, low: float, high: float) -> float:
    """Root mean square in mV between two frequencies, between the beats."""
    x = one.lead(lead).copy()
    spectrum = np.fft.rfft(x - x.mean())
    hertz = np.fft.rfftfreq(len(x), 1 / 500)
    spectrum[(hertz < low) | (hertz > high)] = 0
    return float(np.fft.irfft(spectrum, len(x)).std())


def test_fibrillation_trembles_and_shows_no_p():
    """Before its QRS a sinus beat has a bump at the same place each time; a fibrillating heart has not."""
    for number in HEARTS:
        one, sinus = drawn("atrial fibrillation", number), drawn("sinus rhythm", number)

        def before(heart: Drawn) -> float:
            segments = [
                heart.lead("II")[round(time * 500) - 110 : round(time * 500) - 10]
                for time in heart.rhythm.events["beat"]
                if 0.5 < time < 9.5
            ]
            return float(np.ptp(np.mean([part - part.mean() for part in segments], axis=0)))

        assert before(sinus) > 0.05
        assert before(one) < 1.2 * before(sinus) + 0.05


def test_flutter_is_a_sawtooth_in_the_inferior_leads():
    for number in HEARTS:
        one = drawn("atrial flutter", number)
        rate = 1 / np.diff(one.rhythm.events["flutter"]).mean()
        at_rate = atrial_power(one, "aVF", rate - 0.2, rate + 0.2)
        beside = atrial_power(one, "aVF", rate + 0.5, rate + 0.9)
        assert at_rate > 0.025
        assert at_rate > 1.5 * beside


def test_a_spike_stands_before_each_paced_beat():
    for number in HEARTS:
        one = drawn("paced rhythm", number)
        curvature = np.abs(np.diff(one.ecg, 2, axis=1)).max(axis=0)
        spikes = one.rhythm.events["spike"]
        for time in spikes[(spikes > 0.1) & (spikes < 9.8)]:
            step = round(time * 500)
            assert curvature[step - 2 : step + 5].max() > 3 * np.median(curvature)


def test_hearts_of_one_condition_differ():
    """No template: normal ECGs differ in every lead, more than beats of one heart do."""
    beats = np.array([mean_beat(drawn("normal ecg", number))[:, 120:400] for number in HEARTS])
    spread = beats.std(axis=0).max(axis=1)
    assert (spread > 0.08).all()
    peaks = np.abs(beats).max(axis=2)
    assert (peaks.max(axis=0) / peaks.min(axis=0) > 1.5).all()
