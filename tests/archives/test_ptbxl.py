"""PTB-XL's table: codes as literals, sentinels, official folds."""

import gzip

import pytest
from mimic_shaped import write_csv

from ecgray.archives import detect, manifest_notes, read_manifest
from ecgray.errors import ArchiveError

ROW = {
    "ecg_id": "1",
    "patient_id": "15709.0",
    "age": "56.0",
    "sex": "1",
    "recording_date": "1984-11-09 09:17:34",
    "report": "sinusrhythmus periphere niederspannung",
    "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
    "strat_fold": "3",
    "filename_lr": "records100/00000/00001_lr",
    "filename_hr": "records500/00000/00001_hr",
}


def read(tmp_path, **columns):
    rows = [ROW | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for number, row in enumerate(rows):
        row["ecg_id"] = str(number + 1)
    write_csv(tmp_path / "ptbxl_database.csv", rows)
    return read_manifest(tmp_path, "ptb-xl")


def test_the_table_may_be_gzipped(tmp_path):
    read(tmp_path, sex=["0"])
    table = tmp_path / "ptbxl_database.csv"
    (tmp_path / "ptbxl_database.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    table.unlink()
    assert read_manifest(tmp_path, detect(tmp_path))["record_id"].to_pylist() == ["ptb-xl:1"]


def test_folds_are_the_official_ones(tmp_path):
    manifest = read(tmp_path, strat_fold=["1", "8", "9", "10.0"], patient_id=["1", "2", "3", "4"])
    assert manifest["split"].to_pylist() == ["train", "train", "val", "test"]


def test_a_patient_in_two_folds_of_different_splits_fails_the_archive(tmp_path):
    with pytest.raises(ArchiveError, match="two splits"):
        read(tmp_path, strat_fold=["1", "10"])


def test_ages_and_sexes(tmp_path):
    manifest = read(tmp_path, age=["300.0", "89.0", "", "0"], sex=["0", "1", "1.0", ""])
    assert manifest["age"].to_pylist() == [None, 89, None, 0]
    assert manifest["sex"].to_pylist() == ["M", "F", "F", None]


def test_codes_are_literals_and_never_run(tmp_path):
    unreadable = ["__import__('os').system('touch ran')", "{'NORM': 100.0", "", "['NORM']", "(" * 10_000]
    manifest = read(tmp_path, scp_codes=["{'NORM': 80, 'SR': 0.0}", *unreadable])
    assert manifest["codes"].to_pylist() == [["scp:NORM", "scp:SR"], *[[]] * 5]
    assert manifest["likelihoods"].to_pylist() == [[80, 0], *[[]] * 5]
    assert manifest_notes(manifest.schema) == {"scp_codes_unreadable": 5}


def test_the_high_rate_recording_and_the_german_report_are_taken(tmp_path):
    row = read(tmp_path, age=["56.0"]).to_pylist()[0]
    assert row["path"] == "records500/00000/00001_hr"
    assert row["report"] == "sinusrhythmus periphere niederspannung"
    assert (row["record_id"], row["subject_id"]) == ("ptb-xl:1", "ptb-xl:15709")
