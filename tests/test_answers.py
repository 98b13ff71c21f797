"""The answers table: one row a record and query, and back to arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from ecgray.answers import figures, read_scored, results, write_answers
from ecgray.metrics.board import make_board
from ecgray.parquet import read_table
from ecgray.tables import ANSWERS
from ecgray.text.tasks import TASKS, task_of_queries

CODES = [["cpsc:AF"], ["scp:AFIB"], ["cpsc:Normal", "cpsc:RBBB"], None]


def _who() -> pa.Table:
    columns = {
        "record_id": pa.array([f"x:{number}" for number in range(4)]),
        "subject_id": pa.array(["x:a", "x:b", "x:a", "x:c"]),
        "codes": pa.array(CODES, pa.list_(pa.string())),
    }
    return pa.table(columns)


def test_a_row_for_each_record_and_query_and_back(tmp_path: Path):
    task = TASKS["cpsc2018"]
    answers = np.random.default_rng(0).random((4, 9)).astype(np.float32)
    write_answers(_who(), task, answers, tmp_path / "answers" / "part-00000.parquet")
    table = read_table(tmp_path / "answers")
    assert table.schema.equals(ANSWERS)
    rows = table.to_pylist()
    assert len(rows) == 36
    assert {name: rows[10][name] for name in ("record_id", "subject_id", "query")} == {
        "record_id": "x:1",
        "subject_id": "x:b",
        "query": "AF",
    }
    assert rows[10]["probability"] == answers[1, 1]
    assert [row["truth"] for row in rows[:9]] == [False, True, False, False, False, False, False, False, False]
    assert {row["truth"] for row in rows[9:18]} == {None}, "a PTB-XL code says nothing of the challenge's classes"

    scored = read_scored([tmp_path / "answers" / "part-00000.parquet"], queries=9)
    assert list(scored.patients) == ["x:a", "x:a"]
    np.testing.assert_array_equal(scored.probability, answers[[0, 2]])
    assert [list(np.flatnonzero(row)) for row in scored.truth] == [[1], [0, 4]]


def test_questions_of_the_users_own_have_no_truth(tmp_path: Path):
    task = task_of_queries("mine", {"AF": "atrial fibrillation", "VT": "ventricular tachycardia"})
    write_answers(_who(), task, np.zeros((4, 2), np.float32), tmp_path / "one.parquet")
    assert read_table(tmp_path)["truth"].null_count == 8
    assert len(read_scored([tmp_path / "one.parquet"], queries=2).truth) == 0


def test_many_answers_take_little_room(tmp_path: Path):
    """Record ids repeat over the queries: 512 records and 106 queries in less than 6 bytes a row."""
    task = task_of_queries("many", {f"query {number}": f"query {number}" for number in range(106)})
    who = pa.table(
        {
            "record_id": pa.array([f"mimic-iv-ecg:{40000000 + number}" for number in range(512)]),
            "subject_id": pa.array([f"mimic-iv-ecg:{10000000 + number}" for number in range(512)]),
            "codes": pa.nulls(512, pa.list_(pa.string())),
        }
    )
    answers = np.random.default_rng(0).random((512, 106)).astype(np.float32)
    write_answers(who, task, answers, tmp_path / "one.parquet")
    assert (tmp_path / "one.parquet").stat().st_size < 6 * 512 * 106 + 50_000


def test_results_name_every_class_once():
    random = np.random.default_rng(1)
    truth = random.random((50, 3)) < 0.4
    truth[:, 2] = False
    board = make_board(
        [("a", "an a"), ("b", "a b"), ("c", "a c")],
        truth,
        model=random.random((50, 3)),
        random=random.random((50, 3)),
        patients=np.arange(50),
        resamples=20,
    )
    said = results(board)
    assert [each["name"] for each in said["classes"]] == ["a", "b"]
    assert said["not_scored"] == [{"name": "c", "query": "a c", "records": 50, "reason": "no record has it"}]
    assert said["macro"]["prevalence"]["auc"] == 0.5
    assert said["macro"]["model"]["auc"] == figures(board)["macro_auc"]
    assert set(said["classes"][0]) == {
        *("name", "query", "positives", "negatives", "positive_patients", "auc", "low", "high"),
        *("random_auc", "random_low", "random_high"),
    }
    assert figures(board)["not_scored"] == ["c"]
