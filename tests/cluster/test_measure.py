"""Measuring as a job: every record gets a row, what cannot be measured is null with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from drawn_tables import draw_tables

from ecgray.cluster.measure import MeasurePlan, Measurer, measure
from ecgray.errors import ConfigError
from ecgray.parquet import read_table, write_table
from ecgray.recipes.measure import MeasureConfig
from ecgray.tables import INTERVALS, RECORDS, ecg_bytes
from ecgray.waveform.delineator.reader import EMBEDDED
from ecgray.waveform.intervals import VALUES

ROOT = Path(__file__).parents[2]


def records_table(ecgs: list[np.ndarray]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        dict.fromkeys(RECORDS.names)
        | {"record_id": f"t:{n}", "subject_id": f"t:{n}", "codes": [], "flags": [], "ecg": ecg_bytes(ecg)}
        for n, ecg in enumerate(ecgs)
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def measured(tmp_path: Path, ecgs: list[np.ndarray]) -> list[dict[str, Any]]:
    write_table(records_table(ecgs), tmp_path / "records" / "part-00000.parquet")
    plan = MeasurePlan(EMBEDDED, tmp_path / "intervals", batch_size=3, threads=1, device="cpu")
    assert Measurer(plan).write(tmp_path / "records" / "part-00000.parquet") == len(ecgs)
    table = read_table(tmp_path / "intervals")
    assert table.schema.equals(INTERVALS)
    return table.to_pylist()


def test_what_nobody_could_measure_is_null_with_a_reason(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = (random.standard_normal((12, 5000)) * 100).astype(np.int16)
    one = np.zeros((12, 5000), np.int16)
    one += np.rint(900 * np.exp(-0.5 * ((np.arange(5000) - 60) / 8.0) ** 2)).astype(np.int16)  # R at 0.12 s
    rows = measured(tmp_path, [np.zeros((12, 5000), np.int16), noise, one, np.full((12, 5000), 32767, np.int16)])
    for row in rows:
        reasons = dict(each.split(":") for each in row["missing"])
        assert {name for name in VALUES if row[name] is None} == set(reasons)
        assert all(row[name] is None or np.isfinite(row[name]) for name in VALUES)
    assert set(dict(each.split(":") for each in rows[0]["missing"]).values()) == {"no_lead"}
    assert rows[2]["heart_rate_bpm"] is None
    assert [row["record_id"] for row in rows] == ["t:0", "t:1", "t:2", "t:3"]


@pytest.mark.parametrize("rate", [20, 40, 60, 100, 180, 300])
def test_heart_rates_from_20_to_300(tmp_path: Path, rate: int) -> None:
    """Beats of QRS and T alone, T in proportion to RR: found, or null; never a wrong number."""
    time, rr = np.arange(5000) / 500, 60 / rate
    signal = np.zeros(5000)
    for r in np.arange(0.3 * rr, 10, rr):
        signal += np.exp(-0.5 * ((time - r) / 0.012) ** 2) - 0.2 * np.exp(-0.5 * ((time - r - 0.03) / 0.01) ** 2)
        signal += 0.25 * np.exp(-0.5 * ((time - r - 0.3 * rr**0.4) / (0.045 * rr**0.4)) ** 2)
    lead = np.rint(1000 * signal).astype(np.int16)
    (row,) = measured(tmp_path, [np.stack([lead] * 12)])
    assert row["heart_rate_bpm"] is None or row["heart_rate_bpm"] == pytest.approx(rate, rel=0.02)
    if 40 <= rate <= 180:
        assert row["heart_rate_bpm"] is not None


@pytest.mark.ray
def test_a_job_measures_every_record_and_only_once(tmp_path: Path, ray_session: None) -> None:
    records = tmp_path / "in"
    draw_tables(records, records=40)
    config = MeasureConfig(records=records, out=tmp_path / "out", workers=2)
    figures = measure(config)
    table = read_table(tmp_path / "out" / "intervals")
    assert figures["records"] == table.num_rows == read_table(records / "records", ["record_id"]).num_rows
    assert sum(figures["missing"].values()) == sum(len(row) for row in table["missing"].to_pylist())
    assert measure(config) == figures
    (tmp_path / "out" / "figures.json").unlink()
    assert measure(config) == figures | {"records_per_s": 0.0}  # nothing was left to do, so no speed to speak of


def test_a_folder_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with pytest.raises(ConfigError, match="holds no table"):
        measure(MeasureConfig(records=tmp_path / "records", out=tmp_path / "out"))


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, ROOT / "jobs" / "measure.py", "debug", "--records", tmp_path, "--out", tmp_path / "o"]
    done = subprocess.run([*command, "--batch-size", "0"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "batch_size=0 must be at least 1" in done.stderr
    assert not (tmp_path / "o").exists()


def test_figures_are_json(tmp_path: Path) -> None:
    from ecgray.cluster.measure import _figures

    measured(tmp_path, [np.zeros((12, 5000), np.int16)])
    figures = _figures([tmp_path / "intervals" / "part-00000.parquet"])
    assert figures["median"]["heart_rate_bpm"] is None
    json.dumps(figures, allow_nan=False)


def test_a_table_without_a_record_is_refused(tmp_path: Path) -> None:
    write_table(RECORDS.empty_table(), tmp_path / "records" / "part-00000.parquet")
    with pytest.raises(ConfigError, match="has no record; see the quarantine"):
        measure(MeasureConfig(records=tmp_path, out=tmp_path / "out"))
