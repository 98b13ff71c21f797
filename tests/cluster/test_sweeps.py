"""The dropout sweep: every ratio tried once, the best named, a killed sweep taken up."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
from drawn_tables import draw_tables
from processes import kill_tree, workers_of

from ecgray.errors import ClusterError, ConfigError, TrainingError
from ecgray.models import Classifier
from ecgray.recipes.tune_dropout import TUNE_DROPOUT, TuneDropoutConfig
from ecgray.training.journal import read_journal

JOB = Path(__file__).parents[2] / "jobs" / "tune_dropout.py"


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


def test_a_sweep_of_no_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers=0 must be at least 1"):
        _config(tmp_path, tmp_path, workers=0)


def test_a_folder_with_an_encoder_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ecgray.cluster.sweeps import _absolute

    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "medcpt").mkdir(parents=True)
    (tmp_path / "lexical").mkdir()
    for given, meant in (
        ("models/medcpt", str(tmp_path / "models" / "medcpt")),
        ("ncbi/MedCPT-Query-Encoder", "ncbi/MedCPT-Query-Encoder"),
        ("lexical", "lexical"),
    ):
        config = _absolute(_config(Path("records"), Path("out"), text_encoder=given))
        assert config.text_encoder == meant
        assert (config.records, config.out) == (tmp_path / "records", tmp_path / "out")


def test_what_every_run_would_refuse_is_refused_before_ray_starts(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgray.cluster import sweeps

    monkeypatch.setattr(sweeps, "connected", lambda **_: pytest.fail("Ray was started"))
    with pytest.raises(ConfigError, match="has no term that 1000 training records carry"):
        sweeps.tune_dropout(_config(tables, tmp_path, min_term_count=1000))


def test_a_failed_run_is_told_in_one_line() -> None:
    from ray.exceptions import RayTaskError

    from ecgray.cluster.sweeps import _reason

    ours = TrainingError("training diverged: step=3. Give another --out.")
    text = "\x1b[36mray::ImplicitFunc.train()\x1b[39m (pid=1, ip=127.0.0.1)\n  File x\nValueError: " + 300 * "y" + "\n"
    assert _reason(RayTaskError("train", text, ours)) == "training diverged: step=3. Give another --out"
    assert _reason(RayTaskError("train", text, ValueError("y"))) == ("ValueError: " + 300 * "y")[:200]
    assert _reason(RuntimeError("")) == "RuntimeError"


def _said(config: TuneDropoutConfig, search: str, ratio: float, scores: Sequence[float]) -> Path:
    """The folder of a run that has looked at the held-out patients so often."""
    folder = config.out / "trials" / f"{search}-{ratio:.4f}"
    folder.mkdir(parents=True)
    rows = [{"step": step, "val_macro_auc": score} for step, score in enumerate(scores, 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_sweep_that_is_taken_up_decides_as_it_did(tmp_path: Path) -> None:
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import TrialScheduler

    from ecgray.cluster.sweeps import STOPPED, _Asha, _left, _looks

    config = _config(tmp_path, tmp_path)
    finished = _said(config, "continuous", 0.1, [0.7, 0.8])
    stopped = _said(config, "continuous", 0.2, [0.6])
    begun = _said(config, "continuous", 0.3, [0.5])
    (finished / "figures.json").write_text("{}")
    (stopped / STOPPED).write_text("{}")
    ratios = [0.4, 0.1, 0.2, 0.3]
    assert _left(config, "continuous", ratios) == [0.3, 0.4]

    asha = _Asha(config, ratios)
    goes_on, fresh = (Trial("run", config={"dropout": ratio}, stub=True) for ratio in (0.3, 0.4))
    for trial in (goes_on, fresh):
        asha.on_trial_add(None, trial)
    # It was the first to report once and was let go on, though it is the worst by now.
    assert asha.on_trial_result(None, goes_on, _looks(begun)[0]) == TrialScheduler.CONTINUE
    assert not (begun / STOPPED).exists()
    # The median of 0.5, 0.6 and 0.7 is what a fresh run has to reach: all three are remembered.
    (tmp_path / "trials" / "continuous-0.4000").mkdir()
    result = {"look": 1, "best_val_macro_auc": 0.59}
    assert asha.on_trial_result(None, fresh, result) == TrialScheduler.STOP
    assert _left(config, "continuous", ratios) == [0.3]


@pytest.mark.ray
def test_a_run_that_does_not_fit_is_refused_at_once(tables: Path, tmp_path: Path, ray_session: None) -> None:
    from ecgray.cluster.sweeps import tune_dropout

    with pytest.raises(ClusterError, match="8 training workers"):
        tune_dropout(_config(tables, tmp_path, workers=8))


def _wait(condition: Callable[[], bool], *, timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


@pytest.mark.ray
def test_a_run_that_asha_stops_is_gone_and_marked(tables: Path, tmp_path: Path, ray_session: None) -> None:
    from ecgray.cluster.sweeps import STOPPED, _ratios, tune_dropout

    # One run fills the cluster to the last CPU.
    config = _config(tables, tmp_path, steps=5000, evaluate_every=1, cpus_per_worker=2.0, spare_cpus=0.0)
    through = _said(config, "grid", config.grid[0], [0.9])
    (through / "figures.json").write_text('{"model": "elsewhere"}')
    before, fresh = _ratios(config)["continuous"]
    perfect = _said(config, "continuous", before, [1.0] * 20)  # what is drawn at random cannot be as good
    (perfect / STOPPED).write_text("{}")

    figures = tune_dropout(config)
    _wait(lambda: not workers_of(psutil.Process(), "RayTrainWorker"), timeout_s=20)
    stopped = tmp_path / "trials" / f"continuous-{fresh:.4f}"
    assert json.loads((stopped / STOPPED).read_text())["look"] == 1
    assert read_journal(stopped)[-1]["step"] < 5000
    with Path(figures["table"]).open(newline="") as file:
        assert [row["finished"] for row in csv.DictReader(file)] == ["True", "False", "False"]
    assert (figures["best_dropout"], figures["stopped_early"]) == (config.grid[0], 2)


@pytest.mark.ray
def test_a_killed_sweep_is_taken_up_tries_each_ratio_and_names_the_best(
    tables: Path, tmp_path: Path, ray_session: None
) -> None:
    from ecgray.cluster.sweeps import tune_dropout

    flags = {"steps": 40, "evaluate_every": 20, "checkpoint_every": 4, "continuous": 1}
    command = [sys.executable, JOB, "debug", "--records", tables, "--labels", tables, "--out", tmp_path]
    command += [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    first = subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    trials = tmp_path / "trials"
    _wait(lambda: any(len(read_journal(run)) >= 9 for run in trials.glob("continuous-*")) or first.poll() is not None)
    kill_tree(first)
    (finished,), (begun,) = trials.glob("grid-*"), trials.glob("continuous-*")
    assert (finished / "figures.json").exists()
    assert not (begun / "figures.json").exists()
    written, kept = (finished / "metrics.jsonl").stat().st_mtime_ns, read_journal(begun)[:4]

    figures = tune_dropout(_config(tables, tmp_path, **flags))
    assert (finished / "metrics.jsonl").stat().st_mtime_ns == written
    assert read_journal(begun)[:4] == kept, "it began anew"  # how fast a step was does not come out twice
    assert [row["step"] for row in read_journal(begun)] == list(range(1, 41))

    with Path(figures["table"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["search"] for row in rows] == ["grid", "continuous"]
    best = max(rows, key=lambda row: float(row["best_val_macro_auc"]))
    assert figures["best_dropout"] == float(best["dropout"])
    assert figures["best_val_macro_auc"] == float(best["best_val_macro_auc"])
    assert (figures["trials"], figures["stopped_early"]) == (2, 0)
    assert Classifier.load(Path(figures["model"])).model.config.dropout == figures["best_dropout"]
    assert Path(figures["picture"]).read_text().count("<svg") == 1

    (tmp_path / "figures.json").unlink()  # it was killed before it said what came of it: nothing is trained again
    before = {path: path.stat().st_mtime_ns for path in trials.glob("*/metrics.jsonl")}
    assert tune_dropout(_config(tables, tmp_path, **flags)) == figures
    assert {path: path.stat().st_mtime_ns for path in before} == before
