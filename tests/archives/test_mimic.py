"""MIMIC-IV-ECG with the quirks of its tables."""

import pytest
from mimic_shaped import measurement, mimic_archive, write_csv

from ecgray.archives import detect, manifest_notes, read_manifest
from ecgray.errors import ArchiveError, ConfigError


@pytest.fixture
def archive(tmp_path):
    """Three patients with two recordings each; the statements of the first five recordings."""
    rows = mimic_archive(tmp_path, 6)
    who = [(row["subject_id"], row["study_id"]) for row in rows]
    write_csv(
        tmp_path / "machine_measurements.csv",
        [
            measurement(
                *who[0],
                "Sinus rhythm",
                "Possible right atrial abnormality",
                "",
                "Borderline ECG",
                rr_interval="659",
                p_onset="40",
                qrs_axis="-77",
                t_axis="29999",
                t_end="0",
                p_end="",
            ),
            measurement(*who[1], "Sinus\nrhythm."),
            measurement(*who[1], "Atrial fibrillation"),
            measurement(*who[2], rr_interval="n/a", p_axis="400"),
            measurement(*who[3], "Sinus rhythm", *[f"S{position}" for position in range(1, 18)]),
            measurement(who[4][0], "", "Nobody's"),
        ],
        encoding="utf-8-sig",
    )
    return tmp_path


def manifest(archive):
    return read_manifest(archive, detect(archive)).to_pylist()


def test_statements_and_measurements_find_their_recording(archive):
    first = manifest(archive)[0]
    assert first["record_id"] == "mimic-iv-ecg:40000000"
    assert first["subject_id"] == "mimic-iv-ecg:10000000"
    assert first["path"] == "files/p1000/p10000000/s40000000/40000000"
    assert first["time"] == "2180-07-23 08:44:00"
    assert first["report"] == "Sinus rhythm. Possible right atrial abnormality. Borderline ECG"
    assert (first["rr_ms"], first["p_onset_ms"], first["qrs_axis_deg"]) == (659, 40, -77)
    assert (first["age"], first["sex"], first["codes"], first["likelihoods"]) == (None, None, [], None)


def test_the_sentinel_and_what_cannot_be_are_null(archive):
    rows = manifest(archive)
    assert [rows[0][name] for name in ("qrs_onset_ms", "t_axis_deg", "t_end_ms", "p_end_ms")] == [None] * 4
    assert (rows[2]["rr_ms"], rows[2]["p_axis_deg"]) == (None, None)


def test_reports_that_lack_repeat_or_break_lines(archive):
    rows = manifest(archive)
    assert rows[1]["report"] == "Sinus rhythm"
    assert rows[2]["report"] == ""
    assert rows[3]["report"].split(". ") == ["Sinus rhythm", *[f"S{position}" for position in range(1, 18)]]
    assert (rows[4]["report"], rows[5]["report"]) == ("", "")
    assert manifest_notes(read_manifest(archive, "mimic-iv-ecg").schema) == {
        "measurements_repeated": 1,
        "measurements_without_study": 1,
        "statements_with_line_breaks": 1,
        "studies_without_measurements": 2,
    }


def test_age_and_sex_come_from_the_hospitals_table(archive):
    write_csv(
        archive / "hosp" / "patients.csv",
        [
            {"subject_id": "10000002", "gender": "m", "anchor_age": "91", "anchor_year": "2180"},
            {"subject_id": "10000000", "gender": "F", "anchor_age": "52", "anchor_year": "2178"},
        ],
    )
    rows = manifest(archive)
    assert [(row["age"], row["sex"]) for row in rows[::2]] == [(54, "F"), (None, None), (None, "M")]


def test_the_embedded_archive_says_what_it_drew(archive):
    write_csv(
        archive / "demo_truth.csv",
        [{"subject_id": "10000000", "study_id": "40000001", "terms": "sinus rhythm; atrial flutter"}],
    )
    assert [row["codes"] for row in manifest(archive)][:3] == [[], ["demo:sinus rhythm", "demo:atrial flutter"], []]


def test_patients_stay_together(archive):
    rows = manifest(archive)
    assert all(rows[place]["split"] == rows[place + 1]["split"] for place in (0, 2, 4))


def test_an_archive_without_statements_is_still_one(tmp_path):
    mimic_archive(tmp_path, 2)
    assert [row["report"] for row in manifest(tmp_path)] == ["", ""]


def test_a_repeated_study_and_a_row_without_one_are_kept(tmp_path):
    rows = mimic_archive(tmp_path, 3)
    rows[1]["study_id"] = rows[0]["study_id"]
    rows[2]["study_id"] = ""
    write_csv(tmp_path / "record_list.csv", rows)
    read = manifest(tmp_path)
    assert [row["refused"] for row in read] == [None, "duplicate_id", None]
    assert read[2]["record_id"] == f"mimic-iv-ecg:{rows[2]['path']}"


def test_a_folder_of_no_known_layout_is_refused_with_the_layouts(tmp_path):
    with pytest.raises(ArchiveError, match=r"mimic-iv-ecg: record_list\.csv.*wfdb: \*\.hea"):
        detect(tmp_path)


def test_a_layout_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    with pytest.raises(ConfigError, match="'mimic' is no layout; the layouts are auto, mimic-iv-ecg, ptb-xl"):
        read_manifest(tmp_path, "mimic")


def test_a_layout_that_the_folder_has_not_is_refused(tmp_path):
    with pytest.raises(ArchiveError, match=r"record_list\.csv is missing"):
        read_manifest(tmp_path, "mimic-iv-ecg")
