"""Recordings made alike: what comes out does not depend on how the source wrote it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hearts import as_bytes, dat_bytes, header_lines, heart_counts, heart_mv
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS, frontal_residual
from ecgray.waveform.record import Recording, parse_recording, read_recording
from ecgray.waveform.standard import repair, standardise

GOOD = heart_counts()
MV = heart_mv()


def recorded(mv: np.ndarray, *, fs: float = 500, names: tuple[str, ...] = LEADS) -> Recording:
    return Recording.from_mv(mv, fs=fs, names=names)


def stored(counts: np.ndarray, gain: str = "1000.0(0)/mV", *, checksums: bool = True) -> Recording:
    lines = [line.replace("1000.0(0)/mV", gain) for line in header_lines(counts)]
    return parse_recording(as_bytes(lines), {"r.dat": dat_bytes(counts)})


def code_of(recording: Recording, **options: bool) -> str:
    with pytest.raises(EcgInputError) as caught:
        standardise(recording, **options)
    return caught.value.code


# stored counts equal the source


@pytest.mark.real
@pytest.mark.parametrize(
    "archive", ["ptbxl", "ptbxl_cinc2021_format", "cpsc2018", "georgia", "chapman_shaoxing_ningbo"]
)
def test_real_counts_are_kept_to_the_bit(archive: str, real_data: Path):
    for path in sorted((real_data / archive).rglob("*.hea")):
        ecg = standardise(read_recording(path.with_suffix("")))
        theirs = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
        order = [[name.lower() for name in theirs.sig_name].index(lead.lower()) for lead in LEADS]
        assert np.array_equal(ecg.counts, theirs.d_signal.T[order, :5000])
        assert ecg.counts.dtype == np.int16
        assert (ecg.source_fs, ecg.source_duration_s) == (500, theirs.sig_len / 500)
        assert ("first_10_s" in ecg.flags) == (theirs.sig_len > 5000)


def test_plain_counts_never_become_floats(monkeypatch: pytest.MonkeyPatch):
    """The path of MIMIC-IV-ECG and PTB-XL: whole factors are applied to int16."""

    def refuse(*_: object) -> None:
        raise AssertionError("counts became floats")

    monkeypatch.setattr(Recording, "millivolts", refuse)
    assert np.array_equal(standardise(stored(GOOD)).counts, GOOD)
    coarse = GOOD // 5
    assert np.array_equal(standardise(stored(coarse, "200.0(0)/mV")).counts, coarse * 5)


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(400, 5000), baseline=st.integers(-3000, 3000), negative=st.booleans())
def test_a_stored_count_is_the_source_within_half_a_count(gain: float, baseline: int, negative: bool):
    signed = -gain if negative else gain
    counts = np.rint(MV * signed + baseline).astype(np.int16)
    recording = stored(counts, f"{signed!r}({baseline})/mV")
    ecg = standardise(recording)
    assert np.abs(ecg.counts - recording.signal * 1000).max() <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("gain", "counts"),
    [
        ("1000.0(0)/mV", GOOD),
        ("1000(0)/mv", GOOD),
        ("1(0)/uV", GOOD),
        ("1.0(0)/UV", GOOD),
        ("1000000(0)/V", GOOD),
        ("1000(250)/mV", GOOD + 250),
        ("2000(-6)/mV", GOOD * 2 - 6),
        ("-1000(0)/mV", -GOOD),
        ("0.002(-32000)/nosuch", None),
    ],
)
def test_units_gain_and_baseline_do_not_show(gain: str, counts: np.ndarray | None):
    if counts is None:
        with pytest.raises(EcgInputError, match="unit"):
            stored(GOOD, gain)
    else:
        assert np.array_equal(standardise(stored(counts.astype(np.int16), gain)).counts, GOOD)


# leads


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)), upper=st.booleans())
def test_the_order_of_the_leads_does_not_show(order: list[int], upper: bool):
    names = [LEADS[place].upper() if upper else f"lead_{LEADS[place].lower()}" for place in order]
    counts = GOOD[order]
    recording = parse_recording(as_bytes(header_lines(counts, names=names)), {"r.dat": dat_bytes(counts)})
    ecg = standardise(recording)
    assert np.array_equal(ecg.counts, GOOD)
    assert ecg.flags == ()


@settings(max_examples=30, deadline=None)
@given(kept=st.sets(st.sampled_from(LEADS[2:6]), max_size=3), fs=st.sampled_from([500, 360]))
def test_absent_frontal_leads_follow_from_i_and_ii(kept: set[str], fs: int):
    names = tuple(lead for lead in LEADS if lead in kept or lead not in LEADS[2:6])
    mv = heart_mv(fs=fs)[[LEADS.index(lead) for lead in names]]
    ecg = standardise(recorded(mv, fs=fs, names=names))
    assert "leads_derived" in ecg.flags
    residual = np.abs(frontal_residual(ecg.counts.astype(float))).max(axis=1)
    derived = [lead not in kept for lead in LEADS[2:6]]
    assert (residual[derived] <= 0.5).all()
    if "III" not in kept:
        assert residual[0] == 0
    assert "lead_identity_violation" not in ecg.flags


def test_without_i_or_a_chest_lead_there_is_no_ecg():
    assert code_of(recorded(MV[1:], names=LEADS[1:])) == "leads_missing"
    assert code_of(recorded(MV[:11], names=LEADS[:11])) == "leads_missing"


def test_missing_leads_can_be_allowed():
    ecg = standardise(recorded(MV[1:2], names=("II",)), allow_missing_leads=True)
    assert ecg.flags == tuple(f"lead_missing:{lead}" for lead in LEADS if lead != "II")
    assert np.array_equal(ecg.counts[1], np.rint(MV[1] * 1000))
    assert not np.delete(ecg.counts, 1, axis=0).any()


# time


@pytest.mark.parametrize("fs", [250, 257, 312.5, 360, 400, 1000, 2000, 5000])
def test_the_sampling_rate_does_not_show(fs: float):
    """A smooth heart drawn at `fs` is the one drawn at 500 Hz, within 10 uV, ends included."""
    ecg = standardise(recorded(heart_mv(fs=fs), fs=fs))
    assert "resampled" in ecg.flags
    assert np.abs(ecg.counts - MV * 1000).max() <= 10


def test_100_hz_keeps_the_slow_waves():
    ecg = standardise(recorded(heart_mv(fs=100), fs=100))
    assert np.abs(ecg.counts - MV * 1000).mean() < 15


def test_an_offset_does_not_ring_at_the_ends():
    ecg = standardise(recorded(heart_mv(fs=257, duration_s=12) + 4, fs=257))
    assert np.abs(ecg.counts - 4000 - MV * 1000).max() <= 10


@pytest.mark.real
def test_1000_hz_is_halved_as_scipy_does(real_data: Path):
    """PTB s0010_re: 15 signals, 38.4 s at 1000 Hz. The first 10 s equal the whole record's, away from its end."""
    from scipy.signal import resample_poly

    recording = read_recording(real_data / "ptbdb" / "s0010_re")
    ecg = standardise(recording)
    assert {"resampled", "first_10_s"} <= set(ecg.flags)
    whole = resample_poly(recording.signal, 1, 2, axis=1)[:, :5000] * 1000
    assert np.abs(ecg.counts - whole)[:, 100:].max() <= 1


