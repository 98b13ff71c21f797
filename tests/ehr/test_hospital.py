"""A hospital's tables to admissions: every row counts or goes to the quarantine with a code."""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hospitals import write_hospital

from ecgray.ehr import csv_stream
from ecgray.ehr.csv_stream import Refused, read_pieces
from ecgray.ehr.hospital import hosp_folder, read_hospital
from ecgray.ehr.medications import drug_name, listed
from ecgray.errors import ArchiveError
from ecgray.tables import ADMISSIONS, EHR_QUARANTINE

STAYS = [
    "1,20,2180-01-01 08:00:00,2180-01-03 08:00:00,2180-01-01 05:00:00",
    "2,21,2180-01-02 08:00:00,2180-01-04 08:00:00,",
]


@pytest.mark.parametrize("packed", [False, True])
def test_an_admission_is_its_times_and_three_sorted_sets(tmp_path: Path, packed: bool):
    write_hospital(
        tmp_path / "hosp",
        packed=packed,
        admissions=STAYS,
        diagnoses_icd=["1,20,2,I4891,10", "1,20,1,i10,10", "1,20,3,I4892,10", "1,20,3,I4891,10"],
        procedures_icd=["1,20,1,2180-01-01,3961,9"],
        prescriptions=["1,20,MAIN,Metoprolol Tartrate", "1,20,MAIN,metoprolol succinate XL", "1,20,BASE,5% Dextrose"],
    )
    found = read_hospital(hosp_folder(tmp_path))
    assert found.admissions.schema.equals(ADMISSIONS)
    assert found.quarantine.schema.equals(EHR_QUARANTINE)
    one, two = found.admissions.to_pylist()
    assert one["admission_id"] == "mimic-iv:20"
    assert one["subject_id"] == "mimic-iv-ecg:1"
    assert str(one["arrived"]) == "2180-01-01 05:00:00"
    assert two["arrived"] == two["admitted"]
    assert one["diagnoses"] == ["icd10:I10", "icd10:I4891", "icd10:I4892"]
    assert one["diagnoses_3"] == ["icd10:I10", "icd10:I48"]
    assert one["medications"] == ["metoprolol"]
    assert one["procedures"] == ["icd9:3961"]
    assert (two["diagnoses"], two["medications"], two["procedures"]) == ([], [], [])
    assert found.refused == {}


def test_a_row_that_cannot_be_used_is_counted_with_its_number_and_costs_no_other(tmp_path: Path):
    write_hospital(
        tmp_path,
        admissions=[
            *STAYS,
            "1,20,2180-01-01 08:00:00,2180-01-03 08:00:00,",
            "x,22,2180-01-01 08:00:00,2180-01-03 08:00:00,",
            "1,23,yesterday,2180-01-03 08:00:00,",
            "1,24,2180-01-05 08:00:00,2180-01-03 08:00:00,",
            "1,25",
        ],
        diagnoses_icd=["1,20,1,I10,10", "1,99,1,I10,10", "1,20,1,,10", "1,20,1,I10,11", "1,20,1,I10", "1,,1,I10,10"],
        prescriptions=["1,20,MAIN,", "1,20,MAIN,Warfarin"],
    )
    found = read_hospital(tmp_path)
    assert found.refused == {
        "admissions.admission_repeated": 1,
        "admissions.id_missing": 1,
        "admissions.row_malformed": 1,
        "admissions.time_reversed": 1,
        "admissions.time_unreadable": 1,
        "diagnoses_icd.admission_unknown": 1,
        "diagnoses_icd.code_missing": 2,
        "diagnoses_icd.id_missing": 1,
        "diagnoses_icd.row_malformed": 1,
        "prescriptions.drug_missing": 1,
    }
    assert [(row["table"], row["row"]) for row in found.quarantine.to_pylist() if row["code"] == "code_missing"] == [
        ("diagnoses_icd", 4),
        ("diagnoses_icd", 5),
    ]
    rows = {(row["table"], row["code"]): row["row"] for row in found.quarantine.to_pylist()}
    assert rows["diagnoses_icd", "row_malformed"] == 6
    assert rows["diagnoses_icd", "id_missing"] == 7
    assert rows["admissions", "admission_repeated"] == 4
    assert found.admissions["diagnoses"].to_pylist() == [["icd10:I10"], []]
    assert found.admissions["medications"].to_pylist() == [["warfarin"], []]


def test_only_the_patients_asked_for_are_kept(tmp_path: Path):
    write_hospital(tmp_path, admissions=STAYS, diagnoses_icd=["1,20,1,I10,10", "2,21,1,I48,10"])
    found = read_hospital(tmp_path, subjects=pa.array(["mimic-iv-ecg:2", "mimic-iv-ecg:3"]))
    assert found.admissions["diagnoses"].to_pylist() == [["icd10:I48"]]
    assert found.others == 1
    assert found.refused == {}, "a diagnosis of another patient's admission is no fault"


