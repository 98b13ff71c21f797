"""The dropout sweep: every ratio tried once, the best named, a killed sweep taken up."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from drawn_tables import draw_tables

from ecgray.errors import ClusterError, ConfigError
from ecgray.models import Classifier
from ecgray.recipes.tune_dropout import TUNE_DROPOUT, TuneDropoutConfig
from ecgray.training.journal import read_journal


def _config(tables: Path, out: Path, **changes: object) -> TuneDropoutConfig:
    settings: dict[str, object] = {"steps": 8, "evaluate_every": 2, "checkpoint_every": 4} | changes
    return dataclasses.replace(TUNE_DROPOUT["debug"], records=tables, labels=tables, out=out, **settings)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    draw_tables(out, records=120)
    return out


def test_a_run_of_the_sweep_is_a_pretraining_run(tmp_path: Path) -> None:
    config = _config(tmp_path, tmp_path)
    assert config.pretrain(out=tmp_path / "one").steps == 8
    assert config.pretrain(out=tmp_path / "one").out == tmp_path / "one"


def test_the_ratios_are_drawn_once_from_the_seed(tmp_path: Path) -> None:
    from ecgray.cluster.sweeps import _ratios

    config = _config(tmp_path, tmp_path, continuous=5, low=0.1, high=0.3)
    drawn = _ratios(config)["continuous"]
    assert drawn == _ratios(config)["continuous"]
    assert drawn != _ratios(dataclasses.replace(config, seed=1))["continuous"]
    assert all(0.1 <= ratio <= 0.3 for ratio in drawn)
    assert len(set(drawn)) == 5


def test_a_ratio_beyond_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"grid=\(0\.1, 1\.5\)"):
        _config(tmp_path, tmp_path, grid=(0.1, 1.5))


@pytest.mark.ray
def test_the_sweep_tries_each_ratio_and_names_the_best(tables: Path, tmp_path: Path, ray_session: None) -> None:
    from ecgray.cluster.sweeps import tune_dropout

    config = _config(tables, tmp_path, continuous=1)
    figures = tune_dropout(config)
    with Path(figures["table"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["search"] for row in rows] == ["grid", "continuous"]
    best = max(rows, key=lambda row: float(row["best_val_macro_auc"]))
    assert figures["best_dropout"] == float(best["dropout"])
    assert figures["best_val_macro_auc"] == float(best["best_val_macro_auc"])
    assert figures["trials"] == 2
    assert Classifier.load(Path(figures["model"])).model.config.dropout == figures["best_dropout"]
    assert Path(figures["picture"]).read_text().count("<svg") == 1

    # The sweep was killed before it knew that its last trial was through: nothing is trained again.
    journals = {path: path.stat().st_mtime_ns for path in tmp_path.glob("trials/*/metrics.jsonl")}
    assert len(journals) == 2
    (tmp_path / "figures.json").unlink()
    (tmp_path / "tune" / "continuous.json").unlink()
    again = tune_dropout(config)
    assert again == figures
    assert {path: path.stat().st_mtime_ns for path in journals} == journals
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert all(len(read_journal(path.parent)) == 8 for path in journals)


@pytest.mark.ray
def test_a_run_that_does_not_fit_is_refused_at_once(tables: Path, tmp_path: Path, ray_session: None) -> None:
    from ecgray.cluster.sweeps import tune_dropout

    with pytest.raises(ClusterError, match="8 training workers"):
        tune_dropout(_config(tables, tmp_path, workers=8))
