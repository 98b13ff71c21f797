"""The whole path at once on a real local Ray: the smallest recipe, every stage, the report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgray.errors import ConfigError
from ecgray.parquet import read_table
from ecgray.recipes.demo import DEMO, UNSEEN, DemoConfig


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DemoConfig:
    return dataclasses.replace(DEMO["smoke"], out=tmp_path_factory.mktemp("walk") / "demo")


@pytest.fixture(scope="module")
def figures(ray_session: None, config: DemoConfig) -> dict[str, Any]:
    from ecgray.cluster.demo import demo

    return demo(config)


@pytest.mark.ray
def test_the_last_line_has_its_figures(figures: dict[str, Any], config: DemoConfig):
    assert {"macro_auc", "unseen_macro_auc", "report", "seconds"} <= set(figures)
    assert 0 <= figures["macro_auc"] <= 1
    assert 0 <= figures["unseen_macro_auc"] <= 1
    assert Path(figures["report"]).is_file()
    assert figures["patients"] > 0.9 * config.patients
    json.dumps(figures, allow_nan=False)


@pytest.mark.ray
def test_the_damaged_recordings_are_in_quarantine(figures: dict[str, Any], config: DemoConfig):
    refused = read_table(config.out / "ingest" / "quarantine")
    assert sorted(refused["code"].to_pylist()) == ["checksum_mismatch", "length_mismatch"]
    drawn = json.loads((config.archive / "figures.json").read_text())
    assert figures["records"] + 2 == drawn["records"]
    assert figures["quarantined"] == 2


@pytest.mark.ray
def test_no_training_record_carries_an_unseen_condition(figures: dict[str, Any], config: DemoConfig):
    said = json.loads((config.out / "pretrain" / "figures.json").read_text())
    labels = read_table(config.out / "labels" / "labels").to_pylist()
    learnable = [row for row in labels if row["split"] != "test" and not set(row["terms"]) & set(UNSEEN)]
    assert said["records"] + said["val_records"] == len(learnable)
    assert said["held_out"] > 0
    details = json.loads((config.out / "pretrain" / "model" / "config.json").read_text())["details"]
    assert not set(details["terms"]) & set(UNSEEN)


@pytest.mark.ray
def test_only_test_patients_are_asked(figures: dict[str, Any], config: DemoConfig):
    records = read_table(config.out / "ingest" / "records", ["record_id", "split"]).to_pylist()
    test = {row["record_id"] for row in records if row["split"] == "test"}
    for task in ("demo-seen", "demo-unseen"):
        assert set(read_table(config.out / task / "answers")["record_id"].to_pylist()) == test


@pytest.mark.ray
def test_the_report_tells_the_run(figures: dict[str, Any], config: DemoConfig):
    html = Path(figures["report"]).read_text()
    for command in (
        "jobs/ingest.py",
        "jobs/label.py",
        "jobs/pretrain.py",
        "jobs/zeroshot.py",
        "jobs/measure.py",
        "jobs/train_vae.py",
        "jobs/retrieve.py",
        "jobs/encode.py",
        "jobs/train_diffusion.py",
        "jobs/generate.py",
    ):
        assert f"python {command} laptop " in html
    assert "length_mismatch" in html
    assert f"{figures['macro_auc']:.2f}" in html
    assert html.count("<figure>") >= 2
    assert "the beat decoded from the same latent" in html
    assert "//" not in html.replace("http://www.w3.org/2000/svg", "")
    assert (config.out / "demo.svg").stat().st_size < 300_000


@pytest.mark.ray
def test_the_hearts_of_written_ecgs_beat_as_asked(figures: dict[str, Any], config: DemoConfig):
    """At 50 and at 120 bpm, in the median within 10: the gate of the generator that ships."""
    asked = read_table(config.out / "written" / "generated").to_pylist()
    found = read_table(config.out / "written-intervals" / "intervals", ["record_id", "heart_rate_bpm"]).to_pylist()
    rate = {row["record_id"]: row["heart_rate_bpm"] for row in found}
    for bpm in (50, 120):
        measured = [rate[row["record_id"]] for row in asked if row["heart_rate_bpm"] == bpm]
        assert measured
        assert None not in measured
        assert abs(np.median(measured) - bpm) <= 10
    assert figures["heart_rates_measured"] <= figures["heart_rates_asked"]
    assert figures["written"] == len(asked)


@pytest.mark.ray
def test_a_second_run_does_nothing_again(figures: dict[str, Any], config: DemoConfig):
    from ecgray.cluster.demo import demo

    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.is_file()}
    assert demo(config) == figures
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*") if path.is_file()} == before


@pytest.mark.ray
def test_a_run_that_lost_its_end_goes_on_there(figures: dict[str, Any], config: DemoConfig):
    """The same figures, without a stage done twice."""
    from ecgray.cluster.demo import demo

    (config.out / "figures.json").unlink()
    Path(figures["report"]).unlink()
    stages = {path: path.stat().st_mtime_ns for path in config.out.glob("*/figures.json")}
    again = demo(config)
    assert {name: again[name] for name in again if name != "seconds"} == {
        name: figures[name] for name in figures if name != "seconds"
    }
    assert Path(again["report"]).is_file()
    assert {path: path.stat().st_mtime_ns for path in config.out.glob("*/figures.json")} == stages


def test_a_recording_that_cannot_be_shown_is_refused_before_anything_is_written(tmp_path: Path):
    from ecgray.cluster.demo import demo

    config = dataclasses.replace(DEMO["smoke"], out=tmp_path / "demo", real=tmp_path / "none.hea")
    with pytest.raises(ConfigError, match="there is no recording"):
        demo(config)
    assert not config.out.exists()
