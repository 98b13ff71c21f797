"""The sweep as a job: a trial a setting on Ray Tune, none run twice; inputs that do not belong together are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from test_retrieve import hospital, in_process, records  # noqa: F401

from ecgray.cluster.retrieve import retrieve
from ecgray.cluster.tune_retrieval import tune_retrieval
from ecgray.errors import ConfigError
from ecgray.recipes.retrieve import RetrieveConfig
from ecgray.recipes.tune_retrieval import TUNE_RETRIEVAL, TuneRetrievalConfig


@pytest.fixture
def config(tmp_path: Path, in_process: None) -> TuneRetrievalConfig:  # noqa: F811
    table = records(tmp_path / "in")
    retrieve(RetrieveConfig(records=table, ehr=hospital(tmp_path / "ehr"), out=tmp_path / "found"))
    recipe = TUNE_RETRIEVAL["debug"]
    return dataclasses.replace(recipe, records=table, retrieved=tmp_path / "found", out=tmp_path / "out")


@pytest.mark.ray
def test_each_setting_is_tried_once_and_the_sweep_goes_on(config: TuneRetrievalConfig, ray_session: None):
    figures = tune_retrieval(config)
    assert figures["trials"] == 3
    assert figures["statement_jaccard"] == 1.0 > figures["statement_jaccard_by_chance"]
    assert tune_retrieval(config) == figures
    rows = (config.out / "trials.csv").read_text().splitlines()
    assert [row.split(",")[:4] for row in rows[1:4]] == [["1.0", "1.0", "1.0", k] for k in "324"]
    assert [row.split(",")[:4] for row in rows[4:]] == [["chance", "", "", k] for k in "234"]
    (config.out / "figures.json").unlink()
    scores = config.out / "trials" / "1-1-1-2" / "scores.parquet"
    kept = (config.out / "trials" / "1-1-1-3" / "scores.parquet").stat().st_mtime_ns
    scores.unlink()
    assert tune_retrieval(config) == figures
    assert scores.exists()
    assert (config.out / "trials" / "1-1-1-3" / "scores.parquet").stat().st_mtime_ns == kept


def test_records_of_another_run_are_refused(config: TuneRetrievalConfig, tmp_path: Path):
    (config.records / "records" / "part-00040.parquet").unlink()
    with pytest.raises(ConfigError, match="was made from other records"):
        tune_retrieval(config)
    assert not config.out.exists()


def test_a_patient_in_both_sets_is_refused_with_their_number(config: TuneRetrievalConfig, tmp_path: Path):
    leaking = dataclasses.replace(config, records=records(tmp_path / "leaking", split="test"))
    with pytest.raises(ConfigError, match=r"^1 patients of the records stand in the training set and in another one"):
        tune_retrieval(leaking)
    assert not config.out.exists()
