"""The paper picture measured with a ruler: every law is read off the SVG's own coordinates."""

from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.waveform.paper import LAYOUTS, TOLERANCE_MM, Answer, draw_paper

SVG = "{http://www.w3.org/2000/svg}"


def corners(svg: str, name: str) -> list[np.ndarray]:
    """The polylines of a class as arrays of (x, y) in mm."""
    lines = [line for line in ElementTree.fromstring(svg).iter(f"{SVG}polyline") if line.get("class") == name]
    return [np.array([pair.split(",") for pair in (line.get("points") or "").split()], float) for line in lines]


def words(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def spikes(*, lead: str, at_s: list[float], height_mv: float) -> np.ndarray:
    """Flat leads, and one of them with a triangle 40 ms wide at each of the times."""
    time_s = np.arange(5000) / 500
    ecg = np.zeros((12, 5000))
    for moment in at_s:
        ecg[LEADS.index(lead)] += height_mv * np.clip(1 - np.abs(time_s - moment) / 0.02, 0, None)
    return ecg


def test_the_picture_is_in_millimetres():
    root = ElementTree.fromstring(draw_paper(np.zeros((12, 5000)), title="t"))
    width, height = (root.get(name, "").removesuffix("mm") for name in ("width", "height"))
    assert root.get("viewBox") == f"0 0 {width} {height}"
    assert root.get("width", "").endswith("mm")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_millivolt_is_ten_millimetres(layout: str):
    for trace in corners(draw_paper(spikes(lead="II", at_s=[1.0], height_mv=1.0), title="t", layout=layout), "lead II"):
        assert np.ptp(trace[:, 1]) == pytest.approx(10, abs=0.02)


def test_one_second_is_25_millimetres():
    rhythm = corners(draw_paper(spikes(lead="II", at_s=[3.0, 4.0], height_mv=1.0), title="t"), "lead II")[1]
    peaks = rhythm[rhythm[:, 1] <= rhythm[:, 1].min() + 0.01, 0]
    assert peaks[1] - peaks[0] == pytest.approx(25, abs=0.01)
    assert np.ptp(rhythm[:, 0]) == pytest.approx(250, abs=0.1)  # the row's ten seconds


def test_other_scales_are_drawn_and_said():
    svg = draw_paper(spikes(lead="I", at_s=[1.0], height_mv=1.0), title="t", layout="12x1", speed_mm_s=50, gain_mm_mv=5)
    trace = corners(svg, "lead I")[0]
    assert np.ptp(trace, axis=0) == pytest.approx([500, 5], abs=0.11)
    assert "50 mm/s, 5 mm/mV" in words(svg)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_row_begins_with_a_pulse_of_1_mv_and_200_ms(layout: str):
    pulses = corners(draw_paper(np.zeros((12, 5000)), title="t", layout=layout), "pulse")
    assert len(pulses) == len(LAYOUTS[layout])
    for pulse in pulses:
        top = pulse[pulse[:, 1] == pulse[:, 1].min()]
        assert np.ptp(pulse[:, 1]) == pytest.approx(10)
        assert np.ptp(top[:, 0]) == pytest.approx(5)


def test_the_pulse_stands_on_the_baseline_of_its_row():
    svg = draw_paper(np.zeros((12, 5000)), title="t")
    assert [pulse[0, 1] for pulse in corners(svg, "pulse")] == [
        corners(svg, f"lead {lead}")[place][0, 1] for lead, place in (("I", 0), ("II", 0), ("III", 0), ("II", 1))
    ]


@pytest.mark.parametrize(("layout", "labels"), [("3x4+1", 13), ("6x2", 12), ("12x1", 12)])
def test_every_lead_is_named(layout: str, labels: int):
    named = [text for text in words(draw_paper(np.zeros((12, 5000)), title="t", layout=layout)) if text in LEADS]
    assert len(named) == labels
    assert set(named) == set(LEADS)


@pytest.mark.parametrize(("layout", "column_s"), [("3x4+1", 2.5), ("6x2", 5.0), ("12x1", 10.0)])
def test_each_lead_is_shown_at_its_own_time(layout: str, column_s: float):
    """A ramp of 0.2 mV/s tells the time: where a lead begins and ends on the paper, and at which moment of the ECG."""
    ramp = np.tile(0.2 * np.arange(5000) / 500, (12, 1))
    svg = draw_paper(ramp, title="t", layout=layout)
    assert 10 / len(LAYOUTS[layout][0]) == column_s
    for row in LAYOUTS[layout]:
        column_s = 10 / len(row)  # the rhythm strip is a row of its own
        for place, lead in enumerate(row):
            traces = corners(svg, f"lead {lead}")
            trace = traces[-1] if len(row) == 1 else traces[0]
            baseline = corners(svg, "pulse")[LAYOUTS[layout].index(row)][0, 1]
            begins_s, ends_s = 5 + (baseline - trace[[0, -1], 1]) / 10 / 0.2  # the median is the moment of 5 s
            assert begins_s == pytest.approx(place * column_s, abs=0.02)
            assert ends_s == pytest.approx((place + 1) * column_s, abs=0.02)
            assert trace[0, 0] == pytest.approx(15 + 25 * place * column_s, abs=0.01)
            assert np.ptp(trace[:, 0]) == pytest.approx(25 * column_s, abs=0.06)


def test_columns_are_parted_by_ticks():
    svg = draw_paper(np.zeros((12, 5000)), title="t")
    ticks = [path for path in ElementTree.fromstring(svg).iter(f"{SVG}path") if path.get("class") == "tick"]
    assert len(ticks) == 9


def test_the_grid_has_a_line_every_millimetre_and_a_stronger_one_every_five():
    root = ElementTree.fromstring(draw_paper(np.zeros((12, 5000)), title="t"))
    drawn = {path.get("class"): path.get("d", "") for path in root.iter(f"{SVG}path")}
    steps = {name: {step for step, _ in re.findall(r"m(\d+)-([\d.]+)v", drawn[name])} for name in ("mm1", "mm5")}
    assert steps == {"mm1": {"1"}, "mm5": {"5"}}
    assert drawn["mm1"].count("v") == 260 + 1
    assert drawn["mm5"].count("v") == 260 / 5 + 1


def test_integers_are_counts_and_floats_are_millivolts():
    rng = np.random.default_rng(1)
    counts = rng.integers(-1500, 1500, (12, 5000)).astype(np.int16)
    assert draw_paper(counts, title="t") == draw_paper(counts / 1000, title="t")


def test_no_point_is_missed_by_more_than_the_tolerance():
    rng = np.random.default_rng(2)
    ecg = np.cumsum(rng.normal(0, 0.01, (12, 5000)), axis=1)
    ecg -= np.median(ecg, axis=1, keepdims=True)
    svg = draw_paper(ecg, title="t", layout="12x1")
    baselines = [pulse[0, 1] for pulse in corners(svg, "pulse")]
    for lead, baseline in zip(LEADS, baselines, strict=True):
        trace = corners(svg, f"lead {lead}")[0]
        drawn = np.interp(15 + np.arange(5000) * 0.05, trace[:, 0], trace[:, 1])
        steepest = np.hypot(1, np.abs(np.diff(trace[:, 1]) / np.diff(trace[:, 0])).max())
        asked = baseline - ecg[LEADS.index(lead)] * 10
        assert np.abs(drawn - asked).max() <= (TOLERANCE_MM + 0.01) * steepest


def test_a_wave_off_the_paper_is_cut_open_not_bent():
    ecg = spikes(lead="V1", at_s=[6.0], height_mv=30.0)
    svg = draw_paper(ecg, title="t")
    pieces = corners(svg, "lead V1")
    everything = np.concatenate([*pieces, *corners(svg, "lead II")])
    assert len(pieces) == 2
    assert all(np.diff(piece[:, 0]).min() > 0 for piece in pieces)
    assert everything[:, 1].min() >= 17  # the grid begins below the title
    assert not any((np.diff(piece[:, 1]) == 0).any() and np.ptp(piece[:, 1]) > 1 for piece in pieces[:1])


def test_what_is_not_a_number_is_not_drawn():
    ecg = spikes(lead="V6", at_s=[9.0], height_mv=1.0)
    ecg[LEADS.index("V6"), 4000:4100] = np.nan
    ecg[LEADS.index("V2")] = np.nan
    svg = draw_paper(ecg, title="t")
    assert "nan" not in svg.lower()
    assert len(corners(svg, "lead V6")) == 2
    assert corners(svg, "lead V2") == []


def test_text_is_escaped_and_stays_text():
    nasty = "<script>alert('&')</script>\x00\x1b\ud800 \"quoted\""
    svg = draw_paper(
        np.zeros((12, 5000)), title=nasty, subtitle=nasty, answers=[Answer(nasty, 0.5, None)], synthetic=True
    )
    assert "<script" not in svg
    assert words(svg).count("<script>alert('&')</script> \"quoted\"") == 3
    svg.encode("utf-8")


def test_answers_stand_beside_the_paper():
    answers = [Answer("atrial fibrillation", 0.25, True), Answer("paced rhythm", 0.75, False), Answer("sth else", 1.0)]
    root = ElementTree.fromstring(draw_paper(np.zeros((12, 5000)), title="t", answers=answers))
    rects = {name: [r for r in root.iter(f"{SVG}rect") if r.get("class") == name] for name in ("bar", "rail")}
    shares = [
        float(bar.get("width", "")) / float(rail.get("width", ""))
        for bar, rail in zip(rects["bar"], rects["rail"], strict=True)
    ]
    assert shares == pytest.approx([0.25, 0.75, 1.0], abs=0.001)
    dots = [circle.get("fill") for circle in root.iter(f"{SVG}circle")]
    assert len(dots) == 2  # the third has no truth
    assert dots[1] == "none" != dots[0]
    assert min(float(rail.get("x", "")) for rail in rects["rail"]) > 265  # right of the grid


def test_only_synthetic_ecgs_say_so():
    ecg = np.zeros((12, 5000))
    assert "SYNTHETIC" in words(draw_paper(ecg, title="t", synthetic=True))
    assert "SYNTHETIC" not in words(draw_paper(ecg, title="t"))


def test_the_same_ecg_gives_the_same_picture_and_a_small_one():
    rng = np.random.default_rng(3)
    ecg = spikes(lead="II", at_s=[1, 2, 3, 4], height_mv=1.2) + rng.normal(0, 0.01, (12, 5000))
    svg = draw_paper(ecg, title="t")
    assert svg == draw_paper(ecg.copy(), title="t")
    assert len(svg) < 250_000
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")


def test_another_ecg_is_drawn_over_it_in_red():
    ecg = spikes(lead="V4", at_s=[8.0], height_mv=1.0)
    svg = draw_paper(ecg, title="t", over=0.5 * ecg)
    first, second = corners(svg, "lead V4")
    assert np.ptp(first[:, 1]) == pytest.approx(10, abs=0.05)
    assert np.ptp(second[:, 1]) == pytest.approx(5, abs=0.05)
    assert svg.count(">V4</text>") == 1
    assert draw_paper(ecg, title="t") != svg


def test_an_unknown_layout_is_refused_in_a_sentence():
    with pytest.raises(ConfigError, match="Layout '4x3' is unknown; it must be one of 3x4"):
        draw_paper(np.zeros((12, 5000)), title="t", layout="4x3")


@pytest.mark.real
def test_a_real_ecg_is_drawn_where_wfdb_reads_it(real_data: Path):
    """Every point of lead II of a PTB-XL record lies where its voltage says."""
    import wfdb

    with (real_data / "ptbxl" / "ptbxl_database.csv").open() as file:
        name = next(csv.DictReader(file))["filename_hr"]
    voltage = wfdb.rdrecord(str(real_data / "ptbxl" / name)).p_signal.T
    svg = draw_paper(voltage, title=name)
    rhythm, baseline = corners(svg, "lead II")[-1], corners(svg, "pulse")[-1][0, 1]
    positions = np.round((rhythm[:, 0] - 15) / 0.05).astype(int)
    expected = voltage[1, positions] - np.median(voltage[1])
    assert np.abs((baseline - rhythm[:, 1]) / 10 - expected).max() < 0.002
    assert len(svg) < 150_000