@pytest.mark.real
def test_two_leads_are_no_ecg_unless_allowed(real_data: Path):
    recording = read_recording(real_data / "mitdb" / "100")
    assert code_of(recording) == "leads_missing"
    ecg = standardise(recording, allow_missing_leads=True)
    assert {"resampled", "first_10_s", "lead_missing:I"} <= set(ecg.flags)
    assert ecg.counts[LEADS.index("V5")].any()


@pytest.mark.parametrize("fs", [500, 250])
def test_short_recordings_are_padded_at_the_end(fs: int):
    ecg = standardise(recorded(heart_mv(fs=fs, duration_s=2.5), fs=fs))
    assert "padded" in ecg.flags
    assert not ecg.counts[:, 1250:].any()
    assert np.abs(ecg.counts[:, :1250] - MV[:, :1250] * 1000).max() <= 10
    assert ecg.source_duration_s == 2.5


def test_below_two_and_a_half_seconds_there_is_no_ecg():
    assert code_of(recorded(MV[:, :1249])) == "too_short"


def test_of_a_long_recording_the_first_ten_seconds_are_kept():
    ecg = standardise(recorded(heart_mv(duration_s=61)))
    assert ecg.flags == ("first_10_s",)
    assert np.abs(ecg.counts - MV * 1000).max() <= 0.5


