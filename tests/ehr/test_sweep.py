"""Scores of a sweep: what is retrieved is held against the record itself, by patient, beside chance."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ecgray.ehr.linking import Links
from ecgray.ehr.retrieval import gather_experience, mean_overlap
from ecgray.ehr.similar import Weights
from ecgray.ehr.sweep import SCORES, gather_questions, score_chance, score_retrieval
from ecgray.ehr.sweep_picture import Trial, draw_sweep
from ecgray.errors import ConfigError
from ecgray.recipes.tune_retrieval import TABLE_10, TUNE_RETRIEVAL, TuneRetrievalConfig
from ecgray.tables import ADMISSIONS

SAID = ("Atrial fibrillation. Abnormal ECG", "Sinus rhythm. LBBB")


def admissions(rows: int) -> pa.Table:
    """The illness, and with it the report, follows the number's parity; the drug follows every third."""
    columns = {name: [None] * rows for name in ADMISSIONS.names} | {
        "admission_id": [f"mimic-iv:{row:03d}" for row in range(rows)],
        "subject_id": [f"mimic-iv-ecg:{row}" for row in range(rows)],
        "diagnoses": [[f"icd10:I{row % 2}00", f"icd10:Z{row:03d}"] for row in range(rows)],
        "diagnoses_3": [[f"icd10:I{row % 2}0", "icd10:Z00"] for row in range(rows)],
        "medications": [[f"drug {row % 3}"] for row in range(rows)],
        "procedures": [[] for _ in range(rows)],
    }
    return pa.table(columns, schema=ADMISSIONS)


@pytest.fixture
def questions():
    rows = 60
    table = admissions(rows)
    everybody = np.arange(rows)
    links = Links(everybody, np.ones(rows, bool), np.ones(rows, bool), everybody)
    split = pa.chunked_array([["val" if row % 5 == 4 else "train" for row in range(rows)]])
    reports = [SAID[row % 2] for row in range(rows)]
    experience = gather_experience(table, links, split, pa.chunked_array([reports]))
    asking = np.where(everybody % 5 == 4, everybody, -1)
    return gather_questions(experience, table, admission=asking, reports=reports, most=50, seed=0)


def test_weights_on_what_tells_the_illness_score_best(questions):
    assert len(questions) == 12
    by_illness = score_retrieval(questions, weights=Weights(medications=0), k=3)
    by_drug = score_retrieval(questions, weights=Weights(diagnoses=0), k=3)
    chance = score_chance(questions, k=3, seed=0)
    assert by_illness.shape == (12, len(SCORES))
    assert (by_illness == 1).all()
    assert by_drug[:, 0].mean() < 0.9
    assert chance[:, 0].mean() < 0.9


def test_fewer_records_ask_where_fewer_are_wanted(questions):
    table = admissions(60)
    asking = np.where(np.arange(60) % 5 == 4, np.arange(60), -1)
    few = gather_questions(questions.experience, table, admission=asking, reports=["Sinus rhythm"] * 60, most=5, seed=1)
    assert len(few) == 5
    assert len(gather_questions(questions.experience, table, admission=asking, reports=[""] * 60, most=5, seed=1)) == 0


def test_the_pool_has_training_patients_with_a_report_and_a_code_only():
    table = admissions(6)
    links = Links(np.array([0, 1, 2, 3, -1, 5]), np.ones(6, bool), np.ones(6, bool), np.arange(6))
    split = pa.chunked_array([["train", "test", "train", "val", "train", "train"]])
    reports = pa.chunked_array([["Sinus rhythm", "a", "", "b", "c", "LBBB"]])
    found = gather_experience(table, links, split, reports)
    assert found.rows.tolist() == [0, 5]
    assert found.reports == ("Sinus rhythm", "LBBB")


def test_an_admission_brings_the_first_report_that_was_recorded_in_it():
    table = admissions(2)
    during, seconds = np.array([False, True, True, False]), np.array([1, 9, 5, 2])
    links = Links(np.array([0, 0, 0, 1]), during, np.ones(4, bool), seconds)
    reports = pa.chunked_array([["earlier, but after another stay", "second", "first", "only one"]])
    found = gather_experience(table, links, pa.chunked_array([["train"] * 4]), reports)
    assert found.reports == ("first", "only one")


def test_overlap_of_nothing_is_no_number():
    scores = mean_overlap([frozenset(), frozenset("a"), frozenset("a")], [[frozenset("a")], [], [frozenset()]])
    assert np.isnan(scores[:2]).all()
    assert scores[2].tolist() == [0, 0]


def test_the_picture_is_the_same_each_time():
    scores = dict.fromkeys(SCORES, (0.3, 0.2, 0.4))
    trials = [Trial(f"1 : 1 : 1, k = {k}", scores, (1, 1, 1, k)) for k in (2, 3)]
    drawn = draw_sweep(trials, {2: scores, 3: scores}, records=10, patients=5)
    assert drawn == draw_sweep(trials, {2: scores, 3: scores}, records=10, patients=5)
    assert b"k = 3" in drawn


def test_the_laptop_tries_the_nine_settings_of_table_10():
    assert TUNE_RETRIEVAL["laptop"].grid == TABLE_10
    assert len(set(TABLE_10)) == 9


@pytest.mark.parametrize(
    "wrong",
    [
        {"grid": ()},
        {"grid": ((1.0, 1.0, 1.0, 3),) * 2},
        {"grid": ((1.0, 1.0, 1.0, 0),)},
        {"grid": ((0.0, 0.0, 0.0, 3),)},
        {"grid": ((1.0, -1.0, 1.0, 3),)},
        {"records_asked": 0},
    ],
)
def test_a_sweep_that_means_nothing_is_refused(wrong: dict):
    with pytest.raises(ConfigError):
        TuneRetrievalConfig(**wrong)
