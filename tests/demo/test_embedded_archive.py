"""The embedded archive as it lies on the disk: MIMIC-IV-ECG's and MIMIC-IV's layouts, the same bytes each time."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgray.archives import detect, read_manifest
from ecgray.demo.archive import STORED_LEADS, draw_archive
from ecgray.demo.care import DIAGNOSES, DRUGS, FOLLOWS, GIVEN, PROCEDURES, TREATED
from ecgray.demo.conditions import BY_NAME
from ecgray.demo.noise import draw_noise
from ecgray.demo.reports import NOT_MEASURED
from ecgray.errors import ConfigError
from ecgray.leads import LEADS, frontal_residual
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise

PATIENTS, SEED = 80, 11


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    draw_archive(folder, patients=PATIENTS, seed=SEED)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("ascii")
    return list(csv.DictReader(io.StringIO(text), strict=True))


def header(path: Path) -> str:
    with gzip.open(path, "rt") as file:
        return file.readline().strip()


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def truth(archive: Path) -> dict[str, set[str]]:
    return {row["study_id"]: set(row["terms"].split(";")) for row in rows(archive / "demo_truth.csv")}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path):
    for name in ("one", "other"):
        draw_archive(tmp_path / name, patients=12, seed=SEED)
    assert digest(tmp_path / "one") == digest(tmp_path / "other")


def test_another_seed_gives_others(archive: Path, tmp_path: Path):
    draw_archive(tmp_path, patients=3, seed=SEED + 1)
    files, others = digest(archive), digest(tmp_path)
    assert not any(files.get(name) == mark for name, mark in others.items() if name.endswith(".dat"))


def test_a_small_archive_is_the_beginning_of_a_large_one(archive: Path, tmp_path: Path):
    draw_archive(tmp_path, patients=7, seed=SEED)
    files = digest(archive)
    recordings = {name: mark for name, mark in digest(tmp_path).items() if name.startswith("files/")}
    assert len(recordings) >= 14
    assert all(files[name] == mark for name, mark in recordings.items())
    small, large = rows(tmp_path / "machine_measurements.csv"), rows(archive / "machine_measurements.csv")
    assert large[: len(small)] == small


def test_figures_count_what_was_written(tmp_path: Path):
    seen: list[int] = []
    figures = draw_archive(tmp_path, patients=15, seed=2, progress=seen.append)
    assert figures["patients"] == 15
    assert figures["records"] == sum(seen) == len(rows(tmp_path / "record_list.csv"))
    counted = truth(tmp_path)
    for name, count in figures["conditions"].items():
        assert count == sum(name in terms for terms in counted.values())


def test_no_patients_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="patients=0"):
        draw_archive(tmp_path, patients=0, seed=1)


def test_the_layout_is_mimic_s(archive: Path):
    assert detect(archive) == "mimic-iv-ecg"
    for row in rows(archive / "record_list.csv"):
        subject, study = row["subject_id"], row["study_id"]
        assert row["path"] == f"files/p{subject[:4]}/p{subject}/s{study}/{study}"
        assert row["file_name"] == study
        assert (archive / row["path"]).with_suffix(".dat").stat().st_size == 12 * 5000 * 2


def test_the_manifest_reads_age_sex_report_and_truth(archive: Path):
    manifest = read_manifest(archive, "mimic-iv-ecg").to_pylist()
    listed = rows(archive / "record_list.csv")
    assert len(manifest) == len(listed)
    assert len({row["record_id"] for row in manifest}) == len(listed)
    assert len({row["subject_id"] for row in manifest}) == PATIENTS
    known = truth(archive)
    for row in manifest:
        assert row["sex"] in ("F", "M")
        assert row["age"] is None or 18 <= row["age"] <= 100
        assert row["report"]
        assert {code.removeprefix("demo:") for code in row["codes"]} == known[row["record_id"].split(":")[1]]
        assert 250 < row["rr_ms"] < 2300
    assert {len(row["codes"]) for row in manifest} >= {1, 2, 3}


def test_wfdb_reads_every_header_and_the_voltages_to_the_bit(archive: Path):
    for row in rows(archive / "record_list.csv")[::10]:
        record = wfdb.rdrecord(str(archive / row["path"]), physical=False)
        assert tuple(record.sig_name) == STORED_LEADS
        assert record.sig_name.index("aVF") < record.sig_name.index("aVL")
        assert record.fs == 500
        assert record.sig_len == 5000
        assert set(record.units) == {"mV"}
        assert set(record.adc_gain) == {1000.0}
        assert record.calc_checksum() == [value % 65536 for value in record.checksum]
        assert "synthetic: true" in record.comments
        standard = standardise(read_recording(archive / row["path"]))
        np.testing.assert_array_equal(standard.counts[4], record.d_signal[:, 5])  # aVL
        np.testing.assert_array_equal(standard.counts[5], record.d_signal[:, 4])  # aVF


def test_frontal_identities_hold_with_all_the_noise(archive: Path):
    for row in rows(archive / "record_list.csv")[::5]:
        counts = standardise(read_recording(archive / row["path"])).counts.astype(int)
        assert (counts[2] == counts[1] - counts[0]).all()
        assert np.abs(frontal_residual(counts.astype(float))).max() <= 0.5


def test_the_demo_is_of_good_quality_for_the_most_part(archive: Path):
    flagged = [standardise(read_recording(archive / row["path"])).flags for row in rows(archive / "record_list.csv")]
    swapped = [flags for flags in flagged if any(flag.startswith(("lead_identity", "lead_flat")) for flag in flags)]
    assert not swapped


def test_hosp_tables_have_the_columns_and_the_keys(archive: Path):
    hosp = {path.name.removesuffix(".csv.gz"): rows(path) for path in (archive / "hosp").iterdir()}
    subjects = {row["subject_id"] for row in hosp["patients"]}
    admissions = {row["hadm_id"]: row for row in hosp["admissions"]}
    assert len(subjects) == PATIENTS == len(hosp["patients"])
    assert len(admissions) == len(hosp["admissions"])
    for name in ("admissions", "diagnoses_icd", "procedures_icd", "prescriptions"):
        assert hosp[name]
        assert {row["subject_id"] for row in hosp[name]} <= subjects
        assert all(admissions[row["hadm_id"]]["subject_id"] == row["subject_id"] for row in hosp[name])
    for table, dictionary in (("diagnoses_icd", "d_icd_diagnoses"), ("procedures_icd", "d_icd_procedures")):
        words = {(row["icd_code"], row["icd_version"]) for row in hosp[dictionary]}
        assert {(row["icd_code"], row["icd_version"]) for row in hosp[table]} <= words
    assert all(row["admittime"] < row["dischtime"] for row in admissions.values())
    assert all(row["starttime"] <= row["stoptime"] for row in hosp["prescriptions"])


def test_most_recordings_fall_into_an_admission(archive: Path):
    stays: dict[str, list[tuple[str, str]]] = {}
    for row in rows(archive / "hosp" / "admissions.csv.gz"):
        stays.setdefault(row["subject_id"], []).append((row["admittime"], row["dischtime"]))
    listed = rows(archive / "record_list.csv")
    within = [
        any(first <= row["ecg_time"] <= last for first, last in stays.get(row["subject_id"], [])) for row in listed
    ]
    assert 0.7 < np.mean(within) < 0.97


@pytest.mark.real
def test_hosp_headers_are_those_of_mimic_iv(archive: Path, real_data: Path):
    for path in (archive / "hosp").iterdir():
        assert header(path) == header(real_data / "mimic_iv_demo_2.2" / "hosp" / path.name)


@pytest.mark.real
def test_measurement_columns_are_those_of_mimic_iv_ecg(archive: Path, real_data: Path):
    tables = real_data / "tables" / "mimic_iv_ecg"
    for ours, theirs in (("machine_measurements", "machine_measurements_1row"), ("record_list", "record_list_1row")):
        first = (tables / f"{theirs}.csv").read_text().splitlines()[0]
        assert (archive / f"{ours}.csv").read_text().splitlines()[0] == first


@pytest.mark.real
def test_codes_are_those_of_the_icd_as_mimic_iv_lists_them(real_data: Path):
    for codes, table in ((DIAGNOSES, "d_icd_diagnoses"), (PROCEDURES, "d_icd_procedures")):
        known = {
            (row["icd_code"], row["icd_version"])
            for row in _latin_rows(real_data / "mimic_iv_demo_2.2" / "hosp" / f"{table}.csv.gz")
        }
        missing = [code for code in codes.values() if (code.icd9, "9") not in known or (code.icd10, "10") not in known]
        assert not missing


def _latin_rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_care_follows_from_known_names():
    assert set(FOLLOWS) <= set(BY_NAME)
    assert {name for pairs in FOLLOWS.values() for name, _ in pairs} <= set(DIAGNOSES)
    assert set(TREATED) | set(GIVEN) <= set(DIAGNOSES)
    assert {name for pairs in TREATED.values() for name, _ in pairs} <= set(PROCEDURES)
    assert {name for pairs in GIVEN.values() for name, _ in pairs} <= set(DRUGS)


def test_diagnoses_fit_the_ecg(archive: Path):
    """Who fibrillates has the diagnosis, mostly; who does not, hardly ever."""
    found: dict[str, set[str]] = {}
    for row in rows(archive / "hosp" / "diagnoses_icd.csv.gz"):
        found.setdefault(row["subject_id"], set()).add(row["icd_code"])
    has, has_not = [], []
    for row in rows(archive / "demo_truth.csv"):
        if row["subject_id"] in found:
            fibrillates = bool(found[row["subject_id"]] & {"42731", "I4891"})
            (has if "atrial fibrillation" in row["terms"].split(";") else has_not).append(fibrillates)
    assert np.mean(has) > 0.7
    assert np.mean(has_not) < 0.1


WORDS = {  # what a report must say, in one of these ways
    "left bundle branch block": ("LBBB", "eft bundle branch block"),
    "right bundle branch block": ("RBBB", "ight bundle branch block"),
    "atrial fibrillation": ("Atrial fibrillation",),
    "atrial flutter": ("Atrial flutter",),
    "third degree av block": ("Complete A-V block", "A-V block, complete", "Third degree A-V block"),
    "second degree av block": ("2nd degree A-V block",),
    "first degree av block": ("1st degree A-V block", "prolonged PR"),
    "sinus bradycardia": ("Sinus bradycardia",),
    "sinus tachycardia": ("Sinus tachycardia",),
    "sinus rhythm": ("Sinus rhythm",),
    "long qt interval": ("rolonged QT",),
    "paced rhythm": ("paced rhythm",),
    "left ventricular hypertrophy": ("eft ventricular hypertrophy", "LVH"),
    "inferior myocardial infarction": ("nferior infarct",),
    "low qrs voltage": ("ow QRS voltages", "Low voltage"),
    "normal ecg": ("Normal ECG",),
}


def statements(row: dict[str, str]) -> list[str]:
    return [row[f"report_{number}"] for number in range(18) if row[f"report_{number}"]]


def test_reports_say_what_was_drawn_and_nothing_else(archive: Path):
    known = truth(archive)
    for row in rows(archive / "machine_measurements.csv"):
        said = " | ".join(statements(row))
        terms = known[row["study_id"]]
        for term, ways in WORDS.items():
            if term in terms:
                assert any(way in said for way in ways), (term, said)
        if "atrial fibrillation" not in terms:
            assert "fibrillation" not in said
        if not terms & {"left bundle branch block", "incomplete left bundle branch block"}:
            assert "LBBB" not in said
        assert statements(row)[-1].endswith("ECG") or statements(row)[-1].endswith("except for rate")
        assert (statements(row)[-1] == "Normal ECG") == ("normal ecg" in terms)


def test_some_statements_are_hedged_and_most_are_not(archive: Path):
    every = [line for row in rows(archive / "machine_measurements.csv") for line in statements(row)]
    hedges = ("ossible", "annot rule out", "onsider", "robable", "orderline ", "may be", "nonspecific")
    hedged = sum(any(hedge in line for hedge in hedges) and not line.endswith("ECG") for line in every)
    assert 0.02 < hedged / len(every) < 0.25


def test_measurements_are_true_and_29999_where_there_is_nothing(archive: Path):
    known = truth(archive)
    for row in rows(archive / "machine_measurements.csv"):
        terms = known[row["study_id"]]
        p_onset, p_end, qrs_onset, qrs_end, t_end = (
            int(row[name]) for name in ("p_onset", "p_end", "qrs_onset", "qrs_end", "t_end")
        )
        assert qrs_onset < qrs_end < t_end
        if terms & {"atrial fibrillation", "atrial flutter", "supraventricular tachycardia", "paced rhythm"}:
            assert p_onset == p_end == int(row["p_axis"]) == NOT_MEASURED
        elif "third degree av block" not in terms:
            assert p_onset < p_end <= qrs_onset
            pr_ms = qrs_onset - p_onset
            assert ("first degree av block" in terms) == (pr_ms > 202) or "second degree av block" in terms
            assert (bool(terms & {"short pr interval", "ventricular preexcitation"})) == (pr_ms < 121)
        if "left bundle branch block" in terms:
            assert qrs_end - qrs_onset >= 116
        if "normal ecg" in terms:
            assert 66 <= qrs_end - qrs_onset <= 114
            assert 60 <= 60_000 / int(row["rr_interval"]) <= 100
            assert -35 < int(row["qrs_axis"]) < 98


def test_neurokit_counts_the_beats_that_were_drawn(archive: Path):
    """By its default detector, in the better of II and V5, within 2 bpm, in nine of ten strips with a P or none."""
    import neurokit2 as nk

    known = truth(archive)
    hits = []
    for row in rows(archive / "machine_measurements.csv")[:40]:
        if known[row["study_id"]] & {"third degree av block", "premature ventricular complex", "paced rhythm"}:
            continue
        listed = next(one for one in rows(archive / "record_list.csv") if one["study_id"] == row["study_id"])
        counts = standardise(read_recording(archive / listed["path"])).counts
        rate = 60_000 / int(row["rr_interval"])
        errors = []
        for lead in ("II", "V5"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cleaned = nk.ecg_clean(counts[LEADS.index(lead)] / 1000, sampling_rate=500)
                _, found = nk.ecg_peaks(cleaned, sampling_rate=500)
            errors.append(abs(60 * 500 / np.diff(found["ECG_R_Peaks"]).mean() - rate))
        hits.append(min(errors) < 2.0)
    assert np.mean(hits) > 0.9


def test_a_loose_electrode_disturbs_the_leads_that_hang_on_it():
    """Noise is made at the electrodes: what is on V3's alone is on V3 alone."""
    noise = np.stack([draw_noise(5000, fs=500, rng=np.random.default_rng(seed)) for seed in range(40)])
    assert noise.shape == (40, 8, 5000)
    usual = np.median(noise.std(axis=2))
    assert 0.005 < usual < 0.12
    assert (noise.std(axis=2).max(axis=1) / np.median(noise.std(axis=2), axis=1)).max() > 2
