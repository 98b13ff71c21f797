"""LUDB: ludb.csv names the recordings (with line breaks inside its fields), the headers' comments hold the diagnosis.

LUDB's header gains are each lead's own peak-to-peak and no millivolts: its recordings are read as digital counts of
1 uV (`COUNTS_PER_MV`). LUDB has one recording a patient.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ecgray.archives.comments import read_comments, sex, years
from ecgray.archives.csv_file import csv_path, identifier, read_csv
from ecgray.archives.manifest import Listing
from ecgray.text.reports import join_statements


def read(root: Path) -> Listing:
    """Every row of ludb.csv, with the diagnosis sentences of its header as the report."""
    table, ragged = read_csv(csv_path(root, "ludb.csv"), ["ID", "Sex", "Age"])
    own = identifier(table["ID"]).fill_null("")
    paths = [f"data/{name}" for name in own.to_pylist()]
    reports = [join_statements(diagnosis(comments)) for comments in read_comments(root, paths)]
    return Listing(
        columns={
            "record_id": own,
            "subject_id": own,
            "path": pa.array(paths, pa.string()),
            "age": pa.array([years(text) for text in table["Age"].to_pylist()], pa.float32()),
            "sex": pa.array([sex(text) for text in table["Sex"].to_pylist()], pa.string()),
            "report": pa.array(reports, pa.string()),
        },
        malformed_rows=ragged,
    )


def diagnosis(comments: tuple[str, ...]) -> list[str]:
    """The diagnosis sentences: every comment that does not start with `<`, as `<age>: 51` and `<diagnoses>:` do.

    >>> diagnosis(("<age>: 51", "<sex>: F", "<diagnoses>:", "Rhythm: Sinus bradycardia."))
    ['Rhythm: Sinus bradycardia.']
    """
    return [comment for comment in comments if not comment.startswith("<")]
