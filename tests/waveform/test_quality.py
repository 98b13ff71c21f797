"""Quality flags: each fires on its fault, and hardly on good recordings."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hearts import heart_counts, heart_mv

from ecgray.errors import EcgInputError
from ecgray.leads import LEADS
from ecgray.waveform.quality import clipped_leads, mean_rr_ms, quality_flags
from ecgray.waveform.record import Recording, read_recording
from ecgray.waveform.standard import standardise

GOOD = heart_counts()
RNG = np.random.default_rng(0)
SET_A = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def changed(lead: str, row: np.ndarray) -> np.ndarray:
    counts = GOOD.copy()
    counts[LEADS.index(lead)] = np.clip(row, -32767, 32767).astype(np.int16)
    return counts


def row(lead: str) -> np.ndarray:
    return GOOD[LEADS.index(lead)].astype(float)


def test_a_good_heart_has_no_flag():
    assert quality_flags(GOOD) == []
    assert quality_flags(GOOD[:, :1250]) == []


def test_an_electrode_that_fell_off():
    assert quality_flags(changed("V4", np.full(5000, 300))) == ["lead_flat:V4"]
    hum = 10 * np.sin(np.arange(5000) * 2 * np.pi * 50 / 500)
    assert quality_flags(changed("V4", hum)) == ["lead_flat:V4"]


def test_every_lead_constant_is_no_ecg():
    with pytest.raises(EcgInputError) as caught:
        quality_flags(np.tile(np.arange(12, dtype=np.int16)[:, None], 5000))
    assert caught.value.code == "signal_flat"


def test_muscle_noise():
    assert quality_flags(changed("V5", row("V5") + RNG.normal(0, 150, 5000))) == ["noise_high:V5"]
    assert quality_flags(changed("V5", row("V5") + RNG.normal(0, 15, 5000))) == []


def test_pure_noise_is_noise_in_every_lead():
    flags = quality_flags(RNG.normal(0, 400, (12, 5000)).astype(np.int16))
    assert {f"noise_high:{lead}" for lead in LEADS} <= set(flags)


def test_a_wandering_baseline():
    slow = np.sin(np.arange(5000) * 2 * np.pi * 0.15 / 500)
    assert quality_flags(changed("V3", row("V3") + 4000 * slow)) == ["wander_high:V3"]
    assert quality_flags(changed("V3", row("V3") + 300 * slow)) == []


def test_a_recorder_that_cuts_each_beat():
    assert quality_flags(changed("V4", np.minimum(row("V4"), 500))) == ["clipped:V4"]


def test_a_recorder_at_the_end_of_its_range():
    stuck = row("V2")
    stuck[100:103] = 32767
    assert "clipped:V2" in quality_flags(changed("V2", stuck))
    held = row("V2")
    held[3000:3300] = held.max() + 500
    assert "clipped:V2" in quality_flags(changed("V2", held))


def test_a_plateau_near_the_baseline_is_not_clipping():
    """Compressed archives hold a value for a while; the lowest stretch of a lead may well be its resting level."""
    quiet = np.maximum(row("V6"), -20)
    assert clipped_leads(quiet[None].astype(np.int16), ["V6"]) == []


@pytest.mark.parametrize("pair", [("aVL", "aVF"), ("I", "II"), ("III", "aVR")])
def test_swapped_limb_leads_break_the_identities(pair: tuple[str, str]):
    one, other = (LEADS.index(lead) for lead in pair)
    counts = GOOD.copy()
    counts[[one, other]] = counts[[other, one]]
    assert "lead_identity_violation" in quality_flags(counts)


def test_identities_may_be_off_by_the_sources_resolution():
    coarse = np.rint(GOOD / 5) * 5
    coarse[2] += 5 * RNG.integers(-1, 2, 5000)
    assert "lead_identity_violation" in quality_flags(coarse.astype(np.int16))
    assert quality_flags(coarse.astype(np.int16), identity_uv=10) == []


@pytest.mark.parametrize("lead", ["III", "aVR", "aVL", "aVF"])
def test_the_deviation_is_that_of_the_lead_itself(lead: str):
    assert quality_flags(changed(lead, row(lead) + 4 * (np.arange(5000) == 700))) == []
    assert quality_flags(changed(lead, row(lead) + 7 * (np.arange(5000) == 700))) == ["lead_identity_violation"]


def with_arms_swapped(counts: np.ndarray) -> np.ndarray:
    """RA and LA exchanged: I turns over, II and III change places, aVR and aVL too."""
    swapped = counts.copy()
    swapped[0], swapped[1], swapped[2] = -counts[0], counts[2], counts[1]
    swapped[3], swapped[4] = counts[4], counts[3]
    return swapped


def test_swapped_arms():
    assert quality_flags(with_arms_swapped(GOOD)) == ["possible_limb_reversal"]


@pytest.mark.parametrize("bpm", [40, 75, 150])
def test_the_mean_rr_interval(bpm: float):
    assert mean_rr_ms(heart_counts(bpm=bpm)) == pytest.approx(60_000 / bpm, rel=0.02)


def test_a_rate_that_was_stated_wrongly_shows_in_the_beats():
    twice = Recording.from_mv(heart_mv(fs=1000), fs=500, names=LEADS)
    assert "sampling_rate_suspect" in standardise(twice, rr_ms=800).flags
    right = Recording.from_mv(heart_mv(fs=1000), fs=1000, names=LEADS)
    assert "sampling_rate_suspect" not in standardise(right, rr_ms=800).flags


@pytest.mark.real
def test_the_mean_rr_interval_is_the_cardiologists(real_data: Path):
    """LUDB, 140 records: within 10 % of the mean of the marked R peaks in lead II."""
    for name, counts in real_counts(real_data / "ludb", digital=True).items():
        marks = wfdb.rdann(str(real_data / "ludb" / "data" / name), "ii")
        peaks = [place for place, symbol in zip(marks.sample, marks.symbol, strict=True) if symbol == "N"]
        assert mean_rr_ms(counts) == pytest.approx(2 * np.diff(peaks).mean(), rel=0.1)


def test_missing_leads_are_not_judged():
    counts = GOOD.copy()
    counts[[0, 9]] = 0
    assert quality_flags(counts, missing=frozenset({"I", "V4"})) == []


# on real recordings


def real_counts(folder: Path, *, digital: bool = False) -> dict[str, np.ndarray]:
    paths = sorted(folder.rglob("*.hea"))
    return {path.stem: standardise(read_recording(path.with_suffix(""), digital=digital)).counts for path in paths}


def kinds(counts: np.ndarray) -> set[str]:
    return {flag.partition(":")[0] for flag in quality_flags(counts)}


@pytest.mark.real
def test_flags_are_rare_on_good_real_recordings(real_data: Path):
    """354 PTB-XL records: 4 wander, 1 breaks an identity (00162, a glitch of the source), 1 looks reversed."""
    flagged = {name: kinds(counts) for name, counts in real_counts(real_data / "ptbxl").items()}
    assert Counter(kind for each in flagged.values() for kind in each) == {
        "wander_high": 4,
        "lead_identity_violation": 1,
        "possible_limb_reversal": 1,
    }
    assert flagged["00162_hr"] == {"lead_identity_violation"}


@pytest.mark.real
def test_real_recordings_with_swapped_leads_are_found(real_data: Path):
    counts = list(real_counts(real_data / "ptbxl").values())
    arms = [with_arms_swapped(each) for each in counts]
    crossed = [each[[0, 1, 2, 3, 5, 4, *range(6, 12)]] for each in counts]
    assert sum("possible_limb_reversal" in kinds(each) for each in arms) >= 320  # of 354
    assert all("lead_identity_violation" in kinds(each) for each in crossed)


@pytest.mark.real
def test_flags_tell_acceptable_from_unacceptable(real_data: Path):
    """Challenge 2011 set-a, 30 and 30: all unacceptable ones are flagged or refused, two acceptable ones are."""
    folder = real_data / "cinc2011_quality"
    seen: dict[str, list[bool]] = {"acceptable": [], "unacceptable": []}
    for line in csv.DictReader((folder / "quality.csv").read_text().splitlines()):
        seen[line["quality"]].append(bool(judged(next(folder.rglob(f"{line['record']}.txt.gz")))))
    assert (len(seen["unacceptable"]), sum(seen["unacceptable"])) == (30, 30)
    assert (len(seen["acceptable"]), sum(seen["acceptable"])) == (30, 2)


def judged(path: Path) -> set[str]:
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    recording = Recording(table[:, 1:].T.astype(np.int16), (200.0,) * 12, (0,) * 12, 500.0, SET_A)
    try:
        return {flag for flag in standardise(recording).flags if flag != "possible_limb_reversal"}
    except EcgInputError as error:
        return {error.code}
