"""PTB-XL: ptbxl_database.csv names the recordings, the patients, the ten official folds and the SCP-ECG statements.

The file RECORDS is not read: it may name recordings that a copy of the archive lacks.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ecgray.archives.comments import OLDEST
from ecgray.archives.csv_file import csv_path, identifier, number, read_csv, within
from ecgray.archives.manifest import Listing
from ecgray.text.reports import join_statement_columns

_FOLDS = {str(fold): "train" for fold in range(1, 9)} | {"9": "val", "10": "test"}
_SEXES = {"0": "M", "1": "F"}


def read(root: Path) -> Listing:
    """Every row of ptbxl_database.csv, by its 500 Hz recording."""
    names = ["ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "strat_fold", "filename_hr"]
    table, ragged = read_csv(csv_path(root, "ptbxl_database.csv"), names, optional=["recording_date"])
    statements = [scp_statements(text) for text in table["scp_codes"].to_pylist()]
    known = [statement or {} for statement in statements]
    columns = {
        "record_id": pc.coalesce(identifier(table["ecg_id"]), table["filename_hr"]),
        "subject_id": identifier(table["patient_id"]),
        "split": _looked_up(identifier(table["strat_fold"]), _FOLDS),
        "age": within(number(table["age"]), 0, OLDEST),
        "sex": _looked_up(identifier(table["sex"]), _SEXES),
        "time": pc.if_else(pc.equal(table["recording_date"], ""), None, table["recording_date"]),
        "report": join_statement_columns([table["report"]]),
        "codes": pa.array([[f"scp:{code}" for code in one] for one in known], pa.list_(pa.string())),
        "likelihoods": pa.array([list(one.values()) for one in known], pa.list_(pa.float32())),
        "path": table["filename_hr"],
    }
    return Listing(columns=columns, notes={"scp_codes_unreadable": statements.count(None)}, malformed_rows=ragged)


def scp_statements(text: str) -> dict[str, float] | None:
    """SCP code to likelihood in percent; None where the cell is no literal of that kind. Nothing in it is executed.

    >>> scp_statements("{'NORM': 100.0, 'SR': 0.0}"), scp_statements("__import__('os')"), scp_statements("")
    ({'NORM': 100.0, 'SR': 0.0}, None, None)
    """
    try:
        value = ast.literal_eval(text)
        return {str(code): float(likelihood) for code, likelihood in value.items()}
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError):
        return None


def _looked_up(column: pa.Array, meanings: dict[str, str]) -> pa.Array:
    rows = pc.index_in(column, value_set=pa.array(list(meanings)))
    return pa.array(list(meanings.values())).take(rows)
