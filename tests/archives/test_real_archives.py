"""Every layout on real recordings: as many as data/SOURCES.md counts, and the first row as its files say."""

import pytest

from ecgray.archives import LAYOUTS, detect, manifest_notes, read_manifest

pytestmark = pytest.mark.real

FOLDERS = {
    "ptbxl": ("ptb-xl", 354, 332),
    "cpsc2018": ("cpsc2018", 106, 106),
    "chapman_shaoxing_ningbo": ("csn", 16, 16),
    "georgia": ("georgia", 13, 13),
    "ludb": ("ludb", 140, 140),
    "ptbdb": ("wfdb", 1, 1),
    "mitdb": ("wfdb", 1, 1),
    "ptbxl_cinc2021_format": ("wfdb", 9, 9),
}

FIRST = {
    "ptbxl": {
        "record_id": "ptb-xl:1",
        "subject_id": "ptb-xl:15709",
        "split": "train",
        "age": 56,
        "sex": "F",
        "time": "1984-11-09 09:17:34",
        "report": "sinusrhythmus periphere niederspannung",
        "codes": ["scp:NORM", "scp:LVOLT", "scp:SR"],
        "likelihoods": [100, 0, 0],
        "path": "records500/00000/00001_hr",
    },
    "cpsc2018": {"record_id": "cpsc2018:A0001", "age": 74, "sex": "M", "codes": ["cpsc:RBBB"], "path": "A0001"},
    "chapman_shaoxing_ningbo": {
        "record_id": "csn:JS00001",
        "age": 85,
        "sex": "M",
        "codes": ["snomed:164889003", "snomed:59118001", "snomed:164934002"],
    },
    "georgia": {
        "record_id": "georgia:E07501",
        "age": 65,
        "sex": "M",
        "codes": ["snomed:253352002", "snomed:427084000"],
    },
    "ludb": {
        "record_id": "ludb:1",
        "age": 51,
        "sex": "F",
        "codes": [],
        "report": "Rhythm: Sinus bradycardia. Electric axis of the heart: left axis deviation. "
        "Left ventricular hypertrophy. Left ventricular overload. "
        "Non-specific repolarization abnormalities: posterior wall",
        "path": "data/1",
    },
    "ptbdb": {"record_id": "wfdb:s0010_re", "age": 81, "sex": "F", "codes": []},
    "mitdb": {"record_id": "wfdb:100", "age": None, "sex": None, "codes": []},
    "ptbxl_cinc2021_format": {"record_id": "wfdb:HR06001", "codes": ["snomed:426783006", "snomed:55930002"]},
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_recording_is_listed_once(real_data, folder):
    layout, records, patients = FOLDERS[folder]
    assert detect(real_data / folder) == layout
    manifest = read_manifest(real_data / folder, layout)
    assert manifest.num_rows == len(set(manifest["record_id"].to_pylist())) == records
    assert len(set(manifest["subject_id"].to_pylist())) == patients
    assert manifest["refused"].null_count == records
    assert manifest_notes(manifest.schema) == {}
    first = manifest.to_pylist()[0]
    assert {name: first[name] for name in FIRST[folder]} == FIRST[folder]


def test_every_path_leads_to_a_header(real_data):
    for folder, (layout, _, _) in FOLDERS.items():
        for path in read_manifest(real_data / folder, layout)["path"].to_pylist():
            assert (real_data / folder / f"{path}.hea").is_file()


def test_ptbxl_keeps_its_folds_and_knows_no_age_above_89(real_data):
    manifest = read_manifest(real_data / "ptbxl", "ptb-xl")
    splits = manifest["split"].to_pylist()
    assert [splits.count(split) for split in ("train", "val", "test")] == [258, 50, 46]
    assert max(age for age in manifest["age"].to_pylist() if age is not None) <= 89
    assert manifest["age"].null_count == 7  # four are unknown, 90, 91 and 91 are hidden


def test_cpsc_texts_are_the_nine_classes(real_data):
    codes = read_manifest(real_data / "cpsc2018", "cpsc2018")["codes"].to_pylist()
    nine = ["RBBB", "AF", "Normal", "STD", "PVC", "STE", "PAC", "LBBB", "I-AVB"]
    assert {code for row in codes for code in row} == {f"cpsc:{code}" for code in nine}
    assert sum(len(row) == 2 for row in codes) == 1


def test_the_real_row_of_mimic_reads_as_it_is_written(real_data, tmp_path):
    tables = real_data / "tables" / "mimic_iv_ecg"
    for name in ("record_list", "machine_measurements"):
        (tmp_path / f"{name}.csv").write_bytes((tables / f"{name}_1row.csv").read_bytes())
    row = read_manifest(tmp_path, detect(tmp_path)).to_pylist()[0]
    assert row["report"] == "Sinus rhythm. Possible right atrial abnormality. Borderline ECG"
    assert [row[name] for name in ("rr_ms", "p_onset_ms", "qrs_end_ms", "t_axis_deg")] == [659, 40, 258, 79]
    assert row["path"] == "files/p1000/p10000032/s40689238/40689238"


def test_ludb_alone_is_read_as_microvolts():
    assert [name for name, layout in LAYOUTS.items() if layout.digital] == ["ludb"]
