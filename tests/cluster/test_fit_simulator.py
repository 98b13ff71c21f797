"""Fitting as a job: training records only, classes that cannot be fitted are counted, never an exception."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ecgray.cluster.fit_simulator import Archive, choose, fit_simulator
from ecgray.errors import ConfigError
from ecgray.parquet import write_table
from ecgray.recipes.fit_simulator import FIT_SIMULATOR, FitSimulatorConfig
from ecgray.tables import INTERVALS, LABELS, RECORDS, ecg_bytes

TERM_OF = {"sinus rhythm": 24, "atrial fibrillation": 24, "left bundle branch block": 2}
"""How many training records carry each."""


def _beat(time: np.ndarray, upright: bool) -> np.ndarray:
    wave = 1.0 * np.exp(-0.5 * (time / 0.012) ** 2) + 0.25 * np.exp(-0.5 * ((time - 0.27) / 0.04) ** 2)
    return wave if upright else -wave


def _table(rows: list[dict], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty training records of three terms, upright or inverted, and ten test records that say the opposite."""
    out, rows = tmp_path_factory.mktemp("fit"), []
    peaks = np.arange(200, 4800, 400)
    random = np.random.default_rng(0)
    terms = [(term, "train") for term, count in TERM_OF.items() for _ in range(count)] + [("sinus rhythm", "test")] * 10
    for n, (term, split) in enumerate(terms):
        upright = (term == "sinus rhythm") == (split == "train")
        time = np.arange(5000)
        lead = sum(_beat((time - peak) / 500, upright) for peak in peaks) + 0.01 * random.standard_normal(5000)
        rows.append(
            {"record_id": f"t:{n}", "subject_id": f"t:{n}", "split": split, "terms": [term], "unmapped": []}
            | {"ecg": ecg_bytes(np.rint(1000 * np.stack([lead] * 12)).astype(np.int16)), "codes": [], "flags": []}
            | {"r_peaks": peaks.tolist(), "rr_ms": 800.0, "missing": []}
        )
    for name, schema in {"records": RECORDS, "labels": LABELS, "intervals": INTERVALS}.items():
        write_table(_table(rows, schema), out / name / "part-00000.parquet")
    return out


def config_of(tables: Path, out: Path, **changed) -> FitSimulatorConfig:
    folders = {name: (tables / name,) for name in ("records", "labels", "intervals")}
    return dataclasses.replace(FIT_SIMULATOR["debug"], out=out, **(folders | changed))


@pytest.mark.ray
def test_what_training_patients_show_is_fitted_and_what_cannot_be_is_counted(
    tables: Path, tmp_path: Path, ray_session: None
) -> None:
    classes = (*TERM_OF, "asystole")
    config = config_of(tables, tmp_path / "out", classes=classes)
    config = dataclasses.replace(config, fit=dataclasses.replace(config.fit, min_beats=30))
    figures = fit_simulator(config)
    assert figures["classes"] == 2
    assert "10 whole beats; 30 are needed" in figures["skipped"]["left bundle branch block"]
    assert figures["skipped"]["asystole"] == "no training record with a heart rate carries it"
    assert figures["median_correlation"] > 0.9
    eta = json.loads((tmp_path / "out" / "eta.json").read_text())
    for name, sign in {"sinus rhythm": 1, "atrial fibrillation": -1}.items():
        heights = eta["classes"][name]["leads"]["II"]["amplitude_mv"]
        assert np.sign(max(heights, key=abs)) == sign  # the test patients' beats are upside down
    assert (tmp_path / "out" / "fit.svg").read_text().startswith("<?xml")
    assert len((tmp_path / "out" / "fit.csv").read_text().splitlines()) == 1 + 2 * 12
    assert fit_simulator(config) == figures


def test_many_patients_before_many_beats_of_one(tables: Path, tmp_path: Path) -> None:
    archive = Archive(tables / "records", tables / "labels", tables / "intervals")
    chosen = choose([archive], config_of(tables, tmp_path))
    assert len(chosen["sinus rhythm"].record_ids) == 24
    assert chosen["sinus rhythm"].beats_each == 5
    assert chosen["sinus rhythm"].rr_ms == 800


def test_a_term_that_nobody_carries_is_left_out(tables: Path, tmp_path: Path) -> None:
    archive = Archive(tables / "records", tables / "labels", tables / "intervals")
    assert list(choose([archive], config_of(tables, tmp_path, classes=("asystole", "sinus rhythm")))) == [
        "sinus rhythm"
    ]


def test_tables_that_do_not_pair_up_are_refused(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name 1, 1 and 2 folders"):
        config_of(tables, tmp_path, intervals=(tables, tables))
    with pytest.raises(ConfigError, match="no records are named"):
        fit_simulator(dataclasses.replace(FIT_SIMULATOR["debug"], out=tmp_path / "none"))


@pytest.mark.ray
def test_archives_in_another_order_are_refused(tables: Path, tmp_path: Path, ray_session: None) -> None:
    """Labels and intervals of records that are not in the records given."""
    others = [{"record_id": f"u:{n}", "subject_id": "u", "split": "train", "codes": [], "flags": []} for n in range(3)]
    rows = [row | {"ecg": ecg_bytes(np.zeros((12, 5000), np.int16))} for row in others]
    write_table(_table(rows, RECORDS), tmp_path / "other" / "records" / "part-00000.parquet")
    config = config_of(tables, tmp_path / "out", records=(tmp_path / "other" / "records",))
    with pytest.raises(ConfigError, match=r"are not in the records given; name each archive's records"):
        fit_simulator(config)


def test_intervals_of_other_records_are_refused(tables: Path, tmp_path: Path) -> None:
    """Before anything is written: one archive's labels beside another's intervals."""
    row = {"record_id": "u:1", "subject_id": "u", "r_peaks": [500], "rr_ms": 800.0, "missing": []}
    write_table(_table([row], INTERVALS), tmp_path / "other" / "part-00000.parquet")
    with pytest.raises(ConfigError, match="have no training record in common"):
        fit_simulator(config_of(tables, tmp_path / "out", intervals=(tmp_path / "other",)))
    assert not (tmp_path / "out").exists()


def test_classes_that_nobody_carries_are_refused(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"carries any of no such thing; frequency\.csv"):
        fit_simulator(config_of(tables, tmp_path / "out", classes=("no such thing",)))
