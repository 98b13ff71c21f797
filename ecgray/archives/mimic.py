"""MIMIC-IV-ECG: record_list.csv names the recordings, machine_measurements.csv holds the recorder's statements.

Beside them, where they exist: MIMIC-IV's hosp/patients.csv(.gz), for age and sex (in the archive's own folder, in its
`ehr` folder, or in an `ehr` folder beside it), and demo_truth.csv, which the embedded archive alone has, for codes.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ecgray.archives.comments import OLDEST
from ecgray.archives.csv_file import csv_path, identifier, number, read_csv, within
from ecgray.archives.manifest import Listing
from ecgray.text.reports import join_statement_columns

STATEMENTS = tuple(f"report_{position}" for position in range(18))
"""The columns of the recorder's statements; most are empty."""

_TIMES = {
    "rr_ms": "rr_interval",
    "p_onset_ms": "p_onset",
    "p_end_ms": "p_end",
    "qrs_onset_ms": "qrs_onset",
    "qrs_end_ms": "qrs_end",
    "t_end_ms": "t_end",
}
_AXES = {"p_axis_deg": "p_axis", "qrs_axis_deg": "qrs_axis", "t_axis_deg": "t_axis"}


def read(root: Path) -> Listing:
    """Every row of record_list.csv, with its statements and measurements."""
    listed, ragged = read_csv(
        csv_path(root, "record_list.csv"), ["subject_id", "study_id", "path"], optional=["ecg_time"]
    )
    study, subject, time = identifier(listed["study_id"]), identifier(listed["subject_id"]), listed["ecg_time"]
    study = pc.coalesce(study, listed["path"])  # a row without a study is still a recording
    measured, notes = _measurements(root, study)
    columns = {"record_id": study, "subject_id": subject, "path": listed["path"], "time": _or_null(time)}
    columns |= measured | _person(root, subject, time) | _truth(root, study)
    return Listing(
        columns=columns,
        notes=notes,
        malformed_rows=ragged,
    )


def _measurements(root: Path, study: pa.Array) -> tuple[dict[str, pa.Array], dict[str, int]]:
    """Report and measurements of each study; the first row counts where a study has two."""
    path = csv_path(root, "machine_measurements.csv")
    if not path.is_file():
        return {}, {"studies_without_measurements": len(study)}
    table, ragged = read_csv(
        path, ["study_id", "report_0"], optional=[*STATEMENTS[1:], *_TIMES.values(), *_AXES.values()]
    )
    keys = identifier(table["study_id"])
    rows = pc.index_in(study, value_set=keys)
    line_breaks = sum(pc.sum(pc.match_substring(table[name], "\n")).as_py() or 0 for name in STATEMENTS)
    report = join_statement_columns([table[name] for name in STATEMENTS])
    columns = {"report": pc.fill_null(report.take(rows), "")}
    for name, source in _TIMES.items():  # 29999 stands for what the recorder could not measure
        columns[name] = within(number(table[source]), 1, 10_000).take(rows)
    for name, source in _AXES.items():
        columns[name] = within(number(table[source]), -360, 360).take(rows)
    return columns, {
        "measurements_rows_malformed": ragged,
        "measurements_repeated": len(keys) - keys.null_count - len(pc.unique(keys.drop_null())),
        "measurements_without_study": keys.null_count,
        "studies_without_measurements": rows.null_count,
        "statements_with_line_breaks": line_breaks,
    }


def _person(root: Path, subject: pa.Array, time: pa.Array) -> dict[str, pa.Array]:
    """Age at the recording (anchor_age plus the years since anchor_year) and sex, where MIMIC-IV's tables lie near."""
    folders = (root / "hosp", root / "ehr" / "hosp", root.parent / "ehr" / "hosp")
    path = next((path for folder in folders if (path := csv_path(folder, "patients.csv")).is_file()), None)
    if path is None:
        return {}
    patients, _ = read_csv(path, ["subject_id", "gender", "anchor_age", "anchor_year"])
    rows = pc.index_in(subject, value_set=identifier(patients["subject_id"]))
    gender = pc.utf8_upper(patients["gender"]).take(rows)
    year = number(pc.utf8_slice_codeunits(time, 0, 4))
    age, anchor = number(patients["anchor_age"]).take(rows), number(patients["anchor_year"]).take(rows)
    return {
        "sex": pc.if_else(pc.is_in(gender, pa.array(["F", "M"])), gender, None),
        "age": within(pc.add(age, pc.subtract(year, anchor)), 0, OLDEST),
    }


def _truth(root: Path, study: pa.Array) -> dict[str, pa.Array]:
    """The conditions that the embedded archive was drawn with."""
    path = root / "demo_truth.csv"
    if not path.is_file():
        return {}
    table, _ = read_csv(path, ["study_id", "terms"])
    terms = [[f"demo:{term.strip()}" for term in row.split(";") if term.strip()] for row in table["terms"].to_pylist()]
    rows = pc.index_in(study, value_set=table["study_id"])
    found = [terms[row] if row is not None else [] for row in rows.to_pylist()]
    return {"codes": pa.array(found, pa.list_(pa.string()))}


def _or_null(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(column, ""), None, column)
