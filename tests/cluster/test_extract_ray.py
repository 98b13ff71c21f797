"""Extract on a real Ray: vLLM answers by the schema; engines that die, hang and babble end in counts and sentences."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from reports_table import REPORTS, stand_in_model, write_reports
from tiny_llama import tiny_llama

from ecgray.cluster.extract import extract
from ecgray.errors import ClusterError
from ecgray.parquet import read_table
from ecgray.recipes.extract import ExtractConfig

ENGINES = Path(__file__).parents[1] / "fake_engines.py"


def table(config: ExtractConfig, name: str = "entities") -> list[dict[str, Any]]:
    return read_table(config.out / name).to_pylist()


@pytest.mark.ray
def test_the_real_engine_answers_by_the_schema(tmp_path: Path, ray_session: None) -> None:
    """vLLM and a network whose logits are all equal: only the schema makes its answer one."""
    records = write_reports(tmp_path / "records", [*REPORTS, *(f"Sinus rhythm. Rate {n} bpm" for n in range(90))])
    model = tiny_llama(tmp_path / "model", context=1024)
    config = ExtractConfig(
        records=records, out=tmp_path / "out", model=str(model), part_rows=40, max_num_seqs=16, kv_cache_mb=32
    )
    figures = extract(config)
    assert (figures["refused_by_code"], figures["entities"], figures["unknown"]) == ({"too_long": 1}, 0, 0)
    assert figures["asked"] == figures["answered"] == figures["distinct"] - 1
    answers = set(read_table(config.out / "cache", ["answer"])["answer"].to_pylist())
    assert answers == {'{"unknown":false,"entities":[]}'}
    assert {row["status"] for row in table(config, "statements")} == {"nothing", "refused"}
    again = extract(dataclasses.replace(config, out=tmp_path / "again", cache=config.out / "cache"))
    assert (again["asked"], again["cached"]) == (0, figures["answered"])


@pytest.mark.ray
def test_engines_that_die_hang_raise_and_babble(tmp_path: Path, ray_session: None) -> None:
    bad = {"die here now": "engine_died", "hang here now": "timed_out", "boom here now": "engine_failed"}
    bad |= {"garbage here now": "answer_not_json"}
    reports = [*bad, *(f"Sinus rhythm. Rate {n} bpm" for n in range(60))]
    model = stand_in_model(tmp_path / "model")
    config = ExtractConfig(
        records=write_reports(tmp_path / "records", reports),
        out=tmp_path / "out",
        model=str(model),
        engine=f"{ENGINES}:Echo",
        part_rows=20,
        replicas=2,
        timeout_s=1.0,
    )
    figures = extract(config)
    assert {row["statement"]: row["code"] for row in table(config, "quarantine")} == bad
    assert (figures["answered"], figures["refused"]) == (61, 4)
    assert len(table(config)) == 120
    assert not (config.out / ".asking").exists()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("engine", "words"),
    [("Stillborn", "does not start"), ("Crash", "while it started"), ("Asleep", "longer than --start-timeout-s")],
)
def test_an_engine_that_cannot_start_ends_the_job_with_a_sentence(
    tmp_path: Path, ray_session: None, engine: str, words: str
) -> None:
    records = write_reports(tmp_path / "records", REPORTS)
    model = stand_in_model(tmp_path / "model")
    config = ExtractConfig(
        records=records, out=tmp_path / "out", model=str(model), engine=f"{ENGINES}:{engine}", start_timeout_s=2
    )
    with pytest.raises(ClusterError, match=words):
        extract(config)
    figures = extract(dataclasses.replace(config, engine=f"{ENGINES}:Echo", start_timeout_s=60, out=tmp_path / "out2"))
    assert json.dumps(figures)
