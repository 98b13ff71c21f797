"""Answers of a classifier as a table, and what they are worth where somebody knows the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgray.parquet import write_table
from ecgray.tables import ANSWERS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ecgray.metrics.board import Auc, Board
    from ecgray.text.tasks import Task

_ROW_GROUP = 1 << 20


def write_answers(who: pa.Table, task: Task, probability: Float[np.ndarray, "record query"], path: Path) -> None:
    """Write one row a record and query, record after record. `who` has record_id, subject_id and codes.

    `truth` is null for a record that takes no part in the task.
    """
    records, queries = probability.shape
    repeated = pa.array(np.repeat(np.arange(records), queries))
    truths = [task.truth(codes or ()) or (None,) * queries for codes in who["codes"].to_pylist()]
    columns = [
        who["record_id"].take(repeated),
        who["subject_id"].take(repeated),
        pa.array([each.name for each in task.classes] * records, pa.string()),
        pa.array(probability.reshape(-1), pa.float32()),
        pa.array([truth for row in truths for truth in row], pa.bool_()),
    ]
    write_table(pa.table(columns, schema=ANSWERS), path, row_group=_ROW_GROUP, repetitive=True)


@dataclasses.dataclass(frozen=True)
class Scored:
    """The answers about records that take part in a task, as arrays."""

    patients: np.ndarray
    """The subject_id of each record."""
    truth: Bool[np.ndarray, "record query"]
    probability: Float[np.ndarray, "record query"]


def read_scored(files: Sequence[Path], *, queries: int) -> Scored:
    """What `write_answers` wrote, without the records that take no part."""
    pieces = [_read(path, queries) for path in files]
    return Scored(
        patients=np.concatenate([piece.patients for piece in pieces]),
        truth=np.concatenate([piece.truth for piece in pieces]),
        probability=np.concatenate([piece.probability for piece in pieces]),
    )


def _read(path: Path, queries: int) -> Scored:
    table = pq.read_table(path, columns=["subject_id", "probability", "truth"])
    known = table["truth"].is_valid().to_numpy()[::queries]
    first = pa.array(np.flatnonzero(known) * queries)
    truth = table["truth"].fill_null(False).to_numpy().reshape(-1, queries)
    return Scored(
        patients=table["subject_id"].take(first).to_numpy(),
        truth=truth[known],
        probability=table["probability"].to_numpy().reshape(-1, queries)[known],
    )


def results(board: Board) -> dict[str, Any]:
    """What results.json says of a board: the macro averages and their yardsticks, then class by class."""
    return {
        "scored_records": board.records,
        "patients": board.patients,
        "resamples": board.resamples,
        "macro": {
            "model": _plain(board.model),
            "random": _plain(board.random),
            "prevalence": {"auc": 0.5, "low": 0.5, "high": 0.5},  # the same answer for every record: by definition
            "gain_over_random": _plain(board.gain),
        },
        "classes": [
            {
                "name": each.name,
                "query": each.query,
                "positives": each.positives,
                "negatives": each.negatives,
                "positive_patients": each.positive_patients,
                **_plain(each.model),
                **{f"random_{name}": value for name, value in _plain(each.random).items()},
            }
            for each in board.classes
            if each.model is not None
        ],
        "not_scored": [
            {"name": each.name, "query": each.query, "records": board.records, "reason": each.reason}
            for each in board.classes
            if each.model is None
        ],
    }


def _plain(auc: Auc | None) -> dict[str, float | None]:
    return {"auc": None, "low": None, "high": None} if auc is None else dataclasses.asdict(auc)


def figures(board: Board) -> dict[str, Any]:
    """What a job's last line says of a board."""
    named = {"macro_auc": board.model, "random_macro_auc": board.random, "gain_over_random": board.gain}
    flat: dict[str, Any] = {}
    for name, auc in named.items():
        plain = _plain(auc)
        flat |= {name: plain["auc"], f"{name}_low": plain["low"], f"{name}_high": plain["high"]}
    return flat | {
        "scored_records": board.records,
        "patients": board.patients,
        "classes": len(board.classes) - len(board.not_scored),
        "not_scored": board.not_scored,
    }