@pytest.mark.parametrize(("fs", "code"), [(99.9, "sampling_rate_out_of_range"), (5000.1, "sampling_rate_out_of_range")])
def test_sampling_rates_out_of_range(fs: float, code: str):
    assert code_of(recorded(np.tile(MV, 20), fs=fs)) == code


# values


def test_a_missing_sample_is_the_mean_of_its_six_neighbours():
    counts = GOOD.copy()
    peak = int(GOOD[1, 1000:1500].argmax()) + 1000
    counts[1, peak] = -32768
    ecg = standardise(stored(counts))
    near = GOOD[1, [peak - 3, peak - 2, peak - 1, peak + 1, peak + 2, peak + 3]]
    assert "non_finite_repaired" in ecg.flags
    assert ecg.counts[1, peak] == np.rint(near.mean())
    ecg.counts[1, peak] = GOOD[1, peak]
    assert np.array_equal(ecg.counts, GOOD)


def test_a_gap_takes_the_mean_of_its_lead_and_an_empty_lead_zero():
    row = np.array([[1.0, 2.0, *[np.nan] * 9, 6.0], [np.inf] * 12])
    fixed = repair(row, ~np.isfinite(row))
    assert fixed[0, 6] == 3.0  # three on each side are missing too
    assert fixed[0, 2] == 1.5
    assert fixed[0, 10] == 6.0
    assert not fixed[1].any()


def test_infinities_are_repaired_too():
    mv = MV.copy()
    mv[0, 10], mv[1, 20], mv[2, 30] = np.inf, -np.inf, np.nan
    ecg = standardise(recorded(mv))
    assert "non_finite_repaired" in ecg.flags
    assert np.abs(ecg.counts - MV * 1000).max() < 30


def test_a_lead_that_was_never_measured_is_flat():
    counts = GOOD.copy()
    counts[7] = -32768
    ecg = standardise(stored(counts))
    assert {"non_finite_repaired", "lead_flat:V2"} <= set(ecg.flags)


def test_one_percent_above_20_mv_is_no_ecg():
    mv = MV.copy()
    mv[:, :60] = 25
    assert code_of(recorded(mv)) == "amplitude_implausible"
    mv[:, 10:60] = 0
    assert standardise(recorded(mv)).counts.max() == 25_000


def test_a_coarse_source_may_be_off_by_two_of_its_counts():
    """Leads that are rounded one by one are 1.5 counts off at the most."""
    counts = GOOD.copy()
    counts[2, 100:200] += 2
    assert standardise(stored(counts, "200(0)/mV")).flags == ()
    counts[2, 100:200] += 1
    assert standardise(stored(counts, "200(0)/mV")).flags == ("lead_identity_violation",)


def test_a_spike_beyond_int16_is_cut_and_flagged():
    mv = MV.copy()
    mv[8, 100:104] = 40
    ecg = standardise(recorded(mv))
    assert "clipped:V3" in ecg.flags
    assert ecg.counts.max() == 32767


def test_large_counts_with_a_factor_do_not_wrap_around():
    counts = GOOD // 5
    counts[6, 50] = 7000
    ecg = standardise(stored(counts, "200(0)/mV"))
    assert ecg.counts[6, 50] == 32767
    assert "clipped:V1" in ecg.flags


def test_what_was_given_is_not_written_to():
    recording = stored(GOOD)
    before = recording.counts.copy()
    standardise(recording)
    assert np.array_equal(recording.counts, before)


@pytest.mark.real
def test_reading_takes_less_than_a_third_of_wfdbs_time(real_data: Path):
    """CPU over the same files: ours with checksum, order, units and quality flags against rdrecord alone."""
    script = Path(__file__).parents[2] / "benchmarks" / "reading.py"
    run = subprocess.run(
        [sys.executable, script, real_data / "ptbxl", "60"], capture_output=True, text=True, check=True
    )
    figures = json.loads(run.stdout.splitlines()[-1])
    assert figures["records"] == 60
    assert figures["all_s_per_1000"] * 3 < figures["wfdb_s_per_1000"]