def test_a_hospital_without_rows_has_no_admissions(tmp_path: Path):
    assert read_hospital(write_hospital(tmp_path)).admissions.num_rows == 0


def test_pieces_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drugs = [f"1,{20 + n % 2},MAIN,drug {chr(97 + n % 7)}" + ",too,many" * (n % 50 == 9) for n in range(400)]
    write_hospital(tmp_path, admissions=STAYS, prescriptions=drugs)
    whole = read_hospital(tmp_path)
    monkeypatch.setattr(csv_stream, "_BLOCK", 512)
    small = read_hospital(tmp_path)
    assert small.admissions.equals(whole.admissions)
    assert small.quarantine.equals(whole.quarantine)
    assert whole.quarantine["row"].to_pylist() == [n + 2 for n in range(400) if n % 50 == 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"subject_id,hadm_id\n1,2\n", "has no column 'icd_code'"),
        (b"", "is empty"),
        (b"subject_id,hadm_id\r1,2\r3,4\r", r"diagnoses_icd\.csv has no first line that names the columns"),
        (b"a\rb" + bytes(range(256)), r"diagnoses_icd\.csv has no first line that names the columns"),
        (b'subject_id,hadm_id,icd_code,icd_version\n1,2,"I10,10\n1,2,I10,10\n1,2,I10,10\n', "opens a quote in row 2"),
    ],
)
def test_a_table_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: bytes, message: str):
    write_hospital(tmp_path, admissions=STAYS)
    (tmp_path / "diagnoses_icd.csv").write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        read_hospital(tmp_path)


def test_a_table_that_was_cut_short_is_refused_in_a_sentence(tmp_path: Path):
    write_hospital(tmp_path, packed=True, admissions=STAYS)
    path = tmp_path / "prescriptions.csv.gz"
    path.write_bytes(gzip.compress(b"subject_id,hadm_id,drug_type,drug\n" + b"1,20,MAIN,Aspirin\n" * 999)[:-20])
    with pytest.raises(ArchiveError, match="was it copied completely"):
        read_hospital(tmp_path)
    with pytest.raises(ArchiveError, match=r"has no admissions\.csv"):
        hosp_folder(tmp_path / "nowhere")


def test_letters_of_no_encoding_spoil_nothing(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfhadm_id,drug\n20.0,Caf\xe9\n21, Aspirin \n")
    (piece,) = read_pieces(path, ["hadm_id", "drug"], Refused())
    assert piece.numbers("hadm_id")[0].tolist() == [20, 21]
    texts, which = piece.words("drug")
    assert [texts[at] for at in which] == ["Caf\ufffd", "Aspirin"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Insulin (Regular) for Hyperkalemia", "insulin for hyperkalemia"),
        ("Potassium Chl 20 mEq / 1000 mL D5 1/2 NS", "potassium chloride"),
        ("Magnesium Sulfate", "magnesium sulfate"),
        ("*NF* Ertapenem Sodium", "ertapenem"),
        ("Vitamin D3 ", "vitamin d3"),
        ("Clonidine Patch 0.2 mg/24 hr", "clonidine"),
        ("Diazepam - CIWA protocol", "diazepam"),
        ("Heparin Flush (10 units/ml)", None),
        ("Heparin Sodium", "heparin"),
        ("Alteplase (Catheter Clearance)", None),
        ("0.9% Sodium Chloride (Mini Bag Plus)", None),
        ("D5 1/2NS", None),
        ("Bag", None),
        ("100", None),
        ("", None),
    ],
)
def test_a_prescription_names_a_drug_or_a_carrier(written: str, name: str | None):
    assert drug_name(written) == name


def test_the_lists_are_sorted_out():
    for name in ("carriers", "forms", "salts"):
        assert listed(name)
        assert all(entry == entry.strip().lower() for entry in listed(name))


@pytest.mark.real
def test_the_demo_of_mimic_iv_reads_as_row_by_row_python_reads_it(real_data: Path):
    hosp = hosp_folder(real_data / "mimic_iv_demo_2.2")
    sets: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for table, column in (("diagnoses_icd", "diagnoses"), ("procedures_icd", "procedures")):
        for row in _rows(hosp / f"{table}.csv.gz"):
            sets[row["hadm_id"]][column].add(f"icd{row['icd_version']}:{row['icd_code'].strip()}")
    for row in _rows(hosp / "prescriptions.csv.gz"):
        name = drug_name(row["drug"].strip())
        if name:
            sets[row["hadm_id"]]["medications"].add(name)
    found = read_hospital(hosp)
    assert found.admissions.num_rows == 275
    assert found.refused == {}
    for row in found.admissions.to_pylist():
        for column in ("diagnoses", "procedures", "medications"):
            assert row[column] == sorted(sets[row["admission_id"].removeprefix("mimic-iv:")][column])


def _rows(path: Path) -> csv.DictReader:
    return csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))
