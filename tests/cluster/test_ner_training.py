"""jobs/train_ner.py on a real Ray: a killed run ends with the same weights; learning from a larger model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from processes import kill_tree

from ecgray.ner.pairs import draw_pairs
from ecgray.parquet import write_table
from ecgray.recipes.command import choose
from ecgray.recipes.train_ner import TRAIN_NER
from ecgray.tables import CACHE
from ecgray.text.entities import write_answer

ROOT = Path(__file__).parents[2]
SMALL = ["--steps", "8", "--checkpoint-every", "2", "--batch-size", "16", "--score-statements", "2"]


def job(out: Path, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, str(ROOT / "jobs" / "train_ner.py"), "debug", "--out", str(out), *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(out: Path, *options: str) -> dict[str, Any]:
    process = job(out, *options)
    said, noise = process.communicate(timeout=300)
    assert process.returncode == 0, noise[-2000:]
    return json.loads(said.splitlines()[-1])


@pytest.mark.ray
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path):
    whole = finished(tmp_path / "whole", *SMALL)
    process = job(tmp_path / "killed", *SMALL)
    checkpoints = tmp_path / "killed" / "train" / "checkpoints"
    waited = time.monotonic()
    while not list(checkpoints.glob("step-*")) and time.monotonic() - waited < 200:
        time.sleep(0.05)
    kill_tree(process)
    assert not (tmp_path / "killed" / "figures.json").exists()
    again = finished(tmp_path / "killed", *SMALL)
    weights = [(Path(one["model"]) / "model.safetensors").read_bytes() for one in (whole, again)]
    assert weights[0] == weights[1]
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))
    assert finished(tmp_path / "killed", *SMALL) == again


@pytest.mark.ray
def test_it_learns_from_what_a_larger_model_answered(tmp_path: Path):
    """A base of ours goes on with pairs out of an extract job's cache."""
    base = finished(tmp_path / "base", *SMALL)["model"]
    pairs = draw_pairs(60, seed=9, step=0, unknown_share=0.2)
    columns = {name: pa.nulls(60, CACHE.field(name).type) for name in CACHE.names}
    columns["text"] = pa.array([each.text for each in pairs])
    columns["answer"] = pa.array([write_answer(each.reading) for each in pairs])
    write_table(pa.table(columns, schema=CACHE), tmp_path / "cache" / "part-0.parquet")
    said = finished(tmp_path / "taught", *SMALL, "--base", base, "--pairs", str(tmp_path / "cache"))
    rows = [json.loads(line) for line in (tmp_path / "taught" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {"f1_held_out", "passed_over"} <= set(said)
    assert "answers of a larger model" in (Path(said["model"]) / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--epochs", "2", "--steps", "0"], "passes over --pairs"),
        (["--base", "BASE"], "no model of the statement grammar"),
        (["--unknown-share", "1.5"], "unknown_share=1.5"),
        (["--size.heads", "3"], "heads=3"),
        (["--batch-size", "0"], "batch_size=0"),
    ],
)
def test_what_trains_nothing_is_refused(options: list[str], said: str, tmp_path: Path):
    from ecgray.cluster.ner import settle
    from ecgray.errors import ConfigError

    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    options = [str(other) if option == "BASE" else option for option in options]
    with pytest.raises(ConfigError, match=said):
        settle(choose("x", TRAIN_NER, ["debug", "--out", str(tmp_path / "out"), *options]))
